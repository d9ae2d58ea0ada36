//! Every balancing policy, as it looks from outside.

use std::collections::{BTreeMap, BTreeSet};

use ropeway_e2e::{Client, Gate, Lab, Origin, Running, reply};

fn balance(policy: &str) -> Lab {
    Lab::new().with("", "", &format!("balance = {policy}"))
}

fn weighted(policy: &str) -> Lab {
    Lab::new().config(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n[upstream.app]\n\
         balance = {policy}\nservers = [{{ address = \"@1\", weight = 3 }}, {{ address = \"@2\", weight = 1 }}]\n"
    ))
}

fn shares(answers: &[String]) -> BTreeMap<&str, usize> {
    let mut shares = BTreeMap::new();
    for answer in answers {
        *shares.entry(answer.as_str()).or_default() += 1;
    }
    shares
}

/// Answers `/hold` when the gate opens and everything else at once.
fn holding(name: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request| {
        if request.target == "/hold" {
            gate.wait();
        }
        reply(200, &[], name)
    })
}

/// Two origins; the first to be asked for `/hold` keeps it until the gate opens. Gives the lab and the busy origin.
fn with_one_busy_server(lab: Lab, gate: &Gate) -> (Running, String, Vec<ropeway_e2e::Connection>) {
    let lab = lab.origin(holding("1", gate)).origin(holding("2", gate)).workers(2).start();
    let mut held = Vec::new();
    let mut first = lab.connect();
    first.send_get("/hold");
    held.push(first);
    let busy = ropeway_e2e::eventually("one server is busy", || {
        (1..=2).find(|number| lab.origin(*number).count() == 1).map(|number| number.to_string())
    });
    (lab, busy, held)
}

/// The bodies of `count` requests, each sent when none but the held one is in flight: a client has its response a
/// moment before a worker has counted the end of the request.
fn answers_beside_the_held_one(lab: &Running, count: usize) -> Vec<String> {
    let ask = || {
        ropeway_e2e::eventually("only the held request is in flight", || {
            (lab.admin().metric("ropeway_upstream_in_flight", &[]) == 1.0).then_some(())
        });
        lab.client().get("/").expect(200).text()
    };
    (0..count).map(|_| ask()).collect()
}

#[test]
fn round_robin_is_exact_whichever_worker_accepts() {
    let lab = balance("\"round_robin\"").origins(3).workers(4).start();
    let answers = lab.answers(99);
    for (index, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, (index % 3 + 1).to_string(), "{answers:?}");
    }
}

#[test]
fn weighted_round_robin_is_exact_and_smooth() {
    let lab = weighted("\"round_robin\"").origins(2).workers(2).start();
    let answers = lab.answers(40);
    for period in answers.chunks(4) {
        assert_eq!(shares(period), BTreeMap::from([("1", 3), ("2", 1)]), "{answers:?}");
    }
}

#[test]
fn least_connections_avoids_the_busy_server() {
    let gate = Gate::new();
    let (lab, busy, _held) = with_one_busy_server(balance("\"least_connections\""), &gate);
    let answers = answers_beside_the_held_one(&lab, 20);
    assert!(answers.iter().all(|answer| *answer != busy), "busy is {busy}: {answers:?}");
    gate.open();
}

#[test]
fn least_connections_shares_idle_servers() {
    let lab = balance("\"least_connections\"").origins(3).workers(2).start();
    assert_eq!(shares(&lab.answers(30)).len(), 3);
}

#[test]
fn power_of_two_choices_avoids_the_busy_one_of_two() {
    let gate = Gate::new();
    let (lab, busy, _held) = with_one_busy_server(balance("\"power_of_two\""), &gate);
    let answers = answers_beside_the_held_one(&lab, 20);
    assert!(answers.iter().all(|answer| *answer != busy), "busy is {busy}: {answers:?}");
    gate.open();
}

#[test]
fn random_uses_every_server_by_its_weight() {
    let lab = weighted("\"random\"").origins(2).start();
    let answers = lab.answers(400);
    let shares = shares(&answers);
    // 300 expected, with a standard deviation of 8.7: ten of them are never reached.
    assert!((213..=387).contains(&shares["1"]), "{shares:?}");
    let changes = answers.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes > 20, "an order that is anything but random");
}

#[test]
fn peak_ewma_avoids_the_server_that_was_slow() {
    let gate = Gate::new();
    let (lab, slow, mut held) = with_one_busy_server(balance("\"peak_ewma\""), &gate);
    let before = answers_beside_the_held_one(&lab, 30);
    assert!(
        before.iter().all(|answer| *answer != slow),
        "the waiting request counts against {slow}: {before:?}"
    );
    gate.open();
    let _ = held[0].receive().expect(200);
    let answers = lab.answers(100);
    let to_slow = answers.iter().filter(|answer| **answer == slow).count();
    assert!(to_slow < 20, "{to_slow} of 100 went to the server that took a hundred times as long");
}

#[test]
fn a_client_address_stays_with_its_server() {
    let lab = balance("\"source_ip\"").origins(3).workers(2).start();
    let mut seen = BTreeSet::new();
    for host in 1..=60 {
        let client = lab.client().from(&format!("127.0.0.{host}"));
        let first = client.get("/").text();
        for _ in 0..3 {
            assert_eq!(client.get("/").text(), first);
        }
        seen.insert(first);
    }
    assert_eq!(seen.len(), 3, "60 addresses use every server");
}

