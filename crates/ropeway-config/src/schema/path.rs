//! Conditions on the path of a request.

use super::http::Path;
use crate::diagnostic::Diagnostic;
use crate::kind::{Kind, converted, optional, short_for, text};
use crate::reader::Reader;
use crate::section::section;

/// A condition on the path, compared byte for byte with what the client sent, without the query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Exactly this path.
    Exact(String),
    /// This path and everything below it: `/api` and `/api/` stand for `/api`, `/api/` and `/api/x`, not for `/apix`.
    /// `/` stands for every path.
    Prefix(String),
}

section! {
    /// A condition on the path; one of the two keys.
    pub struct PathTable checked by one_of_two {
        /// This path and everything below it: `/api` stands for `/api`, `/api/` and `/api/x`, not for `/apix`.
        prefix: Option<Path> = optional(text(), "every path"),
        /// Exactly this path.
        exact: Option<Path> = optional(text(), "every path"),
    }
}

fn one_of_two(table: &PathTable, reader: &mut Reader<'_, '_>) {
    if table.prefix.is_some() && table.exact.is_some() {
        let place = reader.place_of_value("exact");
        let message = "`prefix` and `exact` cannot be given together";
        reader.report(Diagnostic::error("conflicting-keys", &place, message).help("write two routes"));
    }
}

pub(super) fn path_match() -> impl Kind<Value = PathMatch> {
    converted(optional(short_for::<PathTable>("prefix"), "every path"), |table| match table {
        Some(PathTable { exact: Some(path), .. }) => PathMatch::Exact(path.into()),
        Some(PathTable { prefix: Some(path), .. }) => PathMatch::Prefix(path.into()),
        _ => PathMatch::Prefix("/".to_owned()),
    })
}
