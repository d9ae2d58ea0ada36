//! Files and functions of a length that fits into a head.

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemImpl, ItemMod, TraitItemFn};

use super::exceptions::Exceptions;
use super::sources::Source;

/// Lines of a file, its tests aside.
const FILE_LINES: usize = 600;
/// Lines of a function, from its signature to its closing brace.
const FUNCTION_LINES: usize = 70;

/// Something that has a length and may have an exception.
#[derive(Debug, PartialEq)]
struct Measured {
    path: String,
    /// `None` for the file itself.
    function: Option<String>,
    lines: usize,
}

/// A finding for each file and function that is too long, and for each exception that no longer fits.
pub fn check(sources: &[Source], exceptions: &Exceptions) -> Vec<String> {
    let measured: Vec<Measured> =
        sources.iter().filter(|source| !source.is_test()).flat_map(measure).collect();
    let too_long = measured.iter().filter(|found| found.lines > limit(found)).collect::<Vec<_>>();
    let listed = allowances(exceptions);
    let unlisted = too_long.iter().filter(|found| !listed.iter().any(|entry| same_thing(entry, found)));
    let mut findings: Vec<String> = unlisted.map(|found| unlisted_finding(found)).collect();
    for entry in &listed {
        let actual = too_long.iter().find(|found| same_thing(entry, found));
        findings.extend(exception_finding(entry, actual.map(|found| found.lines)));
    }
    findings
}

fn measure(source: &Source) -> Vec<Measured> {
    let mut reader = Reader::default();
    reader.visit_file(&source.syntax);
    let whole = Measured {
        path: source.path.clone(),
        function: None,
        lines: source.text.lines().count().saturating_sub(reader.test_lines),
    };
    let functions = reader.functions.into_iter().map(|(function, lines)| Measured {
        path: source.path.clone(),
        function: Some(function),
        lines,
    });
    std::iter::once(whole).chain(functions).collect()
}

/// Walks over a file and notes its functions and how many of its lines are tests.
#[derive(Default)]
struct Reader {
    /// The type whose methods are being read.
    owner: Option<String>,
    functions: Vec<(String, usize)>,
    test_lines: usize,
}

impl Reader {
    fn note(&mut self, name: &syn::Ident, signature: Span, block: Span) {
        let name = match &self.owner {
            Some(owner) => format!("{owner}::{name}"),
            None => name.to_string(),
        };
        self.functions.push((name, lines_between(signature, block)));
    }

