//! Routing by host and path, with the precedence of the Kubernetes Gateway API.

use ropeway_e2e::{Lab, Origin, Running, reply};

/// A lab whose routes each lead to an upstream that answers with the number of the route, counted from 1.
fn routes(matches: &[&str]) -> Running {
    let mut lab = Lab::new();
    let mut config = "[listener.web]\nbind = \"127.0.0.1:0\"\n".to_owned();
    for (index, condition) in matches.iter().enumerate() {
        let number = index + 1;
        config += &format!("[[route]]\nname = \"r{number}\"\n{condition}\nupstream = \"u{number}\"\n");
        config += &format!("[upstream.u{number}]\nservers = [\"@{number}\"]\n");
        lab = lab.origin(Origin::saying(&number.to_string()));
    }
    lab.config(&config).start()
}

#[test]
fn the_more_specific_host_wins() {
    let lab = routes(&[
        "",
        "match = { host = \"*.example.com\" }",
        "match = { host = \"shop.example.com\" }",
        "match = { host = \"*.shop.example.com\" }",
        "match = { host = [\"a.test\", \"b.test\"] }",
    ]);
    for (host, route) in [
        ("other.org", "1"),
        ("example.com", "1"),
        ("www.example.com", "2"),
        ("a.b.example.com", "2"),
        ("shop.example.com", "3"),
        ("SHOP.example.COM:8080", "3"),
        ("shop.example.com.", "3"),
        ("x.shop.example.com", "4"),
        ("b.test", "5"),
        ("xexample.com", "1"),
    ] {
        let _ = lab.client().host(host).get("/").expect(200).expect_body(route);
    }
}

#[test]
fn the_more_specific_path_wins() {
    let lab = routes(&[
        "match = { path = \"/\" }",
        "match = { path = \"/api\" }",
        "match = { path = { exact = \"/api/users\" } }",
        "match = { path = { prefix = \"/api/users/admin/\" } }",
    ]);
    for (path, route) in [
        ("/", "1"),
        ("/apix", "1"),
        ("/api", "2"),
        ("/api/", "2"),
        ("/api?x=/api/users", "2"),
        ("/api/users", "3"),
        ("/api/users?q", "3"),
        ("/api/users/", "2"),
        ("/api/users/1", "2"),
        ("/api/users/admin", "4"),
        ("/api/users/admin/x", "4"),
        ("/API", "1"),
    ] {
        assert_eq!(lab.client().get(path).expect(200).text(), route, "{path}");
    }
}

#[test]
fn a_specific_host_without_the_path_falls_back_to_a_less_specific_one() {
    let lab = routes(&[
        "match = { host = \"shop.example.com\", path = \"/cart\" }",
        "match = { host = \"*.example.com\", path = \"/help\" }",
        "",
    ]);
    let client = lab.client().host("shop.example.com");
    let _ = client.get("/cart/1").expect(200).expect_body("1");
    let _ = client.get("/help").expect(200).expect_body("2");
    let _ = client.get("/else").expect(200).expect_body("3");
}

#[test]
fn no_route_is_404_with_a_plain_cause_and_the_connection_stays() {
    let lab = routes(&["match = { host = \"shop.example.com\" }"]);
    let mut connection = lab.client().host("other.example").connect();
    let response = connection.get("/").expect(404);
    assert!(response.text().contains("No route matches"), "{}", response.text());
    assert!(!response.says_close());
    let _ = connection.get("/again").expect(404);
    assert_eq!(lab.origin(1).connections(), 0);
}

#[test]
fn the_route_of_a_request_body_is_found_before_the_body_is_read() {
    let lab = routes(&["match = { path = \"/known\" }"]);
    let mut connection = lab.connect();
    connection.send("POST /unknown HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    let _ = connection.receive().expect(404);
}

#[test]
fn ten_thousand_routes_are_told_apart() {
    let mut config =
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[upstream.app]\nservers = [\"@1\"]\n".to_owned();
    for number in 0..10_000 {
        config += &format!(
            "[[route]]\nupstream = \"app\"\nmatch = {{ host = \"h{number}.example\", path = \"/p{number}\" }}\n"
        );
    }
    let lab = Lab::new()
        .origin(Origin::answering(|request| reply(200, &[], &request.target)))
        .config(&config)
        .start();
    for number in [0, 1, 4_999, 9_999] {
        let path = format!("/p{number}/x");
        let _ = lab.client().host(&format!("h{number}.example")).get(&path).expect(200).expect_body(&path);
        let _ = lab.client().host(&format!("h{number}.example")).get("/p10000").expect(404);
    }
    let _ = lab.client().host("h10000.example").get("/p1").expect(404);
}