/// What `ask` answers for 90 keys, asked twice.
fn answers_by_key(ask: impl Fn(usize) -> String) -> Vec<String> {
    let answers: Vec<String> = (0..90).map(&ask).collect();
    let again: Vec<String> = (0..90).map(ask).collect();
    assert_eq!(answers, again, "a key stays with its server");
    assert_eq!(shares(&answers).len(), 3, "the keys use every server");
    answers
}

/// The policies that keep a key at its server whatever the load is. By default a ring moves on from a server that
/// has more than its share of the requests in flight, and with few requests that is soon.
fn by_path(policy: &str) -> String {
    let unbounded = if policy == "ring_hash" { ", bounded_load = false" } else { "" };
    format!("{{ type = \"{policy}\", key = \"path\"{unbounded} }}")
}

#[test]
fn a_hash_key_can_be_any_part_of_the_request() {
    let ask = |client: Client| move |key: usize| client.get(&format!("/{key}?ignored")).expect(200).text();
    for policy in ["hash", "ring_hash", "maglev"] {
        let lab = balance(&by_path(policy)).origins(3).workers(2).start();
        answers_by_key(ask(lab.client()));
    }
    let lab = balance("{ type = \"hash\", key = \"uri\" }").origins(3).start();
    answers_by_key(|key| lab.client().get(&format!("/same?{key}")).expect(200).text());
    let lab = balance("{ type = \"hash\", key = \"header:X-User\" }").origins(3).start();
    answers_by_key(|key| lab.client().field("x-user", &key.to_string()).get("/").expect(200).text());
    let lab = balance("{ type = \"hash\", key = \"cookie:session\" }").origins(3).start();
    answers_by_key(|key| {
        lab.client().field("Cookie", &format!("a=b; session={key}; c=d")).get("/").expect(200).text()
    });
}

#[test]
fn the_query_is_no_part_of_the_path() {
    let lab = balance("{ type = \"hash\", key = \"path\" }").origins(3).start();
    let answers: BTreeSet<String> = (0..20).map(|n| lab.client().get(&format!("/same?{n}")).text()).collect();
    assert_eq!(answers.len(), 1);
}

#[test]
fn a_lost_server_moves_only_its_own_keys() {
    for policy in ["hash", "ring_hash", "maglev"] {
        let mut lab = balance(&(by_path(policy) + "\npassive = { eject = \"5m\" }")).origins(3).start();
        let before = answers_by_key(|key| lab.client().get(&format!("/{key}")).expect(200).text());
        lab.origin_mut(3).stop();
        let lost: Vec<usize> = (0..90).filter(|key| before[*key] == "3").collect();
        for key in lost.iter().cycle().take(40) {
            let _ = lab.client().get(&format!("/{key}")).expect(200);
        }
        lab.wait_for_state("app", 3, "ejected");
        let after: Vec<String> =
            (0..90).map(|key| lab.client().get(&format!("/{key}")).expect(200).text()).collect();
        let moved = (0..90).filter(|key| before[*key] != "3" && before[*key] != after[*key]).count();
        // Rendezvous and ring move none; Maglev's table may move a few.
        assert!(moved <= if policy == "maglev" { 9 } else { 0 }, "{policy}: {moved} other keys moved");
        assert!(after.iter().all(|answer| answer != "3"));
    }
}

#[test]
fn bounded_load_moves_on_when_the_favourite_is_full() {
    let gate = Gate::new();
    let policy = "{ type = \"ring_hash\", key = \"path\", bounded_load = 1.25 }";
    let (lab, busy, mut held) = with_one_busy_server(balance(policy), &gate);
    for _ in 0..3 {
        let mut connection = lab.connect();
        connection.send_get("/hold");
        held.push(connection);
    }
    ropeway_e2e::eventually("the hot key overflows to the other server", || {
        let other = if busy == "1" { 2 } else { 1 };
        (lab.origin(other).count() > 0).then_some(())
    });
    gate.open();
    for connection in &mut held {
        let _ = connection.receive().expect(200);
    }
}

#[test]
fn a_weight_of_zero_takes_no_traffic() {
    let lab = Lab::new()
        .config(
            "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n[upstream.app]\n\
             servers = [\"@1\", { address = \"@2\", weight = 0 }]\n",
        )
        .origins(2)
        .start();
    assert_eq!(shares(&lab.answers(20)), BTreeMap::from([("1", 20)]));
}

#[test]
fn a_full_server_is_passed_over_and_full_servers_are_503() {
    let gate = Gate::new();
    let (lab, _, mut held) =
        with_one_busy_server(balance("\"round_robin\"\nlimits = { connections_per_server = 1 }"), &gate);
    let mut second = lab.connect();
    second.send_get("/hold");
    ropeway_e2e::eventually("both are busy", || {
        (lab.origin(1).count() + lab.origin(2).count() == 2).then_some(())
    });
    let response = lab.client().get("/").expect(503);
    assert!(response.field("retry-after").is_some());
    gate.open();
    let _ = held[0].receive().expect(200);
    let _ = second.receive().expect(200);
    let _ = lab.client().get("/").expect(200);
}
