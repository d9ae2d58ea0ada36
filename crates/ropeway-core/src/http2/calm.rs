//! How much a client may ask for that carries nothing (RFC 9113, section 10.5).

use super::Code;

/// Frames that ask for work and carry nothing, which a client may send at once; what it earns beside them is below.
pub(super) const FRAMES: u32 = 2_000;
/// Such frames that each second, and each frame that carries something, allow. A client that is sent DATA may well answer
/// with two WINDOW_UPDATEs and a PING.
const PER_SECOND: u32 = 20;
const PER_FRAME: u32 = 4;
/// Such frames that each KiB of DATA that the client is sent allows besides.
const PER_KIB: u32 = 1;
/// Of those that a client may answer what it was sent with, as many as it may save up while it does something else.
const MOST_OWED: u32 = 100_000;
const MINUTE_MS: u64 = 60_000;

/// What a client has done of it lately.
#[derive(Debug)]
pub(super) struct Calm {
    /// Frames that carry nothing which it may still send.
    frames: u32,
    /// Those of them that answer what it was sent, whenever it comes to that.
    owed: u32,
    second: u64,
    /// Streams that were reset in this minute, by the client or because of it, and how many may be.
    resets: u32,
    most_resets: u32,
    minute: u64,
}

/// It is too much of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess(pub &'static str);

impl Excess {
    pub const CODE: Code = Code::ENHANCE_YOUR_CALM;
}

impl Calm {
    pub fn new(most_resets: u32) -> Self {
        Self { frames: FRAMES, owed: 0, second: 0, resets: 0, most_resets, minute: 0 }
    }

    /// Moves time on.
    pub fn set_time(&mut self, now_ms: u64) {
        let second = now_ms / 1_000;
        if second != self.second {
            let passed = u32::try_from(second.saturating_sub(self.second)).unwrap_or(FRAMES);
            self.second = second;
            self.earn(passed.saturating_mul(PER_SECOND));
        }
        let minute = now_ms / MINUTE_MS;
        if minute != self.minute {
            (self.minute, self.resets) = (minute, 0);
        }
    }

    /// A frame that carries something has come.
    pub fn note_worth(&mut self) {
        self.earn(PER_FRAME);
    }

    /// One was sent, of so many bytes.
    pub fn note_sent(&mut self, bytes: usize) {
        let kib = u32::try_from(bytes / 1024).unwrap_or(MOST_OWED);
        let answers = PER_FRAME.saturating_add(kib.saturating_mul(PER_KIB));
        self.owed = self.owed.saturating_add(answers).min(MOST_OWED);
    }

    /// A frame that carries nothing has come.
    pub fn spend(&mut self) -> Result<(), Excess> {
        let left = if self.owed > 0 { &mut self.owed } else { &mut self.frames };
        *left = left.checked_sub(1).ok_or(Excess("too many frames that carry nothing"))?;
        Ok(())
    }

    /// A stream was reset that was not over.
    pub fn note_reset(&mut self) {
        self.resets = self.resets.saturating_add(1);
    }

    /// Whether there were too many resets.
    pub fn judge_resets(&self) -> Result<(), Excess> {
        if self.resets > self.most_resets { Err(Excess("too many streams that are reset")) } else { Ok(()) }
    }

    fn earn(&mut self, frames: u32) {
        self.frames = self.frames.saturating_add(frames).min(FRAMES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_ends_and_time_makes_up_for_it() {
        let mut calm = Calm::new(0);
        assert!((0..FRAMES).all(|_| calm.spend().is_ok()));
        assert!(calm.spend().is_err());
        calm.set_time(2_000);
        assert!((0..2 * PER_SECOND).all(|_| calm.spend().is_ok()));
        assert!(calm.spend().is_err());
        calm.note_sent(10 * 1024);
        assert!((0..PER_FRAME + 10).all(|_| calm.spend().is_ok()));
        assert!(calm.spend().is_err());
        calm.set_time(u64::MAX);
        assert!((0..FRAMES).all(|_| calm.spend().is_ok()));
        assert!(calm.spend().is_err(), "there is no more than that to save");
        (0..10_000).for_each(|_| calm.note_sent(1));
        assert!((0..20_000).all(|_| calm.spend().is_ok()), "two answers to each frame");
    }

    #[test]
    fn resets_are_counted_by_the_minute() {
        let mut calm = Calm::new(2);
        for _ in 0..2 {
            calm.note_reset();
            assert!(calm.judge_resets().is_ok());
        }
        calm.note_reset();
        assert!(calm.judge_resets().is_err());
        calm.set_time(MINUTE_MS);
        assert!(calm.judge_resets().is_ok());
    }
}
