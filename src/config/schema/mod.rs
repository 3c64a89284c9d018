//! Which keys there are: tables of known keys, and the walk that holds a file against them.
//!
//! Reports, all at once, what is no matter of meaning: unknown keys (with the nearest known one), keys that a later release brings,
//! values of the wrong form, and values that are missing after their key. [`super::resolve`] passes over all of these in silence,
//! since they are reported here. This module never looks at what a value means. A new key is one line in [`keys`].

mod keys;
mod suggest;

use super::defaults;
use super::error::{Report, quote};
use super::raw::{Entry, Kind, Node};
use super::source::Span;

pub(super) use keys::FILE;
pub(super) use suggest::nearest;

/// Ends the message for what the contract has and this version has not.
pub(super) const NOT_YET: &str = "is not supported by this version yet (it comes with a later release)";

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) presence: Presence,
    /// A value that could stand there, for help texts.
    example: &'static str,
}

/// Whether a section can do without the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

impl Key {
    /// The table has a key called `name`.
    pub(super) fn is_known(keys: &[Self], name: &str) -> bool {
        keys.iter().any(|key| key.name == name)
    }

    /// The keys of the section, or of each section in the list or map, that stands after `name`; none after a single value.
    pub(super) fn inner(keys: &'static [Self], name: &str) -> &'static [Self] {
        let key = keys.iter().find(|key| key.name == name);
        key.and_then(|key| descend(&key.form)).map_or(&[], |(_, keys)| keys)
    }

    /// The table has the key of `entry`, and single values or a list of them stand there as they may.
    pub(super) fn takes(keys: &[Self], entry: &Entry) -> bool {
        let is_single = |node: &Node| matches!(node.kind, Kind::Scalar(_));
        match (keys.iter().find(|key| key.name == entry.key).map(|key| &key.form), &entry.node.kind) {
            (Some(Form::Value(_) | Form::OneOrList(_)), Kind::Scalar(_)) => true,
            (Some(Form::List(_) | Form::OneOrList(_)), Kind::List(items)) => items.iter().all(is_single),
            _ => false,
        }
    }

    /// The table has a key called `name`, which must be written.
    pub(super) fn is_required(keys: &[Self], name: &str) -> bool {
        keys.iter().any(|key| key.name == name && key.presence == Presence::Required)
    }

    /// What to write at `name`, for help texts.
    pub(super) fn help_for(keys: &[Self], name: &str) -> String {
        keys.iter().find(|key| key.name == name).map(Self::help).unwrap_or_default()
    }

    /// What to write, for help texts.
    fn help(&self) -> String {
        format!("write `{}: {}`", self.name, self.example)
    }
}

/// What may stand after a key, or as an item of a list.
#[derive(Debug)]
pub(super) enum Form {
    /// A single value.
    Value(Type),
    /// A map of these keys; nothing is the same as an empty one.
    Section(&'static [Key]),
    /// `off`, or a map of these keys.
    Switch(&'static [Key]),
    /// A single value, or a map of these keys.
    ValueOr(Type, &'static [Key]),
    /// A list.
    List(&'static Form),
    /// A single value, or a list of them.
    OneOrList(Type),
    /// A map of names that the user chooses.
    Named(&'static Form),
    /// Known, but comes with a later release.
    Later,
}

/// What a single value says. Only [`super::schema_json`] looks at it: what a value means is read in [`super::resolve`].
#[derive(Debug)]
pub(super) enum Type {
    /// A name, an address, a path.
    Text,
    /// The same, or `off`.
    TextOrOff,
    /// `15s`.
    Duration,
    /// The same, or `off`.
    DurationOrOff,
    /// `64KiB`.
    Size,
    /// The same, or `0`.
    SizeOrZero,
    /// `10%`.
    Percent,
    /// `true` or `false`.
    Flag,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// The same, or `auto`.
    AutoOr(u64, u64),
    /// The same, or `off`.
    NumberOrOff(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// `off` and `false` mean the same wherever `off` is allowed.
pub(super) fn is_off(text: &str) -> bool {
    matches!(text, "off" | "false")
}

/// Holds the whole file against the tables; `false` when it is no map of keys, so that there is nothing to look at further.
pub(super) fn check(root: &Node, report: &mut Report<'_>) -> bool {
    let help = || format!("the smallest configuration is:\n{}", defaults::SMALLEST_CONFIG);
    match &root.kind {
        Kind::Map(entries) => {
            Walk { report }.entries(entries, keys::FILE, "");
            return true;
        }
        Kind::Null => report.error(Span::START, "the file has no configuration in it", help()),
        Kind::Refused => {}
        Kind::List(_) | Kind::Scalar(_) => {
            report.error(root.span, format!("the file must be a map of keys, not {}", found(&root.kind)), help());
        }
    }
    false
}

/// An item of a list where a single value could stand as well.
const SINGLE: Form = Form::Value(Type::Text);

struct Walk<'r, 's> {
    report: &'r mut Report<'s>,
}

/// Where a value stands, for messages.
#[derive(Clone, Copy)]
struct Position<'n> {
    /// The key that help texts show with an example.
    key: &'static Key,
    /// The key or the item.
    subject: &'n str,
    is_item: bool,
    at: Span,
}

impl Position<'_> {
    fn subject(&self) -> String {
        if self.is_item { format!("an entry of {}", quote(self.subject)) } else { quote(self.subject) }
    }
}

impl Walk<'_, '_> {
    /// `owner` is the section for messages, empty for the file itself.
    fn entries(&mut self, entries: &[Entry], keys: &'static [Key], owner: &str) {
        for entry in entries {
            match keys.iter().find(|key| key.name == entry.key) {
                None => self.refuse_unknown(entry, keys, owner),
                Some(Key { name, form: Form::Later, .. }) => {
                    self.report.error(entry.key_span, format!("`{name}` {NOT_YET}"), "remove it for now");
                }
                Some(key) => {
                    let position = Position { key, subject: key.name, is_item: false, at: entry.key_span };
                    self.node(&entry.node, &key.form, position);
                }
            }
        }
    }

    fn node(&mut self, node: &Node, form: &'static Form, position: Position<'_>) {
        match (form, &node.kind) {
            (_, Kind::Refused)
            | (Form::Value(_) | Form::ValueOr(..) | Form::OneOrList(_), Kind::Scalar(_))
            | (Form::Section(_) | Form::List(_) | Form::Named(_), Kind::Null) => {}
            (Form::Switch(_), Kind::Scalar(scalar)) if is_off(&scalar.text) => {}
            (Form::Section(keys) | Form::Switch(keys) | Form::ValueOr(_, keys), Kind::Map(entries)) => {
                self.entries(entries, keys, &position.subject());
            }
            (Form::List(item), Kind::List(items)) => self.items(items, item, position),
            (Form::OneOrList(_), Kind::List(items)) => self.items(items, &SINGLE, position),
            (Form::Named(value), Kind::Map(entries)) => {
                for Entry { key, key_span, node } in entries {
                    self.node(node, value, Position { subject: key, at: *key_span, ..position });
                }
            }
            (_, Kind::Null) => {
                let message = format!("{} has no value", position.subject());
                self.report.error(position.at, message, position.key.help());
            }
            (form, kind) => {
                let message = format!("{} must be {}, not {}", position.subject(), wanted(form), found(kind));
                self.report.error(position.at, message, position.key.help());
            }
        }
    }

    fn items(&mut self, items: &[Node], form: &'static Form, list: Position<'_>) {
        for node in items {
            self.node(node, form, Position { is_item: true, at: node.span, ..list });
        }
    }

    fn refuse_unknown(&mut self, entry: &Entry, keys: &'static [Key], owner: &str) {
        let inside = if owner.is_empty() { String::new() } else { format!(" in {owner}") };
        let help = if self.report.is_full() { String::new() } else { help_for_unknown(&entry.key, keys) };
        self.report.error(entry.key_span, format!("unknown key {}{inside}", quote(&entry.key)), help);
    }
}

fn help_for_unknown(key: &str, keys: &'static [Key]) -> String {
    if let Some(name) = nearest(key, keys.iter().map(|key| key.name)) {
        return format!("did you mean `{name}`?");
    }
    if let Some(path) = find_elsewhere(key, keys::FILE) {
        return format!("there is a key `{path}`: move it there");
    }
    let known: Vec<_> = keys.iter().filter(|key| !matches!(key.form, Form::Later)).map(|key| format!("`{}`", key.name)).collect();
    format!("known here: {}", known.join(", "))
}

/// The path of the first key called `name`, in any section.
fn find_elsewhere(name: &str, keys: &'static [Key]) -> Option<String> {
    keys.iter().find_map(|key| {
        if key.name == name && !matches!(key.form, Form::Later) {
            return Some(name.to_owned());
        }
        let (step, inner) = descend(&key.form)?;
        Some(format!("{}{step}.{}", key.name, find_elsewhere(name, inner)?))
    })
}

/// How the keys inside a form are reached, and which they are.
pub(super) fn descend(form: &Form) -> Option<(&'static str, &'static [Key])> {
    match form {
        Form::Section(keys) | Form::Switch(keys) => Some(("", keys)),
        Form::List(Form::Section(keys) | Form::ValueOr(_, keys)) => Some(("[]", keys)),
        Form::Named(Form::Section(keys)) => Some((".NAME", keys)),
        Form::List(_) | Form::Named(_) | Form::Value(_) | Form::ValueOr(..) | Form::OneOrList(_) | Form::Later => None,
    }
}

fn wanted(form: &Form) -> &'static str {
    match form {
        Form::Value(_) | Form::Later => "a single value",
        Form::Section(_) => "a map of keys",
        Form::Switch(_) => "`off` or a map of keys",
        Form::ValueOr(..) => "a single value or a map of keys",
        Form::List(_) => "a list",
        Form::OneOrList(_) => "a single value or a list",
        Form::Named(_) => "a map of names",
    }
}

fn found(kind: &Kind) -> &'static str {
    match kind {
        Kind::Null | Kind::Refused => "nothing",
        Kind::Scalar(_) => "a single value",
        Kind::List(_) => "a list",
        Kind::Map(_) => "a map",
    }
}

#[cfg(test)]
mod tests;
