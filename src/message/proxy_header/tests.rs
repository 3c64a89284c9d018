//! Each header at every split, what must be refused, and bytes of chance.

use proptest::prelude::*;

use super::*;

/// A header of version 2: command, family, what follows the length.
fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2, &[command, family], &length, rest].concat()
}

/// Addresses of version 2 over IPv4, from 192.0.2.1:1000 to 198.51.100.1:443, and then `more`.
fn ipv4(more: &[u8]) -> Vec<u8> {
    [&[192, 0, 2, 1, 198, 51, 100, 1, 0x03, 0xe8, 0x01, 0xbb], more].concat()
}

fn ipv6() -> Vec<u8> {
    let mut addresses = vec![0; 36];
    addresses[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    addresses[15] = 7;
    addresses[32..].copy_from_slice(&[0xff, 0xff, 0x01, 0xbb]);
    addresses
}

/// Whole headers, and whom they name.
fn whole() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LONGEST_V1 - 16));
    let large = [0x04, 0x0f, 0xf1 - 12 - 3].iter().copied().chain([b'x'; LONGEST_V2]).collect::<Vec<_>>();
    vec![
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 1000 443\r\n".to_vec(), Some("192.0.2.1:1000")),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n".to_vec(), Some("255.255.255.255:65535")),
        (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n".to_vec(), Some("0.0.0.0:0")),
        (b"PROXY TCP6 2001:db8::7 ::1 1000 443\r\n".to_vec(), Some("[2001:db8::7]:1000")),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1000 443\r\n".to_vec(), Some("[::ffff:192.0.2.1]:1000")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff:f...f whatever \0 1 2\r\n".to_vec(), None),
        (longest.into_bytes(), None),
        (version_2(PROXY, TCP4, &ipv4(b"")), Some("192.0.2.1:1000")),
        // With values behind the addresses, well formed or not: they say nothing that we use.
        (version_2(PROXY, TCP4, &ipv4(b"\x02\0\x0bexample.com")), Some("192.0.2.1:1000")),
        (version_2(PROXY, TCP4, &ipv4(b"\x02\xff\xffx")), Some("192.0.2.1:1000")),
        (version_2(PROXY, TCP4, &ipv4(&large[..LONGEST_V2 - V2_FIXED - 12])), Some("192.0.2.1:1000")),
        (version_2(PROXY, TCP6, &ipv6()), Some("[2001:db8::7]:65535")),
        (version_2(PROXY, UNSPECIFIED, b""), None),
        (version_2(PROXY, UNSPECIFIED, b"whatever"), None),
        (version_2(PROXY, UNIX, &[0; 216]), None),
        (version_2(LOCAL, UNSPECIFIED, b""), None),
        (version_2(LOCAL, TCP4, &ipv4(b"")), None),
        // The family of LOCAL is ignored, and so is what is too short for it.
        (version_2(LOCAL, TCP6, b"short"), None),
        (version_2(LOCAL, 0xff, b""), None),
    ]
}

#[test]
fn a_header_is_partial_at_every_split_and_complete_at_its_last_byte_whatever_follows() {
    for (header, source) in whole() {
        let shown = header.escape_ascii().to_string();
        let source = source.map(|source| source.parse().unwrap());
        let complete = ProxyHeader::Complete { source, length: header.len() };
        for split in 0..header.len() {
            assert_eq!(ProxyHeader::scan(&header[..split]), ProxyHeader::Partial, "{shown} cut at {split}");
        }
        for behind in [&b""[..], b"G", b"GET / HTTP/1.1\r\n", b"\r\n", b"\x16\x03\x01", V2, b"PROXY UNKNOWN\r\n"] {
            assert_eq!(ProxyHeader::scan(&[&header, behind].concat()), complete, "{shown}");
        }
    }
}

