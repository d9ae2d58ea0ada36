//! Certificates are ordered where there is an authority, and proved where it can look.

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::place::Located;
use crate::schema::{Acme, AcmeChallenge, AcmeName, Config};

pub(super) fn check(context: &mut Context, config: &Config) {
    // Tables that could not be read are not missing.
    if context.may_have_missed("acme") || context.may_have_missed("listener") {
        return;
    }
    match (&config.acme, config.acme_sets().flatten().next()) {
        (None, Some(first)) => report_no_authority(context, first),
        (Some(acme), None) if !context.has_errors() => {
            let message = "no listener has a certificate that is ordered";
            let complaint = Diagnostic::warning("unused-acme", &acme.storage.place, message);
            context.report(
                complaint.help(
                    "add `certificates = [{ acme = [\"shop.example.com\"] }]` to the `tls` of a listener",
                ),
            );
        }
        (Some(acme), Some(_)) if !context.has_errors() => check_challenge(context, config, acme),
        _ => {}
    }
}

fn report_no_authority(context: &mut Context, first: &Located<AcmeName>) {
    let message = format!("a certificate for `{first}` cannot be ordered: there is no table `[acme]`");
    let complaint = Diagnostic::error("no-acme", &first.place, message);
    context
        .report(complaint.help("add:\n\n[acme]\nstorage = \"/var/lib/ropeway/acme\"\nterms_agreed = true"));
}

fn check_challenge(context: &mut Context, config: &Config, acme: &Acme) {
    let in_the_clear = config.listeners.iter().any(|listener| listener.tls.is_none());
    if acme.challenge == AcmeChallenge::Http01 && !in_the_clear {
        let message = "the challenge `http-01` comes without TLS, and every listener has TLS";
        let complaint = Diagnostic::error("unreachable-challenge", &acme.storage.place, message);
        context.report(complaint.help(
            "add a listener on port 80, perhaps with `redirect_https = true`, or write `challenge = \"tls-alpn-01\"`",
        ));
    }
}
