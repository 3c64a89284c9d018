//! Addresses: where we listen, and where a server is.
//!
//! Pure: nothing is looked up. A listener needs an IP address, since what a name means may change under a running proxy; a server may
//! have a name (RFC 1123 section 2.1; underscores too, which container networks use) or be a unix socket. IPv6 stands in brackets
//! (RFC 3986 section 3.2.2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::defaults;
use crate::upstream::ServerAddress;

/// How a listener's address is written, for help texts.
pub(super) const LISTEN_FORM: &str = "write an IP address and a port, such as `0.0.0.0:8080` or `[::]:8080`";

/// How a server's address is written, for help texts.
pub(super) const SERVER_FORM: &str =
    "write a host and a port, such as `127.0.0.1:3000`, `app:3000` or `[::1]:3000`, or a socket, such as `unix:/run/app.sock`";

/// What is wrong with an address, and what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddressError {
    what: &'static str,
    /// What to write instead, where that can be told.
    pub(super) meant: Option<String>,
}

impl AddressError {
    fn new(what: &'static str) -> Self {
        Self { what, meant: None }
    }

    fn meant(what: &'static str, meant: impl fmt::Display) -> Self {
        Self { what, meant: Some(meant.to_string()) }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

const NO_HOST: &str = "has no host";
const NO_PORT: &str = "has no port";
const BAD_PORT: &str = "has no port from 0 to 65535";
const NO_BRACKETS: &str = "has no brackets around its IPv6 address";
const HAS_SCHEME: &str = "is a URL, where host and port alone belong";

/// The address of a listener; port 0 takes a free one.
pub(super) fn listen(text: &str) -> Result<SocketAddr, AddressError> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(rest) = without_scheme(text) {
        let meant = listen(rest).map(|address| address.to_string()).ok();
        return Err(AddressError { what: HAS_SCHEME, meant });
    }
    if let Ok(port) = text.parse::<u16>() {
        return Err(AddressError::meant(NO_HOST, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))));
    }
    if let Some(address) = unbracketed(text) {
        return Err(AddressError::meant(NO_BRACKETS, address));
    }
    if let Ok(ip) = without_brackets(text).parse::<IpAddr>() {
        return Err(AddressError::meant(NO_PORT, SocketAddr::from((ip, 8080))));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(AddressError::new("is no IP address with a port"));
    };
    let Ok(port) = port.parse::<u16>() else {
        return Err(AddressError::new(BAD_PORT));
    };
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    Err(match host {
        "" => AddressError::meant(NO_HOST, everywhere),
        "*" => AddressError::meant("has no IP address", everywhere),
        "localhost" => AddressError::meant("has a name where an IP address belongs", SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        host if is_name(host) => AddressError::meant("has a name where an IP address belongs", everywhere),
        _ => AddressError::new("is no IP address with a port"),
    })
}

/// The address of a server.
pub(super) fn server(text: &str) -> Result<ServerAddress, AddressError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path);
    }
    if let Some(rest) = without_scheme(text) {
        let meant = server(rest).map(|address| address.to_string()).ok();
        return Err(AddressError { what: HAS_SCHEME, meant });
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok() {
        return Err(AddressError::meant(NO_HOST, format_args!("127.0.0.1:{text}")));
    }
    if let Some(address) = unbracketed(text) {
        return Err(AddressError::meant(NO_BRACKETS, address));
    }
    if let Ok(ip) = without_brackets(text).parse::<Ipv6Addr>() {
        return Err(AddressError::meant(NO_PORT, format_args!("[{ip}]:80")));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(if is_host(text) {
            AddressError::meant(NO_PORT, format_args!("{text}:80"))
        } else {
            AddressError::new(NO_PORT)
        });
    };
    let port = match port.parse::<u16>() {
        Ok(0) => return Err(AddressError::new("has port 0, where no server can be")),
        Ok(port) if !host.is_empty() => port,
        Ok(port) => return Err(AddressError::meant(NO_HOST, format_args!("127.0.0.1:{port}"))),
        Err(_) => return Err(AddressError::new("has no port from 1 to 65535")),
    };
    let inside = without_brackets(host);
    if inside != host {
        return match inside.parse::<Ipv6Addr>() {
            Ok(ip) => Ok(ServerAddress::Tcp { host: ip.to_string(), port }),
            Err(_) => Err(AddressError::new("has no IPv6 address in its brackets")),
        };
    }
    if is_host(host) { Ok(ServerAddress::Tcp { host: host.to_owned(), port }) } else { Err(AddressError::new(host_error(host))) }
}

