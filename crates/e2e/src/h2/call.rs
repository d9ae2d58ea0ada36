//! A request as it arrives at a server, judged as it does (RFC 9113 section 8).

use crate::h2::connection::Incoming;
use crate::h2::exchange::judge_field;
use crate::message::{Fields, Request};
use crate::wire::Body;

/// One stream as the server sees it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The request, as far as it came.
    pub request: Request,
    /// `:scheme`.
    pub scheme: String,
    /// `:authority`.
    pub authority: String,
    /// Whether END_STREAM came.
    pub ended: bool,
    /// The code of RST_STREAM.
    pub reset: Option<u32>,
    /// Whether the test was told of it.
    pub(super) given: bool,
}

impl Default for Call {
    fn default() -> Self {
        let request = Request {
            method: String::new(),
            target: String::new(),
            version: "HTTP/2".into(),
            fields: Vec::new(),
            head: Vec::new(),
            body: Body::default(),
            connection: 0,
        };
        Self {
            request,
            scheme: String::new(),
            authority: String::new(),
            ended: false,
            reset: None,
            given: false,
        }
    }
}

impl Call {
    /// The bytes of the body until now.
    #[must_use]
    pub fn received(&self) -> usize {
        self.request.body.data.len()
    }

    pub(super) fn has_head(&self) -> bool {
        !self.request.head.is_empty()
    }

    /// Four pseudo-header fields, each once and before all others (RFC 9113 section 8.3.1).
    fn take_head(&mut self, fields: &Fields) {
        let rendered: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let ordinary = fields.iter().position(|(name, _)| !name.starts_with(':')).unwrap_or(fields.len());
        let (pseudo, ordinary) = fields.split_at(ordinary);
        assert!(ordinary.iter().all(|(name, _)| !name.starts_with(':')), "{rendered}");
        assert_eq!(pseudo.len(), 4, "{rendered}");
        let the = |wanted: &str| match pseudo.iter().find(|(name, _)| name == wanted) {
            Some((_, value)) if !value.is_empty() => value.clone(),
            _ => panic!("{wanted} in\n{rendered}"),
        };
        (self.request.method, self.request.target) = (the(":method"), the(":path"));
        (self.scheme, self.authority) = (the(":scheme"), the(":authority"));
        self.request.fields = ordinary.to_vec();
        self.request.head = rendered.into_bytes();
    }

    /// A body that ends has the length that was announced (RFC 9113 section 8.1.1).
    fn judge_length(&self) {
        let length = self.request.field("content-length").filter(|_| self.ended);
        let received = self.request.body.data.len();
        assert!(length.is_none_or(|length| length == received.to_string()), "{received} bytes of {self:?}");
    }
}

impl Incoming for Call {
    const OPENED_BY_PEER: bool = true;

    fn take_fields(&mut self, fields: Fields, ends: bool) {
        assert!(!self.is_over(), "a field block after the end: {fields:?}");
        fields.iter().for_each(|(name, value)| judge_field(name, value));
        self.ended = ends;
        if self.has_head() {
            assert!(ends, "trailers without END_STREAM: {fields:?}");
            assert!(fields.iter().all(|(name, _)| !name.starts_with(':')), "pseudo trailers: {fields:?}");
            self.request.body.trailers = fields;
        } else {
            self.take_head(&fields);
        }
        self.judge_length();
    }

    fn take_data(&mut self, bytes: &[u8], ends: bool) {
        assert!(!self.is_over(), "DATA after the end");
        self.request.body.data.extend(bytes);
        self.ended = ends;
        self.judge_length();
    }

    fn take_reset(&mut self, code: u32) {
        assert_eq!(self.reset, None, "reset twice");
        self.reset = Some(code);
    }

    fn reset(&self) -> Option<u32> {
        self.reset
    }

    fn is_over(&self) -> bool {
        self.ended || self.reset.is_some()
    }

    fn summary(&self) -> String {
        let Request { method, target, body, .. } = &self.request;
        format!("{method} {target}, {} bytes, ended {}, reset {:?}", body.data.len(), self.ended, self.reset)
    }
}
