//! Threats 30 to 34 and 41: what is decided about a request and what is forwarded must be the same thing.

use ropeway_e2e::{Lab, Origin, Running, eventually, reply};

/// Everything below `/public` goes to the first origin; `/` needs the second, which stands for what is protected.
fn two_areas() -> Running {
    Lab::new()
        .origins(2)
        .config(
            "[listener.web]\nbind = \"127.0.0.1:0\"\n\
             [[route]]\nmatch = { path = \"/public\" }\nupstream = \"public\"\n\
             [[route]]\nmatch = { path = \"/admin\" }\nupstream = \"admin\"\n\
             [upstream.public]\nservers = [\"@1\"]\n[upstream.admin]\nservers = [\"@2\"]\n",
        )
        .start()
}

#[test]
fn threat_30_the_path_that_was_routed_is_the_path_that_is_forwarded() {
    let lab = two_areas();
    for path in [
        "/public/a",
        "/public//a",
        "/public/;x=1/a",
        "/public/a%2fb",
        "/public/a%2Fb;c",
        "/public/%61dmin",
        "/public/a?x=../admin",
        "/public/...",
        "/public/.hidden",
        "/public/a..b/",
        "/public/%252e%252e/admin",
    ] {
        let _ = lab.client().get(path).expect(200).expect_body("1");
        assert_eq!(lab.origin(1).requests().last().unwrap().target, path, "byte for byte");
    }
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/%2E%2e/admin",
        "/public/.%2e/admin",
        "/public/./admin",
        "/public/%2e/admin",
        "/public/..",
        "/public/.",
        "/public/..;/admin",
        "/public/..;x=y/admin",
        "/public/..%2fadmin",
        "/public/..%2Fadmin",
        "/public/%2e%2e%2fadmin",
        "/public/..%5cadmin",
        "/public\\..\\admin",
        "/public/\\admin",
        "/public/%5c../admin",
        "/../admin",
        "/public/../../admin",
    ] {
        let response = lab.client().get(path);
        assert_eq!(response.status, 400, "{path}: {}", response.text());
    }
    assert_eq!(lab.origin(2).connections(), 0, "the protected origin was never asked");
    // `//admin` is another path than `/admin`, for the route and for the origin.
    assert_eq!(lab.client().get("//admin").status, 404);
    assert_eq!(lab.client().get("/%61dmin").status, 404);
}

/// The same requests against a table with 1 or 1,000 hosts.
fn hosts(count: usize) -> Running {
    let mut config =
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[upstream.app]\nservers = [\"@1\"]\n".to_owned();
    config += "[[route]]\nmatch = { host = \"Shop.Example.com\" }\nupstream = \"app\"\n";
    for n in 1..count {
        config += &format!("[[route]]\nmatch = {{ host = \"h{n}.example.com\" }}\nupstream = \"app\"\n");
    }
    Lab::new()
        .origin(Origin::answering(|request| reply(200, &[], &request.field("host").unwrap_or_default())))
        .config(&config)
        .start()
}

#[test]
fn threat_31_one_canonical_host_or_400_with_one_host_or_a_thousand() {
    for count in [1, 1_000] {
        let lab = hosts(count);
        for (request, status) in [
            ("GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\nHost: SHOP.EXAMPLE.COM\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\nHost: shop.example.com:81\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\nHost: shop.example.com.\r\n\r\n", 200),
            ("GET http://SHOP.example.com/ HTTP/1.1\r\nHost: other\r\n\r\n", 200),
            ("GET HTTP://shop.example.com/ HTTP/1.1\r\nHost: shop.example.com\r\n\r\n", 200),
            ("GET http://other/ HTTP/1.1\r\nHost: shop.example.com\r\n\r\n", 404),
            ("GET http://user@shop.example.com/ HTTP/1.1\r\nHost: shop.example.com\r\n\r\n", 400),
            ("GET http://shop.example.com@other/ HTTP/1.1\r\nHost: shop.example.com\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: shop.example.com\r\nHost: shop.example.com\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: shop.example.com\r\nHost: other\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: shop.example.com, other\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: shop.example.com other\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: shop.example.com/\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: shop.example.com%00\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost:\tshop.example.com\t\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\nhost: shop.example.com\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\n\r\n", 400),
        ] {
            let mut connection = lab.connect();
            connection.send(request);
            let response = connection.receive();
            let accepted = response.status == status
                || (status == 400 && response.status == 404 && request.contains("%00"));
            assert!(accepted, "{count} hosts: {} instead of {status} for {request:?}", response.status);
            if response.status == 200 {
                let seen = response.text().to_ascii_lowercase();
                assert!(seen.starts_with("shop.example.com"), "routed as the shop, forwarded as {seen}");
            }
        }
    }
}

#[test]
fn threat_32_a_stranger_cannot_say_who_it_is() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.client().from("127.0.0.5").connect();
    connection.send(concat!(
        "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nx-forwarded-FOR: 6.6.6.6\r\n",
        "X-Forwarded_For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n",
        "X-Forwarded-Proto: https\r\nX_Forwarded_Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 6666\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n",
        "X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n",
    ));
    let status = connection.receive().status;
    assert!([200, 400].contains(&status));
    assert!(!lab.origin(1).saw(b"6.6.6.6"), "{:?}", lab.origin(1).requests());
    assert!(!lab.origin(1).saw(b"evil") && !lab.origin(1).saw(b"6666") && !lab.origin(1).saw(b"https"));
    let _ = lab.client().from("127.0.0.5").field("X-Forwarded-For", "6.6.6.6").get("/").expect(200);
    assert_eq!(
        lab.origin(1).requests().pop().unwrap().field("x-forwarded-for").as_deref(),
        Some("127.0.0.5")
    );
}