/// The path of a unix socket; a relative one is relative to the file, which is not known here.
fn unix(path: &str) -> Result<ServerAddress, AddressError> {
    match path {
        "" => Err(AddressError::new("has no path")),
        _ if path.starts_with("//") => Err(AddressError::meant(HAS_SCHEME, format_args!("unix:/{}", path.trim_start_matches('/')))),
        _ if path.contains(char::is_control) => Err(AddressError::new("has control characters in its path")),
        _ if path.len() > defaults::LONGEST_SOCKET_PATH => Err(AddressError::new("has a path that is too long for a unix socket")),
        _ if path.ends_with('/') => Err(AddressError::new("names a directory, where a socket belongs")),
        _ => Ok(ServerAddress::Unix(PathBuf::from(path))),
    }
}

fn without_scheme(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    Some(rest.split_once('/').map_or(rest, |(host, _)| host))
}

fn without_brackets(text: &str) -> &str {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text)
}

/// `::1:8080`: most probably an address and a port.
fn unbracketed(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    Some(SocketAddr::from((host.parse::<Ipv6Addr>().ok()?, port.parse::<u16>().ok()?)))
}

/// A host as requests name it in `Host`, in lower case, IPv6 in brackets; `Err` with what is wrong and what was meant.
pub(super) fn requested_host(text: &str) -> Result<String, AddressError> {
    let lower = text.to_ascii_lowercase();
    if is_host(&lower) {
        return match lower.strip_suffix('.') {
            Some(plain) => Err(AddressError::meant("ends in a dot", plain)),
            None => Ok(lower),
        };
    }
    let inside = without_brackets(&lower);
    if let Ok(ip) = inside.parse::<Ipv6Addr>() {
        let bracketed = format!("[{ip}]");
        return if inside == lower { Err(AddressError::meant(NO_BRACKETS, bracketed)) } else { Ok(bracketed) };
    }
    if let Some(rest) = without_scheme(&lower) {
        return Err(AddressError { what: "is a URL, where a host alone belongs", meant: requested_host(rest).ok() });
    }
    if let Some((host, port)) = lower.rsplit_once(':')
        && port.parse::<u16>().is_ok()
        && let Ok(host) = requested_host(host)
    {
        return Err(AddressError::meant("has a port, which is not looked at", host));
    }
    Err(AddressError::new(host_error(&lower)))
}

fn is_host(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok() || is_name(text)
}

/// A name: labels of up to 63 letters, digits, `-` and `_`, 253 in all. One that ends in a number would be taken for an IPv4 address.
pub(super) fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(is_letter) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label) && !ends_in_number(text)
}

fn ends_in_number(host: &str) -> bool {
    host.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()))
}

