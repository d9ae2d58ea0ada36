//! Priorities of streams to come (RFC 9218, section 7.1).

use std::collections::VecDeque;

use crate::priority::Priority;

/// Streams that are remembered. Clients announce one right before they open the stream.
const MOST: usize = 64;

/// What was said of streams before they were opened, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Announced(VecDeque<(u32, Priority)>);

impl Announced {
    pub fn note(&mut self, stream: u32, priority: Priority) {
        self.0.retain(|(id, _)| *id != stream);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((stream, priority));
    }

    /// What was said of a stream that is opened. Those before it that were not never will be.
    pub fn take(&mut self, stream: u32) -> Option<Priority> {
        if self.0.is_empty() {
            return None;
        }
        let found = self.0.iter().find(|(id, _)| *id == stream).map(|(_, priority)| *priority);
        self.0.retain(|(id, _)| *id > stream);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_counts_until_the_stream_is_opened() {
        let priority = |urgency| Priority { urgency, incremental: false };
        let mut announced = Announced::default();
        for (stream, urgency) in [(5, 1), (3, 2), (5, 4)] {
            announced.note(stream, priority(urgency));
        }
        assert_eq!(announced.take(1), None);
        assert_eq!(announced.take(5), Some(priority(4)));
        assert_eq!(announced.take(3), None, "it was passed over");
        (0..1_000).for_each(|stream| announced.note(stream * 2 + 7, priority(0)));
        assert_eq!(announced.0.len(), MOST);
    }
}
