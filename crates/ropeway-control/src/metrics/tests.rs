use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ropeway_core::end::EndReason;
use ropeway_proxy::counters::PerWorker;
use ropeway_proxy::snapshot::Snapshot;

use super::*;
use crate::fixture::{app, compiled, config};
use crate::registry::{COUNTED_ROUTES, Registry};

const WORKERS: usize = 2;

fn scrape(snapshot: Snapshot) -> Scrape {
    Scrape {
        snapshot: Arc::new(snapshot),
        workers: PerWorker::new(WORKERS),
        active_requests: 3,
        uptime: Duration::from_secs(60),
        ready: true,
        log_lost: 7,
        messages_dropped: 5,
        last_reload_ok: false,
        loaded_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000),
        process: ProcessFacts::default(),
        orders: Orders::default(),
        certificates: Certificates::default(),
    }
}

fn two_servers() -> Snapshot {
    let servers = r#"servers = ["127.0.0.1:1", { address = "127.0.0.1:2", name = "quoted \" name" }]"#;
    compiled(&app(servers), &Registry::new(WORKERS)).snapshot
}

#[test]
fn what_is_exposed_is_what_is_documented() {
    let page = render(scrape(two_servers())).unwrap();
    let exposed: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let names: BTreeSet<&str> = exposed.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names.len(), exposed.len(), "no family is exposed twice");
    let declared: BTreeSet<&str> =
        families::SECTIONS.iter().flat_map(|(_, families)| *families).map(|family| family.name).collect();
    assert_eq!(names, declared);
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn counters_of_all_workers_are_summed_up() {
    let snapshot = two_servers();
    for worker in 0..WORKERS {
        let counters = snapshot.routes[0].counters.of(worker).unwrap();
        counters.classes.bump(200);
        counters.ends.bump(EndReason::Completed);
        counters.total.observe(2_000);
        let server = snapshot.upstreams[0].servers[0].live.counters.of(worker).unwrap();
        server.started.add(2);
        server.ended.bump();
    }
    let route = snapshot.routes[0].name.to_string();
    let page = render(scrape(snapshot)).unwrap();
    for sample in [
        format!("ropeway_requests_total{{route=\"{route}\",class=\"2xx\"}} 2"),
        format!("ropeway_request_ends_total{{route=\"{route}\",reason=\"completed\"}} 2"),
        format!("ropeway_request_duration_seconds_sum{{route=\"{route}\"}} 0.004"),
        format!("ropeway_request_duration_seconds_bucket{{le=\"0.001\",route=\"{route}\"}} 0"),
        format!("ropeway_request_duration_seconds_bucket{{le=\"0.0025\",route=\"{route}\"}} 2"),
        "ropeway_upstream_in_flight{upstream=\"app\",server=\"127.0.0.1:1\"} 2".to_owned(),
        "ropeway_upstream_server_state{upstream=\"app\",server=\"127.0.0.1:1\",state=\"up\"} 1".to_owned(),
        "ropeway_upstream_server_weight{upstream=\"app\",server=\"quoted \\\" name\"} 1".to_owned(),
        "ropeway_requests_active 3".to_owned(),
        "ropeway_access_log_dropped_total{cause=\"destination\"} 7".to_owned(),
        "ropeway_log_messages_dropped_total 5".to_owned(),
        "ropeway_config_last_reload_successful 0".to_owned(),
        "ropeway_config_loaded_timestamp_seconds 1000.0".to_owned(),
    ] {
        assert!(page.lines().any(|line| line == sample), "{sample} is missing from\n{page}");
    }
}

#[test]
fn routes_beyond_the_cap_are_counted_together() {
    let mut text =
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[upstream.app]\nservers = [\"127.0.0.1:1\"]\n".to_owned();
    for number in 0..COUNTED_ROUTES + 2 {
        text.push_str(&format!(
            "[[route]]\nname = \"r{number}\"\nmatch = {{ path = \"/{number}\" }}\nupstream = \"app\"\n"
        ));
    }
    let snapshot = compiled(&config(&text), &Registry::new(WORKERS)).snapshot;
    snapshot.routes[COUNTED_ROUTES].counters.of(0).unwrap().bytes_in.add(1);
    snapshot.routes[COUNTED_ROUTES + 1].counters.of(1).unwrap().bytes_in.add(2);
    let routes = route_counters(&snapshot);
    assert_eq!(routes.len(), COUNTED_ROUTES + 1);
    let (name, counters) = routes[COUNTED_ROUTES];
    assert_eq!((name, counters.sum(|worker| worker.bytes_in.get())), (OTHER, 3));
}
