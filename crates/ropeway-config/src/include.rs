//! More files.
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::schema::Config;

pub(crate) fn merge(_context: &mut Context, _config: &mut Config, _folder: &Path) -> Vec<PathBuf> {
    Vec::new()
}

/// Complains about `include` where no files may be read.
pub(crate) fn refuse(context: &mut Context, config: &Config) {
    for pattern in &config.include {
        let message = "`include` works in files only";
        context.report(Diagnostic::error("include-not-possible", &pattern.place, message));
    }
}
