//! The order in which the addresses of a name are tried.

use std::net::IpAddr;

/// Puts addresses into the order of Happy Eyeballs: the families take turns, beginning with IPv6 (RFC 8305,
/// section 4). Within a family the order is that of the addresses themselves, so that servers that shuffle their
/// answers do not make the preferred address change all the time. Duplicates are removed.
#[must_use]
pub fn interleave(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut sorted: Vec<IpAddr> = addresses.into_iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    let (mut v6, mut v4): (Vec<_>, Vec<_>) = sorted.into_iter().partition(IpAddr::is_ipv6);
    v6.reverse();
    v4.reverse();
    let mut ordered = Vec::with_capacity(v6.len() + v4.len());
    while !v6.is_empty() || !v4.is_empty() {
        ordered.extend(v6.pop());
        ordered.extend(v4.pop());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(addresses: &[&str]) -> Vec<String> {
        let parsed = addresses.iter().map(|text| text.parse().unwrap());
        interleave(parsed).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn families_take_turns_beginning_with_ipv6() {
        assert_eq!(
            ordered(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2"]),
            ["2001:db8::1", "10.0.0.1", "2001:db8::2", "10.0.0.2", "10.0.0.3"]
        );
    }

    #[test]
    fn shuffled_and_repeated_answers_give_the_same_order() {
        assert_eq!(ordered(&["10.0.0.2", "10.0.0.1", "10.0.0.2"]), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(ordered(&[]), Vec::<String>::new());
    }
}
