//! The results as a picture for the README: a panel for each figure, a bar for each proxy, in units of nginx, with what is asked of
//! ssedge as a dashed line. Readable on light and on dark pages: the colours follow the reader's scheme, and the ground is drawn too.

use std::fmt::Write;

use super::catalogue::{Metric, SCENARIOS, Scenario};
use super::results::Results;
use super::table::number;

/// Panels beside each other, and the size of each with its margin, px.
const COLUMNS: usize = 3;
const PANEL_WIDTH: f64 = 320.0;
const BAR_HEIGHT: f64 = 14.0;
const BAR_STEP: f64 = 19.0;
const HEAD: f64 = 44.0;
const GAP: f64 = 24.0;

/// What stands below the panels: two lines, px.
const FOOT: f64 = 30.0;
const LINE: f64 = 15.0;
const LEGEND: &str = "Bars: medians in units of nginx (the solid line). Dashed: what ssedge is held to.";

/// Where bars begin, and how long one of the value of nginx is, px.
const BAR_LEFT: f64 = 62.0;
const UNIT: f64 = 60.0;

/// Bars longer than this many times nginx are cut; their number says how long they would be.
const LONGEST: f64 = 2.6;

const STYLE: &str = "text{font:11px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600;font-size:12px}.s{fill:#59636e;font-size:10px}\
.g{fill:#ffffff}.v{paint-order:stroke;stroke:#ffffff;stroke-width:4}.b{fill:#afb8c1}.u{fill:#1a7f37}.n{stroke:#59636e;stroke-width:1}.l{stroke:#cf222e;stroke-width:1.5;stroke-dasharray:4 3}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.s{fill:#9198a1}.g{fill:#0d1117}.v{stroke:#0d1117}.b{fill:#4a525c}.u{fill:#3fb950}.n{stroke:#9198a1}\
.l{stroke:#f85149}}";

/// Draws it; panels without nginx to compare with are left out.
pub(crate) fn chart(results: &Results) -> String {
    let panels: Vec<(&Scenario, &Metric)> = SCENARIOS
        .iter()
        .flat_map(|scenario| scenario.metrics.iter().map(move |metric| (scenario, metric)))
        .filter(|(scenario, metric)| results.summary(scenario.name, metric.key, "nginx").is_some_and(|nginx| nginx.median > 0.0))
        .collect();
    let names: Vec<&str> =
        results.contenders.iter().map(|contender| contender.name.as_str()).filter(|&name| name != "direct").collect();
    let height = HEAD + BAR_STEP * float(names.len()) + GAP;
    let (rows, columns) = (panels.len().div_ceil(COLUMNS), COLUMNS.min(panels.len().max(1)));
    let (width, total) = (PANEL_WIDTH * float(columns) + GAP, height * float(rows) + GAP + FOOT);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {total:.0}\" role=\"img\" aria-label=\"ssedge and other proxies, in \
         units of nginx\">\n<style>{STYLE}</style>\n<rect class=\"g\" width=\"100%\" height=\"100%\"/>"
    );
    for (at, (scenario, metric)) in panels.iter().enumerate() {
        let (x, y) = (GAP + PANEL_WIDTH * float(at % COLUMNS), GAP + height * float(at / COLUMNS));
        let _ = writeln!(out, "<g transform=\"translate({x:.0} {y:.0})\">");
        panel(&mut out, results, scenario, metric, &names);
        out.push_str("</g>\n");
    }
    let about = |name: &str| results.about.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    for (line, text) in [LEGEND.to_owned(), format!("{}. {}.", about("machine"), about("run"))].iter().enumerate() {
        let y = total - FOOT + LINE * float(line);
        let _ = writeln!(out, "<text class=\"s\" x=\"{GAP:.0}\" y=\"{y:.0}\">{}</text>", escape(text));
    }
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, results: &Results, scenario: &Scenario, metric: &Metric, names: &[&str]) {
    let title = format!("{} · {}", scenario.name, metric.key);
    let _ = writeln!(out, "<text class=\"t\" y=\"10\">{}</text>", escape(&title));
    let direction = if metric.better == super::catalogue::Better::Lower { "less is better" } else { "more is better" };
    let _ = writeln!(out, "<text class=\"s\" y=\"26\">{}, {direction}</text>", escape(metric.unit));
    // Over the lines, which are over the bars.
    let mut labels = String::new();
    for (at, name) in names.iter().enumerate() {
        let y = HEAD + BAR_STEP * float(at);
        let _ = writeln!(out, "<text y=\"{:.0}\">{}</text>", y + 11.0, escape(name));
        let Some(summary) = results.summary(scenario.name, metric.key, name) else {
            let _ = writeln!(out, "<text class=\"s\" x=\"{BAR_LEFT:.0}\" y=\"{:.0}\">not measured</text>", y + 11.0);
            continue;
        };
        let ratio = results.ratio(scenario.name, metric.key, name, "nginx").unwrap_or(0.0);
        let length = UNIT * ratio.clamp(0.0, LONGEST);
        let class = if *name == "ssedge" { "u" } else { "b" };
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{BAR_LEFT:.0}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"{BAR_HEIGHT:.0}\" rx=\"2\"/>"
        );
        let label = format!("{} ({ratio:.2})", number(summary.median));
        let x = BAR_LEFT + length + 5.0;
        let _ = writeln!(labels, "<text class=\"s v\" x=\"{x:.1}\" y=\"{:.0}\">{label}</text>", y + 11.0);
    }
    let bottom = HEAD + BAR_STEP * float(names.len()) - 3.0;
    rule(out, "n", 1.0, bottom);
    let nginx = results.summary(scenario.name, metric.key, "nginx").map_or(0.0, |nginx| nginx.median);
    if let Some(limit) = results.limit(scenario, metric).map(|limit| limit / nginx).filter(|&limit| limit <= LONGEST) {
        rule(out, "l", limit, bottom);
    }
    out.push_str(&labels);
}

/// An upright line at `ratio`.
fn rule(out: &mut String, class: &str, ratio: f64, bottom: f64) {
    let x = BAR_LEFT + UNIT * ratio;
    let _ = writeln!(out, "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.0}\" y2=\"{bottom:.0}\"/>", HEAD - 4.0);
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[expect(clippy::cast_precision_loss, reason = "a handful of panels and bars")]
fn float(count: usize) -> f64 {
    count as f64
}
