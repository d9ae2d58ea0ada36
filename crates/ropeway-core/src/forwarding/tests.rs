use super::*;
use crate::http1::HeadLimits;

const PROXY: [u8; 4] = [10, 0, 0, 1];
const STRANGER: [u8; 4] = [203, 0, 113, 7];

fn policy() -> ForwardingPolicy {
    let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
    ForwardingPolicy { trusted: TrustedProxies::new(networks), ..ForwardingPolicy::default() }
}

fn from(peer: impl Into<IpAddr>) -> Arrival {
    Arrival { peer: peer.into(), peer_port: 50_000, local_port: 8080, https: false }
}

fn request(fields: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let input = format!("GET / HTTP/1.1\r\nHost: Shop.example:81\r\n{fields}\r\n");
    head.parse(input.as_bytes(), &HeadLimits::default()).unwrap();
    head
}

/// What the server gets after Host, in the order of the data plane's steps.
fn sent(policy: &ForwardingPolicy, fields: &str, arrival: &Arrival) -> String {
    let mut head = request(fields);
    let before = policy.client_ip(&head, arrival);
    policy.strip(&mut head, arrival);
    head.strip_hop_by_hop();
    assert_eq!(policy.client_ip(&head, arrival), before, "stripping does not change who the client is");
    let mut out = Vec::new();
    head.head.write_fields(&mut out);
    policy.write(&mut out, &head, arrival);
    let mut again = Vec::new();
    policy.write(&mut again, &head, arrival);
    assert!(out.ends_with(&again), "writing is repeatable");
    String::from_utf8(out).unwrap().strip_prefix("Host: Shop.example:81\r\n").unwrap().to_owned()
}

const OWN_FOR_STRANGER: &str = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: Shop.example:81\r\n\
    X-Forwarded-Port: 8080\r\nX-Real-IP: 203.0.113.7\r\nVia: 1.1 ropeway\r\n";

#[test]
fn a_plain_request_gets_what_the_connection_shows() {
    assert_eq!(sent(&policy(), "", &from(STRANGER)), OWN_FOR_STRANGER);
    let https = Arrival { https: true, local_port: 443, ..from(STRANGER) };
    let fields = sent(&policy(), "", &https);
    assert!(fields.contains("X-Forwarded-Proto: https\r\n") && fields.contains("X-Forwarded-Port: 443\r\n"));
}

#[test]
fn every_spelling_of_an_untrusted_peer_is_overwritten() {
    let fields = "X-Forwarded-For: 1.1.1.1\r\nX_Forwarded_For: 2.2.2.2\r\nx-forwarded_for: 3.3.3.3\r\nX-FORWARDED-PROTO: https\r\n\
        X-Forwarded-Host: evil\r\nX_Forwarded_Port: 1\r\nX-Forwarded-Ssl: on\r\nX_Forwarded_Prefix: /\r\nX-Real-IP: 4.4.4.4\r\nX_Real_Ip: 5.5.5.5\r\n\
        Forwarded: for=6.6.6.6\r\nfOrwarded: for=7.7.7.7\r\n";
    assert_eq!(sent(&policy(), fields, &from(STRANGER)), OWN_FOR_STRANGER);
    let off = ForwardingPolicy { x_forwarded: false, x_real_ip: false, via: None, ..policy() };
    assert_eq!(sent(&off, fields, &from(STRANGER)), "");
}

#[test]
fn the_fields_of_a_trusted_proxy_are_kept_and_its_address_appended() {
    let fields = "X-Forwarded-For: 1.1.1.1, 10.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop\r\nX-Forwarded-Port: 443\r\n\
        X-Real-IP: 9.9.9.9\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-Prefix: /shop\r\nX_Forwarded_For: 2.2.2.2\r\nVia: 1.0 edge\r\n";
    assert_eq!(
        sent(&policy(), fields, &from(PROXY)),
        "Forwarded: for=1.1.1.1\r\nX-Forwarded-Prefix: /shop\r\nVia: 1.0 edge\r\nX-Forwarded-For: 1.1.1.1, 10.9.9.9, 10.0.0.1\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 1.1.1.1\r\nVia: 1.1 ropeway\r\n"
    );
}

