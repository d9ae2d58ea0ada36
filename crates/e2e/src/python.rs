//! Python with the packages that the tests use, in a virtual environment of its own beside the build.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::FlockOperation;

/// The programs and the list of packages.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");

/// A command that runs one of the programs in `python/`.
///
/// # Panics
/// When the packages cannot be installed, with what pip printed.
#[must_use]
pub fn program(name: &str) -> Command {
    let mut command = Command::new(interpreter());
    command.arg("-u").arg(Path::new(DIRECTORY).join(name));
    command
}

fn interpreter() -> &'static Path {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    INTERPRETER.get_or_init(install_once)
}

/// Tests may run in many processes: the first one installs. Another list of packages makes another environment.
fn install_once() -> PathBuf {
    let list = Path::new(DIRECTORY).join("requirements.txt");
    let packages = std::fs::read_to_string(&list).unwrap();
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).expect("a test lives in target/<profile>/deps");
    let lock = open(&target.join(".python-lock"));
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    let (environment, mark) = (target.join("python"), target.join("python/installed.txt"));
    if std::fs::read_to_string(&mark).unwrap_or_default() != packages {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
        run(Command::new(environment.join("bin/pip"))
            .args(["install", "--quiet", "--requirement"])
            .arg(&list));
        std::fs::write(mark, packages).unwrap();
    }
    environment.join("bin/python")
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
