//! Which requests are calls.

/// The form in which a call comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrpcFlavour {
    /// gRPC over HTTP/2: `application/grpc`.
    Grpc,
    /// gRPC-Web, trailers inside the body: `application/grpc-web`.
    Web,
    /// gRPC-Web in base64: `application/grpc-web-text`.
    WebText,
}

impl GrpcFlavour {
    /// The media type, without the format of messages.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Grpc => "application/grpc",
            Self::Web => "application/grpc-web",
            Self::WebText => "application/grpc-web-text",
        }
    }
}

/// The Content-Type of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcContentType<'a> {
    /// The form of the call.
    pub flavour: GrpcFlavour,
    /// The format of messages, such as `proto` or `json`; `None` when it is not named, which means `proto`.
    pub format: Option<&'a [u8]>,
}

impl<'a> GrpcContentType<'a> {
    /// Reads the value of a Content-Type field; `None` when it is not one of gRPC. Letters may be in either case, and
    /// parameters are ignored (RFC 9110 8.3.1).
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let media_type = crate::http1::trim_ows(value.get(..end).unwrap_or(value));
        let plus = memchr::memchr(b'+', media_type);
        let (name, format) = match plus.and_then(|at| media_type.split_at_checked(at)) {
            Some((name, [b'+', format @ ..])) if !format.is_empty() => (name, Some(format)),
            Some(_) => return None,
            None => (media_type, None),
        };
        let flavours = [GrpcFlavour::Grpc, GrpcFlavour::Web, GrpcFlavour::WebText];
        let flavour =
            flavours.into_iter().find(|known| name.eq_ignore_ascii_case(known.media_type().as_bytes()))?;
        Some(Self { flavour, format })
    }

    /// The same messages in another form: what a translator writes in place of this value.
    #[must_use]
    pub const fn in_flavour(self, flavour: GrpcFlavour) -> Self {
        Self { flavour, ..self }
    }

    /// Appends the value of the field.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.flavour.media_type().as_bytes());
        if let Some(format) = self.format {
            out.push(b'+');
            out.extend_from_slice(format);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<(GrpcFlavour, Option<&str>)> {
        let read = GrpcContentType::parse(value.as_bytes())?;
        Some((read.flavour, read.format.map(|format| std::str::from_utf8(format).unwrap())))
    }

    #[test]
    fn calls_are_recognised() {
        assert_eq!(parse("application/grpc"), Some((GrpcFlavour::Grpc, None)));
        assert_eq!(parse("application/grpc+proto"), Some((GrpcFlavour::Grpc, Some("proto"))));
        assert_eq!(parse("Application/GRPC+json ; charset=utf-8"), Some((GrpcFlavour::Grpc, Some("json"))));
        assert_eq!(parse("application/grpc;a=b+c"), Some((GrpcFlavour::Grpc, None)));
        assert_eq!(parse("application/grpc-web"), Some((GrpcFlavour::Web, None)));
        assert_eq!(parse("application/grpc-web-text+proto"), Some((GrpcFlavour::WebText, Some("proto"))));
    }

    #[test]
    fn other_types_are_not_calls() {
        for value in
            ["", "application/json", "application/grpcx", "application/grpc+", "application/grpc-web-texts"]
        {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn a_translator_keeps_the_format() {
        let mut out = Vec::new();
        let web = GrpcContentType::parse(b"application/grpc-web-text+json").unwrap();
        web.in_flavour(GrpcFlavour::Grpc).write(&mut out);
        assert_eq!(out, b"application/grpc+json");
    }
}