#[test]
fn what_has_two_readings_or_none_is_malformed() {
    let long_line = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LONGEST_V1 - 15));
    let endless = "PROXY TCP4 ".to_owned() + &"1".repeat(200);
    let lines = [
        "PROXY TCP4 192.0.2.1 198.51.100.1 1000 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1000 443\rX",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1000 443\r\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1000 443 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1000 443 extra\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.1 1000 443\r\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.1 1000 443\r\n",
        "PROXY TCP4\t192.0.2.1 198.51.100.1 1000 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +1000 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 01000 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1  443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1000\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.1 1000 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.1 1000 443\r\n",
        "PROXY TCP4 192.0.2 198.51.100.1 1000 443\r\n",
        "PROXY TCP4 2001:db8::7 ::1 1000 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 1000 443\r\n",
        "PROXY TCP6 2001:db8::7%eth0 ::1 1000 443\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.1 1000 443\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.1 1000 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        &long_line,
        &endless,
    ];
    for line in lines {
        assert!(matches!(ProxyHeader::scan(line.as_bytes()), ProxyHeader::Malformed(_)), "{line:?}");
    }
    let headers = [
        // Versions, commands, families that there are not.
        version_2(0x11, TCP4, &ipv4(b"")),
        version_2(0x22, TCP4, &ipv4(b"")),
        version_2(0x2f, TCP4, &ipv4(b"")),
        version_2(PROXY, 0x13, &ipv4(b"")),
        version_2(PROXY, 0x41, &ipv4(b"")),
        // Datagrams do not come over TCP.
        version_2(PROXY, 0x12, &ipv4(b"")),
        version_2(PROXY, 0x22, &ipv6()),
        version_2(PROXY, 0x32, &[0; 216]),
        // Too short.
        version_2(PROXY, TCP4, b""),
        version_2(PROXY, TCP4, &ipv4(b"")[..11]),
        version_2(PROXY, TCP6, &ipv6()[..35]),
        // Too long.
        version_2(PROXY, TCP4, &ipv4(&[0; LONGEST_V2 - V2_FIXED - 11])),
        version_2(LOCAL, UNSPECIFIED, &[0; 65_535]),
    ];
    for header in headers {
        let judged = ProxyHeader::scan(&header);
        assert!(matches!(judged, ProxyHeader::Malformed(_)), "{judged:?}: {}", header[..20.min(header.len())].escape_ascii());
    }
}

#[test]
fn what_is_hopeless_is_told_before_it_is_whole() {
    assert!(matches!(ProxyHeader::scan(&version_2(0x23, 0, b"")[..13]), ProxyHeader::Malformed(_)));
    assert!(matches!(ProxyHeader::scan(&version_2(PROXY, TCP4, &[0; 5000])[..V2_FIXED]), ProxyHeader::Malformed(_)));
    assert!(matches!(ProxyHeader::scan(&[b"PROXY ", [b'x'; 101].as_slice()].concat()), ProxyHeader::Malformed(_)));
    assert_eq!(ProxyHeader::scan(&[b"PROXY ", [b'x'; 100].as_slice()].concat()), ProxyHeader::Partial);
}

#[test]
fn anything_else_is_no_header() {
    for bytes in [
        &b"G"[..],
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"POST",
        b"PROXYTCP4",
        b"proxy TCP4",
        b"\x16\x03\x01",
        b"\r\n\r\nGET",
        b"\n",
        b" ",
    ] {
        assert_eq!(ProxyHeader::scan(bytes), ProxyHeader::Missing, "{}", bytes.escape_ascii());
    }
}

proptest! {
    #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-proxy-header.txt")))]

    /// Whatever comes, a byte more or less changes no verdict that was final, and no header is longer than its bound.
    #[test]
    fn a_verdict_stands(start in 0_usize..whole().len(), flips in prop::collection::vec((0_usize..60, any::<u8>()), 0..3), tail in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut bytes = whole()[start].0.clone();
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.extend(tail);
        let mut verdict = ProxyHeader::Partial;
        for end in 0..=bytes.len() {
            let judged = ProxyHeader::scan(&bytes[..end]);
            prop_assert!(verdict == ProxyHeader::Partial || judged == verdict, "{verdict:?} became {judged:?}");
            verdict = judged;
            if let ProxyHeader::Complete { length, .. } = judged {
                prop_assert!(length <= end && length <= LONGEST_V2);
            }
            if judged == ProxyHeader::Partial {
                prop_assert!(end < LONGEST_V2);
            }
        }
    }
}
