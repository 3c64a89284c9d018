//! A section of the file under its keys: what was written, what was left out.
//!
//! Looks values up and never judges them; of the wrong form is the same as not there, since [`crate::config::schema`] reports it.
//! Every section knows the table of its keys, so that reading a key that no table has fails in the first test.

use std::fmt;

use super::leaf::Leaf;
use crate::config::error::{Report, quote};
use crate::config::raw::{Entry, Kind, Node};
use crate::config::schema::{self, Key};
use crate::config::source::Span;

/// A map of keys; empty when it was left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'n> {
    title: Title<'n>,
    keys: &'static [Key],
    span: Span,
    entries: &'n [Entry],
}

/// What a section is called in messages.
#[derive(Debug, Clone, Copy)]
enum Title<'n> {
    File,
    Key(&'n str),
    ItemOf(&'n str),
}

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the file"),
            Self::Key(name) => f.write_str(&quote(name)),
            Self::ItemOf(list) => write!(f, "an entry of {}", quote(list)),
        }
    }
}

impl<'n> Section<'n> {
    /// The whole file.
    pub(super) fn file(root: &'n Node) -> Self {
        Self::of(Title::File, schema::FILE, root).unwrap_or(Self::left_out(Title::File, schema::FILE, root.span))
    }

    /// The section that `node` is, if it is one; nothing written is an empty one.
    fn of(title: Title<'n>, keys: &'static [Key], node: &'n Node) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => Some(Self { title, keys, span: node.span, entries }),
            Kind::Null => Some(Self::left_out(title, keys, node.span)),
            _ => None,
        }
    }

    fn left_out(title: Title<'n>, keys: &'static [Key], span: Span) -> Self {
        Self { title, keys, span, entries: &[] }
    }

    /// Where it starts.
    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// The key was written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// A section inside; empty when it was left out.
    pub(super) fn section(&self, key: &'static str) -> Self {
        let inner = Key::inner(self.keys, key);
        let section = self.entry(key).and_then(|entry| Self::of(Title::Key(key), inner, &entry.node));
        section.unwrap_or(Self::left_out(Title::Key(key), inner, self.span))
    }

    /// The key says `off`.
    pub(super) fn is_off(&self, key: &'static str) -> bool {
        self.leaf(key).is_some_and(|leaf| schema::is_off(leaf.text()))
    }

    /// A single value, if there is one.
    pub(super) fn leaf(&self, key: &'static str) -> Option<Leaf<'n>> {
        Leaf::of(key, &self.entry(key)?.node)
    }

    /// Where the key stands; the section itself when it was left out.
    pub(super) fn key_span(&self, key: &'static str) -> Span {
        self.entry(key).map_or(self.span, |entry| entry.key_span)
    }

    /// A list of single values, or one alone; none when it was left out. An empty list is refused.
    pub(super) fn leaves(&self, key: &'static str, report: &mut Report<'_>) -> Vec<Leaf<'n>> {
        if !self.has(key) {
            return Vec::new();
        }
        match self.filled_kind(key, report) {
            Some(Kind::List(items)) => items.iter().filter_map(|node| Leaf::of(key, node)).collect(),
            _ => self.leaf(key).into_iter().collect(),
        }
    }

    /// A list of single values that must be there.
    pub(super) fn required_leaves(&self, key: &'static str, report: &mut Report<'_>) -> Vec<Leaf<'n>> {
        self.required_list(key, report).iter().filter_map(|node| Leaf::of(key, node)).collect()
    }

    /// A list of single values that may be empty; `None` when nothing was written.
    pub(super) fn written_leaves(&self, key: &'static str) -> Option<Vec<Leaf<'n>>> {
        match &self.entry(key)?.node.kind {
            Kind::List(items) => Some(items.iter().filter_map(|node| Leaf::of(key, node)).collect()),
            _ => None,
        }
    }

    /// The same, where nothing written is an empty list.
    pub(super) fn any_leaves(&self, key: &'static str) -> Vec<Leaf<'n>> {
        self.written_leaves(key).unwrap_or_default()
    }

    /// The section that an item of the list `key` is, where a single value could stand as well.
    pub(super) fn item(&self, key: &'static str, node: &'n Node) -> Option<Self> {
        matches!(node.kind, Kind::Map(_)).then(|| Self::of(Title::ItemOf(key), Key::inner(self.keys, key), node))?
    }

    /// A map of names to single values; empty when it was left out.
    pub(super) fn named_leaves(&self, key: &'static str) -> impl Iterator<Item = (&'n Entry, Leaf<'n>)> + use<'n> {
        let entries: &[Entry] = match self.entry(key).map(|entry| &entry.node.kind) {
            Some(Kind::Map(entries)) => entries,
            _ => &[],
        };
        entries.iter().filter_map(|entry| Some((entry, Leaf::of(&entry.key, &entry.node)?)))
    }

    /// Everything written inside the section `key` was taken: nothing of it was refused by [`crate::config::schema`].
    pub(super) fn is_taken(&self, key: &'static str) -> bool {
        let inner = Key::inner(self.keys, key);
        match self.entry(key).map(|entry| &entry.node.kind) {
            None | Some(Kind::Null) => true,
            Some(Kind::Map(entries)) => entries.iter().all(|entry| Key::takes(inner, entry)),
            Some(_) => false,
        }
    }

    /// A section that `off` switches off, and so does leaving it out.
    pub(super) fn switched_on(&self, key: &'static str) -> Option<Self> {
        matches!(self.entry(key)?.node.kind, Kind::Map(_)).then(|| self.section(key))
    }

    /// A single value that must be there.
    pub(super) fn required_leaf(&self, key: &'static str, report: &mut Report<'_>) -> Option<Leaf<'n>> {
        if !self.has(key) {
            self.refuse_missing(key, report);
        }
        self.leaf(key)
    }

    /// A list that must have at least one item.
    pub(super) fn required_list(&self, key: &'static str, report: &mut Report<'_>) -> &'n [Node] {
        match self.required_kind(key, report) {
            Some(Kind::List(items)) => items,
            _ => &[],
        }
    }

    /// A list of sections that must have at least one item; those of another form are left out.
    pub(super) fn required_sections(
        &self,
        key: &'static str,
        report: &mut Report<'_>,
    ) -> impl Iterator<Item = (usize, Self)> + use<'n> {
        let inner = Key::inner(self.keys, key);
        let items = self.required_list(key, report).iter().enumerate();
        items.filter_map(move |(position, node)| Some((position, Self::of(Title::ItemOf(key), inner, node)?)))
    }

    /// A map of names that must have at least one entry; `None` for one whose section has another form.
    pub(super) fn required_names(
        &self,
        key: &'static str,
        report: &mut Report<'_>,
    ) -> impl Iterator<Item = (&'n Entry, Option<Self>)> + use<'n> {
        let inner = Key::inner(self.keys, key);
        let entries: &[Entry] = match self.required_kind(key, report) {
            Some(Kind::Map(entries)) => entries,
            _ => &[],
        };
        entries.iter().map(move |entry| (entry, Self::of(Title::Key(&entry.key), inner, &entry.node)))
    }

    fn required_kind(&self, key: &'static str, report: &mut Report<'_>) -> Option<&'n Kind> {
        if !self.has(key) {
            self.refuse_missing(key, report);
        }
        self.filled_kind(key, report)
    }

    /// What stands after the key; nothing and an empty list or map are refused.
    fn filled_kind(&self, key: &'static str, report: &mut Report<'_>) -> Option<&'n Kind> {
        let entry = self.entry(key)?;
        let is_empty = match &entry.node.kind {
            Kind::Null => true,
            Kind::List(items) => items.is_empty(),
            Kind::Map(entries) => entries.is_empty(),
            Kind::Scalar(_) | Kind::Refused => false,
        };
        if is_empty {
            report.error(entry.key_span, format!("{} is empty", quote(key)), Key::help_for(self.keys, key));
        }
        Some(&entry.node.kind)
    }

    fn entry(&self, key: &str) -> Option<&'n Entry> {
        debug_assert!(Key::is_known(self.keys, key), "{key} is in no table");
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn refuse_missing(&self, key: &str, report: &mut Report<'_>) {
        debug_assert!(Key::is_required(self.keys, key), "{key} is not marked as required");
        report.error(self.span, format!("{} needs {}", self.title, quote(key)), Key::help_for(self.keys, key));
    }
}
