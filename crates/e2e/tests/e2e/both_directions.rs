//! Exchanges whose request and response are under way at the same time.

use ropeway_e2e::h2::frame::{code::*, data, reset, setting, window_update};
use ropeway_e2e::h2::{Block, Call, Connection, Listener};
use ropeway_e2e::lab::file;
use ropeway_e2e::{Lab, Running};

/// A proxy that speaks HTTP/2 in both directions, its only server, and a connection from a client.
fn between(settings: &[(u16, u32)]) -> (Running, Connection<Call>, Connection) {
    let server = Listener::new();
    let config = file("http2 = { prior_knowledge = true }", "", "protocol = \"h2\"\npassive = false");
    let config = config.replace("@all", &format!("\"{}\"", server.address()));
    let lab = Lab::new().config(&config).start();
    let mut client = Connection::open(&lab.client());
    let first = client.start(Block::get("/first"));
    let mut connection = server.accept(settings);
    let (stream, _) = connection.next_request();
    connection.answer(stream, "first");
    let _ = client.response(first).expect(200).expect_body("first");
    (lab, connection, client)
}

/// As a server does that answers piece by piece what it reads.
#[test]
fn the_rest_of_a_request_is_sent_after_the_response_has_begun() {
    let (_lab, mut server, mut client) = between(&[(setting::INITIAL_WINDOW_SIZE, 5)]);
    let ours = client.start_with_body(Block::post("/"));
    client.send(&[data(ours, *b"first, then the rest").end()]);
    let stream = server.next_call();
    server.until("what there is room for", |server| (server.exchange(stream).received() == 5).then_some(()));
    server.begin(stream, Block::response("200"));
    let _ = client.response_head(ours).expect(200);
    server.send(&[window_update(stream, 1_000)]);
    assert_eq!(server.whole(stream).text(), "first, then the rest");
    server.finish(stream);
    let _ = client.response(ours).expect(200);
}

#[test]
fn a_call_that_is_given_up_while_both_sides_are_open_is_given_up_at_the_server() {
    let (_lab, mut server, mut client) = between(&[]);
    let ours = client.start_with_body(Block::post("/"));
    let stream = server.next_call();
    server.begin(stream, Block::response("200"));
    let _ = client.response_head(ours).expect(200);
    client.send(&[reset(ours, CANCEL)]);
    server.expect_reset(stream, &[CANCEL]);
}

#[test]
fn a_client_that_leaves_while_both_sides_are_open_leaves_no_work_behind() {
    let (_lab, mut server, mut client) = between(&[]);
    let ours = client.start_with_body(Block::post("/"));
    let stream = server.next_call();
    server.begin(stream, Block::response("200"));
    let _ = client.response_head(ours).expect(200);
    drop(client);
    server.expect_reset(stream, &[CANCEL]);
}

#[test]
fn a_response_that_is_given_up_after_its_first_piece_is_given_up_at_the_server() {
    let (_lab, mut server, mut client) = between(&[]);
    let ours = client.start_with_body(Block::post("/"));
    client.send(&[data(ours, *b"whole").end()]);
    let (stream, _) = server.next_request();
    server.begin(stream, Block::response("200"));
    server.send(&[data(stream, *b"piece")]);
    client.until("the first piece", |client| (client.exchange(ours).received() == 5).then_some(()));
    client.send(&[reset(ours, CANCEL)]);
    let code = server.until("the reset", |server| server.exchange(stream).reset);
    assert_eq!(code, CANCEL);
}
