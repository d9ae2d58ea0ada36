use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use ropeway_proxy::upstream::Endpoint;
use tokio::net::UdpSocket;

use super::*;
use crate::events::EventKind;
use crate::fixture::{app, compiled, current, until};
use crate::registry::Registry;

/// Gives prepared answers, one after the other, and then none.
struct Script(Mutex<VecDeque<Result<Answer, String>>>);

impl Script {
    fn new(answers: &[Result<&[&str], &str>]) -> Arc<Self> {
        let answer = |addresses: &&[&str]| Answer {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ttl: Duration::from_secs(3),
        };
        let answers = answers.iter().map(|one| one.as_ref().map(answer).map_err(|why| (*why).to_owned()));
        Arc::new(Self(Mutex::new(answers.collect())))
    }

    fn is_over(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Source for Script {
    fn lookup<'a>(&'a self, _host: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let next = self.0.lock().unwrap().pop_front();
            match next {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

struct Lab {
    registry: Registry,
    current: Arc<Current>,
    discovery: Discovery,
    named: Vec<NamedServer>,
}

const TEN_SECONDS: Duration = Duration::from_secs(10);

impl Lab {
    fn new(servers: &str, source: Arc<dyn Source>) -> Self {
        let registry = Registry::new(1);
        let compiled = compiled(&app(&format!("servers = {servers}")), &registry);
        let current = current(compiled.snapshot);
        let discovery = Discovery::new(Arc::clone(&current), Handle::current(), source, TEN_SECONDS);
        discovery.reconcile(&compiled.named);
        Self { registry, current, discovery, named: compiled.named }
    }

    fn addresses(&self, server: usize) -> Vec<String> {
        let text = |endpoint: &Endpoint| match endpoint {
            Endpoint::Tcp(address) => address.to_string(),
            Endpoint::Unix(path) => path.display().to_string(),
        };
        self.named[server].live.endpoints().iter().map(text).collect()
    }

    fn usable(&self) -> usize {
        self.current.upstream("app").unwrap().choice().table.len()
    }

    fn events(&self) -> Vec<EventKind> {
        self.current.events().list().iter().map(|event| event.kind).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_gives_all_its_addresses_to_all_its_servers() {
    let script = Script::new(&[Ok(&["10.0.0.1", "10.0.0.2", "2001:db8::1"])]);
    let lab = Lab::new("[\"app.example:80\", \"app.example:81\", \"127.0.0.1:82\"]", script);
    assert_eq!(lab.usable(), 1, "a name that is not resolved blocks nobody");
    until("resolved", || lab.usable() == 3).await;
    assert_eq!(lab.addresses(0), ["[2001:db8::1]:80", "10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(lab.addresses(1), ["[2001:db8::1]:81", "10.0.0.1:81", "10.0.0.2:81"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_answer_stays() {
    let script = Script::new(&[
        Err("no such name"),
        Ok(&["10.0.0.1"]),
        Err("no answer"),
        Err("no answer"),
        Ok(&["10.0.0.1"]),
    ]);
    let lab = Lab::new("[\"app.example:80\"]", Arc::clone(&script) as Arc<dyn Source>);
    until("all answers given", || script.is_over()).await;
    until("the last one was taken", || lab.events().len() == 4).await;
    assert_eq!(lab.addresses(0), ["10.0.0.1:80"]);
    let (failed, resolved) = (EventKind::ResolveFailed, EventKind::Resolved);
    assert_eq!(lab.events(), [failed, resolved, failed, resolved], "a row of failures is reported once");
}

#[tokio::test(start_paused = true)]
async fn a_new_answer_replaces_the_old_one() {
    let script =
        Script::new(&[Ok(&["10.0.0.1", "10.0.0.2"]), Ok(&["10.0.0.2", "10.0.0.1"]), Ok(&["10.0.0.3"])]);
    let lab = Lab::new("[\"app.example:80\"]", script);
    until("moved", || lab.addresses(0) == ["10.0.0.3:80"]).await;
    assert_eq!(lab.events().len(), 2, "another order is no change");
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_answers_and_gives_them_to_new_servers() {
    let script = Script::new(&[Ok(&["10.0.0.1"])]);
    let mut lab = Lab::new("[\"app.example:80\"]", script);
    until("resolved", || lab.usable() == 1).await;

    let next = compiled(&app("servers = [\"app.example:80\", \"app.example:81\"]"), &lab.registry);
    lab.current.replace(Arc::new(next.snapshot));
    lab.discovery.reconcile(&next.named);
    lab.named = next.named;
    assert_eq!(lab.addresses(1), ["10.0.0.1:81"]);
    assert_eq!(lab.usable(), 2, "known at once");

    lab.discovery.replace_source(Script::new(&[Ok(&["10.0.0.9"])]), TEN_SECONDS);
    assert_eq!(lab.addresses(0), ["10.0.0.1:80"]);
    until("asked elsewhere", || lab.addresses(0) == ["10.0.0.9:80"]).await;

    let tasks = Handle::current().metrics().num_alive_tasks();
    lab.discovery.reconcile(&[]);
    until("no task is left", || Handle::current().metrics().num_alive_tasks() < tasks).await;
}

/// A name server that knows one address for every name that does not begin with `no`, IPv4 only.
async fn name_server(address: [u8; 4]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let local = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            let (_, from) = socket.recv_from(&mut query).await.unwrap();
            socket.send_to(&reply(&query, address), from).await.unwrap();
        }
    });
    local
}

/// RFC 1035 section 4: the header, the question as it came, and an address when one of type A was asked for.
fn reply(query: &[u8], address: [u8; 4]) -> Vec<u8> {
    let name_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let question = &query[12..name_end + 4];
    let is_known = !question[1..].starts_with(b"no");
    let has_answer = is_known && question[question.len() - 4..][..2] == [0, 1];
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(has_answer), 0, 0, 0, 0]);
    reply.extend(question);
    if has_answer {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address);
    }
    reply
}

#[tokio::test]
async fn dns_asks_the_configured_server() {
    let server = name_server([10, 1, 2, 3]).await;
    let dns = Dns::new(DnsSettings { servers: vec![server], interval: TEN_SECONDS, timeout: TEN_SECONDS });
    let answer = dns.lookup("app.example").await.unwrap();
    assert_eq!(answer.addresses, ["10.1.2.3".parse::<IpAddr>().unwrap()]);
    assert!(answer.ttl <= TEN_SECONDS, "the interval bounds the TTL of 60 s");
    assert_eq!(dns.lookup("no.example").await.unwrap_err(), "there is no such name");
}

#[tokio::test]
async fn a_name_server_that_is_gone_is_an_error_in_words() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let settings = DnsSettings {
        servers: vec![socket.local_addr().unwrap()],
        interval: TEN_SECONDS,
        timeout: Duration::from_millis(20),
    };
    let reason = Dns::new(settings).lookup("app.example").await.unwrap_err();
    assert_eq!(reason, "no name server answered in time");
}
