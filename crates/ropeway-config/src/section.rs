//! Tables of the file, each declared once.
//!
//! [`section!`] turns one declaration into the public struct with its documentation, the reader of that table, and -
//! through [`keys_of`] - the list of its keys, from which the JSON schema, the reference page, the starter file and
//! the suggestions for misspelt keys are made. A key that is not declared here does not exist anywhere.

use crate::context::Context;
use crate::place::{Place, Source};
use crate::reader::Reader;
use crate::shape::KeySpec;

/// A table with a fixed set of keys.
pub(crate) trait Section: Sized + 'static {
    /// What the table is for (Markdown).
    const DOC: &'static str;

    /// Asks `reader` for every key, whatever the others say: that is how the keys become known.
    fn read(reader: &mut Reader<'_, '_>) -> Self;
}

/// The keys of `T`, in the order of their declaration.
pub(crate) fn keys_of<T: Section>() -> Vec<KeySpec> {
    let mut context = Context::silent();
    let nowhere = Place::start_of(&Source::new("", ""));
    let mut reader = Reader::recording(&mut context, nowhere);
    T::read(&mut reader);
    reader.into_specs()
}

/// `T` as an empty table gives it. Required keys get the fallback of their kind.
pub(crate) fn absent<T: Section>(place: &Place) -> T {
    let mut context = Context::silent();
    T::read(&mut Reader::empty(&mut context, place.clone()))
}

/// Declares a section: `field: Type = kind,` with the documentation that the reference will show.
///
/// `as "key"` names a key that differs from the field. `named` adds the field `name`, for tables of the form
/// `[listener.NAME]`. `checked by function` runs `function(&section, &mut reader)` after reading, for rules that
/// span several keys.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident named $(checked by $check:path)? {
            $( $(#[doc = $field_doc:literal])* $field:ident $(as $key:literal)? : $type:ty = $kind:expr, )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            /// The name in the table's header.
            pub name: $crate::place::Located<String>,
            $(
                $(#[doc = $field_doc])*
                #[doc = concat!("\n\nIn the file: `", stringify!($kind), "`.")]
                pub $field: $type,
            )*
        }

        impl $crate::section::Section for $name {
            const DOC: &'static str = concat!($($doc, "\n"),*);

            fn read(reader: &mut $crate::reader::Reader<'_, '_>) -> Self {
                $( let $field = reader.key(
                    $crate::section::key_name!($field $($key)?), concat!($($field_doc, "\n"),*), &$kind,
                ); )*
                let section = Self { name: reader.name(), $($field),* };
                $( $check(&section, reader); )?
                section
            }
        }

        impl $crate::kind::Named for $name {}
    };
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident $(checked by $check:path)? {
            $( $(#[doc = $field_doc:literal])* $field:ident $(as $key:literal)? : $type:ty = $kind:expr, )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(
                $(#[doc = $field_doc])*
                #[doc = concat!("\n\nIn the file: `", stringify!($kind), "`.")]
                pub $field: $type,
            )*
        }

        impl $crate::section::Section for $name {
            const DOC: &'static str = concat!($($doc, "\n"),*);

            fn read(reader: &mut $crate::reader::Reader<'_, '_>) -> Self {
                $( let $field = reader.key(
                    $crate::section::key_name!($field $($key)?), concat!($($field_doc, "\n"),*), &$kind,
                ); )*
                let section = Self { $($field),* };
                $( $check(&section, reader); )?
                section
            }
        }
    };
}

macro_rules! key_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

pub(crate) use {key_name, section};
