//! The ends of certificates are known before they come, and a file that is bad is known as long as it is.

use std::time::Duration;

use ropeway_e2e::tls::{Authority, Identity, certificate_shown};
use ropeway_e2e::tls_site::{HOST, Site};
use ropeway_e2e::{Lab, Program, Running, eventually};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const EXPIRY: &str = "ropeway_certificate_expiry_timestamp_seconds";

/// What `openssl x509` says of a certificate, without the name before the equals sign.
fn openssl(identity: &Identity, options: &str) -> String {
    let program = Program::new("openssl x509 -noout").args(options.split_whitespace());
    let text = program.input(&identity.cert).run().expect_success().text();
    text.trim().split_once('=').unwrap().1.to_owned()
}

/// When a certificate ends, in seconds since 1970.
fn end(identity: &Identity) -> f64 {
    let der = identity.der();
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    f64::from(u32::try_from(parsed.validity().not_after.timestamp()).expect("a moment of this century"))
}

/// A listener with a certificate for each name.
fn start(identities: &[(&str, Identity)]) -> Running {
    let pairs: Vec<String> = identities
        .iter()
        .map(|(name, _)| format!("{{ cert = \"{name}.pem\", key = \"{name}.key\" }}"))
        .collect();
    let lab = Lab::new().with(&format!("tls = {{ certificates = [{}] }}\n", pairs.join(", ")), "", "");
    identities.iter().fold(lab, |lab, (name, identity)| lab.identity(name, identity)).origins(1).start()
}

/// What the log says of certificates of a name, at which level.
fn warnings(lab: &Running, name: &str) -> Vec<(&'static str, String)> {
    let lines = lab.proxy.lines();
    let told = lines.iter().filter(|line| line.contains(&format!("name=\"{name}\"")));
    let levels = told.filter_map(|line| {
        let level = ["ERROR", "WARN"].into_iter().find(|level| line.contains(level))?;
        let (_, words) = line.split_once("a certificate ")?;
        Some((level, words.split(" listener=").next()?.to_owned()))
    });
    levels.collect()
}

#[test]
fn the_end_of_a_certificate_is_in_metrics_and_status() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let expect = |identity: &Identity, kind: &str| {
        let labels = [("listener", "web"), ("name", HOST), ("key", kind)];
        assert_eq!(lab.admin().metric(EXPIRY, &labels), end(identity));
        assert_eq!(lab.admin().metric(EXPIRY, &[]), end(identity), "there is no other");
        let status = lab.admin().status()["certificates"].clone();
        let one = &status[0];
        assert_eq!(status.as_array().map(Vec::len), Some(1), "{status}");
        let about = |date: &str| openssl(identity, date).replace(' ', "T").replace('Z', ".000Z");
        assert_eq!(one["not_after"], about("-enddate -dateopt iso_8601"), "{one}");
        assert_eq!(one["not_before"], about("-startdate -dateopt iso_8601"), "{one}");
        let fingerprint = openssl(identity, "-fingerprint -sha256").replace(':', "").to_ascii_lowercase();
        assert_eq!(one["fingerprint"], fingerprint);
        assert_eq!(one["serial"], openssl(identity, "-serial").to_ascii_lowercase());
        assert_eq!(
            (&one["names"], &one["key"], &one["listener"]),
            (&json!([HOST]), &json!(kind), &json!("web"))
        );
        assert!(one["file"].as_str().is_some_and(|file| file.ends_with("/site.pem")), "{one}");
    };
    expect(&site.identity, "ecdsa");
    let next = site.authority.issue_rsa(&[HOST]);
    lab.replace_identity("site", &next);
    lab.reload(&ropeway_e2e::lab::file(ropeway_e2e::tls_site::TLS, "", ""));
    expect(&next, "rsa");
}

#[test]
fn an_end_that_comes_near_is_warned_of_once_for_each_step() {
    let authority = Authority::new("Test CA");
    let identity = |name: &'static str, life: Duration, left: Duration| {
        (name, authority.issue_ending(&[name], life, left))
    };
    let lab = start(&[
        identity("fresh.example", 90 * DAY, 31 * DAY),
        identity("month.example", 90 * DAY, 29 * DAY),
        identity("week.example", 90 * DAY, 6 * DAY),
        identity("day.example", 90 * DAY, 23 * HOUR),
        identity("gone.example", 90 * DAY, Duration::ZERO),
        // Never to live twice as long as a month, nor as a week.
        identity("six-weeks.example", 42 * DAY, 8 * DAY),
        identity("ten-days.example", 10 * DAY, 5 * DAY),
        identity("ten-days-over.example", 10 * DAY, 23 * HOUR),
    ]);
    let warned = |time: &str| vec![("WARN", format!("expires in less than {time}"))];
    let expect = || {
        for (name, expected) in [
            ("fresh.example", vec![]),
            ("month.example", warned("30 days")),
            ("week.example", warned("7 days")),
            ("day.example", warned("a day")),
            ("gone.example", vec![("ERROR", "has expired".to_owned())]),
            ("six-weeks.example", vec![]),
            ("ten-days.example", vec![]),
            ("ten-days-over.example", warned("a day")),
        ] {
            assert_eq!(warnings(&lab, name), expected, "{name}");
        }
    };
    expect();
    // What comes next is looked at, too, and what was said is not said again.
    let next = authority.issue_ending(&["fresh.example"], 90 * DAY, 2 * DAY);
    lab.replace_identity("fresh.example", &next);
    eventually("a warning of the certificate that came", || {
        (warnings(&lab, "fresh.example") == warned("7 days")).then_some(())
    });
    lab.replace_identity("fresh.example", &authority.issue_ending(&["fresh.example"], 90 * DAY, 31 * DAY));
    let _ = lab.admin().post("/api/reload", "{}").expect(200);
    assert_eq!(warnings(&lab, "month.example"), warned("30 days"));
    assert_eq!(warnings(&lab, "gone.example").len(), 1);
    assert_eq!(warnings(&lab, "fresh.example"), warned("7 days"));
}

#[test]
fn a_bad_file_is_known_until_it_is_repaired() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let refused = || lab.admin().metric("ropeway_tls_files_refused", &[]);
    let changes = |result| lab.admin().metric("ropeway_tls_file_changes_total", &[("result", result)]);
    let problems = || lab.admin().status()["tls_problems"].clone();
    assert_eq!((refused(), problems()), (0.0, json!([])));

    lab.replace_file("site.pem", &Authority::new("Another CA").issue(&[HOST]).cert);
    eventually("the key does not belong to the certificate", || (refused() == 1.0).then_some(()));
    assert_eq!(changes("taken"), 0.0);
    assert!(changes("refused") >= 1.0, "it is tried again");
    let told = problems();
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    assert!(told[0].as_str().is_some_and(|text| text.contains("site.key")), "{told}");
    assert_eq!(certificate_shown(&lab.client(), &site.config(), HOST), site.identity.der());
    let labels = [("name", HOST), ("key", "ecdsa")];
    assert_eq!(lab.admin().metric(EXPIRY, &labels), end(&site.identity), "of the one in service");

    let next = site.authority.issue(&[HOST]);
    lab.replace_identity("site", &next);
    eventually("the files are good again", || (refused() == 0.0).then_some(()));
    assert_eq!(problems(), Value::Array(Vec::new()));
    assert_eq!(certificate_shown(&lab.client(), &site.config(), HOST), next.der());
}
