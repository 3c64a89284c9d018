//! Ports for one run: below the range that the kernel takes for outgoing connections, new ones for each run, so that no connection that
//! lingers from the last one is in the way, and each tried before it is used.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use ssedge::clock;

use crate::Fallible;
use crate::process::Process;

/// The first of our ports. Those below are common choices of other programs.
const FIRST: u16 = 20_000;

/// How long a server may take until it listens.
const READY: Duration = Duration::from_secs(30);

/// Hands out ports, one after the other, round and round.
#[derive(Debug)]
pub(crate) struct Ports {
    next: u16,
    end: u16,
}

impl Ports {
    /// Ports from 20000 up to where the kernel's own begin.
    pub(crate) fn new() -> Fallible<Self> {
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let end = range.split_ascii_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768);
        if end < FIRST + 1000 {
            return Err(format!(
                "the kernel takes ports from {end} on for outgoing connections; the comparison needs 1000 from {FIRST} on for itself: \
                 sysctl net.ipv4.ip_local_port_range='32768 60999'"
            ));
        }
        Ok(Self { next: FIRST, end })
    }

    /// The next port. One that is taken is refused: a process of an aborted run behind it would be measured too.
    pub(crate) fn take(&mut self) -> Fallible<u16> {
        let port = self.next;
        self.next = if port + 1 == self.end { FIRST } else { port + 1 };
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
            format!("port {port} is taken ({error}): end what listens there (`ss -ltnp 'sport = {port}'`) and start again")
        })?;
        Ok(port)
    }
}

/// Waits until `process` listens on `port`.
pub(crate) fn wait_for(process: &mut Process, port: u16) -> Fallible<()> {
    let deadline = clock::now() + READY;
    loop {
        process.alive()?;
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(());
        }
        if clock::now() >= deadline {
            return Err(format!("port {port} does not answer after {} s: {}", READY.as_secs(), process.last_words()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
