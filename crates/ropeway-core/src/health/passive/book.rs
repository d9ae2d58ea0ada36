//! Which servers of a pool are ejected, and until when.

use std::collections::BTreeMap;

use super::PassiveConfig;

/// The ejections of one pool. `Server` is whatever names a server of the pool for as long as the book lives.
///
/// Used only when a server fails or comes back, so it is plain data: workers share it behind a lock.
#[derive(Clone, Debug)]
pub struct EjectionBook<Server> {
    records: BTreeMap<Server, Record>,
}

/// What the pool remembers of a server.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// How many ejections are not forgiven yet.
    count: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ejected { until_ms: u64 },
    Back { since_ms: u64 },
}

impl<Server> Default for EjectionBook<Server> {
    fn default() -> Self {
        Self { records: BTreeMap::new() }
    }
}

impl<Server: Ord + Clone> EjectionBook<Server> {
    /// A pool without ejections.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ejects a server of a pool of `pool_size`, unless it is ejected already or too many others are. Answers when
    /// it comes back.
    pub fn try_eject(
        &mut self,
        server: &Server,
        now_ms: u64,
        pool_size: usize,
        config: &PassiveConfig,
    ) -> Option<u64> {
        if self.until(server).is_some() || !fits(self.ejected() + 1, pool_size, config) {
            return None;
        }
        let past = self.records.get(server).map_or(0, |record| record.unforgiven(now_ms, config));
        let count = past + 1;
        let duration_ms = config.base_ejection_ms.saturating_mul(count).min(config.max_ejection_ms);
        let until_ms = now_ms.saturating_add(duration_ms);
        self.records.insert(server.clone(), Record { count, state: State::Ejected { until_ms } });
        Some(until_ms)
    }

    /// Ends the ejections whose time is over, and answers the servers that come back. Their
    /// [`PassiveCell`](super::PassiveCell)s are to be [reset](super::PassiveCell::reset).
    pub fn expire(&mut self, now_ms: u64, config: &PassiveConfig) -> Vec<Server> {
        self.records.retain(|_, record| record.unforgiven(now_ms, config) > 0);
        let mut returned = Vec::new();
        for (server, record) in &mut self.records {
            if let State::Ejected { until_ms } = record.state
                && until_ms <= now_ms
            {
                record.state = State::Back { since_ms: until_ms };
                returned.push(server.clone());
            }
        }
        returned
    }

    /// When the next ejection ends: the moment to call [`expire`](Self::expire).
    #[must_use]
    pub fn next_return_ms(&self) -> Option<u64> {
        self.records.values().filter_map(Record::until).min()
    }

    /// When a server comes back, if it is ejected.
    #[must_use]
    pub fn until(&self, server: &Server) -> Option<u64> {
        self.records.get(server).and_then(Record::until)
    }

    /// How many servers are ejected.
    #[must_use]
    pub fn ejected(&self) -> usize {
        self.records.values().filter(|record| record.until().is_some()).count()
    }

    /// Forgets the servers that are no longer in the pool, so that they do not count against its limit.
    pub fn retain(&mut self, mut in_pool: impl FnMut(&Server) -> bool) {
        self.records.retain(|server, _| in_pool(server));
    }
}

impl Record {
    fn until(&self) -> Option<u64> {
        match self.state {
            State::Ejected { until_ms } => Some(until_ms),
            State::Back { .. } => None,
        }
    }

    /// How many ejections still count: one less for each `forgive_ms` in the pool.
    fn unforgiven(&self, now_ms: u64, config: &PassiveConfig) -> u64 {
        match self.state {
            State::Ejected { .. } => self.count,
            State::Back { since_ms } => {
                let forgiven = now_ms.saturating_sub(since_ms).checked_div(config.forgive_ms);
                self.count.saturating_sub(forgiven.unwrap_or(u64::MAX))
            }
        }
    }
}

