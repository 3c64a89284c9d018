//! IP addresses as text (RFC 5952), as each request writes them into fields and each line of the access log has them. By hand for
//! IPv4: the standard library's way takes twelve times as many instructions, which were 5 % of what an ordinary request cost.

use std::io::Write;
use std::net::IpAddr;

/// Appends `address` as [`IpAddr`] shows itself.
pub fn push(address: IpAddr, out: &mut Vec<u8>) {
    let IpAddr::V4(address) = address else {
        // To memory, which does not fail.
        let _ = write!(out, "{address}");
        return;
    };
    for (position, octet) in address.octets().into_iter().enumerate() {
        if position > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    #[test]
    fn every_address_reads_as_it_shows_itself() {
        let octets = 0..=u8::MAX;
        let v4 = octets.map(|octet| IpAddr::from(Ipv4Addr::new(octet, 255 - octet, octet / 2, octet / 26)));
        let v6 = [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0xa, 0, 1)];
        for address in v4.chain(v6.map(IpAddr::from)) {
            let mut text = b"client=".to_vec();
            super::push(address, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), format!("client={address}"));
        }
    }
}
