//! What the tests of this module share: specs and servers in one line, a resolver that says what it is told, a scripted server.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::discovery::Lookup;
use super::roster::{Member, Roster};
use super::server::Server;
use super::spec::{Balance, EjectionSpec, Http2Spec, Protocol, ServerAddress, ServerSpec, UpstreamSpec};

/// Long enough for anything on this machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

pub(super) const EJECTION: EjectionSpec = EjectionSpec { failures: 3, duration: Duration::from_secs(10) };

/// An upstream with these servers, weight 1 each.
pub(super) fn spec(servers: &[&str]) -> UpstreamSpec {
    spec_of(&servers.iter().map(|server| (*server, 1)).collect::<Vec<_>>())
}

/// An upstream with these servers and weights.
pub(super) fn spec_of(servers: &[(&str, u32)]) -> UpstreamSpec {
    let address = |text: &str| match text.strip_prefix("unix:") {
        Some(path) => ServerAddress::Unix(path.into()),
        None => {
            let (host, port) = text.rsplit_once(':').unwrap();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            ServerAddress::Tcp { host: host.to_owned(), port: port.parse().unwrap() }
        }
    };
    UpstreamSpec {
        name: "app".into(),
        servers: servers.iter().map(|(text, weight)| ServerSpec { address: address(text), weight: *weight }).collect(),
        resolve: Duration::from_secs(10),
        balance: Balance::default(),
        protocol: Protocol::Http1,
        http2: Http2Spec::default(),
        tls: None,
        keep_alive: Some(Duration::from_secs(4)),
        health: None,
        ejection: EJECTION,
    }
}

/// A list of these servers and weights, none of which is a name.
pub(super) fn members(servers: &[(&str, u32)]) -> Vec<Member> {
    Roster::new(&spec_of(servers), None).members().to_vec()
}

/// One server.
pub(super) fn server(address: &str) -> Arc<Server> {
    Arc::clone(&members(&[(address, 1)])[0].server)
}

/// A resolver that gives each answer once and then the last one for ever; `None` is a failure.
#[derive(Debug)]
pub(super) struct Scripted {
    answers: Mutex<VecDeque<Option<Vec<SocketAddr>>>>,
    pub(super) asked: AtomicUsize,
}

impl Scripted {
    pub(super) fn new(answers: &[Option<&[&str]>]) -> Arc<Self> {
        let addresses = |list: &[&str]| list.iter().map(|address| address.parse().unwrap()).collect();
        let answers = answers.iter().map(|answer| answer.map(addresses)).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Lookup for Scripted {
    async fn lookup(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
        answer.ok_or_else(|| io::Error::other("the resolver is away"))
    }
}

/// A server that reads something on each connection and then answers with what `answer` says at that moment; an empty answer is
/// silence. Tells what it read of the first request.
pub(super) async fn answering(answer: Arc<Mutex<&'static str>>) -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(String::new()));
    let first = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (answer, first) = (Arc::clone(&answer), Arc::clone(&first));
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let n = socket.read(&mut request).await.unwrap_or(0);
                let answer = *answer.lock().unwrap();
                {
                    let mut first = first.lock().unwrap();
                    if first.is_empty() {
                        *first = String::from_utf8_lossy(&request[..n]).into_owned();
                    }
                }
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, asked)
}

/// An address at which nobody listens: a port that is bound for as long as this lives, so that nobody else can have it.
pub(super) struct Nowhere(socket2::Socket);

impl Nowhere {
    pub(super) fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        Self(socket)
    }

    pub(super) fn address(&self) -> String {
        self.0.local_addr().unwrap().as_socket().unwrap().to_string()
    }

    /// From now on connects get no answer: nobody accepts, and the queue of those who wait is as short as can be.
    pub(super) fn listen(&self) {
        self.0.listen(0).unwrap();
    }
}

/// Waits until `holds`, or fails at the deadline.
#[track_caller]
pub(super) fn eventually(what: &'static str, holds: impl Fn() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let polled = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, polled).await.is_ok(), "{place}: {what} never came true");
    }
}
