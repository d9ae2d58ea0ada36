//! What came back on one stream, judged as it arrives (RFC 9113 section 8).

use crate::h2::connection::Incoming;
use crate::message::{Fields, Response};
use crate::wire::Body;

/// Fields that belong to a connection and may not be in HTTP/2 (RFC 9113 section 8.2.2).
const OF_CONNECTIONS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// One stream as the client sees it.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// Interim responses (1xx).
    pub interim: Vec<Response>,
    /// The final response, as far as it came.
    pub response: Option<Response>,
    /// Whether END_STREAM came.
    pub ended: bool,
    /// The code of RST_STREAM.
    pub reset: Option<u32>,
}

impl Exchange {
    /// Whether nothing more may come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended || self.reset.is_some()
    }

    /// The bytes of the body until now.
    #[must_use]
    pub fn received(&self) -> usize {
        self.response.as_ref().map_or(0, |response| response.body.data.len())
    }

    fn take_head(&mut self, head: Response, ends: bool) {
        if head.status / 100 == 1 {
            assert!(!ends, "an interim response ended the stream: {head:?}");
            assert_ne!(head.status, 101, "RFC 9113 section 8.6");
            self.interim.push(head);
        } else {
            self.response = Some(head);
        }
    }

    /// A body that ends has the length that was announced (RFC 9113 section 8.1.1).
    fn judge_length(&self) {
        let Some(response) = self.response.as_ref().filter(|_| self.ended) else { return };
        let Some(length) = response.field("content-length") else { return };
        assert_eq!(
            length,
            response.body.data.len().to_string(),
            "{}",
            String::from_utf8_lossy(&response.head)
        );
    }
}

impl Incoming for Exchange {
    const OPENED_BY_PEER: bool = false;

    fn take_fields(&mut self, fields: Fields, ends: bool) {
        assert!(!self.is_over(), "a field block after the end: {fields:?}");
        fields.iter().for_each(|(name, value)| judge_field(name, value));
        self.ended = ends;
        match &mut self.response {
            Some(response) => {
                assert!(ends, "trailers without END_STREAM: {fields:?}");
                assert!(fields.iter().all(|(name, _)| !name.starts_with(':')), "pseudo trailers: {fields:?}");
                response.body.trailers = fields;
                self.judge_length();
            }
            None => self.take_head(head(fields), ends),
        }
    }

    fn take_data(&mut self, bytes: &[u8], ends: bool) {
        assert!(!self.is_over(), "DATA after the end");
        let response = self.response.as_mut().expect("DATA only after a final response");
        response.body.data.extend(bytes);
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
        self.is_over()
    }

    fn summary(&self) -> String {
        let status = self.response.as_ref().map(|response| response.status);
        format!("status {status:?}, ended {}, reset {:?}", self.ended, self.reset)
    }
}

/// A response head out of its fields: `:status` first, and nothing else with a colon.
fn head(mut fields: Fields) -> Response {
    let rendered: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    assert_eq!(fields.first().map(|(name, _)| name.as_str()), Some(":status"), "{rendered}");
    let (_, status) = fields.remove(0);
    assert!(fields.iter().all(|(name, _)| !name.starts_with(':')), "{rendered}");
    Response {
        status: status.parse().unwrap_or_else(|error| panic!("{error}: {rendered}")),
        reason: String::new(),
        version: "HTTP/2".into(),
        fields,
        head: rendered.into_bytes(),
        body: Body::default(),
    }
}

/// RFC 9113 section 8.2.1 and 8.2.2.
pub(super) fn judge_field(name: &str, value: &str) {
    let plain = name.strip_prefix(':').unwrap_or(name);
    let name_is_good = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b':';
    assert!(!plain.is_empty() && plain.bytes().all(name_is_good), "field name {name:?}");
    assert!(!value.contains(['\0', '\r', '\n']), "value of {name}: {value:?}");
    assert_eq!(value.trim_matches([' ', '\t']), value, "space around the value of {name}");
    assert!(!OF_CONNECTIONS.contains(&name), "{name} in HTTP/2");
}
