//! How urgent a response is: the Priority field and the PRIORITY_UPDATE frame (RFC 9218).

/// The two parameters of a request that RFC 9218 defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Priority {
    /// 0, the most urgent, to 7. Default 3.
    pub urgency: u8,
    /// Whether a part of the response is of use before the rest is there, so that several such responses had better
    /// share the connection than wait for each other. Default false.
    pub incremental: bool,
}

impl Default for Priority {
    fn default() -> Self {
        Self { urgency: 3, incremental: false }
    }
}

impl Priority {
    /// Reads the value of a field or a frame. Members that are unknown, out of range or of the wrong type count as absent
    /// (RFC 9218 4). More tolerant than RFC 8941 4.2: a member that is malformed does not spoil the others, for nothing
    /// but an order depends on them.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        Self::default().updated(value)
    }

    /// The same with what a further field line says.
    #[must_use]
    pub fn updated(mut self, value: &[u8]) -> Self {
        for member in split_outside_strings(value, b',') {
            // Parameters of members have no meaning here.
            let member = split_outside_strings(member, b';').next().unwrap_or_default();
            match trim(member) {
                [b'u', b'=', number @ ..] => self.urgency = urgency(number).unwrap_or(self.urgency),
                b"i" | b"i=?1" => self.incremental = true,
                b"i=?0" => self.incremental = false,
                _ => {}
            }
        }
        self
    }

    /// Appends the value of a field that says the same; nothing for the defaults.
    pub fn write(&self, out: &mut Vec<u8>) {
        let default = Self::default();
        if self.urgency != default.urgency {
            out.extend_from_slice(&[b'u', b'=', b'0' + self.urgency.min(7)]);
        }
        if self.incremental {
            let separator: &[u8] = if self.urgency == default.urgency { b"" } else { b", " };
            out.extend_from_slice(separator);
            out.push(b'i');
        }
    }
}

/// An integer from 0 to 7; an integer has 15 digits at most (RFC 8941 3.3.1).
fn urgency(number: &[u8]) -> Option<u8> {
    let [zeros @ .., digit @ b'0'..=b'7'] = number else { return None };
    (zeros.len() < 15 && zeros.iter().all(|&byte| byte == b'0')).then_some(digit - b'0')
}

/// The parts between separators that are not inside a string (RFC 8941 3.3.3).
fn split_outside_strings(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut inside, mut escaped) = (false, false);
    value.split(move |&byte| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' if inside && !was_escaped => escaped = true,
            b'"' if !was_escaped => inside = !inside,
            _ => {}
        }
        byte == separator && !inside
    })
}

fn trim(bytes: &[u8]) -> &[u8] {
    crate::http1::trim_ows(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(value: &str) -> (u8, bool) {
        let priority = Priority::parse(value.as_bytes());
        (priority.urgency, priority.incremental)
    }

    #[test]
    fn both_members_are_read() {
        let cases = [
            ("", (3, false)),
            ("u=0", (0, false)),
            ("u=7, i", (7, true)),
            ("i,u=5", (5, true)),
            ("i=?1", (3, true)),
            ("i, i=?0", (3, false)),
            ("u=1, u=2", (2, false)),
            (" \tu=5 ,\ti ", (5, true)),
            ("u=5;a=1;b, i;c=\",\"", (5, true)),
            ("u=002", (2, false)),
        ];
        for (value, expected) in cases {
            assert_eq!(parsed(value), expected, "{value}");
        }
    }

    /// RFC 9218 4: such parameters are ignored.
    #[test]
    fn what_is_unknown_or_wrong_counts_as_absent() {
        for value in [
            "u",
            "u=8",
            "u=-1",
            "u=1.0",
            "u=?1",
            "u=\"1\"",
            "u=",
            "u=10",
            "U=1",
            "uu=1",
            "u =1",
            "i=1",
            "i=?2",
            "I",
            "u=0000000000000001",
            "x=\"a, u=1, i\"",
            "x=\"\\\", u=1\"",
            "urgency=1",
            "\"u=1",
        ] {
            assert_eq!(parsed(value), (3, false), "{value}");
        }
        assert_eq!(parsed("u=9, i, u=1, x=(a b), y=\"\\\\\""), (1, true));
    }

    #[test]
    fn a_further_line_changes_only_what_it_names() {
        let first = Priority::parse(b"u=5, i");
        assert_eq!(first.updated(b"u=1"), Priority { urgency: 1, incremental: true });
        assert_eq!(first.updated(b"i=?0"), Priority { urgency: 5, incremental: false });
        assert_eq!(first.updated(b"u=9"), first);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(urgency in 0..8_u8, incremental: bool) {
            let priority = Priority { urgency, incremental };
            let mut out = Vec::new();
            priority.write(&mut out);
            prop_assert_eq!(Priority::parse(&out), priority);
        }

        #[test]
        fn any_bytes_give_a_priority(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(Priority::parse(&value).urgency <= 7);
        }
    }
}
