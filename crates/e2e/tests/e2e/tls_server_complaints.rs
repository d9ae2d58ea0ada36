//! What operators are told of servers whose handshakes fail.

use ropeway_e2e::tls::{Authority, ServerSide};
use ropeway_e2e::{Lab, Origin, eventually, reply};

const HOST: &str = "app.lab.example";

/// Two upstreams by TLS, of one server each.
const CONFIG: &str = "\
[listener.web]\nbind = \"127.0.0.1:0\"\n\
[[route]]\nmatch = { path = \"/stranger\" }\nupstream = \"stranger\"\n\
[[route]]\nmatch = { path = \"/pinned\" }\nupstream = \"pinned\"\n\
[upstream.stranger]\nservers = [\"@1\"]\ntls = { ca = \"ca.pem\", server_name = \"app.lab.example\" }\n\
[upstream.pinned]\nservers = [\"@2\"]\n\
tls = { verify = false, pins = [\"sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"] }\n";

#[test]
fn one_server_that_fails_hides_no_other() {
    let stranger = ServerSide::new(&Authority::new("Another CA").issue(&[HOST]));
    let answering = || Origin::answering(|_| reply(200, &[], "1")).with_tls(stranger.config());
    let lab = Lab::new()
        .config(CONFIG)
        .file("ca.pem", &Authority::new("Test CA").pem())
        .origin(answering())
        .origin(answering())
        .start();
    for (upstream, number, why) in [("stranger", 1, "UnknownIssuer"), ("pinned", 2, "not among the pins")] {
        assert_eq!(lab.client().get(&format!("/{upstream}")).status, 502);
        let address = lab.origin(number).address().to_string();
        eventually("a warning that names the server", || {
            let is_told = |line: &String| [upstream, &address, why].iter().all(|word| line.contains(word));
            lab.proxy.lines().iter().any(is_told).then_some(())
        });
    }
}
