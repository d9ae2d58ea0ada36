//! Policies that look at load pick the lower one.

use proptest::prelude::*;

use super::{Rng, *};

const BOUNDED_RING: Policy = Policy::RingHash { bounded_load: Some(Policy::DEFAULT_BOUNDED_LOAD) };

fn servers() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
    prop::collection::vec((1_u32..400, 0_u32..20), 1..12).prop_map(|servers| servers.into_iter().unzip())
}

/// Requests in flight per unit of weight.
fn load(world: &World, candidate: &Candidate) -> f64 {
    f64::from(world.in_flight(candidate.index)) / f64::from(candidate.weight)
}

fn by_index(table: &PickTable, index: u32) -> &Candidate {
    table.servers().iter().find(|candidate| candidate.index == index).unwrap()
}

proptest! {
    #[test]
    fn least_connections_picks_a_minimum((weights, in_flight) in servers(), cursor in 0_u64..1_000) {
        let table = PickTable::build(&Policy::LeastConnections, &candidates(&weights));
        let world = World::with_in_flight(&in_flight);
        world.cursor.set(cursor);
        let picked = pick(&table, &world, &mut Rng::new(1), 0, &[]).unwrap();
        let lowest = load(&world, by_index(&table, picked));
        prop_assert!(table.servers().iter().all(|candidate| lowest <= load(&world, candidate)));
    }

    #[test]
    fn two_choices_never_pick_the_worst_of_all((weights, in_flight) in servers(), seed in any::<u64>()) {
        let table = PickTable::build(&Policy::PowerOfTwo, &candidates(&weights));
        let world = World::with_in_flight(&in_flight);
        let picked = pick(&table, &world, &mut Rng::new(seed), 0, &[]).unwrap();
        let picked_load = load(&world, by_index(&table, picked));
        let is_no_better = |c: &Candidate| c.index != picked && load(&world, c) >= picked_load;
        prop_assert!(table.len() == 1 || table.servers().iter().any(is_no_better));
    }

    #[test]
    fn of_two_servers_the_worse_is_never_picked(
        (weights, in_flight) in servers(),
        pair in any::<[prop::sample::Index; 2]>(),
        seed in any::<u64>(),
    ) {
        let table = PickTable::build(&Policy::PowerOfTwo, &candidates(&weights));
        let world = World::with_in_flight(&in_flight);
        let [one, other] = pair.map(|which| table.servers()[which.index(weights.len())]);
        let is_excluded = |index: &u32| ![one.index, other.index].contains(index);
        let exclude: Vec<_> = table.servers().iter().map(|c| c.index).filter(is_excluded).collect();
        let picked = pick(&table, &world, &mut Rng::new(seed), 0, &exclude).unwrap();
        let lower = load(&world, &one).min(load(&world, &other));
        prop_assert_eq!(load(&world, by_index(&table, picked)), lower);
    }

    #[test]
    fn a_bounded_ring_keeps_its_bound_for_one_popular_key(
        weights in prop::collection::vec(1_u32..400, 1..12),
        hash in any::<u64>(),
    ) {
        let table = PickTable::build(&BOUNDED_RING, &candidates(&weights));
        let world = World::default();
        let total_weight: u32 = weights.iter().sum();
        for total in 1..200 {
            let picked = pick(&table, &world, &mut Rng::new(1), hash, &[]).unwrap();
            world.add(picked, 1);
            let bound = (5 * total * by_index(&table, picked).weight).div_ceil(4 * total_weight);
            prop_assert!(world.in_flight(picked) <= bound);
        }
    }
}

#[test]
fn a_bounded_ring_below_its_bound_is_a_ring() {
    let [bounded, plain] = [BOUNDED_RING, Policy::RingHash { bounded_load: None }].map(|policy| {
        tally(&PickTable::build(&policy, &candidates(&[100; 8])), &World::default(), 1_000, &[])
    });
    assert_eq!(bounded, plain);
}

#[test]
fn the_bound_follows_the_total_that_the_caller_tracks() {
    let table = PickTable::build(&BOUNDED_RING, &candidates(&[100; 2]));
    let random = &mut Rng::new(1);
    let owner = pick(&table, &World::default(), random, 9, &[]).unwrap();
    let mut world = World::default();
    world.add(owner, 5);
    // Alone the owner is far beyond its bound; of 7 + 1 requests in all, 1.25 x 4 = 5 are its bound.
    for (total, owner_is_picked) in [(None, false), (Some(7), false), (Some(8), true)] {
        world.total_in_flight = total;
        assert_eq!(pick(&table, &world, random, 9, &[]) == Some(owner), owner_is_picked, "{total:?}");
    }
}

#[test]
fn beyond_the_bound_is_better_than_none() {
    let table = PickTable::build(&BOUNDED_RING, &candidates(&[100; 3]));
    let mut world = World::with_in_flight(&[50, 0, 0]);
    world.full = vec![index_of(1), index_of(2)];
    assert_eq!(pick(&table, &world, &mut Rng::new(1), 9, &[]), Some(index_of(0)));
}

#[test]
fn the_faster_server_is_preferred_until_it_is_busier() {
    let table = PickTable::build(&Policy::PeakEwma, &candidates(&[100; 2]));
    let mut world = World::with_in_flight(&[0, 0]);
    world.latency.resize_with(4, PeakEwma::default);
    for (position, response_time_us) in [(0, 1_000), (1, 5_000)] {
        world.latency[index_of(position) as usize].observe(response_time_us, 1_000_000);
    }
    let random = &mut Rng::new(1);
    assert_eq!(pick(&table, &world, random, 0, &[]), Some(index_of(0)));
    world.add(index_of(0), 5);
    assert_eq!(pick(&table, &world, random, 0, &[]), Some(index_of(1)));
}

#[test]
fn a_new_server_gets_its_first_request_and_then_waits_for_the_answer() {
    let table = PickTable::build(&Policy::PeakEwma, &candidates(&[100; 2]));
    let mut world = World::with_in_flight(&[3, 0]);
    world.latency.resize_with(4, PeakEwma::default);
    world.latency[index_of(0) as usize].observe(1_000, 1_000_000);
    let random = &mut Rng::new(1);
    assert_eq!(pick(&table, &world, random, 0, &[]), Some(index_of(1)));
    world.add(index_of(1), 1);
    assert_eq!(pick(&table, &world, random, 0, &[]), Some(index_of(0)));
}
