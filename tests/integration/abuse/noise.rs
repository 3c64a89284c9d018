//! Bytes that are no protocol, on both kinds of ports: refused or closed, never passed on, never a panic.

use std::hash::{BuildHasher, RandomState};

use super::MIB;
use super::scene::Scene;
use crate::support::{Client, Origin, Script, shown};

/// Connections of noise, at most [`AT_ONCE`] at once.
const CONNECTIONS: usize = 1000;
const AT_ONCE: usize = 50;

/// Numbers of a seed, so that a failure can be repeated (xorshift64*).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Up to 2 KiB behind something that some protocol begins with, or behind nothing.
    fn bytes(&mut self) -> Vec<u8> {
        const BEGIN: [&[u8]; 8] = [
            b"",
            b"",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\x16\x03\x01",
            b"\x17\x03\x03\x00\x20",
            b"GET / HTTP/1.1\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"PROXY TCP4 ",
        ];
        let mut bytes = BEGIN[(self.next() % BEGIN.len() as u64) as usize].to_vec();
        let length = self.next() % 2048;
        bytes.extend((0..length).map(|_| (self.next() >> 32) as u8));
        bytes
    }
}

#[tokio::test]
async fn random_bytes_neither_stop_nor_pass_the_door() {
    let seed = std::env::var("SSEDGE_SEED").ok().map(|seed| seed.parse().expect("SSEDGE_SEED is a number"));
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0_u8)) | 1;
    eprintln!("SSEDGE_SEED={seed}");
    let mut noise = Noise(seed);
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().start(origin.address()).await;
    for _ in 0..CONNECTIONS / AT_ONCE {
        let mut clients = Vec::new();
        for nth in 0..AT_ONCE {
            let (address, over_tls) = if nth % 2 == 0 { (scene.plain, false) } else { (scene.tls, true) };
            let bytes = noise.bytes();
            clients.push(tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                client.send_last(&bytes).await;
                let (answer, _) = client.rest().await;
                // An alert where it spoke TLS; SETTINGS and GOAWAY where it spoke HTTP/2.
                let starts: [&[u8]; 4] = [b"HTTP/1.1 4", b"HTTP/1.1 5", b"\x15\x03", b"\0\0"];
                let is_refusal = answer.is_empty() || starts.iter().any(|start| answer.starts_with(start));
                assert!(is_refusal, "{:?} to {:?}, over TLS: {over_tls}", shown(&answer), shown(&bytes));
            }));
        }
        for client in clients {
            client.await.expect("noise was answered");
        }
    }
    scene.connections_become(0).await;
    assert_eq!(origin.connections(), 0, "noise reached the server");
    scene.survived(AT_ONCE as u64 * (MIB / 4)).await;
}
