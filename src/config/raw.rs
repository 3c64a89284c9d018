//! The mirror of the file: every value as text, with its place, variables expanded.
//!
//! `serde_yaml` reads the values into [`Value`], which keeps what a map would lose (double keys, order); [`super::index`] knows the
//! places; both trees have the same form, so this module lays one over the other. It knows no key of the contract: which keys
//! there are says [`super::schema`], what they mean [`super::resolve`]. A value from the environment is never read as YAML.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::env::{self, Lookup};
use super::error::{Report, quote};
use super::index::{self, Placed, PlacedEntry, Shape};
use super::source::{Source, Span};

/// One value of the file and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    /// Nothing was written, or `null`.
    Null,
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map; no key comes twice.
    Map(Vec<Entry>),
    /// Reported already: what it says does not count.
    Refused,
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) node: Node,
}

/// A single value, as text whatever its YAML type.
#[derive(Debug)]
pub(super) struct Scalar {
    /// The value, variables replaced.
    pub(super) text: String,
    /// What the file says where a variable was replaced: such a text is never shown.
    pub(super) written: Option<String>,
}

/// The mirror of `source`; `None` when the file was refused as a whole, with the reason in `report`.
pub(super) fn read(source: &Source<'_>, lookup: &Lookup<'_>, report: &mut Report<'_>) -> Option<Node> {
    let placed = index::index(source, report)?;
    let mut documents = serde_yaml::Deserializer::from_str(source.text());
    let value = match documents.next().map(Value::deserialize) {
        Some(Ok(value)) => value,
        Some(Err(error)) => {
            refuse_yaml(&error, report);
            return None;
        }
        None => Value::Null,
    };
    Some(Mirror { lookup, report }.node(placed, value))
}

/// The two readers of YAML are of different minds: rare, and never silent.
fn refuse_yaml(error: &serde_yaml::Error, report: &mut Report<'_>) {
    if report.has_errors() {
        return; // A consequence, in all likelihood.
    }
    let at = error.location().map_or(Span::START, |at| Span { line: at.line(), column: at.column(), length: 1 });
    report.error(at, format!("this is not YAML: {error}"), "write it in a simpler form, with quotes around text");
}

struct Mirror<'m, 's> {
    lookup: &'m Lookup<'m>,
    report: &'m mut Report<'s>,
}

impl Mirror<'_, '_> {
    fn node(&mut self, placed: Placed, value: Value) -> Node {
        let span = placed.span;
        let kind = match (placed.shape, value) {
            (Shape::Refused, _) | (_, Value::Tagged) => Kind::Refused,
            (Shape::Scalar { .. }, Value::Null) => Kind::Null,
            (Shape::Scalar { quoted }, Value::Scalar(text)) => self.scalar(span, quoted, text),
            (Shape::List(places), Value::List(values)) if places.len() == values.len() => {
                Kind::List(places.into_iter().zip(values).map(|(placed, value)| self.node(placed, value)).collect())
            }
            (Shape::Map(places), Value::Map(values)) if places.len() == values.len() => self.map(places, values),
            _ => {
                self.report.error(
                    span,
                    "this can be read in more than one way",
                    "write it in a simpler form, with quotes around text",
                );
                Kind::Refused
            }
        };
        Node { span, kind }
    }

    fn scalar(&mut self, span: Span, quoted: bool, text: String) -> Kind {
        if !quoted {
            if env::names_variable(&text) {
                let shown = if self.report.is_secret(span) { "this value".to_owned() } else { quote(&text) };
                self.report.error(
                    span,
                    format!("{shown} is not in quotes, so its variable is not read"),
                    "put double quotes around the value",
                );
                return Kind::Refused;
            }
            return Kind::Scalar(Scalar { text, written: None });
        }
        match env::expand(&text, self.lookup) {
            Ok(expanded) if env::names_variable(&text) => Kind::Scalar(Scalar { text: expanded, written: Some(text) }),
            Ok(expanded) => Kind::Scalar(Scalar { text: expanded, written: None }),
            Err(_) if self.report.is_secret(span) && !env::is_variable(&text) => {
                self.report.error(span, "a variable in this value is not set, or has no name that can be", env::FORM);
                Kind::Refused
            }
            Err(error) => {
                self.report.error(span, error.to_string(), error.help());
                Kind::Refused
            }
        }
    }

