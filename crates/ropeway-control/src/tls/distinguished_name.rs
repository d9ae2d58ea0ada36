//! Distinguished names as text that says one thing only (RFC 4514).

use x509_parser::der_parser::asn1_rs::ToDer;
use x509_parser::prelude::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name};

use super::certificate::hexadecimal;

/// RFC 4514 section 3, and what else is common in subjects (the descriptors that IANA keeps for LDAP).
const KEYWORDS: [(&str, &str); 15] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("2.5.4.4", "sn"),
    ("2.5.4.42", "givenName"),
    ("2.5.4.12", "title"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.97", "organizationIdentifier"),
];

/// The parts from the last to the first, with commas in between: `CN=alice,OU=staff,O=Example`. Different names are
/// different texts, and every text is printable ASCII.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let parts: Vec<&RelativeDistinguishedName<'_>> = name.iter().collect();
    joined(parts.into_iter().rev().map(|part| joined(part.iter().map(attribute), "+")), ",")
}

fn joined(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}

/// RFC 4514 sections 2.3 and 2.4: what has no keyword or is no text is given as it is encoded.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type().to_id_string();
    let keyword = KEYWORDS.iter().find(|(known, _)| *known == kind).map(|(_, keyword)| *keyword);
    match (keyword, attribute.as_str()) {
        (Some(keyword), Ok(text)) => format!("{keyword}={}", value(text)),
        (keyword, _) => {
            let encoded = attribute.attr_value().to_der_vec().unwrap_or_default();
            format!("{}=#{}", keyword.unwrap_or(&kind), hexadecimal(&encoded))
        }
    }
}

/// RFC 4514 section 2.4.
fn value(text: &str) -> String {
    let last = text.len().saturating_sub(1);
    let is_plain = |at: usize, octet: u8| match octet {
        b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => false,
        b'#' => at != 0,
        b' ' => at != 0 && at != last,
        octet => octet.is_ascii_graphic(),
    };
    escaped(text, is_plain)
}

/// Each octet that is not plain becomes a backslash with two hexadecimal digits. That is one of the two ways of RFC 4514,
/// and the one that leaves no separator in a value: not even who splits without looking at backslashes is misled.
pub(super) fn escaped(text: &str, is_plain: impl Fn(usize, u8) -> bool) -> String {
    let octets = text.bytes().enumerate();
    octets.fold(String::with_capacity(text.len()), |mut out, (at, octet)| {
        if is_plain(at, octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("\\{octet:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    fn written(parts: Vec<(DnType, DnValue)>) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        parts.into_iter().for_each(|(kind, value)| params.distinguished_name.push(kind, value));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        text(parsed.subject())
    }

    #[test]
    fn parts_are_told_from_what_only_looks_like_parts() {
        use DnType::{CommonName, OrganizationalUnitName};
        let real = written(vec![(OrganizationalUnitName, "staff".into()), (CommonName, "admin".into())]);
        assert_eq!(real, "CN=admin,OU=staff");
        let forged = ["admin,OU=staff", "x+OU=staff,CN=admin", "x, OU=staff"];
        let told = forged.map(|name| written(vec![(CommonName, name.into())]));
        assert_eq!(told, ["CN=admin\\2COU=staff", "CN=x\\2BOU=staff\\2CCN=admin", "CN=x\\2C OU=staff"]);
    }

    #[test]
    fn what_has_a_meaning_or_no_glyph_is_written_in_digits() {
        let name = |value: &str| written(vec![(DnType::CommonName, value.into())]);
        assert_eq!(name("#a#"), "CN=\\23a#");
        assert_eq!(name(" a b "), "CN=\\20a b\\20");
        assert_eq!(name(" "), "CN=\\20");
        assert_eq!(name("\"a\";<b>\\"), "CN=\\22a\\22\\3B\\3Cb\\3E\\5C");
        assert_eq!(name("al\u{e9}\r\n\0"), "CN=al\\C3\\A9\\0D\\0A\\00");
        assert_eq!(name(""), "CN=");
    }

    #[test]
    fn what_has_no_keyword_or_is_no_text_is_written_as_it_is_encoded() {
        let unknown = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99999, 1]);
        assert_eq!(written(vec![(unknown, "hi".into())]), "1.3.6.1.4.1.99999.1=#0c026869");
        let wide = DnValue::BmpString("hi".try_into().unwrap());
        assert_eq!(written(vec![(DnType::CommonName, wide)]), "CN=#1e0400680069");
    }
}