    /// Steps over tests; true when `attributes` mark one.
    fn is_test(&mut self, attributes: &[Attribute], item: Span) -> bool {
        let test = attributes.iter().any(marks_a_test);
        if test {
            self.test_lines += lines_between(item, item);
        }
        test
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !self.is_test(&module.attrs, module.span()) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !self.is_test(&function.attrs, function.span()) {
            self.note(&function.sig.ident, function.sig.span(), function.block.span());
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        if self.is_test(&block.attrs, block.span()) {
            return;
        }
        let outer = self.owner.replace(type_name(&block.self_ty));
        visit::visit_item_impl(self, block);
        self.owner = outer;
    }

    fn visit_impl_item_fn(&mut self, method: &'ast ImplItemFn) {
        if !self.is_test(&method.attrs, method.span()) {
            self.note(&method.sig.ident, method.sig.span(), method.block.span());
            visit::visit_impl_item_fn(self, method);
        }
    }

    fn visit_trait_item_fn(&mut self, method: &'ast TraitItemFn) {
        if let Some(block) = &method.default {
            self.note(&method.sig.ident, method.sig.span(), block.span());
        }
        visit::visit_trait_item_fn(self, method);
    }
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`, `#[cfg(all(test, ...))]`.
fn marks_a_test(attribute: &Attribute) -> bool {
    let last = attribute.path().segments.last().map(|segment| segment.ident.to_string());
    match last.as_deref() {
        Some("test") => true,
        Some("cfg") => {
            let condition = attribute.meta.to_token_stream().to_string();
            let mut words = condition.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.any(|word| word == "test") && !condition.contains("not")
        }
        _ => false,
    }
}

fn lines_between(first: Span, last: Span) -> usize {
    last.end().line + 1 - first.start().line
}

/// `Pool` of `Pool<'a, T>`.
fn type_name(kind: &syn::Type) -> String {
    match kind {
        syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
    .unwrap_or_else(|| kind.to_token_stream().to_string())
}

fn limit(measured: &Measured) -> usize {
    if measured.function.is_some() { FUNCTION_LINES } else { FILE_LINES }
}

fn allowances(exceptions: &Exceptions) -> Vec<Measured> {
    let files = exceptions.long_file.iter().map(|entry| Measured {
        path: entry.path.clone(),
        function: None,
        lines: entry.lines,
    });
    let functions = exceptions.long_function.iter().map(|entry| Measured {
        path: entry.path.clone(),
        function: Some(entry.function.clone()),
        lines: entry.lines,
    });
    files.chain(functions).collect()
}

fn same_thing(one: &Measured, other: &Measured) -> bool {
    one.path == other.path && one.function == other.function
}

fn unlisted_finding(found: &Measured) -> String {
    let Measured { path, lines, .. } = found;
    match &found.function {
        Some(function) => format!(
            "{path}: {function} has {lines} lines, {FUNCTION_LINES} are allowed: divide it, or list it in xtask/tidy.toml with a reason"
        ),
        None => format!(
            "{path}: {lines} lines without tests, {FILE_LINES} are allowed: divide it by concern, or list it in xtask/tidy.toml with a reason"
        ),
    }
}

/// What is wrong with an exception, given how long the thing really is (`None`: short enough, or gone).
fn exception_finding(entry: &Measured, actual: Option<usize>) -> Option<String> {
    let place = match &entry.function {
        Some(function) => format!("xtask/tidy.toml: {} {function}", entry.path),
        None => format!("xtask/tidy.toml: {}", entry.path),
    };
    let allowed = entry.lines;
    match actual {
        None => Some(format!("{place}: the exception is not needed any more: remove it")),
        Some(lines) if lines > allowed => {
            Some(format!("{place}: grew from {allowed} to {lines} lines: make it shorter"))
        }
        Some(lines) if lines < allowed => {
            Some(format!("{place}: has {lines} lines: lower the exception from {allowed}"))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::exceptions::{LongFile, LongFunction};

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path, text.to_owned()).unwrap()
    }

    /// A function whose signature to closing brace are `lines` lines.
    fn function(name: &str, lines: usize) -> String {
        format!("fn {name}() {{\n{}}}\n", "    a();\n".repeat(lines - 2))
    }

    fn listed(lines: usize) -> Exceptions {
        let entry =
            LongFunction { path: "a.rs".into(), function: "f".into(), lines, reason: "a table".into() };
        Exceptions { long_function: vec![entry], ..Exceptions::default() }
    }

    #[test]
    fn a_function_may_have_70_lines_and_no_more() {
        assert_eq!(
            check(&[source("a.rs", &function("f", 70))], &Exceptions::default()),
            Vec::<String>::new()
        );
        let findings = check(&[source("a.rs", &function("f", 71))], &Exceptions::default());
        assert!(findings[0].starts_with("a.rs: f has 71 lines, 70 are allowed"), "{findings:?}");
    }

    #[test]
    fn doc_comments_and_attributes_do_not_count() {
        let text = format!("/// One.\n/// Two.\n#[inline]\n{}", function("f", 70));
        assert_eq!(check(&[source("a.rs", &text)], &Exceptions::default()), Vec::<String>::new());
    }

    #[test]
    fn methods_are_named_with_their_type() {
        let text = format!("impl<T> Show for Pool<T> {{\n{}}}\n", function("f", 71));
        assert!(check(&[source("a.rs", &text)], &Exceptions::default())[0].contains("Pool::f has 71"));
    }

    #[test]
    fn tests_inside_a_file_are_not_counted() {
        let text = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            "const A: u8 = 1;\n".repeat(600),
            function("f", 99)
        );
        let findings = check(&[source("a.rs", &text)], &Exceptions::default());
        assert_eq!(findings, Vec::<String>::new());
        let text = format!("const B: u8 = 1;\n{text}");
        let findings = check(&[source("a.rs", &text)], &Exceptions::default());
        assert!(findings[0].starts_with("a.rs: 601 lines without tests"), "{findings:?}");
    }

    #[test]
    fn what_is_compiled_without_tests_only_is_counted() {
        let text = format!("#[cfg(not(test))]\n{}", function("f", 71));
        assert_eq!(check(&[source("a.rs", &text)], &Exceptions::default()).len(), 1);
    }

    #[test]
    fn files_of_tests_are_left_alone() {
        let text = "const A: u8 = 1;\n".repeat(700);
        assert_eq!(
            check(&[source("crates/x/tests/a.rs", &text)], &Exceptions::default()),
            Vec::<String>::new()
        );
        assert_eq!(
            check(&[source("crates/x/src/y/tests.rs", &text)], &Exceptions::default()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_exception_fits_exactly_or_is_a_finding() {
        let long = || source("a.rs", &function("f", 80));
        assert_eq!(check(&[long()], &listed(80)), Vec::<String>::new());
        assert_eq!(
            check(&[long()], &listed(79)),
            ["xtask/tidy.toml: a.rs f: grew from 79 to 80 lines: make it shorter"]
        );
        assert_eq!(
            check(&[long()], &listed(81)),
            ["xtask/tidy.toml: a.rs f: has 80 lines: lower the exception from 81"]
        );
    }

    #[test]
    fn an_exception_for_what_is_short_or_gone_is_a_finding() {
        let stale = ["xtask/tidy.toml: a.rs f: the exception is not needed any more: remove it"];
        assert_eq!(check(&[source("a.rs", &function("f", 70))], &listed(80)), stale);
        assert_eq!(check(&[], &listed(80)), stale);
    }

    #[test]
    fn a_long_file_can_be_listed() {
        let entry = LongFile { path: "a.rs".into(), lines: 700, reason: "a table".into() };
        let exceptions = Exceptions { long_file: vec![entry], ..Exceptions::default() };
        let text = "const A: u8 = 1;\n".repeat(700);
        assert_eq!(check(&[source("a.rs", &text)], &exceptions), Vec::<String>::new());
    }
}