#[test]
fn fields_that_connection_names_are_not_believed() {
    let fields = "Connection: X-Forwarded-For, x-real-ip, x-forwarded-proto\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n";
    let sent = sent(&policy(), fields, &from(PROXY));
    assert!(
        sent.contains("X-Forwarded-For: 10.0.0.1\r\n") && sent.contains("X-Real-IP: 10.0.0.1\r\n"),
        "{sent}"
    );
    assert!(sent.contains("X-Forwarded-Proto: http\r\n"), "{sent}");
}

#[test]
fn the_client_is_the_right_most_untrusted_address() {
    let client = |fields: &str| policy().client_ip(&request(fields), &from(PROXY)).to_string();
    let xff = |value: &str| client(&format!("X-Forwarded-For: {value}\r\n"));
    assert_eq!(xff("1.1.1.1"), "1.1.1.1");
    assert_eq!(xff("6.6.6.6, 1.1.1.1, 10.2.3.4,10.1.1.1"), "1.1.1.1");
    assert_eq!(xff("10.3.3.3, 10.2.2.2"), "10.3.3.3");
    assert_eq!(xff("1.1.1.1:443, 2001:db8::1, [2001:db8::2]:80, [2001:db8::3]"), "1.1.1.1");
    assert_eq!(xff("[2001:db9::1]:80"), "2001:db9::1");
    assert_eq!(xff("::ffff:1.1.1.1, ::ffff:10.0.0.9"), "1.1.1.1");
    assert_eq!(xff("1.1.1.1, unknown, 10.2.2.2"), "10.2.2.2");
    assert_eq!(xff("1.1.1.1, 1.2.3"), "10.0.0.1");
    assert_eq!(xff(""), "10.0.0.1");
    assert_eq!(client("X-Forwarded-For: 1.1.1.1\r\nX: y\r\nX-Forwarded-For: 10.2.2.2\r\n"), "1.1.1.1");
    assert_eq!(client("X_Forwarded_For: 1.1.1.1\r\n"), "10.0.0.1");
    assert_eq!(
        policy().client_ip(&request("X-Forwarded-For: 1.1.1.1\r\n"), &from(STRANGER)).to_string(),
        "203.0.113.7"
    );
}

/// RFC 7239 4, 5.2 and 6.
#[test]
fn forwarded_is_read_and_written() {
    let policy =
        ForwardingPolicy { x_forwarded: false, x_real_ip: false, forwarded: true, via: None, ..policy() };
    let client = |value: &str| {
        policy.client_ip(&request(&format!("Forwarded: {value}\r\n")), &from(PROXY)).to_string()
    };
    assert_eq!(client("for=1.1.1.1;proto=http, proto=x; For=\"[2001:db8::1]:80\""), "1.1.1.1");
    assert_eq!(client("for=1.1.1.1, by=10.1.1.1"), "10.0.0.1");
    assert_eq!(client("for=_hidden, for=10.1.1.1"), "10.1.1.1");
    let own = "Forwarded: for=203.0.113.7;host=\"Shop.example:81\";proto=http\r\n";
    assert_eq!(sent(&policy, "Forwarded: for=6.6.6.6\r\n", &from(STRANGER)), own);
    assert_eq!(
        sent(
            &policy,
            "Forwarded: for=1.1.1.1\r\nforwarded: for=2.2.2.2\r\nX-Forwarded-For: 1.1.1.1\r\n",
            &from(PROXY)
        ),
        "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1, for=2.2.2.2, for=10.0.0.1;host=\"Shop.example:81\";proto=http\r\n"
    );
    let v6: IpAddr = "2001:db9::7".parse().unwrap();
    assert!(sent(&policy, "", &from(v6)).starts_with("Forwarded: for=\"[2001:db9::7]\";host="));
}

