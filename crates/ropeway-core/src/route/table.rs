//! The table of all routes: hosts first, then the paths of each.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use memchr::memchr;

use super::lengths::Lengths;
use super::paths::Paths;
use super::{HostMatch, RouteInput, RouteMatch};

type Hosts = HashMap<Box<[u8]>, Paths, FixedState>;

/// All routes of a configuration, compiled for lookup. Finding a route allocates nothing and takes as long among
/// ten thousand routes as among a few.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: Hosts,
    /// By suffix, without the `*.` in front.
    wildcard: Hosts,
    wildcard_lengths: Lengths,
    any: Paths,
    shadowed: Vec<Shadowed>,
}

/// A route that no request can reach, because an earlier one matches exactly the same. Worth a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The index of the route that is never used.
    pub route: u32,
    /// The index of the earlier route that takes its requests.
    pub by: u32,
}

impl RouteTable {
    /// Compiles the routes, given in file order. Routes that can never match are reported by
    /// [`shadowed`](Self::shadowed) and do no harm.
    #[must_use]
    pub fn build(routes: &[RouteMatch]) -> Self {
        let mut table = Self::default();
        for (route, wanted) in (0..u32::MAX).zip(routes) {
            if let Some(by) = table.paths_of(&wanted.host).add(&wanted.path, route) {
                table.shadowed.push(Shadowed { route, by });
            }
        }
        table
    }

    fn paths_of(&mut self, host: &HostMatch) -> &mut Paths {
        match host {
            HostMatch::Any => &mut self.any,
            HostMatch::Exact(name) => self.exact.entry(lower_case(name)).or_default(),
            HostMatch::Wildcard(suffix) => {
                self.wildcard_lengths.insert(suffix.len());
                self.wildcard.entry(lower_case(suffix)).or_default()
            }
        }
    }

    /// The index of the route for a request, in the order in which they were given to [`build`](Self::build).
    #[must_use]
    pub fn find(&self, request: &impl RouteInput) -> Option<u32> {
        let exact = self.exact.get(request.host());
        exact
            .and_then(|paths| paths.find(request))
            .or_else(|| self.find_wildcard(request))
            .or_else(|| self.any.find(request))
    }

    /// Tries what stands behind each dot, the longest suffix first.
    fn find_wildcard(&self, request: &impl RouteInput) -> Option<u32> {
        // The `*` stands for at least one byte: a dot that begins the name has no label in front of it.
        let (_, mut rest) = request.host().split_first()?;
        while let Some(dot) = memchr(b'.', rest) {
            rest = rest.get(dot + 1..)?;
            let found = self.wildcard(rest).and_then(|paths| paths.find(request));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn wildcard(&self, suffix: &[u8]) -> Option<&Paths> {
        if self.wildcard_lengths.contains(suffix.len()) { self.wildcard.get(suffix) } else { None }
    }

    /// The routes that no request can reach, in file order.
    #[must_use]
    pub fn shadowed(&self) -> &[Shadowed] {
        &self.shadowed
    }
}

fn lower_case(name: &[u8]) -> Box<[u8]> {
    name.to_ascii_lowercase().into_boxed_slice()
}
