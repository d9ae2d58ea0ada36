//! Servers that do not qualify are not picked, and one that does is always found.

use proptest::prelude::*;

use super::{Rng, *};

#[test]
fn without_servers_nothing_is_picked() {
    for policy in policies() {
        for candidates in [candidates(&[]), candidates(&[0, 0])] {
            let table = PickTable::build(&policy, &candidates);
            assert!(table.is_empty());
            assert_eq!(pick(&table, &World::default(), &mut Rng::new(1), 7, &[]), None, "{policy:?}");
        }
    }
}

#[test]
fn a_server_without_weight_is_never_picked() {
    for policy in policies() {
        let table = PickTable::build(&policy, &candidates(&[100, 0, 100]));
        assert_eq!(table.len(), 2);
        assert!(tally(&table, &World::default(), 500, &[]).iter().all(|&count| count > 0), "{policy:?}");
    }
}

#[test]
fn the_last_server_is_found_whatever_its_weight() {
    let mut weights = vec![4_000_000; 400];
    weights[399] = 1;
    let exclude: Vec<_> = (0..399).map(index_of).collect();
    for policy in policies() {
        let table = PickTable::build(&policy, &candidates(&weights));
        let picked = pick(&table, &World::default(), &mut Rng::new(1), 7, &exclude);
        assert_eq!(picked, Some(index_of(399)), "{policy:?}");
    }
}

#[test]
fn several_servers_of_one_name_are_told_apart() {
    let mut twins = candidates(&[100; 2]);
    twins.iter_mut().for_each(|server| server.identity = 5);
    for policy in policies() {
        let table = PickTable::build(&policy, &twins);
        let picked = pick(&table, &World::default(), &mut Rng::new(1), 7, &[index_of(0)]);
        assert_eq!(picked, Some(index_of(1)), "{policy:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_pick_qualifies_and_is_none_only_when_nothing_does(
        servers in prop::collection::vec((0_u32..400, any::<bool>(), any::<bool>(), 0_u32..9), 0..12),
        seed in any::<u64>(),
        hash in any::<u64>(),
    ) {
        let weights: Vec<_> = servers.iter().map(|server| server.0).collect();
        let marked = |mark: fn(&(u32, bool, bool, u32)) -> bool| -> Vec<u32> {
            (0..).zip(&servers).filter(|(_, server)| mark(server)).map(|(position, _)| index_of(position)).collect()
        };
        let (exclude, full) = (marked(|server| server.1), marked(|server| server.2));
        let in_flight: Vec<_> = servers.iter().map(|server| server.3).collect();
        let mut world = World::with_in_flight(&in_flight);
        world.full = full;
        for policy in policies() {
            let table = PickTable::build(&policy, &candidates(&weights));
            let qualifies = |candidate: &Candidate| {
                candidate.weight > 0 && !exclude.contains(&candidate.index) && world.has_capacity(candidate.index)
            };
            let qualified: Vec<_> = table.servers().iter().filter(|c| qualifies(c)).map(|c| c.index).collect();
            match pick(&table, &world, &mut Rng::new(seed), hash, &exclude) {
                Some(server) => prop_assert!(qualified.contains(&server), "{policy:?}"),
                None => prop_assert!(qualified.is_empty(), "{policy:?}"),
            }
        }
    }
}
