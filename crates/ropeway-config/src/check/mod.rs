//! Rules that span several tables, and the values that only the whole file decides.

mod derive;

use std::sync::Arc;

use crate::context::Context;
use crate::place::Source;
use crate::schema::Config;

/// Completes `config`, and reports what does not fit together in it. `source` is the main file.
pub(crate) fn check(_context: &mut Context, config: &mut Config, _source: &Arc<Source>) {
    derive::names(config);
}
