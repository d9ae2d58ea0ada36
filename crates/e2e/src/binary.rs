//! Finding the binary under test, and building it when nobody named one.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of the `ropeway` binary: `ROPEWAY_BIN`, or the one built here for this test run.
///
/// # Panics
/// When the build fails, with what cargo printed.
pub fn ropeway() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("ROPEWAY_BIN") {
        Some(path) => PathBuf::from(path),
        None => build_once_per_run(),
    })
}

/// nextest runs every test in a process of its own: the first one of a run builds, the others find its mark, also
/// when the build failed.
fn build_once_per_run() -> PathBuf {
    let place = Place::of_this_test();
    let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| format!("process {}", std::process::id()));
    let mut mark = open_mark(&place.directory.join(".ropeway-e2e-run"));
    rustix::fs::flock(&mark, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut text = String::new();
    mark.read_to_string(&mut text).unwrap();
    let outcome = match text.strip_prefix(&run) {
        Some(outcome) => outcome.to_owned(),
        None => {
            let outcome = place.build().err().unwrap_or_default();
            rustix::fs::ftruncate(&mark, 0).unwrap();
            rustix::fs::seek(&mark, rustix::fs::SeekFrom::Start(0)).unwrap();
            mark.write_all(format!("{run}{outcome}").as_bytes()).unwrap();
            outcome
        }
    };
    assert!(outcome.is_empty(), "cargo build: {outcome}");
    place.directory.join("ropeway")
}

fn open_mark(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

/// The directory that cargo puts the binaries of one profile into.
struct Place {
    directory: PathBuf,
}

impl Place {
    /// `target/<profile>` of `target/<profile>/deps/<test>`.
    fn of_this_test() -> Self {
        let test = std::env::current_exe().unwrap();
        let directory = test.ancestors().nth(2).expect("a test lives in target/<profile>/deps");
        Self { directory: directory.to_path_buf() }
    }

    /// The error is what cargo printed.
    fn build(&self) -> Result<(), String> {
        let profile = match self.directory.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let target = self.directory.parent().expect("a profile lives in the target directory");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--package", "ropeway", "--profile", profile, "--target-dir"])
            .arg(target)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .output()
            .expect("cargo runs");
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}
