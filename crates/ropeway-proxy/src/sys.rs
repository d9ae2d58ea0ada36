//! What the safe libraries do not offer. The only place of this crate with unsafe code.

pub(crate) mod pipe;
pub(crate) mod send_room;
pub(crate) mod socket;
