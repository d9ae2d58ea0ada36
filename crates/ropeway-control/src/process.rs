//! What the process may use: descriptors and processors.

use std::num::NonZero;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are kept back for everything that is no proxied connection: files, listeners, the admin API.
const RESERVED_DESCRIPTORS: u64 = 128;

/// The least number of connections that a process is set up for, however few descriptors it may open.
const LEAST_CONNECTIONS: u32 = 16;

/// Raises the number of descriptors that the process may open to the most that it is allowed without privileges,
/// and returns what it is now. `None` means that there is no limit.
pub fn raise_descriptor_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open descriptors stays where it is");
            current
        }
    }
}

/// How many client connections fit under a limit of open descriptors: each needs one, and another one towards its
/// server.
fn default_max_connections(descriptors: Option<u64>) -> u32 {
    let Some(descriptors) = descriptors else { return u32::MAX };
    let connections = descriptors.saturating_sub(RESERVED_DESCRIPTORS) / 2;
    u32::try_from(connections).unwrap_or(u32::MAX).max(LEAST_CONNECTIONS)
}

/// How many client connections the process serves at one time: as many as configured, or else as many as fit with one
/// connection to a server each. Idle clients need none, so more may be configured, up to three quarters of the
/// descriptors; more than that would starve everything else, the admin listener first, and is not granted.
#[must_use]
pub fn max_connections(configured: Option<u32>, descriptors: Option<u64>) -> u32 {
    let Some(wanted) = configured else { return default_max_connections(descriptors) };
    let most = most_connections(descriptors);
    if wanted > most {
        let needed = u64::from(wanted) * 4 / 3 + RESERVED_DESCRIPTORS;
        tracing::warn!(
            wanted,
            granted = most,
            "limits.connections needs a limit of {needed} open files (ulimit -n, LimitNOFILE=)"
        );
    }
    wanted.min(most)
}

/// How many descriptors, beside one for each client, may be open for one more connection to a server, where
/// `max_connections` clients may come. `None` is no limit: there is none, or it is so low that only luck helps.
#[must_use]
pub fn server_descriptors(max_connections: u32, descriptors: Option<u64>) -> Option<u32> {
    let rest = descriptors?.saturating_sub(RESERVED_DESCRIPTORS / 2 + u64::from(max_connections));
    u32::try_from(rest).ok().filter(|_| rest >= RESERVED_DESCRIPTORS / 2)
}

fn most_connections(descriptors: Option<u64>) -> u32 {
    let Some(descriptors) = descriptors else { return u32::MAX };
    let connections = descriptors.saturating_sub(RESERVED_DESCRIPTORS) * 3 / 4;
    u32::try_from(connections).unwrap_or(u32::MAX).max(LEAST_CONNECTIONS)
}

/// The number of processors that the process may use, by its CPU affinity and the quota of its control group.
#[must_use]
pub fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_descriptors_are_for_clients() {
        assert_eq!(default_max_connections(Some(1_024)), 448);
        assert_eq!(default_max_connections(Some(1_048_576)), 524_224);
        assert_eq!(default_max_connections(None), u32::MAX);
    }

    #[test]
    fn a_tiny_limit_still_leaves_a_few_connections() {
        assert_eq!(default_max_connections(Some(64)), LEAST_CONNECTIONS);
        assert_eq!(default_max_connections(Some(0)), LEAST_CONNECTIONS);
    }

    #[test]
    fn what_is_configured_counts_as_long_as_it_fits() {
        assert_eq!(max_connections(None, Some(1_024)), 448);
        assert_eq!(max_connections(Some(100), Some(1_024)), 100);
        assert_eq!(max_connections(Some(600), Some(1_024)), 600);
        assert_eq!(max_connections(Some(4_000), Some(1_024)), 672);
        assert_eq!(max_connections(Some(4_000), None), 4_000);
    }

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        let raised = raise_descriptor_limit();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(raised, now.current);
        assert_eq!(now.current, now.maximum);
    }

    #[test]
    fn servers_get_what_clients_and_the_operator_leave() {
        assert_eq!(server_descriptors(448, Some(1_024)), Some(512));
        assert_eq!(server_descriptors(672, Some(1_024)), Some(288));
        assert_eq!(server_descriptors(16, Some(150)), Some(70));
        assert_eq!(server_descriptors(16, Some(64)), None);
        assert_eq!(server_descriptors(u32::MAX, None), None);
    }
}
