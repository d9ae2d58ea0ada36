//! Rules that span several tables, and the values that only the whole file decides.

mod acme;
mod derive;
mod files;
mod listeners;
mod names;
mod references;
mod routes;
mod servers;

pub(crate) use files::check as check_files;
pub(crate) use names::refuse_duplicates;

use std::sync::Arc;

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::place::{Place, Source};
use crate::schema::Config;

/// What a file without listeners needs.
const LISTENER_EXAMPLE: &str = "[listener.web]\nbind = \"0.0.0.0:8080\"";

/// What a file without routes needs.
const ROUTE_EXAMPLE: &str = "[[route]]\nupstream = \"app\"";

/// Completes `config`, and reports what does not fit together in it. `source` is the main file.
pub(crate) fn check(context: &mut Context, config: &mut Config, source: &Arc<Source>) {
    routes::check_names(context, config);
    derive::names(config);
    listeners::check(context, config);
    require_something_to_do(context, config, source);
    references::check(context, config);
    routes::check_reachable(context, config);
    routes::check_grpc_web(context, config);
    servers::check(context, config);
    acme::check(context, config);
}

fn require_something_to_do(context: &mut Context, config: &Config, source: &Arc<Source>) {
    // A table that could not be read is not missing.
    let missing = [
        (
            config.listeners.is_empty() && !context.may_have_missed("listener"),
            "no-listener",
            "no listener: nothing would listen for clients",
            LISTENER_EXAMPLE,
        ),
        (
            config.routes.is_empty() && !context.may_have_missed("route"),
            "no-route",
            "no route: every request would be answered 404",
            ROUTE_EXAMPLE,
        ),
    ];
    for (_, code, message, example) in missing.into_iter().filter(|(is_missing, ..)| *is_missing) {
        let complaint = Diagnostic::error(code, &Place::start_of(source), message);
        context.report(complaint.help(format!("for a start, add:\n\n{example}")));
    }
}