fn fits(ejected: usize, pool_size: usize, config: &PassiveConfig) -> bool {
    ejected as u128 * 100 <= pool_size as u128 * u128::from(config.max_ejected_percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONFIG: fn() -> PassiveConfig = PassiveConfig::default;

    /// Ejects a server and lets it come back. Answers how long it was away, and when it came back.
    fn round(book: &mut EjectionBook<u32>, now_ms: u64) -> (u64, u64) {
        let until = book.try_eject(&1, now_ms, 10, &CONFIG()).expect("there is room");
        assert_eq!(book.next_return_ms(), Some(until));
        assert_eq!(book.expire(until - 1, &CONFIG()), []);
        assert_eq!(book.expire(until, &CONFIG()), [1]);
        (until - now_ms, until)
    }

    #[test]
    fn each_ejection_in_quick_succession_lasts_longer_up_to_the_maximum() {
        let (mut book, mut now) = (EjectionBook::new(), 5);
        for n in 1..=40 {
            let (duration, back) = round(&mut book, now);
            assert_eq!(duration, (10_000 * n).min(300_000));
            now = back + 1;
        }
    }

    #[test]
    fn a_long_healthy_time_forgives_one_ejection_after_the_other() {
        let mut book = EjectionBook::new();
        let back = (0..4).fold(0, |now, _| round(&mut book, now).1);
        assert_eq!(round(&mut book.clone(), back + 59_999).0, 50_000);
        assert_eq!(round(&mut book.clone(), back + 60_000).0, 40_000);
        assert_eq!(round(&mut book.clone(), back + 180_000).0, 20_000);
        assert_eq!(round(&mut book.clone(), back + 240_000).0, 10_000);
        book.expire(back + 240_000, &CONFIG());
        assert!(book.records.is_empty());
    }

    #[test]
    fn forgiving_at_once_remembers_nothing() {
        let config = PassiveConfig { forgive_ms: 0, ..CONFIG() };
        let mut book = EjectionBook::new();
        for now in [0, 10_000, 20_000] {
            assert_eq!(book.try_eject(&1, now, 10, &config), Some(now + 10_000));
            assert_eq!(book.expire(now + 10_000, &config), [1]);
        }
    }

    #[test]
    fn never_more_than_half_of_the_pool() {
        for (pool_size, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (1000, 500)] {
            let mut book = EjectionBook::new();
            let granted = (0..pool_size as u32)
                .filter(|server| book.try_eject(server, 0, pool_size, &CONFIG()).is_some())
                .count();
            assert_eq!((granted, book.ejected()), (most, most), "pool of {pool_size}");
        }
    }

    #[test]
    fn an_ejected_server_is_not_ejected_again_nor_for_longer() {
        let mut book = EjectionBook::new();
        assert_eq!(book.try_eject(&1, 0, 10, &CONFIG()), Some(10_000));
        assert_eq!(book.try_eject(&1, 5_000, 10, &CONFIG()), None);
        assert_eq!(book.until(&1), Some(10_000));
    }

    #[test]
    fn servers_that_left_the_pool_make_room() {
        let mut book = EjectionBook::new();
        assert!(book.try_eject(&1, 0, 2, &CONFIG()).is_some());
        assert!(book.try_eject(&2, 0, 2, &CONFIG()).is_none());
        book.retain(|&server| server != 1);
        assert!(book.try_eject(&2, 0, 2, &CONFIG()).is_some());
    }

    proptest! {
        #[test]
        fn the_limit_holds_and_everyone_comes_back(
            events in proptest::collection::vec((0_u64..20_000, 0_u32..6), 1..200), percent in 0_u8..=100,
        ) {
            let config = PassiveConfig { max_ejected_percent: percent, ..CONFIG() };
            let (mut book, mut now) = (EjectionBook::new(), 0);
            for (wait, server) in events {
                now += wait;
                for returned in book.expire(now, &config) {
                    prop_assert_eq!(book.until(&returned), None);
                }
                if let Some(until) = book.try_eject(&server, now, 6, &config) {
                    prop_assert!((now + 10_000..=now + 300_000).contains(&until));
                }
                prop_assert!(book.ejected() * 100 <= 6 * usize::from(percent));
                prop_assert!(book.next_return_ms().is_none_or(|next| next > now));
            }
            book.expire(now + 300_000, &config);
            prop_assert_eq!(book.ejected(), 0);
        }
    }
}
