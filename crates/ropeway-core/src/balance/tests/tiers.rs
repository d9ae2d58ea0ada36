//! Which servers may be picked.

use proptest::prelude::*;

use super::*;

const UP: ServerState =
    ServerState { admin: AdminState::Ready, health: HealthState::Up, ejected: false, resolved: true };
const DOWN: ServerState = ServerState { health: HealthState::Down, ..UP };
const EJECTED: ServerState = ServerState { ejected: true, ..UP };
const UNCHECKED: ServerState = ServerState { health: HealthState::Unchecked, ..UP };
const DRAINING: ServerState = ServerState { admin: AdminState::Drain, ..UP };
const DISABLED: ServerState = ServerState { admin: AdminState::Disabled, ..UP };
const UNRESOLVED: ServerState = ServerState { resolved: false, ..UP };

fn primary(state: ServerState) -> ServerView {
    ServerView { state, weight: 100, identity: 0, backup: false }
}

fn backup(state: ServerState) -> ServerView {
    ServerView { backup: true, ..primary(state) }
}

/// The indices selected, whether that is a panic, and whether these are backups.
fn selected(servers: &[ServerView], threshold: u32) -> (Vec<u32>, bool, bool) {
    let Selection { candidates, panic, backup, .. } = select_tier(servers, threshold);
    (candidates.iter().map(|candidate| candidate.index).collect(), panic, backup)
}

#[test]
fn only_servers_that_are_up_and_ready_serve() {
    let servers = [DOWN, UP, EJECTED, UNCHECKED, DRAINING, DISABLED, UNRESOLVED, UP].map(primary);
    assert_eq!(selected(&servers, 0), (vec![1, 7], false, false));
}

#[test]
fn backups_serve_when_no_primary_does() {
    let servers = [primary(UP), backup(UP), backup(DOWN)];
    assert_eq!(selected(&servers, 0), (vec![0], false, false));
    for gone in [DOWN, EJECTED, UNCHECKED, DRAINING, DISABLED, UNRESOLVED] {
        let servers = [primary(gone), backup(UP), backup(DOWN)];
        assert_eq!(selected(&servers, 0), (vec![1], false, true), "{gone:?}");
    }
}

#[test]
fn usable_backups_are_in_reserve_while_primaries_serve() {
    let reserve = |servers: &[ServerView]| -> Vec<u32> {
        select_tier(servers, 50).reserve.iter().map(|candidate| candidate.index).collect()
    };
    assert_eq!(reserve(&[primary(UP), backup(UP), backup(DOWN), backup(DRAINING), backup(UP)]), [1, 4]);
    // Where too few primaries are usable and all serve, too.
    assert_eq!(reserve(&[primary(UP), primary(DOWN), primary(DOWN), backup(UP)]), [3]);
    assert_eq!(reserve(&[primary(DOWN), backup(UP), backup(UP)]), []);
    assert_eq!(reserve(&[primary(DOWN), backup(DOWN)]), []);
}

#[test]
fn when_none_is_usable_all_that_checks_took_out_serve() {
    let servers = [
        primary(DOWN),
        primary(DRAINING),
        primary(DISABLED),
        primary(UNCHECKED),
        primary(UNRESOLVED),
        primary(EJECTED),
        backup(DOWN),
    ];
    assert_eq!(selected(&servers, 0), (vec![0, 5, 6], true, false));
}

#[test]
fn nobody_serves_when_nobody_may() {
    let servers = [UNCHECKED, DRAINING, DISABLED, UNRESOLVED].map(primary);
    assert_eq!(selected(&servers, 100), (vec![], false, false));
    assert_eq!(selected(&[], 100), (vec![], false, false));
}

#[test]
fn below_the_threshold_all_serve() {
    let servers = [UP, DOWN, EJECTED, DOWN].map(primary);
    assert_eq!(selected(&servers, 25), (vec![0], false, false));
    assert_eq!(selected(&servers, 26), (vec![0, 1, 2, 3], true, false));
}

#[test]
fn draining_and_starting_are_no_panic() {
    let servers = [UP, DRAINING, DRAINING, DISABLED, UNCHECKED, UNRESOLVED].map(primary);
    assert_eq!(selected(&servers, 100), (vec![0], false, false));
}

#[test]
fn the_threshold_applies_to_the_tier_that_serves() {
    let servers = [primary(DOWN), backup(UP), backup(DOWN), backup(DOWN)];
    assert_eq!(selected(&servers, 50), (vec![1, 2, 3], true, true));
}

#[test]
fn a_server_without_weight_does_not_serve() {
    let servers = [ServerView { weight: 0, ..primary(UP) }, backup(UP)];
    assert_eq!(selected(&servers, 0), (vec![1], false, true));
}

#[test]
fn candidates_keep_weight_and_identity() {
    let server = ServerView { weight: 37, identity: 11, ..primary(UP) };
    let selection = select_tier(&[primary(DOWN), server], 0);
    assert_eq!(selection.candidates, [Candidate { index: 1, weight: 37, identity: 11 }]);
}

fn any_state() -> impl Strategy<Value = ServerState> {
    let admin = prop::sample::select(vec![AdminState::Ready, AdminState::Drain, AdminState::Disabled]);
    let health = prop::sample::select(vec![HealthState::Unchecked, HealthState::Up, HealthState::Down]);
    (admin, health, any::<bool>(), any::<bool>()).prop_map(|(admin, health, ejected, resolved)| ServerState {
        admin,
        health,
        ejected,
        resolved,
    })
}

proptest! {
    #[test]
    fn whoever_may_serve_is_enough_to_serve(
        servers in prop::collection::vec((any_state(), any::<bool>()), 0..10),
        threshold in 0_u32..=100,
    ) {
        let views: Vec<_> =
            servers.iter().map(|&(state, backup)| ServerView { backup, ..primary(state) }).collect();
        let selection = select_tier(&views, threshold);
        let states = || selection.candidates.iter().map(|candidate| views[candidate.index as usize].state);
        prop_assert!(states().all(ServerState::panic_eligible));
        prop_assert_eq!(selection.candidates.is_empty(), !views.iter().any(|view| view.state.panic_eligible()));
        prop_assert!(selection.panic || states().all(ServerState::usable));
    }
}
