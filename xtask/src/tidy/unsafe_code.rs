//! `unsafe` stays in one folder, so that a reader knows where to look twice.

use proc_macro2::{TokenStream, TokenTree};

use super::exceptions::Exceptions;
use super::sources::Source;

const ALLOWED: &str = "crates/ropeway-proxy/src/sys/";

/// A finding for each file that says `unsafe` elsewhere, and for each exception that is not needed.
pub fn check(sources: &[Source], exceptions: &Exceptions) -> Vec<String> {
    let offenders: Vec<&str> =
        sources.iter().filter(|source| is_outside_and_unsafe(source)).map(|source| &*source.path).collect();
    let listed: Vec<&str> = exceptions.unsafe_code.iter().map(|entry| &*entry.path).collect();
    let unlisted = offenders.iter().filter(|path| !listed.contains(path)).map(|path| {
        format!("{path}: `unsafe` belongs into {ALLOWED}, or into xtask/tidy.toml with a reason")
    });
    let unneeded = listed
        .iter()
        .filter(|path| !offenders.contains(path))
        .map(|path| format!("xtask/tidy.toml: {path} has no `unsafe` (any more): remove the exception"));
    unlisted.chain(unneeded).collect()
}

fn is_outside_and_unsafe(source: &Source) -> bool {
    !source.path.starts_with(ALLOWED) && source.text.parse().is_ok_and(says_unsafe)
}

/// Looks at tokens, not at syntax: what hides in a macro counts, what stands in a comment or a string does not.
fn says_unsafe(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "unsafe",
        TokenTree::Group(group) => says_unsafe(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::exceptions::UnsafeCode;

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path, text.to_owned()).unwrap()
    }

    fn findings(source: Source) -> usize {
        check(&[source], &Exceptions::default()).len()
    }

    #[test]
    fn finds_blocks_functions_impls_and_macros() {
        for text in [
            "fn f() { unsafe { g() } }",
            "unsafe fn f() {}",
            "unsafe impl Send for S {}",
            "macro_rules! m { () => { unsafe { g() } } }",
        ] {
            assert_eq!(findings(source("crates/ropeway-core/src/a.rs", text)), 1, "{text}");
        }
    }

    #[test]
    fn leaves_the_folder_for_it_and_mere_mentions_alone() {
        assert_eq!(findings(source("crates/ropeway-proxy/src/sys/splice.rs", "unsafe fn f() {}")), 0);
        assert_eq!(
            findings(source("crates/ropeway-core/src/a.rs", "// unsafe\nconst A: &str = \"unsafe\";")),
            0
        );
    }

    #[test]
    fn an_exception_silences_and_is_itself_found_when_unneeded() {
        let list = || Exceptions {
            unsafe_code: vec![UnsafeCode { path: "a.rs".into(), reason: "an allocator".into() }],
            ..Exceptions::default()
        };
        assert_eq!(check(&[source("a.rs", "unsafe fn f() {}")], &list()), Vec::<String>::new());
        let stale = check(&[source("a.rs", "fn f() {}")], &list());
        assert_eq!(stale, ["xtask/tidy.toml: a.rs has no `unsafe` (any more): remove the exception"]);
    }
}
