//! The PROXY protocol: who a connection really comes from.

use std::time::Duration;

use ipnet::IpNet;

use crate::kind::{at_least_one, choices, duration, list, located, millis, minutes, or, seconds, text};
use crate::place::Located;
use crate::section::section;

section! {
    /// Connections that begin with a PROXY header, version 1 or 2, and take the client's address from it.
    pub struct ProxyProtocol {
        /// The networks of the load balancers in front of this one. Their connections must begin with a header; it is
        /// a mistake, and the end of the connection, if any other does.
        trusted: Vec<Located<IpNet>> = at_least_one(list(located(text()))),
        /// How long the header may take.
        timeout: Duration = or(duration(millis(10), minutes(1)), seconds(3)),
    }
}

choices! {
    /// The form of a PROXY header.
    pub enum ProxyProtocolVersion {
        /// A line of text.
        V1 = "v1",
        /// Binary.
        V2 = "v2",
    }
}
