//! The streams of a connection (RFC 9113, section 5.1).

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use super::flow::{Inflow, Outflow};

/// Streams that are over for us and on which the peer may still send, told from closed ones.
const MOST_LINGERING: usize = 4096;
/// Gaps between the numbers of streams that are remembered. Most clients have none, or one before their first stream.
const MOST_GAPS: usize = 16;

/// How far one direction of a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Head,
    Body,
    End,
}

/// One stream, with what its user keeps there.
#[derive(Debug)]
pub(super) struct Stream<T> {
    pub user: T,
    pub receiving: Progress,
    pub sending: Progress,
    /// It was reset, by whichever side.
    pub is_over: bool,
    pub inflow: Inflow,
    pub outflow: Outflow,
    /// Bytes of content that are to come, where the head says so.
    pub length_left: Option<u64>,
    /// The response has no content, whatever it announces.
    pub has_no_content: bool,
    /// Where in all of the output the flags of its last frame are that can end it.
    pub last_flags: Option<u64>,
}

/// The stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl<T> Stream<T> {
    pub fn new(user: T, inflow: u32, outflow: u32) -> Self {
        Self {
            user,
            receiving: Progress::Head,
            sending: Progress::Head,
            is_over: false,
            inflow: Inflow::new(inflow),
            outflow: Outflow::new(outflow),
            length_left: None,
            has_no_content: false,
            last_flags: None,
        }
    }

    /// Whether it counts as open.
    pub fn is_open(&self) -> bool {
        !self.is_over && (self.receiving != Progress::End || self.sending != Progress::End)
    }
}

/// All streams that somebody uses, and what is known of others.
#[derive(Debug)]
pub(super) struct Streams<T> {
    used: HashMap<u32, Stream<T>, Hashing>,
    /// How many of them are open.
    open: usize,
    /// Streams that are over for us, but not for the peer.
    lingering: HashSet<u32, Hashing>,
    /// Of streams up to this one is not known which those are.
    forgotten: u32,
    /// Numbers that were passed over, the latest last.
    gaps: VecDeque<Range<u32>>,
}

/// What the peer may do on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is used, and more may come.
    Used,
    /// What comes was on its way when we gave the stream up.
    Ignored,
    /// The peer has said that nothing more comes.
    Closed,
}

impl<T> Streams<T> {
    pub fn new() -> Self {
        Self {
            used: HashMap::default(),
            open: 0,
            lingering: HashSet::default(),
            forgotten: 0,
            gaps: VecDeque::new(),
        }
    }

