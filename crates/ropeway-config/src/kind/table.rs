//! Tables with a fixed set of keys.

use std::marker::PhantomData;

use super::{Kind, wrong_type};
use crate::context::{Context, Entry, Node};
use crate::place::Place;
use crate::reader::read_section;
use crate::section::{Section, absent, keys_of};
use crate::shape::{KeySpec, Presence, Shape, TableShape};

/// A table. Absent, it is the same as an empty one.
pub(crate) fn table<T: Section>() -> Table<T> {
    Table(PhantomData)
}

pub(crate) struct Table<T>(PhantomData<T>);

impl<T: Section> Kind for Table<T> {
    type Value = T;

    fn shape(&self) -> Shape {
        Shape::Table(TableShape::of::<T>())
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<T> {
        match node.entries() {
            Some(entries) => Some(read_section(context, entries, node.place(), None)),
            None => {
                let complaint = wrong_type(context, node, "a table").help(example_of::<T>(context.key()));
                context.report(complaint);
                None
            }
        }
    }

    fn presence(&self) -> Presence {
        Presence::Default("{}".to_owned())
    }

    fn fallback(&self, place: &Place) -> T {
        absent(place)
    }

    fn render(&self, _value: &T) -> String {
        "{}".to_owned()
    }
}

fn example_of<T: Section>(key: &str) -> String {
    let first = keys_of::<T>().into_iter().next().map_or("...", |spec| spec.name);
    format!("write `{key} = {{ {first} = ... }}`")
}

/// A table, or a single value that stands for the table with only `key` given. Absent, it is what the absence of that
/// key means.
pub(crate) fn short_for<T: Section>(key: &'static str) -> ShortFor<T> {
    ShortFor { key, table: table() }
}

pub(crate) struct ShortFor<T> {
    key: &'static str,
    table: Table<T>,
}

impl<T: Section> ShortFor<T> {
    fn short(&self) -> Option<KeySpec> {
        keys_of::<T>().into_iter().find(|spec| spec.name == self.key)
    }
}

impl<T: Section> Kind for ShortFor<T> {
    type Value = T;

    fn shape(&self) -> Shape {
        let short = self.short().map(|spec| spec.shape);
        Shape::OneOf(short.into_iter().chain([self.table.shape()]).collect())
    }

    fn presence(&self) -> Presence {
        self.short().map_or(Presence::Required, |spec| spec.presence)
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<T> {
        if node.value.is_table() {
            return self.table.read(context, node);
        }
        let only = Entry { key: self.key, key_place: node.place(), node };
        Some(
            context.without_naming(self.key, |context| read_section(context, vec![only], node.place(), None)),
        )
    }

    fn fallback(&self, place: &Place) -> T {
        self.table.fallback(place)
    }

    fn render(&self, value: &T) -> String {
        self.table.render(value)
    }
}
