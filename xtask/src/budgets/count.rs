//! Counting instructions with valgrind.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{cargo, run, text};

/// Two runs of a case differ by this many calls, and by nothing else.
const CALLS: u64 = 1_000;
/// Calls in the shorter run, after which every buffer has grown to its size.
const WARM_UP: u64 = 200;

/// The program whose cases are counted.
pub struct Program(PathBuf);

/// Builds it as it is built for release.
///
/// # Errors
/// When it does not compile.
pub fn build(root: &Path) -> Result<Program, String> {
    let mut command = cargo(root);
    command.args(["bench", "--quiet", "--package", "ropeway-core", "--bench", "instructions"]);
    let built = run(command.args(["--no-run", "--message-format", "json"]))?;
    executable(&text(&built.stdout)).map(Program).ok_or_else(|| "cargo named no executable".to_owned())
}

impl Program {
    /// The names of its cases.
    ///
    /// # Errors
    /// When it does not run.
    pub fn cases(&self) -> Result<Vec<String>, String> {
        let listed = run(&mut Command::new(&self.0))?;
        Ok(text(&listed.stdout).lines().map(str::to_owned).collect())
    }

    /// # Errors
    /// When valgrind is missing, or the program does not run under it.
    pub fn instructions_per_call(&self, case: &str) -> Result<u64, String> {
        let short = self.instructions(case, WARM_UP)?;
        let long = self.instructions(case, WARM_UP + CALLS)?;
        Ok(long.saturating_sub(short) / CALLS)
    }

    fn instructions(&self, case: &str, calls: u64) -> Result<u64, String> {
        let mut command = Command::new("valgrind");
        command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
        let counted = run(command.arg(&self.0).args([case, &calls.to_string()]))?;
        let printed = text(&counted.stderr);
        references(&printed).ok_or_else(|| format!("valgrind printed no count:\n{printed}"))
    }
}

/// The path in cargo's message about the artifact.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    messages.filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?))).next_back()
}

/// The number of `==1234== I   refs:      1,437,667`.
fn references(printed: &str) -> Option<u64> {
    let line = printed.lines().find(|line| line.contains("I refs:") || line.contains("I   refs:"))?;
    line.rsplit(':').next()?.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_count_that_valgrind_prints() {
        assert_eq!(references("==1== Cachegrind\n==1== \n==1== I   refs:      1,437,667\n"), Some(1_437_667));
        assert_eq!(references("==1== I refs: 12\n"), Some(12));
        assert_eq!(references("valgrind: no such file\n"), None);
    }

    #[test]
    fn finds_the_executable_among_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/t/release/deps/instructions-1\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/deps/instructions-1")));
    }
}
