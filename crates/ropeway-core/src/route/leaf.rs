//! The routes that share one host and one path.

use super::RouteInput;

/// Routes with the same host and the same path, in order of precedence.
///
/// Host and path are settled by the time a leaf is reached: conditions on anything else of the request are for
/// the leaf to test, one route after the other, so that they never change the shape of the table above it.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    routes: Vec<u32>,
}

impl Leaf {
    /// Adds a route behind those that are there. Answers the earlier route that takes every request that this one
    /// could take, if there is one.
    pub(super) fn add(&mut self, route: u32) -> Option<u32> {
        let hidden_by = self.routes.first().copied();
        self.routes.push(route);
        hidden_by
    }

    /// The first route that takes the request.
    pub(super) fn find(&self, _request: &impl RouteInput) -> Option<u32> {
        self.routes.first().copied()
    }
}
