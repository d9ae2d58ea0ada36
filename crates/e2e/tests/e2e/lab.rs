//! The laboratory that the project began with: three servers behind the smallest file, and one of them dies.

use std::collections::BTreeSet;
use std::process::Command;

use ropeway_e2e::origin::Port;
use ropeway_e2e::process::Process;
use ropeway_e2e::{Client, Lab, Load, eventually};

/// Answers with its number, as `python3 -m http.server` would with a file, but keeps connections alive and sends
/// head and body in one write: a kill between two writes would break a response that nobody can repair.
const SERVER: &str = r#"
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

struct PythonServer {
    port: Port,
    number: usize,
    process: Option<Process>,
}

impl PythonServer {
    fn start(number: usize) -> Self {
        let mut server = Self { port: Port::reserve(), number, process: None };
        server.run();
        server
    }

    fn run(&mut self) {
        let mut command = Command::new("python3");
        command.args(["-c", SERVER, &self.port.address.port().to_string(), &self.number.to_string()]);
        self.process = Some(Process::start(&mut command));
        let client = Client::new(self.port.address);
        eventually("the server answers", || client.try_connect().ok()?.try_get("/").ok());
    }

    fn kill(&mut self) {
        self.process = None;
    }
}

fn config(servers: &[PythonServer]) -> String {
    let list: Vec<String> = servers.iter().map(|server| format!("\"{}\"", server.port.address)).collect();
    ropeway_e2e::lab::SMALLEST.replace("@all", &list.join(", "))
}

#[test]
fn three_servers_answer_in_turn_and_one_may_die_and_return() {
    let mut servers: Vec<PythonServer> = (1..=3).map(PythonServer::start).collect();
    let lab = Lab::new().workers(2).config(&config(&servers)).start();
    assert_eq!(lab.answers(9), ["1", "2", "3", "1", "2", "3", "1", "2", "3"]);

    let load = Load::start(&lab.client(), 8);
    load.run_for(300);
    servers[1].kill();
    lab.wait_for_state("app", 2, "ejected");
    load.run_for(300);
    load.stop().expect_no_failure();

    let answers = lab.answers(8);
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{answers:?}");
    assert_eq!(answers.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["1", "3"]));

    servers[1].run();
    lab.wait_for_state("app", 2, "up");
    let answers = lab.answers(300);
    for number in ["1", "2", "3"] {
        assert_eq!(answers.iter().filter(|answer| *answer == number).count(), 100, "share of {number}");
    }
}

#[test]
fn the_module_http_server_itself_is_balanced() {
    let directory = ropeway_e2e::tempdir::TempDir::new();
    let ports: Vec<Port> = (0..3).map(|_| Port::reserve()).collect();
    let _servers: Vec<Process> = ports
        .iter()
        .enumerate()
        .map(|(index, port)| {
            let root = directory.file(&index.to_string());
            std::fs::create_dir(&root).unwrap();
            std::fs::write(root.join("index.html"), (index + 1).to_string()).unwrap();
            let mut command = Command::new("python3");
            command.args(["-m", "http.server", &port.address.port().to_string(), "--bind", "127.0.0.1"]);
            let server = Process::start(command.arg("--directory").arg(root));
            eventually("the server answers", || {
                Client::new(port.address).try_connect().ok()?.try_get("/").ok()
            });
            server
        })
        .collect();
    let list: Vec<String> = ports.iter().map(|port| format!("\"{}\"", port.address)).collect();
    let config = ropeway_e2e::lab::SMALLEST.replace("@all", &list.join(", "));
    let lab = Lab::new().workers(2).config(&config).start();
    assert_eq!(lab.answers(9), ["1", "2", "3", "1", "2", "3", "1", "2", "3"]);
}