    pub fn open_count(&self) -> usize {
        self.open
    }

    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    pub fn get(&self, id: u32) -> Option<&Stream<T>> {
        self.used.get(&id)
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut Stream<T>> {
        self.used.get_mut(&id)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Stream<T>)> {
        self.used.iter_mut().map(|(id, stream)| (*id, stream))
    }

    pub fn insert(&mut self, id: u32, stream: Stream<T>) {
        self.open += usize::from(stream.is_open());
        self.used.insert(id, stream);
    }

    /// Changes a stream.
    #[inline]
    pub fn update<R>(&mut self, id: u32, change: impl FnOnce(&mut Stream<T>) -> R) -> Option<R> {
        let stream = self.used.get_mut(&id)?;
        let was_open = stream.is_open();
        let result = change(stream);
        self.open -= usize::from(was_open && !stream.is_open());
        Some(result)
    }

    /// Nobody uses it any more. Gives what it was.
    pub fn remove(&mut self, id: u32) -> Option<Stream<T>> {
        let stream = self.used.remove(&id)?;
        self.open -= usize::from(stream.is_open());
        if stream.receiving != Progress::End {
            self.linger(id);
        }
        Some(stream)
    }

    /// What the peer still sends on it is ignored.
    pub fn linger(&mut self, id: u32) {
        if self.lingering.len() >= MOST_LINGERING {
            self.forgotten = self.lingering.drain().max().unwrap_or_default().max(self.forgotten);
        }
        self.lingering.insert(id);
    }

    /// Nothing more comes on it that is to be ignored.
    pub fn note_end(&mut self, id: u32) {
        let _ = self.update(id, |stream| stream.receiving = Progress::End);
        self.lingering.remove(&id);
    }

    /// The peer opens a stream after the `last` one.
    pub fn note_gap(&mut self, last: u32, id: u32) {
        let next = (last + 1) | 1;
        if id > next {
            if self.gaps.len() >= MOST_GAPS {
                self.gaps.pop_front();
            }
            self.gaps.push_back(next..id);
        }
    }

    /// Whether it was never opened, and cannot be any more (RFC 9113, section 5.1.1).
    pub fn was_passed_over(&self, id: u32) -> bool {
        self.gaps.iter().any(|gap| gap.contains(&id))
    }

    /// Of a stream that was opened at some time.
    #[inline]
    pub fn standing(&self, id: u32) -> Standing {
        match self.used.get(&id) {
            Some(stream) if stream.receiving == Progress::End => Standing::Closed,
            Some(stream) if stream.is_over => Standing::Ignored,
            Some(_) => Standing::Used,
            None if id <= self.forgotten || self.lingering.contains(&id) => Standing::Ignored,
            None => Standing::Closed,
        }
    }

    /// All of them are over, since the connection is.
    pub fn end_all(&mut self) {
        self.used.values_mut().for_each(|stream| stream.is_over = true);
        self.open = 0;
    }
}

type Hashing = BuildHasherDefault<IdHasher>;

/// Spreads numbers of streams. They are few at a time, so that it does no harm that a peer can choose them.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_by_us_is_no_crime_of_the_peer() {
        let mut streams = Streams::<()>::new();
        let last = MOST_LINGERING as u32 * 2 + 1;
        for id in (1..=last).step_by(2) {
            streams.insert(id, Stream::new((), 0, 0));
            let _ = streams.remove(id);
        }
        assert_eq!(streams.standing(1), Standing::Ignored, "forgotten");
        assert_eq!(streams.standing(last), Standing::Ignored);
        streams.note_end(last);
        assert_eq!(streams.standing(last), Standing::Closed);
        assert_eq!((streams.open_count(), streams.is_empty()), (0, true));
    }

    #[test]
    fn the_latest_gaps_are_remembered() {
        let mut streams = Streams::<()>::new();
        let opened = [1, 3, 9, 11, 0x7fff_ffff];
        for (last, id) in [0].iter().chain(&opened).zip(&opened) {
            streams.note_gap(*last, *id);
        }
        let passed: Vec<u32> = (1..=15).step_by(2).filter(|id| streams.was_passed_over(*id)).collect();
        assert_eq!((passed, streams.gaps.len()), (vec![5, 7, 13, 15], 2));

        (0..2 * MOST_GAPS as u32).for_each(|number| streams.note_gap(number * 4 + 1, number * 4 + 5));
        assert_eq!(streams.gaps.len(), MOST_GAPS);
        assert!(streams.was_passed_over(MOST_GAPS as u32 * 8 - 1) && !streams.was_passed_over(3));
    }

    #[test]
    fn a_stream_is_open_until_both_sides_have_ended() {
        let mut streams = Streams::<()>::new();
        streams.insert(1, Stream::new((), 0, 0));
        let _ = streams.update(1, |stream| stream.receiving = Progress::End);
        assert_eq!((streams.open_count(), streams.standing(1)), (1, Standing::Closed));
        let _ = streams.update(1, |stream| stream.sending = Progress::End);
        assert_eq!(streams.open_count(), 0);
        let _ = streams.update(1, |stream| stream.is_over = true);
        let _ = streams.remove(1);
        assert_eq!((streams.open_count(), streams.standing(1)), (0, Standing::Closed));
    }
}
