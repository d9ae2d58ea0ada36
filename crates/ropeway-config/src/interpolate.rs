//! Environment variables in strings: `${NAME}`, `${NAME:-default}`, and `$${` for a literal `${`.

use std::borrow::Cow;

use crate::context::{Context, Environment, Node};
use crate::diagnostic::Diagnostic;
use crate::suggest::closest;

/// What a variable's value may grow a string to.
const LONGEST: usize = 64 * 1024;

/// `text` with its variables replaced. What cannot be replaced is reported, and answered with `None`.
pub(crate) fn interpolated<'t>(context: &mut Context, node: Node<'_>, text: &'t str) -> Option<Cow<'t, str>> {
    if !text.contains("${") {
        return Some(Cow::Borrowed(text));
    }
    match replace(text, &context.environment) {
        Ok(text) => Some(Cow::Owned(text)),
        Err(problem) => {
            context.report(explain(&problem, node, &context.environment));
            None
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Unset(String),
    Unclosed,
    BadName(String),
    TooLong,
}

fn replace(text: &str, environment: &Environment) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let after = from.get(2..).unwrap_or_default();
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (variable, tail) = after.split_once('}').ok_or(Problem::Unclosed)?;
        out.push_str(value_of(variable, environment)?);
        rest = tail;
        if out.len() > LONGEST {
            return Err(Problem::TooLong);
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn value_of<'v>(variable: &'v str, environment: &'v Environment) -> Result<&'v str, Problem> {
    let (name, default) = match variable.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (variable, None),
    };
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !letters || name.is_empty() || name.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return Err(Problem::BadName(name.to_owned()));
    }
    // Like a shell's `:-`: an empty variable is as good as none when there is a default.
    match (environment.get(name), default) {
        (None | Some(""), Some(default)) => Ok(default),
        (Some(value), _) => Ok(value),
        (None, None) => Err(Problem::Unset(name.to_owned())),
    }
}

fn explain(problem: &Problem, node: Node<'_>, environment: &Environment) -> Diagnostic {
    let error = |message: String| Diagnostic::error("bad-variable", &node.place(), message);
    match problem {
        Problem::Unset(name) => {
            let complaint = error(format!("the environment variable `{name}` is not set"));
            match closest(name, environment.names()) {
                Some(known) => complaint.label(format!("did you mean `{known}`?")),
                None => complaint.help(format!("set it, or give a default: ${{{name}:-value}}")),
            }
        }
        Problem::Unclosed => {
            error("`${` without a closing `}`".to_owned()).help("write `$${` for a literal `${`")
        }
        Problem::BadName(name) => error(format!("`{name}` cannot be the name of an environment variable"))
            .help("write ${NAME} or ${NAME:-default}, and `$${` for a literal `${`"),
        Problem::TooLong => error(format!("with its variables replaced this is longer than {LONGEST} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> Result<String, Problem> {
        replace(text, &[("HOST", "10.0.0.1"), ("EMPTY", "")].into_iter().collect())
    }

    #[test]
    fn replaces_variables() {
        assert_eq!(replaced("${HOST}:80").as_deref(), Ok("10.0.0.1:80"));
        assert_eq!(replaced("a${HOST}b${HOST}c").as_deref(), Ok("a10.0.0.1b10.0.0.1c"));
        assert_eq!(replaced("${PORT:-8080}").as_deref(), Ok("8080"));
        assert_eq!(replaced("${EMPTY}").as_deref(), Ok(""));
        assert_eq!(replaced("${EMPTY:-x}").as_deref(), Ok("x"));
        assert_eq!(replaced("${PORT:-}").as_deref(), Ok(""));
    }

    #[test]
    fn a_doubled_dollar_escapes() {
        assert_eq!(replaced("$${HOST}").as_deref(), Ok("${HOST}"));
        assert_eq!(replaced("$HOST $ {HOST}").as_deref(), Ok("$HOST $ {HOST}"));
    }

    #[test]
    fn values_are_not_searched_again() {
        let environment = [("A", "${B}"), ("B", "no")].into_iter().collect();
        assert_eq!(replace("${A}", &environment).as_deref(), Ok("${B}"));
    }

    #[test]
    fn refuses_what_it_cannot_replace() {
        assert_eq!(replaced("${PORT}"), Err(Problem::Unset("PORT".to_owned())));
        assert_eq!(replaced("${PORT"), Err(Problem::Unclosed));
        assert_eq!(replaced("${}"), Err(Problem::BadName(String::new())));
        assert_eq!(replaced("${1A}"), Err(Problem::BadName("1A".to_owned())));
    }
}