#[test]
fn addresses_through_an_ipv6_socket_count_as_ipv4() {
    let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
    let sent = sent(&policy(), "X-Forwarded-For: 1.1.1.1\r\n", &from(mapped));
    assert!(sent.starts_with("X-Forwarded-For: 1.1.1.1, 10.0.0.1\r\n"), "{sent}");
}

#[test]
fn long_chains_are_cut_to_their_right_most_entries() {
    let chain =
        |count: usize| (0..count).map(|n| format!("10.1.{}.{}", n / 250, n % 250)).collect::<Vec<_>>();
    let written = |value: &str| {
        let sent = sent(&policy(), &format!("X-Forwarded-For: {value}\r\n"), &from(PROXY));
        let line = sent.lines().next().unwrap().strip_prefix("X-Forwarded-For: ").unwrap().to_owned();
        line.split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let (all, mine) = (chain(4000), "10.0.0.1".to_owned());
    assert_eq!(written(&all[..63].join(",")), [&all[..63], std::slice::from_ref(&mine)].concat());
    assert_eq!(written(&all.join(",")), [&all[4000 - 63..], std::slice::from_ref(&mine)].concat());
    let long = "x".repeat(1500);
    assert_eq!(written(&format!("{long}, {long}, {long}")), [long.clone(), long, mine.clone()]);
    assert_eq!(written(&"x".repeat(4095)), [mine]);
    // The client is looked for among the right-most entries, too.
    let head = request(&format!("X-Forwarded-For: 1.1.1.1, {}\r\n", all[..200].join(",")));
    assert_eq!(policy().client_ip(&head, &from(PROXY)).to_string(), all[200 - 64]);
}

#[test]
fn a_request_without_a_host_gets_no_forwarded_host() {
    let mut head = RequestHead::new();
    head.parse(b"GET / HTTP/1.0\r\n\r\n", &HeadLimits::default()).unwrap();
    let mut out = Vec::new();
    ForwardingPolicy { forwarded: true, ..policy() }.write(&mut out, &head, &from(STRANGER));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\nX-Real-IP: 203.0.113.7\r\n\
         Forwarded: for=203.0.113.7;proto=http\r\nVia: 1.0 ropeway\r\n"
    );
}

#[test]
fn responses_get_via_with_the_version_of_the_server() {
    let mut head = ResponseHead::new();
    head.parse(b"HTTP/1.0 200 OK\r\n\r\n", &HeadLimits::default()).unwrap();
    let mut out = Vec::new();
    policy().write_response_via(&mut out, &head);
    ForwardingPolicy { via: None, ..policy() }.write_response_via(&mut out, &head);
    assert_eq!(out, b"Via: 1.0 ropeway\r\n");
}

#[test]
fn every_octet_is_written_in_decimal() {
    for octet in 0..=u8::MAX {
        let (address, mut out) = (IpAddr::from([octet, 1, 10, octet]), Vec::new());
        write_ip(address, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), address.to_string());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    /// Whatever a trusted proxy sends: our own address is the last entry of a bounded chain, and each line is one.
    #[test]
    fn chains_are_bounded_and_end_with_the_peer(
        values in proptest::collection::vec("([0-9a-f.:,\"\\[\\] ]|10\\.1\\.1\\.1,|for=|;){0,300}", 0..4),
        forwarded in proptest::bool::ANY,
    ) {
        let name = if forwarded { "Forwarded" } else { "X-Forwarded-For" };
        let fields: String = values.iter().map(|value| format!("{name}: {value}\r\n")).collect();
        let policy = ForwardingPolicy { forwarded, x_forwarded: !forwarded, ..policy() };
        let sent = sent(&policy, &fields, &from(PROXY));
        let chains: Vec<_> = sent.lines().filter_map(|line| line.strip_prefix(name)).collect();
        proptest::prop_assert_eq!(chains.len(), 1);
        proptest::prop_assert!(chains[0].len() < 4096 + 128);
        proptest::prop_assert!(chains[0].split(',').filter(|entry| !entry.trim().is_empty()).count() <= 64);
        proptest::prop_assert!(chains[0].rsplit(',').next().is_some_and(|last| last.contains("10.0.0.1")));
    }
}
