//! One pick under way.

use super::{Candidate, Live, Pick};

/// The live state and the request together, as every algorithm takes them.
pub(super) struct Attempt<'a, L: ?Sized> {
    pub(super) live: &'a L,
    pub(super) request: Pick<'a>,
}

impl<L: Live + ?Sized> Attempt<'_, L> {
    /// Whether this server qualifies: not yet tried by the request, and below its cap.
    pub(super) fn accepts(&self, candidate: &Candidate) -> bool {
        !self.request.exclude.contains(&candidate.index) && self.live.has_capacity(candidate.index)
    }
}
