//! The schema against the files that `check` accepts and some that it refuses, by a small reader of the keywords that we use.

use regex::Regex;
use serde_json::{Value, json};

use super::json_schema;
use crate::config::reference;

/// Why `value` does not hold to `schema`, with its path; `None` when it does. Knows the keywords that the schema uses and no other.
fn breach(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let schema = schema.as_object()?;
    schema.iter().find_map(|(keyword, says)| {
        let fails = |is_breach: bool| is_breach.then(|| format!("{path}: {keyword}: {says} against {value}"));
        match keyword.as_str() {
            "$schema" | "title" | "description" | "default" => None,
            "type" => {
                let types = says.as_array().cloned().unwrap_or_else(|| vec![says.clone()]);
                fails(!types.iter().any(|name| is_type(name.as_str().unwrap(), value)))
            }
            "enum" => fails(!says.as_array().unwrap().contains(value)),
            "anyOf" => {
                let breaches: Vec<_> = says.as_array().unwrap().iter().map(|each| breach(each, value, path)).collect();
                fails(breaches.iter().all(Option::is_some)).map(|words| format!("{words} {breaches:?}"))
            }
            "pattern" => fails(value.as_str().is_some_and(|text| !Regex::new(says.as_str().unwrap()).unwrap().is_match(text))),
            "minimum" => fails(value.as_u64().is_some_and(|number| number < says.as_u64().unwrap())),
            "maximum" => fails(value.as_u64().is_some_and(|number| number > says.as_u64().unwrap())),
            "minItems" => fails(value.as_array().is_some_and(|items| (items.len() as u64) < says.as_u64().unwrap())),
            "minProperties" => fails(value.as_object().is_some_and(|map| (map.len() as u64) < says.as_u64().unwrap())),
            "required" => {
                let has = |key: &Value| value.as_object().is_none_or(|map| map.contains_key(key.as_str().unwrap()));
                fails(!says.as_array().unwrap().iter().all(has))
            }
            "items" => {
                let mut items = value.as_array().into_iter().flatten();
                items.find_map(|item| breach(says, item, &format!("{path}[]")))
            }
            "properties" | "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                value.as_object().into_iter().flatten().find_map(|(key, value)| {
                    let path = format!("{path}.{key}");
                    match (known.and_then(|known| known.get(key)), keyword.as_str()) {
                        (Some(schema), "properties") => breach(schema, value, &path),
                        (None, "additionalProperties") if says == &Value::Bool(false) => Some(format!("{path}: unknown")),
                        (None, "additionalProperties") => breach(says, value, &path),
                        _ => None,
                    }
                })
            }
            other => panic!("a keyword that this reader does not know: {other}"),
        }
    })
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no type: {other}"),
    }
}

fn breach_of_text(text: &str) -> Option<String> {
    breach(&json_schema(), &serde_yaml::from_str(text).unwrap(), "")
}

/// The YAML files of a folder of the repository, never none.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
    let paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let files: Vec<_> = yaml.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect();
    assert!(!files.is_empty(), "no files in {folder}");
    files
}

#[test]
fn what_the_check_accepts_holds_to_the_schema() {
    for folder in ["conf", "conf/recipes", "tests/fixtures/config/valid"] {
        for (path, text) in files(folder) {
            assert_eq!(breach_of_text(&text), None, "{path}");
        }
    }
    assert_eq!(breach_of_text(&reference::uncommented()), None);
}

#[test]
fn what_a_glance_can_see_does_not_hold() {
    let smallest = crate::config::defaults::SMALLEST_CONFIG;
    for wrong in [
        "threadz: 1",
        "threads: 0",
        "threads: many",
        "timeouts: { connect: 15 }",
        "timeouts: { conect: 15s }",
        "limits: { request_head: 64 }",
        "drain: off",
        "forwarded: both",
        "log: { format: combined }",
        "reload: { watch: sometimes }",
        "trusted_proxies: 10.0.0.0/8",
    ] {
        assert!(breach_of_text(&format!("{smallest}\n{wrong}\n")).is_some(), "{wrong}");
    }
    for (from, to) in [
        ("{ upstream: app }", "{ upstrem: app }"),
        ("{ upstream: app }", "{ upstream: app, caps: { over_cap: soft } }"),
        ("{ upstream: app }", "{ upstream: app, sticky: { cookie: a } }"),
        ("{ upstream: app }", "{ upstream: app, upgrades: websocket }"),
        ("\"127.0.0.1:3000\" ]", "\"127.0.0.1:3000\" ], protocol: h3"),
        ("\"127.0.0.1:3000\" ]", "\"127.0.0.1:3000\" ], h2: { streams: 0 }"),
        ("{ upstream: app }", "{ upstream: app, max_age: { after: 1h, jitter: 10 } }"),
        ("[ { upstream: app } ]", "[]"),
        ("\"127.0.0.1:3000\"", "{ weight: 2 }"),
        ("listeners", "listener"),
    ] {
        assert!(breach_of_text(&smallest.replace(from, to)).is_some(), "{to}");
    }
}

#[test]
fn a_variable_may_stand_for_every_value() {
    let text = format!(
        "{}\nthreads: \"${{A}}\"\ntimeouts: {{ connect: \"${{A}}\" }}\nlimits: {{ request_head: \"${{A}}\", streams: \"${{A}}\" }}\nforwarded: \"${{A}}\"\n",
        crate::config::defaults::SMALLEST_CONFIG
    );
    assert_eq!(breach_of_text(&text), None);
}

#[test]
fn a_key_has_its_words_and_its_default() {
    let schema = json_schema();
    let heartbeat = &schema["properties"]["routes"]["items"]["properties"]["heartbeat"]["anyOf"][0]["properties"];
    assert_eq!(heartbeat["interval"]["default"], "15s");
    assert_eq!(heartbeat["interval"]["description"], "A beat is sent when nothing else was for so long; from 100ms to 24h.");
    assert_eq!(schema["properties"]["trusted_proxies"]["default"], json!([]));
    assert_eq!(schema["properties"]["limits"]["properties"]["streams"]["default"], 0);
    let route = &schema["properties"]["routes"]["items"]["properties"];
    assert_eq!(route["upgrades"]["default"], json!(["websocket"]));
    assert_eq!(schema["properties"]["routes"]["items"]["properties"]["upstream"].get("default"), None);
}
