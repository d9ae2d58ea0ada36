//! Caps on connections: process, listener, client address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use crate::crowding;
use crate::snapshot::{Listener, ListenerLive};

const SHARDS: usize = 16;

/// Open connections per client address. Touched once when a connection opens and once when it closes, and only on
/// listeners that have such a cap.
#[derive(Debug, Default)]
pub struct PerClient {
    shards: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
}

impl PerClient {
    fn enter(&self, client: IpAddr, most: u32) -> bool {
        self.with(client, |counts| match counts.entry(client) {
            Entry::Occupied(entry) if *entry.get() >= most => false,
            entry => {
                *entry.or_insert(0) += 1;
                true
            }
        })
    }

    fn leave(&self, client: IpAddr) {
        self.with(client, |counts| {
            if let Entry::Occupied(mut entry) = counts.entry(client) {
                match entry.get().checked_sub(1) {
                    Some(0) | None => drop(entry.remove()),
                    Some(left) => *entry.get_mut() = left,
                }
            }
        });
    }

    fn with<R: Default>(&self, client: IpAddr, work: impl FnOnce(&mut HashMap<IpAddr, u32>) -> R) -> R {
        let shard = ropeway_core::balance::hash_ip(client) as usize % SHARDS;
        self.shards
            .get(shard)
            .map_or_else(R::default, |shard| work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Connections that are open, where there is a cap on them.
#[derive(Debug, Default)]
pub struct Capped {
    open: AtomicU32,
}

impl Capped {
    /// How many are open.
    pub fn open(&self) -> u32 {
        self.open.load(Relaxed)
    }

    /// How many of them are too many, if at most so many may be.
    pub(crate) fn excess(&self, most: u32) -> u32 {
        crowding::excess(self.open(), most)
    }

    fn enter(&self, most: u32) -> bool {
        count_up(&self.open, most)
    }

    fn leave(&self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

/// The right to keep one connection open; given back when dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    process: Arc<Capped>,
    listener: Arc<ListenerLive>,
    counted_client: Option<IpAddr>,
}

impl Admission {
    /// Counts a connection, or refuses it at a cap.
    pub fn enter(process: &Arc<Capped>, most: u32, listener: &Listener, client: IpAddr) -> Option<Self> {
        let live = &listener.live;
        if !process.enter(most) {
            return None;
        }
        if !live.connections.enter(listener.max_connections.unwrap_or(u32::MAX)) {
            process.leave();
            return None;
        }
        // From here on, dropping `admission` undoes what was counted.
        let mut admission =
            Self { process: Arc::clone(process), listener: Arc::clone(live), counted_client: None };
        if let Some(most) = listener.max_connections_per_client {
            if !live.per_client.enter(client, most) {
                return None;
            }
            admission.counted_client = Some(client);
        }
        Some(admission)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.process.leave();
        self.listener.connections.leave();
        if let Some(client) = self.counted_client {
            self.listener.per_client.leave(client);
        }
    }
}

/// Adds one unless that would pass `most`.
pub(crate) fn count_up(gauge: &AtomicU32, most: u32) -> bool {
    if gauge.fetch_add(1, Relaxed) < most {
        return true;
    }
    gauge.fetch_sub(1, Relaxed);
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_come_back_after_it_left() {
        let clients = PerClient::default();
        let client = IpAddr::from([192, 0, 2, 1]);
        assert!(clients.enter(client, 2));
        assert!(clients.enter(client, 2));
        assert!(!clients.enter(client, 2));
        assert!(clients.enter(IpAddr::from([192, 0, 2, 2]), 2), "others are not affected");
        clients.leave(client);
        assert!(clients.enter(client, 2));
    }

    #[test]
    fn the_book_forgets_clients_that_left() {
        let clients = PerClient::default();
        for last in 0..=255 {
            let client = IpAddr::from([192, 0, 2, last]);
            assert!(clients.enter(client, 1));
            clients.leave(client);
        }
        assert!(clients.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}
