//! The binary as it is published: built with a profile of what it does under load.
//!
//! The compiler learns from a first build, which counts, what is hot and what is not, and lays the second one out
//! accordingly. `docs/adr/0015-the-published-binary-is-built-with-a-profile.md` says what that is worth.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{cargo, run, text, watch};

/// Builds it, and returns where it is.
///
/// # Errors
/// When a tool is missing, the build fails, or the load that is to be learnt from does not run.
pub fn build(root: &Path) -> Result<PathBuf, String> {
    let toolchain = Toolchain::find(root)?;
    let directory = root.join("target/dist");
    let counts = directory.join("counts");
    // Counts of another source would be merged with those of this one.
    let _ = fs::remove_dir_all(&counts);
    fs::create_dir_all(&counts).map_err(|error| format!("{}: {error}", counts.display()))?;

    println!("1 of 3: a build that counts");
    let counting = toolchain.release(root, &directory.join("counting"), "profile-generate", &counts)?;
    println!("2 of 3: load to learn from");
    watch(&mut training(root, &counting, &directory.join("training")))?;
    let profile = directory.join("ropeway.profdata");
    run(Command::new(&toolchain.profdata).args(["merge", "-o"]).arg(&profile).arg(&counts))?;
    println!("3 of 3: the build that has learnt");
    let learnt = directory.join("learnt");
    // Cargo knows the name of the profile, and not that there is another one of that name.
    let _ = fs::remove_dir_all(&learnt);
    let built = toolchain.release(root, &learnt, "profile-use", &profile)?;
    let published = directory.join("ropeway");
    fs::copy(&built, &published).map_err(|error| format!("{}: {error}", published.display()))?;
    Ok(published)
}

/// What the benchmark does, once.
fn training(root: &Path, binary: &Path, results: &Path) -> Command {
    let mut command = Command::new(root.join("bench/run"));
    command.args(["--engines", "ropeway", "--rounds", "1", "--seconds", "3"]);
    command.arg("--ropeway").arg(binary).arg("--output").arg(results);
    command
}

struct Toolchain {
    host: String,
    profdata: PathBuf,
}

impl Toolchain {
    fn find(root: &Path) -> Result<Self, String> {
        let described = text(&run(Command::new("rustc").current_dir(root).arg("-vV"))?.stdout);
        let host = host(&described).ok_or("rustc does not say for which host it is")?.to_owned();
        let sysroot = run(Command::new("rustc").current_dir(root).args(["--print", "sysroot"]))?;
        let tools = Path::new(text(&sysroot.stdout).trim()).join("lib/rustlib").join(&host).join("bin");
        let profdata = tools.join("llvm-profdata");
        if profdata.is_file() {
            Ok(Self { host, profdata })
        } else {
            Err("llvm-profdata is missing: `rustup component add llvm-tools`".to_owned())
        }
    }

    /// A release build with one more code generation option. A target is named so that the option is not for build
    /// scripts and macros, too.
    fn release(&self, root: &Path, directory: &Path, option: &str, path: &Path) -> Result<PathBuf, String> {
        let mut command = cargo(root);
        command.args(["build", "--release", "--package", "ropeway", "--target", &self.host, "--target-dir"]);
        command.arg(directory).env("RUSTFLAGS", format!("-C{option}={}", path.display()));
        watch(&mut command)?;
        Ok(directory.join(&self.host).join("release/ropeway"))
    }
}

/// The host in what `rustc -vV` prints.
fn host(described: &str) -> Option<&str> {
    described.lines().find_map(|line| line.strip_prefix("host: "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_host_is_found_among_what_rustc_prints() {
        let described = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        assert_eq!(super::host(described), Some("x86_64-unknown-linux-gnu"));
    }
}
