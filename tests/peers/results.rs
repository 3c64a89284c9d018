//! Ratios, verdicts, and the three forms in which results are written.

use crate::pure::catalogue::{Better, SCENARIOS, Scenario, Target};
use crate::pure::results::{Contender, Results, Verdict};
use crate::pure::{chart, json, table};

fn scenario(name: &str) -> &'static Scenario {
    SCENARIOS.iter().find(|scenario| scenario.name == name).expect("the scenario is in the catalogue")
}

/// Three contenders with figures in `steady-1` and `json`, one that is missing, and nothing else.
fn results() -> Results {
    let contender = |name: &str| Contender { name: name.to_owned(), version: Ok("1.0".to_owned()) };
    let mut results = Results::default();
    results.contenders = ["direct", "ssedge", "nginx", "haproxy"].map(contender).to_vec();
    results.contenders.push(Contender { name: "caddy".to_owned(), version: Err("not there; bring it".to_owned()) });
    for (name, cpu, rate) in
        [("ssedge", [9.0, 10.0, 11.0], 50.0), ("nginx", [20.0, 20.0, 20.0], 60.0), ("haproxy", [10.0, 16.0, 30.0], 40.0)]
    {
        for value in cpu {
            results.add("steady-1", "cpu", name, Ok(value));
        }
        results.add("json", "rate", name, Ok(rate));
    }
    results.add("steady-1", "cpu", "direct", Err("no proxy".to_owned()));
    results.add("json", "rate", "direct", Ok(99.0));
    results
}

#[test]
fn the_best_is_another_proxy_and_neither_ours_nor_none() {
    let results = results();
    let (cpu, rate) = (&scenario("steady-1").metrics[0], &scenario("json").metrics[0]);
    assert_eq!(results.best(scenario("steady-1"), cpu), Some(("haproxy", 16.0)));
    assert_eq!(results.best(scenario("json"), rate), Some(("nginx", 60.0)));
    assert_eq!(results.ratio("steady-1", "cpu", "ssedge", "nginx"), Some(0.5));
}

#[test]
fn a_target_is_met_at_its_limit_and_missed_beyond() {
    let (steady, json) = (scenario("steady-1"), scenario("json"));
    let mut results = results();
    assert_eq!(results.verdict(steady, &steady.metrics[0]), Some(Verdict { limit: 15.2, met: true }));
    assert_eq!(results.verdict(json, &json.metrics[0]), Some(Verdict { limit: 48.0, met: true }));
    for _ in 0..4 {
        results.add("steady-1", "cpu", "ssedge", Ok(15.3));
        results.add("json", "rate", "ssedge", Ok(47.0));
    }
    assert_eq!(results.verdict(steady, &steady.metrics[0]), Some(Verdict { limit: 15.2, met: false }));
    assert_eq!(results.verdict(json, &json.metrics[0]), Some(Verdict { limit: 48.0, met: false }));
    for _ in 0..9 {
        results.add("json", "rate", "ssedge", Ok(48.0));
    }
    assert_eq!(results.verdict(json, &json.metrics[0]), Some(Verdict { limit: 48.0, met: true }));
}

#[test]
fn without_figures_there_is_no_verdict() {
    let results = results();
    assert_eq!(results.verdict(scenario("idle-5000"), &scenario("idle-5000").metrics[0]), None);
    assert_eq!(results.verdict(scenario("steady-1"), &scenario("steady-1").metrics[1]), None);
    assert!(!results.has("idle-5000") && results.has("steady-1"));
}

#[test]
fn the_table_shows_medians_ranges_ratios_verdicts_reasons_and_who_is_missing() {
    let mut results = results();
    results.failures.push("storm caddy round 1: 3 events are missing".to_owned());
    let text = table::table(&results);
    for wanted in [
        "10.0 (9.00 .. 11.0)    0.50",
        "16.0 (10.0 .. 30.0)    0.80",
        "target cpu: 15.2 µs/event (met)",
        "- direct: no proxy",
        "caddy     MISSING: not there; bring it",
        "FAILED:\n  storm caddy round 1: 3 events are missing",
    ] {
        assert!(text.contains(wanted), "{wanted:?} in\n{text}");
    }
    assert!(!text.contains("idle-5000"), "{text}");
}

#[test]
fn numbers_keep_three_digits_that_count() {
    assert_eq!(
        [61_300.2, 99.96, 11.44, 1.553, 0.1423, 0.0].map(table::number),
        ["61300", "100.0", "11.4", "1.55", "0.142", "0.000"]
    );
}

#[test]
fn what_was_not_measured_is_null_with_its_reason() {
    let json = json::json(&results());
    let steady = &json["scenarios"][0];
    let cpu = &steady["metrics"][0];
    assert_eq!((&steady["name"], &cpu["key"], &cpu["best"]), (&"steady-1".into(), &"cpu".into(), &"haproxy".into()));
    assert_eq!(cpu["contenders"]["ssedge"]["median"], 10.0);
    assert_eq!(cpu["contenders"]["ssedge"]["rounds"].as_array().map(Vec::len), Some(3));
    assert_eq!(cpu["contenders"]["ssedge"]["to_nginx"], 0.5);
    assert!(cpu["contenders"]["direct"]["median"].is_null());
    assert_eq!(cpu["contenders"]["direct"]["reasons"][0], "no proxy");
    assert_eq!(cpu["target"]["met"], true);
    assert_eq!(json["contenders"][4]["missing"], "not there; bring it");
}

#[test]
fn the_chart_has_a_bar_for_each_proxy_in_units_of_nginx() {
    let mut results = results();
    results.about = vec![("machine".to_owned(), "a <fast> one".to_owned())];
    let svg = chart::chart(&results);
    assert!(svg.contains("a &lt;fast&gt; one"), "{svg}");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    // 60 px are nginx: ssedge has half of it, and its limit is 15.2 of 20.
    assert!(svg.contains(r#"class="u" x="62" y="44" width="30.0""#), "{svg}");
    assert!(svg.contains(r#"class="l" x1="107.6""#), "{svg}");
    assert_eq!(svg.matches("class=\"t\"").count(), 2, "a panel for each figure that nginx has");
    assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    assert!(svg.contains("not measured") && !svg.contains("direct"), "caddy has no figure, and no proxy has no bar");
}

#[test]
fn the_catalogue_has_no_name_twice_and_compares_only_with_who_is_there() {
    let mut names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SCENARIOS.len());
    for metric in SCENARIOS.iter().flat_map(|scenario| scenario.metrics) {
        assert!(!matches!(metric.target, Target::Of(name, _) if !["nginx", "envoy"].contains(&name)), "{}", metric.key);
        assert_eq!(metric.better == Better::Higher, metric.unit == "requests/s", "{}", metric.unit);
    }
}
