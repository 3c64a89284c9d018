//! The access log: golden lines, values that try to break out, rotation, and sinks that fail or stand still.

mod lines;
mod sinks;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{Asked, RequestLine};

/// A request whose path and host are given.
fn request<'a>(host: &'a [u8], path: &'a [u8]) -> RequestLine<'a> {
    RequestLine {
        asked: Asked {
            client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
            method: Some("GET"),
            host: Some(host),
            path: Some(path),
            route: Some("0"),
            upstream: Some("app"),
            server: Some("10.0.0.1:3000"),
        },
        status: 200,
        reason: None,
        bytes: 5,
        connect: Some(Duration::from_micros(213)),
        first_byte: Some(Duration::from_millis(12)),
        total: Duration::from_micros(1_013_000),
    }
}
