//! What this repository needs beside the compiler: the checks `cargo xtask tidy` and `cargo xtask budgets`, and
//! `cargo xtask dist`, the build that is published.

mod budgets;
mod command;
mod dist;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["budgets"] => report("budgets", budgets::check(repository())),
        ["dist"] => built(dist::build(repository())),
        ["tidy"] => report("tidy", tidy::check(repository())),
        _ => {
            eprintln!("usage: cargo xtask budgets|dist|tidy");
            ExitCode::from(2)
        }
    }
}

/// The root of the repository, wherever the command was started.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository")
}

fn built(outcome: Result<PathBuf, String>) -> ExitCode {
    match outcome {
        Ok(binary) => {
            println!("dist: {}", binary.display());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("dist: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn report(name: &str, outcome: Result<Vec<String>, String>) -> ExitCode {
    match outcome {
        Ok(findings) if findings.is_empty() => {
            println!("{name}: nothing to say");
            ExitCode::SUCCESS
        }
        Ok(findings) => {
            for finding in &findings {
                println!("{finding}");
            }
            println!("{name}: {} to put right", findings.len());
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("{name}: {problem}");
            ExitCode::FAILURE
        }
    }
}
