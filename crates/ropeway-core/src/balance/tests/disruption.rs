//! How few keys move when the servers change.

use proptest::prelude::*;

use super::{Rng, *};

const KEYS: usize = 20_000;

const RING: Policy = Policy::RingHash { bounded_load: None };
const MAGLEV: Policy = Policy::Maglev { table_size: Policy::DEFAULT_MAGLEV_TABLE };

/// The server of each of many keys.
fn owners(policy: &Policy, candidates: &[Candidate]) -> Vec<u32> {
    let table = PickTable::build(policy, candidates);
    let (world, random, keys) = (World::default(), &mut Rng::new(1), &mut Rng::new(3));
    (0..KEYS).map(|_| pick(&table, &world, random, keys.next_u64(), &[]).unwrap()).collect()
}

/// How many keys moved that neither left this server nor came to it.
fn moved_between_others(before: &[u32], after: &[u32], server: u32) -> usize {
    let others = before.iter().zip(after).filter(|&(&was, &is)| was != server && is != server);
    others.filter(|(was, is)| was != is).count()
}

#[test]
fn a_server_that_leaves_moves_few_other_keys_in_a_maglev_table() {
    for servers in [3, 10, 100] {
        let all = candidates(&vec![100; servers]);
        let before = owners(&MAGLEV, &all);
        let leaving = servers / 2;
        let mut rest = all.clone();
        let gone = rest.remove(leaving);
        let moved = moved_between_others(&before, &owners(&MAGLEV, &rest), gone.index);
        assert!(moved * 100 <= KEYS, "{moved} of {KEYS} keys for {servers} servers");
    }
}

#[test]
fn the_hashes_of_one_version_are_those_of_the_next() {
    let owners = |policy| {
        let table = PickTable::build(policy, &candidates(&[100, 100, 200, 300]));
        let (world, random) = (World::default(), &mut Rng::new(1));
        let key = |number: u32| hash_key(&number.to_be_bytes());
        (0..24).map(|number| pick(&table, &world, random, key(number), &[]).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(
        owners(&Policy::Hash),
        [7, 7, 7, 7, 1, 1, 7, 7, 3, 7, 5, 7, 7, 3, 7, 7, 7, 1, 3, 7, 7, 7, 7, 7]
    );
    assert_eq!(owners(&RING), [5, 5, 3, 7, 5, 7, 7, 7, 7, 5, 7, 1, 7, 3, 7, 1, 1, 5, 5, 3, 5, 3, 3, 1]);
    assert_eq!(owners(&MAGLEV), [5, 5, 7, 5, 1, 7, 7, 7, 3, 3, 5, 1, 5, 1, 3, 1, 7, 5, 7, 5, 5, 3, 5, 5]);
}

#[test]
fn a_retry_goes_where_the_key_goes_when_its_server_leaves() {
    let all = candidates(&[100, 200, 100, 300]);
    let table = PickTable::build(&Policy::Hash, &all);
    let (world, random, keys) = (World::default(), &mut Rng::new(1), &mut Rng::new(4));
    for _ in 0..200 {
        let key = keys.next_u64();
        let first = pick(&table, &world, random, key, &[]).unwrap();
        let rest: Vec<_> = all.iter().filter(|candidate| candidate.index != first).copied().collect();
        let without = PickTable::build(&Policy::Hash, &rest);
        let second = pick(&table, &world, random, key, &[first]);
        assert_eq!(second, pick(&without, &world, random, key, &[]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_server_that_leaves_or_comes_moves_no_other_key(
        weights in prop::collection::vec(1_u32..500, 2..12),
        which in any::<prop::sample::Index>(),
    ) {
        let all = candidates(&weights);
        let mut rest = all.clone();
        let changing = rest.remove(which.index(all.len()));
        for policy in [Policy::Hash, RING] {
            let (before, after) = (owners(&policy, &all), owners(&policy, &rest));
            prop_assert_eq!(moved_between_others(&before, &after, changing.index), 0);
        }
    }

    #[test]
    fn a_change_of_weight_moves_keys_only_to_or_from_that_server(
        weights in prop::collection::vec(1_u32..500, 2..12),
        which in any::<prop::sample::Index>(),
        weight in 1_u32..500,
    ) {
        let all = candidates(&weights);
        let mut changed = all.clone();
        let server = &mut changed[which.index(all.len())];
        server.weight = weight;
        let index = server.index;
        for policy in [Policy::Hash, RING] {
            let (before, after) = (owners(&policy, &all), owners(&policy, &changed));
            prop_assert_eq!(moved_between_others(&before, &after, index), 0);
        }
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(weights in prop::collection::vec(1_u32..500, 2..12)) {
        let listed = candidates(&weights);
        let mut reversed = listed.clone();
        reversed.reverse();
        for policy in [Policy::Hash, RING, MAGLEV] {
            prop_assert_eq!(owners(&policy, &listed), owners(&policy, &reversed));
        }
    }
}
