//! Loading files: defaults, includes, variables, and what cannot be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ropeway_config::schema::{Balance, ServerAddress};
use ropeway_config::{Diagnostics, Environment, Loaded, Style, load_with, parse_with};

fn load(text: &str) -> Loaded {
    parse_with("ropeway.toml", text, Environment::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_smallest_file_gets_every_default() {
    let config = load(include_str!("../../../examples/smallest.toml")).config;

    let listener = &config.listeners[0];
    assert_eq!(listener.name.as_str(), "web");
    assert_eq!(listener.bind[0].value, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(listener.timeout.head, Duration::from_secs(10));
    assert_eq!(listener.timeout.idle, Duration::from_secs(75));
    assert_eq!(listener.timeout.body_idle, Duration::from_secs(60));
    assert_eq!(listener.timeout.min_rate, Some(500));
    assert_eq!(listener.timeout.min_rate_grace, Duration::from_secs(20));
    assert_eq!((listener.limits.head, listener.limits.fields), (65_536, 128));

    let route = &config.routes[0];
    assert_eq!((route.name.as_str(), route.upstream.as_str()), ("default", "app"));
    assert_eq!(route.timeout.response, Duration::from_secs(60));
    assert_eq!(route.timeout.stream_idle, Duration::from_secs(300));
    assert_eq!(route.timeout.tunnel_idle, Duration::from_secs(3600));

    let upstream = config.upstream("app").unwrap();
    assert_eq!(upstream.balance, Balance::RoundRobin);
    assert_eq!(upstream.servers.len(), 3);
    assert_eq!(upstream.servers[1].name.as_str(), "127.0.0.1:8002");
    assert_eq!(upstream.servers[2].address.value, ServerAddress::Ip("127.0.0.1:8003".parse().unwrap()));
    assert_eq!(upstream.servers[0].weight, 1);
    assert_eq!(upstream.timeout.connect, Duration::from_secs(3));
    assert_eq!(upstream.keep_alive.idle, Duration::from_secs(4));
    assert!(upstream.health.is_none());
    let passive = upstream.passive.as_ref().unwrap();
    assert_eq!((passive.connect_failures, passive.timeouts, passive.status_5xx), (Some(5), Some(5), Some(5)));
    assert_eq!((passive.eject, passive.max_ejected), (Duration::from_secs(10), 50));
    assert_eq!((upstream.retry.attempts, upstream.retry.budget), (1, 20));

    assert!(config.admin.enabled);
    assert_eq!(config.admin.bind.value, "127.0.0.1:9900".parse().unwrap());
    assert!(config.log.access.is_none());
}

/// A folder of this test's own, with `files` in it.
fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    for (file, content) in files {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    folder
}

fn load_folder(folder: &Path) -> Result<Loaded, Diagnostics> {
    load_with(&folder.join("ropeway.toml"), Environment::default())
}

fn codes(errors: &Diagnostics) -> Vec<&str> {
    errors.iter().map(|one| one.code).collect()
}

const MAIN: &[u8] =
    b"include = [\"conf.d/*.toml\", \"extra.toml\"]\n[listener.web]\nbind = \"0.0.0.0:8080\"\n";
const SHOP: &[u8] = b"[[route]]\nmatch = { host = \"shop.example.com\" }\nupstream = \"shop\"\n\
    [upstream.shop]\nservers = [\"127.0.0.1:8001\"]\n";
const BLOG: &[u8] = b"[[route]]\nmatch = { host = \"blog.example.com\" }\nupstream = \"blog\"\n\
    [upstream.blog]\nservers = [\"127.0.0.1:8002\"]\n";

#[test]
fn included_files_are_merged_in_alphabetical_order() {
    let files: [(&str, &[u8]); 6] = [
        ("ropeway.toml", MAIN),
        ("conf.d/b.toml", BLOG),
        ("conf.d/a.toml", SHOP),
        ("conf.d/c.toml.old", b"not TOML"),
        ("conf.d/.hidden.toml", b"not TOML"),
        ("extra.toml", b"[listener.more]\nbind = \"0.0.0.0:8081\"\n"),
    ];
    let folder = folder("merged", &files);
    let loaded = load_folder(&folder).unwrap_or_else(|errors| panic!("{errors}"));
    let routes: Vec<&str> = loaded.config.routes.iter().map(|route| route.upstream.as_str()).collect();
    assert_eq!(routes, ["shop", "blog"]);
    assert!(loaded.config.listener("more").is_some());
    let names =
        ["ropeway.toml", "conf.d/a.toml", "conf.d/b.toml", "extra.toml"].map(|name| folder.join(name));
    assert_eq!(loaded.files, names);
}

#[test]
fn a_name_in_two_files_is_an_error_that_shows_both() {
    let files: [(&str, &[u8]); 4] =
        [("ropeway.toml", MAIN), ("conf.d/a.toml", SHOP), ("conf.d/b.toml", SHOP), ("extra.toml", b"")];
    let errors = load_folder(&folder("twice", &files)).unwrap_err();
    assert_eq!(codes(&errors), ["duplicate-name"]);
    let error = errors.iter().next().unwrap();
    assert!(error.place.source().name().ends_with("conf.d/b.toml"));
    assert!(error.related[0].0.source().name().ends_with("conf.d/a.toml"));
    assert!(error.render(Style::Plain).contains("first here"));
}

#[test]
fn included_files_hold_listeners_routes_and_upstreams_only() {
    let files: [(&str, &[u8]); 3] = [
        ("ropeway.toml", MAIN),
        ("conf.d/a.toml", SHOP),
        ("extra.toml", b"workers = 4\ninclude = [\"x.toml\"]\n"),
    ];
    let errors = load_folder(&folder("only", &files)).unwrap_err();
    assert_eq!(codes(&errors), ["not-in-include", "not-in-include"]);
}

#[test]
fn files_that_are_not_there_are_reported_with_the_other_errors() {
    let main = b"colour = 1\n[listener.web]\nbind = \"127.0.0.1:8443\"\n\
        tls.certificates = [{ cert = \"there.pem\", key = \"gone.key\" }, { directory = \"gone\" }, { cert = \"\" }]\n\
        tls.client_auth = { mode = \"required\", ca = \"gone-ca.pem\", crl = \"gone.crl\" }\n\
        tls.tickets.keys = \"gone.tickets\"\n\
        [[listener.web.tls.host]]\nnames = \"a.example\"\ncertificates = [{ cert = \"gone-host.pem\" }]\n\
        [[route]]\nupstream = \"app\"\n\
        [upstream.app]\nservers = [\"127.0.0.1:8001\"]\n\
        tls = { ca = \"gone-servers.pem\", client = { cert = \"gone-client.pem\", key = \"there.pem\" } }\n";
    let folder = folder("files", &[("ropeway.toml", main), ("there.pem", b"")]);
    let errors = load_folder(&folder).unwrap_err();
    let missing: Vec<_> = errors.iter().filter(|one| one.code == "bad-tls-file").collect();
    let names =
        missing.iter().map(|one| one.message.strip_prefix(&format!("{}/", folder.display())).unwrap());
    let names: Vec<_> = names.map(|name| name.split(": ").next().unwrap()).collect();
    let expected = ["gone.key", "gone", "gone-ca.pem", "gone.crl", "gone.tickets", "gone-host.pem"];
    assert_eq!(names, [&expected[..], &["gone-servers.pem", "gone-client.pem"]].concat());
    assert_eq!(codes(&errors).iter().filter(|code| **code != "bad-tls-file").count(), 2, "{errors}");

    let sound =
        String::from_utf8(main.to_vec()).unwrap().replace("colour = 1", "").replace(", { cert = \"\" }", "");
    fs::write(folder.join("ropeway.toml"), sound).unwrap();
    assert!(load_folder(&folder).is_ok(), "whoever reads them has more to say");
}

#[test]
fn a_missing_file_is_an_error_and_a_pattern_without_matches_a_warning() {
    let errors = load_folder(&folder("missing", &[("ropeway.toml", MAIN)])).unwrap_err();
    assert_eq!(codes(&errors), ["bad-include", "empty-include"]);
    assert_eq!(errors.iter().next().unwrap().place.text(), "\"extra.toml\"");
}

#[test]
fn a_syntax_error_in_one_file_is_the_only_complaint() {
    let files: [(&str, &[u8]); 3] =
        [("ropeway.toml", MAIN), ("conf.d/a.toml", b"[[route]\n"), ("extra.toml", b"")];
    let errors = load_folder(&folder("syntax", &files)).unwrap_err();
    assert!(codes(&errors).iter().all(|code| *code == "syntax"), "{errors}");
}

#[test]
fn files_that_cannot_be_read() {
    let nowhere = folder("nowhere", &[("other.toml", b"")]);
    assert_eq!(codes(&load_folder(&nowhere).unwrap_err()), ["unreadable-file"]);
    assert_eq!(codes(&load_with(&nowhere, Environment::default()).unwrap_err()), ["unreadable-file"]);

    let binary = folder("binary", &[("ropeway.toml", b"workers = 4\n# caf\xe9\n")]);
    let errors = load_folder(&binary).unwrap_err();
    assert_eq!(codes(&errors), ["not-utf8"]);
    let place = &errors.iter().next().unwrap().place;
    assert_eq!((place.line(), place.column()), (2, 6));
}

#[test]
fn places_count_characters() {
    let errors = parse_with("ropeway.toml", "# é\nwörkers = 1\n", Environment::default()).unwrap_err();
    let errors: Vec<_> = errors.iter().filter(|one| one.code == "syntax").collect();
    assert_eq!((errors[0].place.line(), errors[0].place.column()), (2, 2));
}

#[test]
fn variables_are_replaced() {
    let text = include_str!("../../../examples/cache-affinity.toml");
    let environment = [("LISTEN", "127.0.0.1:80"), ("ADMIN_PORT", "9000")].into_iter().collect();
    let config =
        parse_with("ropeway.toml", text, environment).unwrap_or_else(|errors| panic!("{errors}")).config;
    assert_eq!(config.listeners[0].bind[0].to_string(), "127.0.0.1:80");
    assert_eq!(config.admin.bind.to_string(), "127.0.0.1:9000");
}

#[test]
fn moving_a_line_changes_nothing() {
    let text = include_str!("../../../examples/smallest.toml");
    let moved = format!("\n\n# moved\n{text}");
    assert_eq!(load(text).config, load(&moved).config);
    assert_ne!(load(text).config, load(&text.replace("8003", "8004")).config);
}

#[test]
fn derived_names_are_distinct() {
    let text = "[listener.web]\nbind = \"0.0.0.0:0\"\n\
        [[route]]\nupstream = \"app\"\nmatch = { path = \"/a\" }\n\
        [[route]]\nupstream = \"app\"\nmatch = { host = \"*.example.com\", path = { exact = \"/a\" } }\n\
        [[route]]\nupstream = \"app\"\nmatch = { host = [\"a.example\", \"b.example\"] }\n\
        [[route]]\nupstream = \"app\"\nname = \"default\"\nmatch = { path = \"/b\" }\n\
        [[route]]\nupstream = \"app\"\n\
        [upstream.app]\nservers = [\"127.0.0.1:8001\"]\n";
    let names: Vec<String> = load(text).config.routes.iter().map(|route| route.name.value.clone()).collect();
    assert_eq!(names, ["/a", "*.example.com=/a", "a.example+1", "default", "default#2"]);
}

#[test]
fn port_0_may_be_bound_any_number_of_times() {
    let text = include_str!("../../../examples/smallest.toml")
        .replace("\"0.0.0.0:8080\"", "[\"[::]:0\", \"[::]:0\"]");
    assert_eq!(load(&text).config.listeners[0].bind.len(), 2);
}

#[test]
fn a_large_file_of_mistakes_is_reported_in_full_and_drawn_in_part() {
    let mut text = include_str!("../../../examples/smallest.toml").to_owned();
    for number in 0..300 {
        text.push_str(&format!("[[route]]\nupstream = \"up{number}\"\nmatch = {{ path = \"/{number}\" }}\n"));
    }
    let errors = parse_with("ropeway.toml", &text, Environment::default()).unwrap_err();
    assert_eq!(errors.error_count(), 300);
    assert_eq!(errors.to_json().as_array().map(Vec::len), Some(300));
    let rendered = errors.render(Style::Plain);
    assert_eq!(rendered.matches("error[unknown-upstream]").count(), 100);
    assert!(rendered.ends_with("... and 200 more\n\n300 errors"));
}
