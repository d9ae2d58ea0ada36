//! Programs that other people wrote, as peers: run to their end, or as servers until the test is over.

use std::ffi::OsStr;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::origin::Port;
use crate::process::Process;
use crate::tempdir::TempDir;
use crate::wait::{PATIENCE, eventually};

/// A program that runs to its end, within [`PATIENCE`] twice over.
#[derive(Debug)]
pub struct Program {
    command: Command,
    input: Vec<u8>,
}

/// What came of a program.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub err: String,
}

impl Program {
    /// A program by its name, with arguments separated by spaces.
    #[must_use]
    pub fn new(line: &str) -> Self {
        let mut command = limited();
        command.args(line.split_whitespace());
        Self { command, input: Vec::new() }
    }

    /// A program with its arguments, as a command that was not started.
    #[must_use]
    pub fn of(of: &Command) -> Self {
        let mut command = limited();
        command.arg(of.get_program()).args(of.get_args());
        Self { command, input: Vec::new() }
    }

    /// One more argument.
    #[must_use]
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// What it reads from its standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = bytes.as_ref().to_vec();
        self
    }

    /// Runs it.
    ///
    /// # Panics
    /// When it cannot be started: `./test` installs what is missing.
    #[track_caller]
    #[must_use]
    pub fn run(mut self) -> Output {
        let piped = || Stdio::piped();
        let mut child =
            self.command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().expect("`timeout` is there");
        let mut stdin = child.stdin.take().unwrap();
        let input = std::mem::take(&mut self.input);
        // Beside the reading, or both sides would wait when there is much of both.
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        let _ = writer.join();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() != Some(127), "a program is missing, `./test` installs it: {err}");
        Output { status: output.status, out: output.stdout, err }
    }
}

fn limited() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", &(PATIENCE.as_secs() * 2).to_string()]);
    command
}

impl Output {
    /// Asserts that it ended well.
    #[track_caller]
    #[must_use]
    pub fn expect_success(self) -> Self {
        assert!(self.status.success(), "{}: {}\n{}", self.status, self.err, self.text());
        self
    }

    /// Its standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Asserts that a text is in its output.
    #[track_caller]
    #[must_use]
    pub fn expect_text(self, needle: &str) -> Self {
        assert!(self.text().contains(needle), "{needle:?} is not in\n{}\n{}", self.text(), self.err);
        self
    }

    /// Asserts that a text is not in its output.
    #[track_caller]
    #[must_use]
    pub fn expect_no_text(self, needle: &str) -> Self {
        assert!(!self.text().contains(needle), "{needle:?} is in\n{}\n{}", self.text(), self.err);
        self
    }
}

/// A server that somebody else wrote, with files of its own; it ends with this value.
#[derive(Debug)]
pub struct Server {
    process: Process,
    port: Port,
    directory: TempDir,
}

impl Server {
    /// nginx, with the given lines in its `http` block. In them stand `@port` and `@dir`.
    #[must_use]
    pub fn nginx(files: &[(&str, &str)], http: &str) -> Self {
        let config = format!(
            "daemon off; master_process off; pid @dir/pid; error_log stderr warn;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n access_log @dir/access.log; client_body_temp_path @dir/body; proxy_temp_path @dir/proxy;\n\
             fastcgi_temp_path @dir/fastcgi; uwsgi_temp_path @dir/uwsgi; scgi_temp_path @dir/scgi;\n\
             client_max_body_size 0;\n{http}\n}}\n"
        );
        Self::start(files, "nginx.conf", &config, |path| {
            let mut command = Command::new("nginx");
            command.args(["-e", "stderr", "-c"]).arg(path);
            command
        })
    }

    /// HAProxy, with the given sections. In them stand `@port` and `@dir`.
    #[must_use]
    pub fn haproxy(files: &[(&str, &str)], sections: &str) -> Self {
        let config = format!(
            "defaults\n mode http\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n{sections}\n"
        );
        Self::start(files, "haproxy.cfg", &config, |path| {
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(path);
            command
        })
    }

    /// `openssl s_server` with more options; it answers every request with a page about the session, and closes. The
    /// options are separated by spaces, and in them stands `@dir`.
    #[must_use]
    pub fn openssl(files: &[(&str, &str)], options: &str) -> Self {
        Self::start(files, "options", &format!("-accept 127.0.0.1:@port -www {options}"), |path| {
            let options = std::fs::read_to_string(path).unwrap();
            let mut command = Command::new("openssl");
            command.arg("s_server").args(options.split_whitespace());
            command
        })
    }

    fn start(
        files: &[(&str, &str)],
        name: &str,
        config: &str,
        command: impl FnOnce(&Path) -> Command,
    ) -> Self {
        let (directory, port) = (TempDir::new(), Port::reserve());
        for (name, text) in files {
            std::fs::write(directory.file(name), text).unwrap();
        }
        let config = config
            .replace("@port", &port.address.port().to_string())
            .replace("@dir", &directory.path().to_string_lossy());
        let path = directory.file(name);
        std::fs::write(&path, config).unwrap();
        let mut process = Process::start(&mut command(&path));
        eventually(&format!("{name} listens"), || {
            assert!(process.ended().is_none(), "{}", process.transcript());
            TcpStream::connect(port.address).ok()
        });
        Self { process, port, directory }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.port.address.to_string()
    }

    /// The text of one of its files.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.file(name)).unwrap_or_default()
    }

    /// What it printed.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.process.transcript()
    }
}
