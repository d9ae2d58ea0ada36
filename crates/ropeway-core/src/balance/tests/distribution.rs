//! Who gets how much.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::{Rng, *};

/// Checks each count against its part by weight, with the given relative tolerance.
#[track_caller]
fn assert_in_proportion(counts: &[u64], weights: &[u32], tolerance: f64) {
    let picks: u64 = counts.iter().sum();
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    for (&count, &weight) in counts.iter().zip(weights) {
        let expected = picks as f64 * f64::from(weight) / total;
        assert!((count as f64 - expected).abs() <= expected * tolerance, "{counts:?} for {weights:?}");
    }
}

#[test]
fn equal_servers_take_turns_in_order() {
    for policy in [Policy::RoundRobin, Policy::LeastConnections] {
        let table = PickTable::build(&policy, &candidates(&[100; 3]));
        let (world, random) = (World::default(), &mut Rng::new(1));
        let order: Vec<_> = (0..7).filter_map(|_| pick(&table, &world, random, 0, &[])).collect();
        assert_eq!(order, [0, 1, 2, 0, 1, 2, 0].map(index_of));
    }
}

/// Live state of a round robin that several threads share.
struct SharedCursor(AtomicU64);

impl Live for SharedCursor {
    fn next_cursor(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn in_flight(&self, _server: u32) -> u32 {
        0
    }
}

#[test]
fn round_robin_is_exact_across_workers() {
    let table = PickTable::build(&Policy::RoundRobin, &candidates(&[100, 200, 300]));
    let cursor = SharedCursor(AtomicU64::new(0));
    let worker = || -> Vec<u32> {
        let mut random = Rng::new(1);
        let mut pick = || table.pick(&cursor, Pick { hash: 0, random: &mut random, exclude: &[], now_us: 0 });
        (0..3_000).map(|_| pick().unwrap()).collect()
    };
    let picks: Vec<u32> = std::thread::scope(|scope| {
        let workers = [(); 4].map(|()| scope.spawn(worker));
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let counts =
        [0, 1, 2].map(|position| picks.iter().filter(|&&server| server == index_of(position)).count());
    assert_eq!(counts, [2_000, 4_000, 6_000]);
}

#[test]
fn the_others_take_turns_evenly_while_one_is_full() {
    for policy in [Policy::RoundRobin, Policy::LeastConnections] {
        let table = PickTable::build(&policy, &candidates(&[100; 3]));
        let world = World::with_full(vec![index_of(1)]);
        assert_eq!(tally(&table, &world, 100, &[]), [50, 0, 50]);
    }
}

#[test]
fn equals_take_turns_while_another_is_busy() {
    let table = PickTable::build(&Policy::LeastConnections, &candidates(&[100; 4]));
    let world = World::with_in_flight(&[0, 1, 0, 0]);
    assert_eq!(tally(&table, &world, 99, &[]), [33, 0, 33, 33]);
}

#[test]
fn random_policies_keep_the_weights_of_idle_servers() {
    let weights = [100, 200, 300, 37];
    for policy in [Policy::Random, Policy::PowerOfTwo, Policy::PeakEwma] {
        let table = PickTable::build(&policy, &candidates(&weights));
        assert_in_proportion(&tally(&table, &World::default(), 100_000, &[]), &weights, 0.05);
    }
}

#[test]
fn random_policies_keep_the_weights_of_those_that_are_left() {
    let weights = [5_000_000, 100, 200, 300];
    let heavy = [index_of(0)];
    for policy in [Policy::Random, Policy::PowerOfTwo] {
        let table = PickTable::build(&policy, &candidates(&weights));
        let counts = tally(&table, &World::default(), 30_000, &heavy);
        assert_in_proportion(&counts, &[0, 100, 200, 300], 0.05);
    }
}

#[test]
fn hashing_policies_spread_keys_by_weight() {
    let weights = [100, 200, 300];
    for (policy, tolerance) in [
        (Policy::Hash, 0.02),
        (Policy::SourceIp, 0.02),
        (Policy::Maglev { table_size: Policy::DEFAULT_MAGLEV_TABLE }, 0.02),
        (Policy::RingHash { bounded_load: None }, 0.25),
    ] {
        let table = PickTable::build(&policy, &candidates(&weights));
        assert_in_proportion(&tally(&table, &World::default(), 200_000, &[]), &weights, tolerance);
    }
}

#[test]
fn the_keys_of_an_excluded_server_are_spread_over_all_others() {
    for policy in [Policy::Hash, Policy::Maglev { table_size: 65_537 }] {
        let table = PickTable::build(&policy, &candidates(&[100; 5]));
        let counts = tally(&table, &World::default(), 100_000, &[index_of(2)]);
        assert_in_proportion(&counts, &[100, 100, 0, 100, 100], 0.03);
    }
}

#[test]
fn a_server_that_warms_up_gets_its_part() {
    let warming = effective_weight(1, SlowStart { window_ms: 10_000 }.factor(2_500));
    let table = PickTable::build(&Policy::RoundRobin, &candidates(&[WEIGHT_UNIT, WEIGHT_UNIT, warming]));
    assert_eq!(tally(&table, &World::default(), 225, &[]), [100, 100, 25]);
}

proptest! {
    #[test]
    fn round_robin_is_exact_over_a_period_wherever_it_starts(
        weights in prop::collection::vec(1_u32..50, 1..12),
        start in any::<u32>(),
    ) {
        let table = PickTable::build(&Policy::RoundRobin, &candidates(&weights));
        let world = World::default();
        world.cursor.set(u64::from(start));
        let period: u32 = weights.iter().sum();
        let counts = tally(&table, &world, u64::from(period), &[]);
        let expected: Vec<_> = weights.iter().copied().map(u64::from).collect();
        prop_assert_eq!(counts, expected);
    }

    #[test]
    fn idle_least_connections_is_weighted_round_robin(weights in prop::collection::vec(1_u32..50, 1..12)) {
        let [least, turns] = [Policy::LeastConnections, Policy::RoundRobin]
            .map(|policy| tally(&PickTable::build(&policy, &candidates(&weights)), &World::default(), 100, &[]));
        prop_assert_eq!(least, turns);
    }
}
