//! Python with the packages that the tests use, in virtual environments of their own beside the build.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::FlockOperation;

/// The programs and the lists of packages.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");

/// An environment with what `python/NAME.txt` lists, so that no test waits for packages of another one.
#[derive(Clone, Copy, Debug)]
pub struct Environment(&'static str);

impl Environment {
    /// gRPC, client and server.
    pub const GRPC: Self = Self("grpc");

    /// A scanner of TLS servers.
    pub const SSLYZE: Self = Self("sslyze");

    /// A command that runs one of the programs in `python/`.
    ///
    /// # Panics
    /// When the packages cannot be installed, with what pip printed.
    #[must_use]
    pub fn program(self, name: &str) -> Command {
        let mut command = Command::new(self.install_once());
        command.arg("-u").arg(Path::new(DIRECTORY).join(name));
        command
    }

    /// The interpreter. Tests may run in many processes: the first one installs. Another list of packages
    /// makes another environment.
    fn install_once(self) -> PathBuf {
        let list = Path::new(DIRECTORY).join(self.0).with_extension("txt");
        let packages = std::fs::read_to_string(&list).unwrap();
        let test = std::env::current_exe().unwrap();
        let python = test.ancestors().nth(3).expect("a test lives in target/<profile>/deps").join("python");
        std::fs::create_dir_all(&python).unwrap();
        let lock = open(&python.join(format!("{}.lock", self.0)));
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        let environment = python.join(self.0);
        let mark = environment.join("installed.txt");
        if std::fs::read_to_string(&mark).unwrap_or_default() != packages {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
            run(Command::new(environment.join("bin/pip"))
                .args(["install", "--quiet", "--requirement"])
                .arg(&list));
            std::fs::write(mark, packages).unwrap();
        }
        environment.join("bin/python")
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
