//! The paths of one host.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use memchr::memrchr;

use super::leaf::Leaf;
use super::lengths::Lengths;
use super::{PathMatch, RouteInput};

/// Every path that is configured for one host, exact ones and prefixes in one hash table.
#[derive(Debug, Default)]
pub(super) struct Paths {
    // The keys come from the operator, so a fixed seed gives nobody a way to make them collide.
    nodes: HashMap<Box<[u8]>, Node, FixedState>,
    lengths: Lengths,
    /// The prefix `/`, which covers every path and needs no lookup.
    root: Leaf,
}

/// What is configured for one path. A prefix is filed under its path without the final slash.
#[derive(Debug, Default)]
struct Node {
    exact: Leaf,
    prefix: Leaf,
}

impl Paths {
    /// Adds a route. Answers the earlier route that hides it, if there is one.
    pub(super) fn add(&mut self, path: &PathMatch, route: u32) -> Option<u32> {
        match path {
            PathMatch::Exact(path) => self.node(path).exact.add(route),
            PathMatch::Prefix(path) => match path.strip_suffix(b"/").unwrap_or(path) {
                b"" => self.root.add(route),
                prefix => self.node(prefix).prefix.add(route),
            },
        }
    }

    fn node(&mut self, key: &[u8]) -> &mut Node {
        self.lengths.insert(key.len());
        self.nodes.entry(key.into()).or_default()
    }

    /// The most specific route for the request's path: exact, then from the longest prefix to the shortest.
    pub(super) fn find(&self, request: &impl RouteInput) -> Option<u32> {
        let path = request.path();
        self.find_whole(path, request)
            .or_else(|| self.find_parent(path, request))
            .or_else(|| self.root.find(request))
    }

    fn find_whole(&self, path: &[u8], request: &impl RouteInput) -> Option<u32> {
        let node = self.get(path)?;
        node.exact.find(request).or_else(|| node.prefix.find(request))
    }

    /// Tries what stands before each slash, from the last slash that a configured path can reach.
    fn find_parent(&self, path: &[u8], request: &impl RouteInput) -> Option<u32> {
        let mut rest = path.get(..=self.lengths.longest()).unwrap_or(path);
        while let Some(slash) = memrchr(b'/', rest) {
            rest = rest.get(..slash)?;
            let found = self.get(rest).and_then(|node| node.prefix.find(request));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn get(&self, key: &[u8]) -> Option<&Node> {
        if self.lengths.contains(key.len()) { self.nodes.get(key) } else { None }
    }
}
