//! Flow control as a ledger (RFC 9113 section 5.2 and 6.9): who may still send how much.

use std::collections::BTreeMap;

/// The windows of one direction of a connection.
#[derive(Clone, Debug)]
pub struct Windows {
    connection: i64,
    initial: i64,
    streams: BTreeMap<u32, i64>,
}

impl Default for Windows {
    fn default() -> Self {
        Self { connection: 65_535, initial: 65_535, streams: BTreeMap::new() }
    }
}

impl Windows {
    /// Takes note of SETTINGS_INITIAL_WINDOW_SIZE, which moves the windows of all streams (RFC 9113 section 6.9.2).
    pub fn set_initial(&mut self, size: u32) {
        let change = i64::from(size) - self.initial;
        self.initial = size.into();
        self.streams.values_mut().for_each(|window| *window += change);
    }

    /// The window with which a stream begins.
    #[must_use]
    pub fn initial(&self) -> i64 {
        self.initial
    }

    /// Takes note of WINDOW_UPDATE.
    pub fn credit(&mut self, stream: u32, increment: u32) {
        *self.window(stream) += i64::from(increment);
    }

    /// Takes note of DATA with a payload of `length`, padding included.
    pub fn charge(&mut self, stream: u32, length: usize) {
        self.connection -= length as i64;
        *self.window(stream) -= length as i64;
    }

    /// How much may be sent on a stream now. Negative when windows shrank, or somebody sent too much.
    pub fn left(&mut self, stream: u32) -> i64 {
        self.connection.min(*self.window(stream))
    }

    /// The window of one stream, or of the connection (0), alone.
    pub fn window(&mut self, stream: u32) -> &mut i64 {
        match stream {
            0 => &mut self.connection,
            _ => self.streams.entry(stream).or_insert(self.initial),
        }
    }
}
