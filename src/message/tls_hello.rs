//! A client that speaks TLS to a port for cleartext: told from garbage, so that it is told what is wrong.

/// Whether a connection begins with a TLS handshake, as far as `bytes` go: a record of type 22 and of a version that begins with 3
/// (RFC 8446 section 5.1). No request does.
#[must_use]
pub fn begins(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16] | [0x16, 0x03, ..])
}

#[cfg(test)]
mod tests {
    use super::begins;

    #[test]
    fn a_hello_is_known_by_its_first_bytes_and_nothing_else_is_one() {
        for hello in [&b"\x16"[..], b"\x16\x03", b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x03"] {
            assert!(begins(hello), "{hello:?}");
        }
        for other in [&b""[..], b"G", b"\x16\x02", b"\x15\x03\x01", b"\x80\x2e\x01", b"\0\0\0\0", b"\r\n"] {
            assert!(!begins(other), "{other:?}");
        }
    }
}
