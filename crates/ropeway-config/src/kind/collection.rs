//! Lists, tables by name, and tables with keys of the operator's own choice.

use std::marker::PhantomData;

use toml::de::DeValue;

use super::text::{Text, TextKind};
use super::{Kind, text, wrong_type};
use crate::context::{Context, Entry, Node};
use crate::diagnostic::Diagnostic;
use crate::place::{Located, Place};
use crate::reader::read_section;
use crate::section::Section;
use crate::shape::{Presence, Shape, TableShape};

/// A list of `kind`; empty when absent. Elements that cannot be read are reported and left out.
pub(crate) fn list<K: Kind>(kind: K) -> List<K> {
    List { kind, single: false, at_least_one: false }
}

/// A list of `kind`, or one value without the brackets; empty when absent.
pub(crate) fn one_or_many<K: Kind>(kind: K) -> List<K> {
    List { kind, single: true, at_least_one: false }
}

/// `list`, which must be given and not be empty.
pub(crate) fn at_least_one<K: Kind>(list: List<K>) -> List<K> {
    List { at_least_one: true, ..list }
}

pub(crate) struct List<K> {
    kind: K,
    single: bool,
    at_least_one: bool,
}

impl<K: Kind> List<K> {
    fn refuse_empty(&self, context: &mut Context, node: Node<'_>) {
        let is_empty = node.value.as_array().is_some_and(|elements| elements.is_empty());
        if self.at_least_one && is_empty {
            let message = format!("`{}` is empty", context.key());
            let complaint = Diagnostic::error("empty-list", &node.place(), message);
            context.report(complaint.help(format!("write `{} = {}`", context.key(), self.shape().example())));
        }
    }
}

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn shape(&self) -> Shape {
        let list = Shape::List(Box::new(self.kind.shape()));
        if self.single { Shape::OneOf(vec![self.kind.shape(), list]) } else { list }
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Vec<K::Value>> {
        self.refuse_empty(context, node);
        match node.elements() {
            Some(elements) => Some(elements.filter_map(|element| self.kind.read(context, element)).collect()),
            None if self.single => self.kind.read(context, node).map(|value| vec![value]),
            None => {
                report_not_a_list(context, node, self.kind.shape().as_table().is_some());
                None
            }
        }
    }

    fn presence(&self) -> Presence {
        if self.at_least_one { Presence::Required } else { Presence::Default("[]".to_owned()) }
    }

    fn fallback(&self, _place: &Place) -> Vec<K::Value> {
        Vec::new()
    }

    fn render(&self, values: &Vec<K::Value>) -> String {
        match values.as_slice() {
            [only] if self.single => self.kind.render(only),
            values => {
                let values: Vec<String> = values.iter().map(|value| self.kind.render(value)).collect();
                format!("[{}]", values.join(", "))
            }
        }
    }
}

fn report_not_a_list(context: &mut Context, node: Node<'_>, of_tables: bool) {
    let complaint = wrong_type(context, node, "a list in brackets");
    let brackets = format!("[{}]", node.place().text());
    let complaint = match (node.value.is_table(), of_tables) {
        (true, true) => {
            let key = context.key();
            let complaint =
                complaint.help(format!("there can be several, so the header has two brackets: `[[{key}]]`"));
            Diagnostic { code: "wrong-header", ..complaint }
        }
        (true, false) => complaint,
        (false, _) => complaint.help(format!("write {brackets}")).replacement(brackets),
    };
    context.report(complaint);
}

/// A section with a name in its header.
pub(crate) trait Named: Section {}

/// Tables by name: `[listener.NAME]`, in the order of the file.
pub(crate) fn named<T: Named>() -> NamedTables<T> {
    NamedTables(PhantomData)
}

pub(crate) struct NamedTables<T>(PhantomData<T>);

impl<T: Named> Kind for NamedTables<T> {
    type Value = Vec<T>;

    fn shape(&self) -> Shape {
        Shape::Named(TableShape::of::<T>())
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Vec<T>> {
        let Some(entries) = node.entries() else {
            let key = context.key().to_owned();
            let complaint = wrong_type(context, node, "tables by name").help(format!("write `[{key}.NAME]`"));
            context.report(complaint);
            return None;
        };
        Some(entries.into_iter().filter_map(|entry| read_named(context, &entry)).collect())
    }

    fn presence(&self) -> Presence {
        Presence::Default("{}".to_owned())
    }

    fn fallback(&self, _place: &Place) -> Vec<T> {
        Vec::new()
    }

    fn render(&self, _value: &Vec<T>) -> String {
        "{}".to_owned()
    }
}

fn read_named<T: Named>(context: &mut Context, entry: &Entry<'_>) -> Option<T> {
    let Some(keys) = entry.node.entries() else {
        let what = context.key().to_owned();
        let message =
            format!("`{what}` holds tables by name, and `{}` is {}", entry.key, entry.node.type_name());
        let complaint = Diagnostic::error("wrong-header", &entry.key_place, message);
        context.report(
            complaint.help(format!("give the {what} a name: `[{what}.web]`, with `{}` below it", entry.key)),
        );
        return None;
    };
    check_name(context, entry);
    let name = Located::new(entry.key.to_owned(), entry.key_place.clone());
    Some(context.within(entry.key, |context| read_section(context, keys, entry.node.place(), Some(name))))
}

/// Names end up in metric labels, log fields and URLs of the admin API.
pub(crate) fn check_name(context: &mut Context, entry: &Entry<'_>) {
    if is_name(entry.key) {
        return;
    }
    let message = format!("`{}` is not a good name", entry.key.escape_debug());
    let complaint = Diagnostic::error("bad-name", &entry.key_place, message);
    context.report(complaint.help("a name has 1 to 64 letters, digits, `-`, `_` or `.`"));
}

pub(crate) fn is_name(name: &str) -> bool {
    let fits = (1..=64).contains(&name.len());
    fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A table whose keys are `N` and whose values are `V`, in the order of the file.
pub(crate) fn pairs<N: Text, V: Text>(example: &'static str) -> Pairs<N, V> {
    Pairs { example, value: text(), name: PhantomData }
}

pub(crate) struct Pairs<N, V> {
    example: &'static str,
    value: TextKind<V>,
    name: PhantomData<N>,
}

impl<N: Text, V: Text> Kind for Pairs<N, V> {
    type Value = Vec<(Located<N>, V)>;

    fn shape(&self) -> Shape {
        Shape::Pairs { key: N::WHAT, value: V::WHAT, example: self.example }
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Self::Value> {
        let Some(entries) = node.entries() else {
            let complaint = wrong_type(context, node, &format!("a table such as {}", self.example));
            context.report(complaint);
            return None;
        };
        Some(entries.iter().filter_map(|entry| self.pair(context, entry)).collect())
    }

    fn presence(&self) -> Presence {
        Presence::Default("{}".to_owned())
    }

    fn fallback(&self, _place: &Place) -> Self::Value {
        Vec::new()
    }

    fn render(&self, _value: &Self::Value) -> String {
        "{}".to_owned()
    }
}

impl<N: Text, V: Text> Pairs<N, V> {
    fn pair(&self, context: &mut Context, entry: &Entry<'_>) -> Option<(Located<N>, V)> {
        // A key is text like any other here, so it is read by the same rules.
        let key = DeValue::String(entry.key.into());
        let key = Node::over(entry.key_place.source(), &key, entry.key_place.span());
        let name = text::<N>().read(context, key);
        let value = context.within(entry.key, |context| self.value.read(context, entry.node));
        Some((Located::new(name?, entry.key_place.clone()), value?))
    }
}
