//! The results for programs: `results.json`. A figure that was not measured is null, with its reason.

use serde_json::{Map, Value, json};

use super::catalogue::{Better, Metric, SCENARIOS, Scenario};
use super::results::Results;

/// The whole file.
pub(crate) fn json(results: &Results) -> Value {
    let contenders = results.contenders.iter().map(|contender| match &contender.version {
        Ok(version) => json!({ "name": contender.name, "version": version }),
        Err(remedy) => json!({ "name": contender.name, "version": null, "missing": remedy }),
    });
    let scenarios = SCENARIOS.iter().filter(|scenario| results.has(scenario.name)).map(|scenario| {
        let metrics: Vec<Value> = scenario.metrics.iter().map(|metric| figures(results, scenario, metric)).collect();
        json!({ "name": scenario.name, "what": scenario.what, "metrics": metrics })
    });
    let about: Map<String, Value> = results.about.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "about": about,
        "contenders": contenders.collect::<Vec<_>>(),
        "scenarios": scenarios.collect::<Vec<_>>(),
        "noisy": results.noisy,
        "bound_by_load": results.bound,
        "failures": results.failures,
    })
}

fn figures(results: &Results, scenario: &Scenario, metric: &Metric) -> Value {
    let mut contenders = Map::new();
    let best = results.best(scenario, metric).map(|(name, _)| name);
    for contender in &results.contenders {
        let Some(cell) = results.cell(scenario.name, metric.key, &contender.name) else { continue };
        let summary = results.summary(scenario.name, metric.key, &contender.name);
        let ratio = |base| results.ratio(scenario.name, metric.key, &contender.name, base);
        let value = json!({
            "median": summary.map(|summary| summary.median),
            "min": summary.map(|summary| summary.min),
            "max": summary.map(|summary| summary.max),
            "rounds": cell.values,
            "to_nginx": ratio("nginx"),
            "to_best": best.and_then(ratio),
            "reasons": cell.reasons,
        });
        contenders.insert(contender.name.clone(), value);
    }
    let verdict = results.verdict(scenario, metric);
    json!({
        "key": metric.key,
        "unit": metric.unit,
        "better": if metric.better == Better::Lower { "lower" } else { "higher" },
        "best": best,
        "target": verdict.map(|verdict| json!({ "limit": verdict.limit, "met": verdict.met })),
        "contenders": contenders,
    })
}
