//! What the encoder and the decoder are to each other, and the examples of the specification.

use proptest::collection::vec;
use proptest::prelude::*;

use super::table::Table;
use super::*;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Fields {
    let mut fields = Vec::new();
    let decoded = decoder.decode(block, |field| fields.push((field.name.to_vec(), field.value.to_vec())));
    assert_eq!(decoded, Ok(()));
    fields
}

fn fields(lines: &[&str]) -> Fields {
    let split = |line: &&str| {
        let at = line[1..].find(':').unwrap() + 1;
        (line[..at].into(), line[at + 2..].into())
    };
    lines.iter().map(split).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.bytes().filter(|digit| *digit != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A block, the fields in it, and the table after it: its size, and its entries with the newest first.
type Example = (&'static str, &'static [&'static str], usize, &'static [&'static str]);

fn check(most: u32, examples: &[Example]) {
    let mut decoder = Decoder::new(most);
    for (block, expected, size, entries) in examples {
        assert_eq!(decode(&mut decoder, &bytes(block)), fields(expected));
        assert_eq!(decoder.table().size(), *size);
        assert_eq!(decoder.table().fields(), fields(entries));
    }
}

/// RFC 7541, appendix C.2, each by itself.
#[test]
fn representations_of_the_specification() {
    const CUSTOM: &[&str] = &["custom-key: custom-header"];
    for example in [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", CUSTOM, 55, CUSTOM),
        ("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], 0, &[]),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], 0, &[]),
        ("82", &[":method: GET"], 0, &[]),
    ] {
        check(4096, &[example]);
    }
}

const REQUESTS: [&[&str]; 3] = [
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
    &[
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ],
];
const REQUEST_TABLES: [&[&str]; 3] = [
    &[":authority: www.example.com"],
    &["cache-control: no-cache", ":authority: www.example.com"],
    &["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"],
];

fn check_requests(blocks: [&'static str; 3]) {
    let [first, second, third] = blocks;
    check(
        4096,
        &[
            (first, REQUESTS[0], 57, REQUEST_TABLES[0]),
            (second, REQUESTS[1], 110, REQUEST_TABLES[1]),
            (third, REQUESTS[2], 164, REQUEST_TABLES[2]),
        ],
    );
}

/// RFC 7541, appendix C.3.
#[test]
fn requests_of_the_specification() {
    check_requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
}

/// RFC 7541, appendix C.4.
#[test]
fn requests_of_the_specification_in_huffman_code() {
    check_requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
}

const FIRST_DATE: &str = "date: Mon, 21 Oct 2013 20:13:21 GMT";
const LAST_DATE: &str = "date: Mon, 21 Oct 2013 20:13:22 GMT";
const LOCATION: &str = "location: https://www.example.com";
const COOKIE: &str = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

fn check_responses(blocks: [&'static str; 3]) {
    let [first, second, third] = blocks;
    check(
        256,
        &[
            (
                first,
                &[":status: 302", "cache-control: private", FIRST_DATE, LOCATION],
                222,
                &[LOCATION, FIRST_DATE, "cache-control: private", ":status: 302"],
            ),
            (
                second,
                &[":status: 307", "cache-control: private", FIRST_DATE, LOCATION],
                222,
                &[":status: 307", LOCATION, FIRST_DATE, "cache-control: private"],
            ),
            (
                third,
                &[
                    ":status: 200",
                    "cache-control: private",
                    LAST_DATE,
                    LOCATION,
                    "content-encoding: gzip",
                    COOKIE,
                ],
                215,
                &[COOKIE, "content-encoding: gzip", LAST_DATE],
            ),
        ],
    );
}

/// RFC 7541, appendix C.5.
#[test]
fn responses_of_the_specification() {
    check_responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 \
         3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 \
         7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 \
         6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ]);
}

/// RFC 7541, appendix C.6.
#[test]
fn responses_of_the_specification_in_huffman_code() {
    check_responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad \
         1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 \
         e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}

type Kept = (Vec<u8>, Vec<u8>, Keeping);

/// Names and values that come again, and others.
fn field() -> impl Strategy<Value = Kept> {
    let text = |some: &'static [&'static str], len| {
        let some = prop::sample::select(some).prop_map(|text| text.as_bytes().to_vec());
        prop_oneof![9 => some, 1 => vec(any::<u8>(), 0..len)]
    };
    let name = text(&[":path", ":status", "accept", "cookie", "x-a", "x-b", "set-cookie", "vary", ""], 40);
    let value = text(&["/", "200", "302", "a", "b", "c", "", "a value of some more letters", "\u{e4}"], 400);
    (name, value, prop_oneof![9 => Just(Keeping::Adaptive), 1 => Just(Keeping::Never)])
}

/// New limits, and the fields of a block.
fn block() -> impl Strategy<Value = (Vec<u32>, Vec<Kept>)> {
    let limit = prop_oneof![0..300_u32, Just(4096), any::<u32>()];
    (prop_oneof![4 => Just(vec![]), 1 => vec(limit, 1..4)], vec(field(), 1..30))
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(blocks in vec(block(), 1..20), huffman in any::<bool>()) {
        let (mut encoder, mut decoder) = (Encoder::new(huffman), Decoder::new(4096));
        for (limits, fields) in blocks {
            for limit in limits {
                encoder.limit_table(limit);
            }
            let mut out = Vec::new();
            encoder.begin(&mut out);
            for (name, value, keeping) in &fields {
                encoder.field(name, value, *keeping, &mut out);
            }
            let fields: Fields = fields.into_iter().map(|(name, value, _)| (name, value)).collect();
            prop_assert_eq!(decode(&mut decoder, &out), fields);
            let kept = encoder.table().map(Table::fields).unwrap_or_default();
            prop_assert_eq!(kept, decoder.table().fields());
        }
    }
}
