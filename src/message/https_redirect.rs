//! Where a request for cleartext goes when its listener sends everybody to HTTPS (`listeners[].redirect_to_https`).
//!
//! The host is the client's own word and comes back to it, so it is judged here again: names, addresses and nothing else. Path and query
//! stay byte for byte, since what they mean is the server's business.

use super::request_line::{self, Absolute};

/// The `https` URL for a request with `target` as it stands in the request line and with `host` from its `Host` field or `:authority`, at
/// `port`; `None` if nothing says which host is meant. 443 is the port that nobody needs to be told (RFC 9110 section 4.2.2).
#[must_use]
pub fn location(host: Option<&[u8]>, target: &[u8], port: u16) -> Option<String> {
    let (authority, path) = match Absolute::split(target) {
        Some(absolute) => (absolute.authority, absolute.path_and_query),
        None => (host?, target),
    };
    request_line::authority(authority).ok()?;
    let name = std::str::from_utf8(without_port(authority)).ok()?;
    let path = std::str::from_utf8(path).ok().filter(|path| path.bytes().all(|byte| byte.is_ascii_graphic()))?;
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    Some(match path {
        // The server as a whole, which a URL without a path means (RFC 9112 section 3.2.4).
        "*" => format!("https://{name}{port}"),
        path if path.starts_with('/') => format!("https://{name}{port}{path}"),
        // An absolute form may leave its path out.
        path if path.is_empty() || path.starts_with('?') => format!("https://{name}{port}/{path}"),
        _ => return None,
    })
}

/// A judged authority without its port.
fn without_port(authority: &[u8]) -> &[u8] {
    let from = authority.iter().rposition(|&byte| byte == b']').unwrap_or(0);
    let end = authority[from..].iter().position(|&byte| byte == b':').map_or(authority.len(), |colon| from + colon);
    &authority[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, target: &str, port: u16) -> Option<String> {
        location(Some(host.as_bytes()), target.as_bytes(), port)
    }

    #[test]
    fn host_path_and_query_stay_and_the_port_is_the_configured_one() {
        for (host, target, port, url) in [
            ("example.com", "/", 443, "https://example.com/"),
            ("Example.com:8080", "/a%2F../b//c?d=e&f", 443, "https://Example.com/a%2F../b//c?d=e&f"),
            ("example.com:443", "/", 8443, "https://example.com:8443/"),
            ("192.0.2.1:80", "/?q", 443, "https://192.0.2.1/?q"),
            ("[2001:db8::1]:80", "/", 8443, "https://[2001:db8::1]:8443/"),
            ("[2001:db8::1]", "/", 443, "https://[2001:db8::1]/"),
            ("example.com", "//other.example/", 443, "https://example.com//other.example/"),
            ("example.com", "*", 443, "https://example.com"),
            ("example.com", "http://example.com/a?b", 443, "https://example.com/a?b"),
            ("example.com", "http://example.com", 443, "https://example.com/"),
            ("example.com", "http://example.com:8080?b", 8443, "https://example.com:8443/?b"),
        ] {
            assert_eq!(at(host, target, port).as_deref(), Some(url), "{host} {target}");
        }
    }

    #[test]
    fn an_absolute_target_needs_no_host_and_without_either_there_is_nowhere_to_go() {
        assert_eq!(location(None, b"http://example.com/a", 443).as_deref(), Some("https://example.com/a"));
        assert_eq!(location(None, b"/a", 443), None);
    }

    #[test]
    fn nothing_gets_into_the_field_that_is_no_host_and_no_path() {
        for host in [
            "",
            "a b",
            "a\r\nSet-Cookie: x",
            "a\nb",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "user:pass@a",
            "a\\b",
            "a\0",
            "a,b",
            "[::1",
            "a:b",
            "a:",
            "\u{e9}",
            ":80",
            "<a>",
        ] {
            assert_eq!(at(host, "/", 443), None, "{host:?}");
        }
        for target in ["/a\r\nSet-Cookie: x", "/a b", "/\0", "/\u{e9}", "a", "ftp://example.com/", "http://a b/", "http://a\r\nb/"]
        {
            assert_eq!(at("example.com", target, 443), None, "{target:?}");
        }
    }
}