/// Some servers read an underscore as a hyphen, and would find two ids.
#[test]
fn threat_32_a_stranger_cannot_choose_the_request_id() {
    let spellings = "X-Request-Id: evil\r\nX_Request_Id: evil\r\nx_request-ID: evil\r\n";
    for (trusted, seen) in [("", 0), ("trusted_proxies = [\"127.0.0.0/8\"]", 1)] {
        let lab = Lab::new().origins(1).with(trusted, "", "").start();
        let mut connection = lab.connect();
        connection.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{spellings}\r\n"));
        let _ = connection.receive().expect(200);
        let request = lab.origin(1).only_request();
        assert_eq!(request.fields.iter().filter(|field| field.1 == "evil").count(), seen, "{request:?}");
        assert!(request.field("x-request-id").is_some());
    }
}

#[test]
fn threat_33_connection_cannot_remove_our_own_fields() {
    for trusted in ["", "trusted_proxies = [\"127.0.0.0/8\"]"] {
        let lab = Lab::new().origins(1).with(trusted, "", "").start();
        let mut connection = lab.client().from("127.0.0.5").connect();
        connection.send(concat!(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close, X-Forwarded-For, X-Real-IP, ",
            "X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Port, Via, X-Request-Id, Host\r\n\r\n",
        ));
        let response = connection.receive();
        if response.status == 400 {
            continue;
        }
        let request = lab.origin(1).only_request();
        let chain = request.field("x-forwarded-for").unwrap_or_default();
        assert!(chain.ends_with("127.0.0.5"), "{chain:?}");
        for name in ["x-real-ip", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "via", "host"]
        {
            assert!(request.field(name).is_some_and(|value| !value.is_empty()), "{name} is missing");
        }
    }
}

#[test]
fn threat_34_ten_thousand_entries_are_a_bounded_chain() {
    let lab = Lab::new()
        .origins(1)
        .with("trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\nlimits = { head = \"1MiB\" }", "", "")
        .start();
    let chain = vec!["10.0.0.1"; 10_000].join(", ");
    let mut connection = lab.client().from("127.0.0.5").connect();
    connection.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {chain}\r\n\r\n"));
    let response = connection.receive();
    if response.status == 200 {
        let forwarded = lab.origin(1).only_request().field("x-forwarded-for").unwrap();
        assert!(forwarded.ends_with("127.0.0.5"));
        assert!(forwarded.len() <= 5_000, "{} bytes of chain", forwarded.len());
    } else {
        let _ = response.expect(431);
    }
    let lab = Lab::new().origins(1).start();
    let _ = lab.client().field("X-Forwarded-For", &chain).get("/").expect(431);
    let short = vec!["10.0.0.1"; 4_000].join(",");
    let _ = lab.client().from("127.0.0.5").field("X-Forwarded-For", &short).get("/").expect(200);
    assert_eq!(
        lab.origin(1).requests().pop().unwrap().field("x-forwarded-for").as_deref(),
        Some("127.0.0.5")
    );
}

#[test]
fn threat_41_log_fields_cannot_forge_records_or_mislead_a_reader() {
    for format in ["json", "combined"] {
        let log = format!("[log.access]\nformat = \"{format}\"\noutput = \"@dir/access.log\"\n");
        let lab = Lab::new().origins(1).config(&(ropeway_e2e::lab::file("", "", "") + &log)).start();
        let mut connection = lab.connect();
        let hostile = "x\u{202e}gpj.exe\u{2066}\u{200b}\u{85}\" 200 \"-\" {\"status\":200}\\";
        connection.send(format!(
            "GET /%0d%0a HTTP/1.1\r\nHost: a\r\nUser-Agent: {hostile}\r\nReferer: {hostile}\tt\r\n\r\n"
        ));
        let _ = connection.receive().expect(200);
        let mut connection = lab.connect();
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\x1b[31mred\x07\r\n\r\n");
        let _ = connection.receive();
        let mut connection = lab.connect();
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xfe\x80\r\n\r\n");
        let _ = connection.receive().expect(200);
        let text = eventually("three records", || {
            let text = std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
            (text.lines().count() >= 3).then_some(text)
        });
        assert_eq!(text.split_terminator('\n').count(), 3, "one record per request: {text:?}");
        let hidden = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!text.contains(hidden), "{text:?}");
        if format == "json" {
            let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert_eq!(first["user_agent"], hostile, "escaped, not changed");
        }
    }
}
