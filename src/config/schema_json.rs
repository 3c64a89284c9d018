//! The tables of keys as a JSON Schema (draft 2020-12), which editors use to complete and to check as one types.
//!
//! Made from the same tables as the check of a file, with words and defaults from the reference, so that it cannot drift. It must
//! never refuse what `check` accepts; what it cannot say (values that exclude each other, names that dangle) it lets pass.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::reference::{self, Entry};
use super::schema::{FILE, Form, Key, Presence, Type, descend};

/// A number and its unit, as `jiff` and `bytesize` read them.
const WITH_UNIT: &str = "^\\s*\\+?[0-9].*[a-zA-Zµ]\\s*$";

/// A value that a variable of the environment gives.
const VARIABLE: &str = "\\$\\{";

/// The schema of a configuration file.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = section(FILE, "", &reference::entries());
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "ssedge configuration".into();
    schema
}

fn section(keys: &[Key], path: &str, reference: &HashMap<String, Entry>) -> Value {
    let known = || keys.iter().filter(|key| !matches!(key.form, Form::Later));
    let properties: Map<String, Value> = known().map(|key| (key.name.to_owned(), property(key, path, reference))).collect();
    let required: Vec<_> = known().filter(|key| key.presence == Presence::Required).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn property(key: &Key, path: &str, reference: &HashMap<String, Entry>) -> Value {
    let path = format!("{path}{}", key.name);
    let step = descend(&key.form).map_or("", |(step, _)| step);
    let mut schema = form(&key.form, key.presence, &format!("{path}{step}."), reference);
    if let Some(entry) = reference.get(&path) {
        if !entry.doc.is_empty() {
            schema["description"] = entry.doc.clone().into();
        }
        if let Some(default) = entry.default.as_ref().filter(|_| key.presence == Presence::Optional) {
            schema["default"] = to_json(default);
        }
    }
    schema
}

fn form(form: &Form, presence: Presence, inner: &str, reference: &HashMap<String, Entry>) -> Value {
    let list = |items: Value| match presence {
        Presence::Required => json!({ "type": "array", "items": items, "minItems": 1 }),
        Presence::Optional => json!({ "type": ["array", "null"], "items": items }),
    };
    match form {
        Form::Value(of) => value(of),
        Form::ValueOr(of, keys) => any_of([value(of), section(keys, inner, reference)]),
        Form::OneOrList(of) => any_of([value(of), json!({ "type": "array", "items": value(of), "minItems": 1 })]),
        Form::Section(keys) => {
            let mut schema = section(keys, inner, reference);
            if schema.get("required").is_none() {
                schema["type"] = json!(["object", "null"]);
            }
            schema
        }
        Form::Switch(keys) => any_of([section(keys, inner, reference), off()]),
        Form::List(item) => list(self::form(item, Presence::Required, inner, reference)),
        Form::Named(each) => {
            let each = self::form(each, Presence::Required, inner, reference);
            match presence {
                Presence::Required => json!({ "type": "object", "additionalProperties": each, "minProperties": 1 }),
                Presence::Optional => json!({ "type": ["object", "null"], "additionalProperties": each }),
            }
        }
        Form::Later => Value::Bool(false),
    }
}

fn value(of: &Type) -> Value {
    match of {
        Type::Text => json!({ "type": ["string", "number", "boolean"] }),
        Type::TextOrOff => any_of([json!({ "type": ["string", "number"] }), off()]),
        Type::Duration | Type::Size => any_of([pattern(WITH_UNIT), pattern(VARIABLE)]),
        Type::SizeOrZero => any_of([pattern(WITH_UNIT), json!({ "enum": [0, "0"] }), pattern(VARIABLE)]),
        Type::DurationOrOff => any_of([pattern(WITH_UNIT), off(), pattern(VARIABLE)]),
        Type::Percent => any_of([pattern("^\\s*[0-9]+\\s*%\\s*$"), pattern(VARIABLE)]),
        Type::Flag => any_of([json!({ "enum": [true, false, "true", "false", "off"] }), pattern(VARIABLE)]),
        Type::Number(least, most) => any_of([whole(*least, *most), pattern("^\\s*[0-9]+\\s*$"), pattern(VARIABLE)]),
        Type::AutoOr(least, most) => {
            any_of([whole(*least, *most), json!({ "enum": ["auto"] }), pattern("^[0-9]+$"), pattern(VARIABLE)])
        }
        Type::NumberOrOff(least, most) => any_of([whole(*least, *most), off(), pattern("^[0-9]+$"), pattern(VARIABLE)]),
        Type::Choice(words) => {
            let mut choices: Vec<Value> = words.iter().map(|word| Value::from(*word)).collect();
            if words.contains(&"off") {
                choices.extend([Value::Bool(false), "false".into()]);
            }
            any_of([json!({ "enum": choices }), pattern(VARIABLE)])
        }
    }
}

fn any_of<const N: usize>(schemas: [Value; N]) -> Value {
    json!({ "anyOf": schemas.as_slice() })
}

fn off() -> Value {
    json!({ "enum": ["off", false, "false"] })
}

fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn whole(least: u64, most: u64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// As YAML reads it.
fn to_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests;