fn host_error(host: &str) -> &'static str {
    match host {
        _ if !host.is_ascii() => "has a name with letters beyond ASCII (its ASCII form starts with `xn--`)",
        _ if host.contains(['/', '?', '@']) => HAS_SCHEME,
        _ if ends_in_number(host) => "has a host that is no IPv4 address",
        _ => "has a host that is no name and no IP address",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_has_an_ip_address_and_a_port() {
        for text in ["0.0.0.0:8080", "127.0.0.1:0", "[::]:8080", "[::1]:65535"] {
            assert_eq!(listen(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_was_meant_by_a_listener_is_told() {
        for (text, meant) in [
            (":8080", "0.0.0.0:8080"),
            ("8080", "0.0.0.0:8080"),
            ("*:8080", "0.0.0.0:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("edge.example.com:80", "0.0.0.0:80"),
            ("127.0.0.1", "127.0.0.1:8080"),
            ("::1", "[::1]:8080"),
            ("[::1]", "[::1]:8080"),
            ("::1:9000", "[::1]:9000"),
            ("http://127.0.0.1:80/x", "127.0.0.1:80"),
        ] {
            assert_eq!(listen(text).unwrap_err().meant.as_deref(), Some(meant), "{text}");
        }
    }

    #[test]
    fn what_is_no_listener_at_all_is_refused() {
        for text in ["", ":", "a b:80", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:", "localhost", "http://"] {
            assert_eq!(listen(text).unwrap_err().meant, None, "{text}");
        }
    }

    #[test]
    fn a_server_has_a_host_and_a_port() {
        for (text, host, port) in [
            ("127.0.0.1:3000", "127.0.0.1", 3000),
            ("localhost:80", "localhost", 80),
            ("my_app.internal.:1", "my_app.internal.", 1),
            ("[::1]:3000", "::1", 3000),
            ("1app:3000", "1app", 3000),
        ] {
            assert_eq!(server(text), Ok(ServerAddress::Tcp { host: host.to_owned(), port }), "{text}");
        }
    }

    #[test]
    fn a_server_may_be_a_socket() {
        let longest = format!("unix:/{}", "a".repeat(defaults::LONGEST_SOCKET_PATH - 1));
        for text in ["unix:/run/app.sock", "unix:app.sock", &longest] {
            assert_eq!(server(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_host_of_a_request_is_a_name_or_an_address_in_lower_case() {
        for (text, host) in [
            ("App.Example.COM", "app.example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[0:0::1]", "[::1]"),
            ("my_app", "my_app"),
        ] {
            assert_eq!(requested_host(text).as_deref(), Ok(host), "{text}");
        }
        for (text, meant) in [
            ("app.example.com:8080", Some("app.example.com")),
            ("https://App.example.com/x", Some("app.example.com")),
            ("app.example.com.", Some("app.example.com")),
            ("::1", Some("[::1]")),
            ("[::1]:80", Some("[::1]")),
            ("", None),
            ("a b", None),
            ("bücher.de", None),
            ("300.0.0.1", None),
        ] {
            assert_eq!(requested_host(text).unwrap_err().meant.as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn what_was_meant_by_a_server_is_told() {
        for (text, meant) in [
            ("http://127.0.0.1:3000/", "127.0.0.1:3000"),
            ("3000", "127.0.0.1:3000"),
            (":3000", "127.0.0.1:3000"),
            ("localhost", "localhost:80"),
            ("::1:3000", "[::1]:3000"),
            ("::1", "[::1]:80"),
            ("unix:///run/app.sock", "unix:/run/app.sock"),
        ] {
            assert_eq!(server(text).unwrap_err().meant.as_deref(), Some(meant), "{text}");
        }
    }

    #[test]
    fn what_is_no_server_at_all_is_refused() {
        let long = format!("{}:80", "a".repeat(64));
        let long_socket = format!("unix:/{}", "a".repeat(defaults::LONGEST_SOCKET_PATH));
        for text in [
            "",
            ":",
            "app:0",
            "app:65536",
            "app:http",
            "300.0.0.1:80",
            "1.2.3:80",
            "bücher.de:80",
            "a b:80",
            "-a:80",
            "a..b:80",
            "[::1:80",
            "[x]:80",
            "app/x:80",
            "unix:",
            "unix:/run/",
            "unix:/run/a\nb",
            &long,
            &long_socket,
        ] {
            let error = server(text).unwrap_err();
            assert_eq!(error.meant, None, "{text}: {error}");
        }
    }
}
