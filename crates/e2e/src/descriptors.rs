//! Room for tests with many connections: both ends of each are in the process of the test, or start in it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open descriptors to the most that is allowed. Processes started later have it, too.
///
/// # Panics
/// When that is less than `needed`.
pub fn allow(needed: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the hard limit is allowed");
    }
    assert!(
        maximum.is_none_or(|most| most >= needed),
        "this test needs {needed} descriptors, {maximum:?} are allowed: raise the hard limit (ulimit -Hn)"
    );
}