    fn map(&mut self, places: Vec<PlacedEntry>, values: Vec<(Value, Value)>) -> Kind {
        let mut entries = Vec::with_capacity(values.len());
        let mut lines = HashMap::with_capacity(values.len());
        for (place, (key, value)) in places.into_iter().zip(values) {
            let key_span = place.key.span;
            let node = self.node(place.value, value);
            match (place.key.shape, key) {
                (Shape::Scalar { .. }, Value::Scalar(key)) => {
                    if let Some(line) = lines.get(&key) {
                        let help = format!("keep one of them: the first is on line {line}");
                        self.report.error(key_span, format!("{} is there twice", quote(&key)), help);
                    } else {
                        lines.insert(key.clone(), key_span.line);
                        entries.push(Entry { key, key_span, node });
                    }
                }
                (Shape::Refused, _) | (_, Value::Tagged) => {}
                _ => self.report.error(key_span, "a key must be text", "write `key: value`"),
            }
        }
        Kind::Map(entries)
    }
}

/// What `serde_yaml` reads: scalars as text, maps as lists of pairs.
#[derive(Debug)]
enum Value {
    Null,
    Scalar(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Tagged,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of YAML")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::Map(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Value, A::Error> {
        let (IgnoredAny, content) = tagged.variant()?;
        content.newtype_variant::<IgnoredAny>()?;
        Ok(Value::Tagged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(node: &Node) -> String {
        match &node.kind {
            Kind::Null => "null".to_owned(),
            Kind::Scalar(scalar) => scalar.text.clone(),
            Kind::List(items) => format!("[{}]", items.iter().map(outline).collect::<Vec<_>>().join(",")),
            Kind::Map(entries) => {
                let inner: Vec<_> = entries.iter().map(|e| format!("{}@{}={}", e.key, e.key_span.line, outline(&e.node))).collect();
                format!("{{{}}}", inner.join(","))
            }
            Kind::Refused => "refused".to_owned(),
        }
    }

    fn mirror(text: &str) -> (String, Vec<String>) {
        let source = Source::new("f", text);
        let mut report = Report::new(&source);
        let lookup = |name: &str| (name == "TRICK").then(|| "{ a: *b }\nc: d".to_owned());
        let root = read(&source, &lookup, &mut report);
        (root.as_ref().map(outline).unwrap_or_default(), report.finish().iter().map(|p| p.message.clone()).collect())
    }

    #[test]
    fn scalars_of_every_type_are_text() {
        let (outline, problems) = mirror("a: 15s\nb: 8080\nc: true\nd: off\ne: -1.5\nf: 'x'\ng: ~\nh:\ni: ''\n");
        assert_eq!(outline, "{a@1=15s,b@2=8080,c@3=true,d@4=off,e@5=-1.5,f@6=x,g@7=null,h@8=null,i@9=}");
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn json_is_yaml() {
        assert_eq!(mirror("{\"a\":[1,{\"b\":null}],\n\"c\":\"d\"}").0, "{a@1=[1,{b@1=null}],c@2=d}");
    }

    #[test]
    fn of_two_equal_keys_the_first_is_kept_and_the_second_reported() {
        let (outline, problems) = mirror("a: 1\nb: 2\na: 3\n\"a\": 4\n");
        assert_eq!(outline, "{a@1=1,b@2=2}");
        assert_eq!(problems, ["`a` is there twice", "`a` is there twice"]);
    }

    #[test]
    fn a_merge_key_merges_nothing() {
        let (outline, problems) = mirror("<<: { a: 1 }\nb: 2\n");
        assert_eq!(outline, "{b@2=2}");
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn tagged_values_do_not_count_and_the_rest_does() {
        let (outline, problems) = mirror("a: !x 1\nb: !!str 2\nc: !y [ 3 ]\nd: 4\n");
        assert_eq!((outline.as_str(), problems.len()), ("{a@1=refused,b@2=2,c@3=refused,d@4=4}", 3), "{problems:?}");
    }

    #[test]
    fn a_key_that_is_no_text_is_refused() {
        assert_eq!(mirror("? [ a ]\n: 1\nb: 2\n"), ("{b@3=2}".to_owned(), vec!["a key must be text".to_owned()]));
    }

    #[test]
    fn a_variable_is_one_value_whatever_is_in_it() {
        assert_eq!(mirror("a: \"${TRICK}\"\n").0, "{a@1={ a: *b }\nc: d}");
        assert_eq!(mirror("a: '<${TRICK}>'\n").0, "{a@1=<{ a: *b }\nc: d>}");
    }

    #[test]
    fn a_variable_outside_quotes_is_refused() {
        for text in ["a: ${TRICK}\n", "a: x${TRICK}\n", "a: |\n  ${TRICK}\n"] {
            let (outline, problems) = mirror(text);
            assert_eq!(outline, "{a@1=refused}", "{text:?}");
            assert!(problems[0].contains("not in quotes"), "{problems:?}");
        }
    }
}
