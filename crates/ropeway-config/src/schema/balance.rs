//! How a server is picked.

use super::http::HeaderName;
use crate::diagnostic::Diagnostic;
use crate::kind::{
    Kind, Text, TextError, choice, choices, converted, fraction, integer, or, or_false, short_for, text,
};
use crate::reader::Reader;
use crate::section::section;

/// How a server is picked for a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Balance {
    /// In turn, exactly, by weight.
    RoundRobin,
    /// The one with the fewest requests in flight for its weight.
    LeastConnections,
    /// By chance, by weight.
    Random,
    /// The less busy of two taken by chance.
    PowerOfTwo,
    /// The faster and less busy of two taken by chance, by a moving average that follows peaks.
    PeakEwma,
    /// The same server for the same client address.
    SourceIp,
    /// The same server for the same key.
    Hash {
        /// What is hashed.
        key: HashKey,
    },
    /// The same server for the same key, on a ring.
    RingHash {
        /// What is hashed.
        key: HashKey,
        /// How many times its fair share of the requests in flight a server may have before the next on the ring is
        /// taken; `None`: any number.
        bounded_load: Option<f64>,
    },
    /// The same server for the same key, by a look-up table.
    Maglev {
        /// What is hashed.
        key: HashKey,
        /// Entries of the table, a prime number.
        table_size: u32,
    },
}

/// What of a request is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// The path, without the query.
    Path,
    /// Path and query.
    Uri,
    /// A field of the request. Requests without it are balanced by their client address.
    Header(HeaderName),
    /// A cookie. Requests without it are balanced by their client address.
    Cookie(String),
    /// The client's address.
    SourceIp,
}

choices! {
    /// The algorithm.
    pub enum Algorithm {
        /// In turn, by weight. Exact: three equal servers answer 1, 2, 3, 1, 2, 3.
        RoundRobin = "round_robin",
        /// The server with the fewest requests in flight for its weight.
        LeastConnections = "least_connections",
        /// By chance, by weight.
        Random = "random",
        /// The less busy of two servers taken by chance.
        PowerOfTwo = "power_of_two",
        /// The faster and less busy of two servers taken by chance.
        PeakEwma = "peak_ewma",
        /// The same server for the same client address.
        SourceIp = "source_ip",
        /// The same server for the same `key`.
        Hash = "hash",
        /// The same server for the same `key`; when a server goes, only its keys move. With a bound on the load.
        RingHash = "ring_hash",
        /// The same server for the same `key`, by the table of Google's Maglev: the most even, and the fastest.
        Maglev = "maglev",
    }
}

section! {
    /// How a server is picked. Text stands for `{ type = ... }`.
    pub struct BalanceTable checked by fits_the_algorithm {
        /// The algorithm.
        algorithm as "type": Algorithm = or(choice(), Algorithm::RoundRobin),
        /// What is hashed, for `hash`, `ring_hash` and `maglev`. Requests without that field or cookie are balanced by
        /// their client address.
        key: HashKey = or(text(), HashKey::SourceIp),
        /// For `ring_hash`: how many times its fair share of the requests in flight a server may have before the next
        /// one on the ring is taken; customary is 1.25. With few requests in flight even two of one key are more than a
        /// share, so a bound costs affinity when there is little traffic.
        bounded_load: Option<f64> = or(or_false(fraction(1.0..=100.0)), None),
        /// For `maglev`: entries of the table. A prime number; the next larger one is taken otherwise.
        table_size: u32 = or(integer(251..=10_000_019), 65_537_u32),
    }
}

fn fits_the_algorithm(table: &BalanceTable, reader: &mut Reader<'_, '_>) {
    let users: [(&str, &[Algorithm]); 3] = [
        ("key", &[Algorithm::Hash, Algorithm::RingHash, Algorithm::Maglev]),
        ("bounded_load", &[Algorithm::RingHash]),
        ("table_size", &[Algorithm::Maglev]),
    ];
    for (key, algorithms) in users {
        if let Some(place) = reader.place_of_key(key).filter(|_| !algorithms.contains(&table.algorithm)) {
            let words: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
            let message = format!("`{key}` means nothing to `{}`", table.algorithm.as_str());
            let complaint = Diagnostic::error("useless-key", &place, message);
            reader.report(complaint.help(format!("it is for {}", words.join(", "))));
        }
    }
}

pub(super) fn balance() -> impl Kind<Value = Balance> {
    converted(short_for::<BalanceTable>("type"), Balance::from)
}

impl From<BalanceTable> for Balance {
    fn from(table: BalanceTable) -> Balance {
        let BalanceTable { algorithm, key, bounded_load, table_size } = table;
        match algorithm {
            Algorithm::RoundRobin => Balance::RoundRobin,
            Algorithm::LeastConnections => Balance::LeastConnections,
            Algorithm::Random => Balance::Random,
            Algorithm::PowerOfTwo => Balance::PowerOfTwo,
            Algorithm::PeakEwma => Balance::PeakEwma,
            Algorithm::SourceIp => Balance::SourceIp,
            Algorithm::Hash => Balance::Hash { key },
            Algorithm::RingHash => Balance::RingHash { key, bounded_load },
            Algorithm::Maglev => Balance::Maglev { key, table_size: next_prime(table_size) },
        }
    }
}

/// The smallest prime number that is not below `from`.
fn next_prime(from: u32) -> u32 {
    let is_prime = |number: &u32| (2..).take_while(|d| d * d <= *number).all(|d| !number.is_multiple_of(d));
    (from.max(2)..).find(is_prime).unwrap_or(from)
}

impl Text for HashKey {
    const WHAT: &'static str = "`path`, `uri`, `source_ip`, `header:NAME` or `cookie:NAME`";
    const EXAMPLE: &'static str = "cookie:session";

    fn parse(text: &str) -> Result<HashKey, TextError> {
        match text.split_once(':') {
            None if text == "path" => Ok(HashKey::Path),
            None if text == "uri" => Ok(HashKey::Uri),
            None if text == "source_ip" => Ok(HashKey::SourceIp),
            Some(("header", "host" | "Host")) => Err(TextError::refused("not of use: routes choose by host")),
            Some(("header", name)) => HeaderName::parse(name).map(HashKey::Header),
            Some(("cookie", name)) => {
                super::http::Token::parse(name).map(|name| HashKey::Cookie(name.into()))
            }
            _ => {
                let words = ["path", "uri", "source_ip", "header:NAME", "cookie:NAME"];
                let error =
                    TextError::default().help(format!("it is one of {}", crate::reader::quoted_list(&words)));
                Err(error)
            }
        }
    }

    fn stand_in() -> HashKey {
        HashKey::SourceIp
    }

    fn write(&self) -> String {
        match self {
            HashKey::Path => "path".to_owned(),
            HashKey::Uri => "uri".to_owned(),
            HashKey::SourceIp => "source_ip".to_owned(),
            HashKey::Header(name) => format!("header:{name}"),
            HashKey::Cookie(name) => format!("cookie:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::next_prime;

    #[test]
    fn primes() {
        assert_eq!(
            [251, 65_537, 65_536, 252, 10_000_019].map(next_prime),
            [251, 65_537, 65_537, 257, 10_000_019]
        );
    }
}
