//! Names that must not be given twice.

use std::collections::HashMap;

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::place::Located;

/// Complains about each of `names` that an earlier one equals. `what` says of what they are the names.
pub(crate) fn refuse_duplicates<'n>(
    context: &mut Context,
    what: &str,
    names: impl IntoIterator<Item = &'n Located<String>>,
) {
    let mut first: HashMap<&str, &Located<String>> = HashMap::new();
    for name in names {
        if let Some(earlier) = first.get(name.as_str()) {
            context.report(duplicate(what, name, earlier));
        } else {
            first.insert(name, name);
        }
    }
}

fn duplicate(what: &str, name: &Located<String>, earlier: &Located<String>) -> Diagnostic {
    Diagnostic::error("duplicate-name", &name.place, format!("two {what}s are called `{name}`"))
        .label("again here")
        .related(&earlier.place, "first here")
}
