//! What is known of streams that a client has opened, or is about to open, and that nobody has taken yet.

use std::collections::VecDeque;

use crate::end::EndReason;
use crate::priority::Priority;

/// Streams that are remembered until somebody takes them.
const MOST_OPENED: usize = 1024;
/// Streams to come whose priority is remembered. Clients announce one right before they open the stream.
const MOST_ANNOUNCED: usize = 64;

/// How a stream was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// The field block that opened it, unless that was too long to be looked at.
    pub block: Option<Block>,
    /// What a PRIORITY_UPDATE frame said until now. It counts instead of the Priority field (RFC 9218, section 7).
    pub priority: Option<Priority>,
}

/// A field block that opened a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its bytes.
    pub len: usize,
    /// Its `:path` has a fragment, which makes the request malformed (RFC 9113, section 8.3.1).
    pub has_fragment: bool,
}

#[derive(Debug)]
struct Opened {
    stream: u32,
    opening: Opening,
    /// Why it was refused, if it was.
    refusal: Option<EndReason>,
    /// The client has reset it. If nobody takes it after that, it was malformed.
    is_abandoned: bool,
}

/// A stream that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub reason: EndReason,
    /// The client has reset it before it was told.
    pub is_abandoned: bool,
}

/// Both kinds of streams are in the order of their numbers, or for those to come in that of their frames.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    opened: VecDeque<Opened>,
    announced: VecDeque<(u32, Priority)>,
}

impl Waiting {
    /// The client begins to open a stream. Those before it that it has not opened it never will.
    pub fn open(&mut self, stream: u32) {
        let announced = self.announced.iter().find(|(id, _)| *id == stream);
        let opening = Opening { block: None, priority: announced.map(|(_, priority)| *priority) };
        self.announced.retain(|(id, _)| *id > stream);
        if self.opened.len() >= MOST_OPENED {
            self.opened.pop_front();
        }
        self.opened.push_back(Opened { stream, opening, refusal: None, is_abandoned: false });
    }

    /// The field block of a stream is complete.
    pub fn set_block(&mut self, stream: u32, block: Block) {
        if let Some(opened) = self.find(stream) {
            opened.opening.block = Some(block);
        }
    }

    /// Notes a priority; `last` is the last stream that was opened. For one that was taken it comes too late.
    pub fn set_priority(&mut self, stream: u32, priority: Priority, last: u32) {
        if let Some(opened) = self.find(stream) {
            opened.opening.priority = Some(priority);
        } else if stream > last {
            self.announced.retain(|(id, _)| *id != stream);
            if self.announced.len() >= MOST_ANNOUNCED {
                self.announced.pop_front();
            }
            self.announced.push_back((stream, priority));
        }
    }

    /// The stream is refused for a reason, or for none that has to be told. What was said first counts.
    pub fn refuse(&mut self, stream: u32, reason: Option<EndReason>) {
        match reason {
            None => self.opened.retain(|opened| opened.stream != stream),
            Some(_) => {
                if let Some(opened) = self.find(stream) {
                    opened.refusal = opened.refusal.or(reason);
                }
            }
        }
    }

    pub fn take(&mut self, stream: u32) -> Option<Opening> {
        let at = self.opened.iter().position(|opened| opened.stream == stream)?;
        self.opened.remove(at).map(|opened| opened.opening)
    }

    /// The client resets a stream. What is told of it afterwards, if nobody takes it, is that it was malformed.
    pub fn abandon(&mut self, stream: u32) {
        if let Some(opened) = self.find(stream).filter(|opened| opened.refusal.is_none()) {
            opened.refusal = Some(EndReason::BadRequest);
            opened.is_abandoned = true;
        }
    }

    pub fn take_refused(&mut self) -> Option<Refused> {
        let at = self.opened.iter().position(|opened| opened.refusal.is_some())?;
        let Opened { refusal, is_abandoned, .. } = self.opened.remove(at)?;
        refusal.map(|reason| Refused { reason, is_abandoned })
    }

    fn find(&mut self, stream: u32) -> Option<&mut Opened> {
        // What is looked for was opened last, as a rule.
        self.opened.iter_mut().rev().find(|opened| opened.stream == stream)
    }
}
