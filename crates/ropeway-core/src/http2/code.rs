//! Why a stream or a connection ended.

/// An error code (RFC 9113, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// NO_ERROR.
    pub const NO_ERROR: Self = Self(0x0);
    /// PROTOCOL_ERROR.
    pub const PROTOCOL: Self = Self(0x1);
    /// INTERNAL_ERROR.
    pub const INTERNAL: Self = Self(0x2);
    /// FLOW_CONTROL_ERROR.
    pub const FLOW_CONTROL: Self = Self(0x3);
    /// STREAM_CLOSED.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// FRAME_SIZE_ERROR.
    pub const FRAME_SIZE: Self = Self(0x6);
    /// REFUSED_STREAM.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// CANCEL.
    pub const CANCEL: Self = Self(0x8);
    /// COMPRESSION_ERROR.
    pub const COMPRESSION: Self = Self(0x9);
    /// ENHANCE_YOUR_CALM.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);

    /// The names of the codes, by their numbers.
    pub const NAMES: [&'static str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.get(self.0 as usize).unwrap_or(&"an unknown error code")
    }

    /// Whether a reset with it is what the peer has asked for by what it did.
    pub(super) fn is_provoked(self) -> bool {
        matches!(
            self,
            Self::PROTOCOL
                | Self::FLOW_CONTROL
                | Self::STREAM_CLOSED
                | Self::FRAME_SIZE
                | Self::REFUSED_STREAM
                | Self::ENHANCE_YOUR_CALM
        )
    }
}
