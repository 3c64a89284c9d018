//! Wiring: a valid configuration becomes listening sockets, Pingora services and a process that leaves in good order.

mod limits;
mod listen;
mod signals;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use pingora::apps::ServerApp;
use pingora::apps::http_app::HttpServer;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use tokio::net::TcpStream;

use crate::admin::Admin;
use crate::config::Config;
use crate::drain::Drain;
use crate::proxy::{App, Door, DoorSettings};
use crate::telemetry::Metrics;

pub use crate::telemetry::logging;

use listen::{Accept, ListenService};
use signals::Leaving;

/// A server whose sockets are bound: clients that connect now wait in the kernel until it runs.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    listeners: Vec<TcpListener>,
    admin: Option<TcpListener>,
}

/// Why a server could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be bound.
    Bind(SocketAddr, std::io::Error),
    /// Two metrics have the same name.
    Metrics(prometheus::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bind(address, error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: port {} is taken by another process", address.port())
            }
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Metrics(error) => write!(f, "the metrics are inconsistent: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl Bound {
    /// Binds all addresses of `config`, or none.
    ///
    /// # Errors
    /// [`StartError::Bind`], for the first address that cannot be had.
    pub fn new(config: Config) -> Result<Self, StartError> {
        let listeners = config
            .listeners
            .iter()
            .map(|listener| listen::bind(listener.address, config.timeouts.write_stall))
            .collect::<Result<_, _>>()?;
        let admin = config.admin.map(|address| listen::bind(address, config.timeouts.write_stall)).transpose()?;
        Ok(Self { config, listeners, admin })
    }

    /// The addresses that clients connect to, port 0 resolved.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The address that operators connect to, port 0 resolved.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Runs until a signal says otherwise and all that ran has ended. Calls `ready` once signals are caught and clients are served.
    /// Blocks; must not be called inside of a runtime.
    ///
    /// # Errors
    /// [`StartError::Metrics`].
    pub fn run(self, ready: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let Self { config, listeners, admin } = self;
        limits::raise_descriptors();
        let metrics = Arc::new(Metrics::new().map_err(StartError::Metrics)?);
        let drain = Drain::new();
        let leaving = Leaving::new(drain.clone(), Arc::clone(&metrics), config.drain.deadline, Box::new(ready));

        // Work on a connection never leaves its runtime; Pingora makes one for each service.
        let conf = ServerConf { threads: config.threads, ..ServerConf::default() };
        let mut server = Server::new_with_opt_and_conf(None, conf);
        if let Some(listener) = admin {
            let stop = leaving.process_over();
            let app = Arc::new(HttpServer::new_app(Admin::new(Arc::clone(&metrics), drain.clone())));
            server.add_service(ListenService::new("admin", vec![listener], Some(1), stop, AdminDoor(app)));
        }
        let settings = DoorSettings {
            request_head_bytes: config.limits.request_head,
            request_head: config.timeouts.request_head,
            keep_alive: config.timeouts.keep_alive,
            write_stall: config.timeouts.write_stall,
        };
        let door = Door::new(settings, Arc::new(App::new(config.routes, metrics, drain.clone())));
        server.add_service(ListenService::new("edge", listeners, None, leaving.listeners_close(), EdgeDoor(Arc::new(door))));
        server.run(RunArgs { shutdown_signal: Box::new(leaving) });
        Ok(())
    }
}

/// Clients.
struct EdgeDoor(Arc<Door>);

impl Accept for EdgeDoor {
    fn accept(&self, socket: TcpStream, address: SocketAddr) {
        let door = Arc::clone(&self.0);
        // Counted from here on: the process must not leave before the task has run.
        let client = door.client(address);
        tokio::spawn(async move { door.serve(socket, client).await });
    }
}

/// Operators: a plain Pingora HTTP application.
struct AdminDoor(Arc<HttpServer<Admin>>);

impl Accept for AdminDoor {
    fn accept(&self, socket: TcpStream, _address: SocketAddr) {
        let app = Arc::clone(&self.0);
        tokio::spawn(async move {
            let (_keep_open, shutdown) = tokio::sync::watch::channel(false);
            let mut next: Option<pingora::protocols::Stream> = Some(Box::new(L4Stream::from(socket)));
            while let Some(stream) = next {
                next = app.process_new(stream, &shutdown).await;
            }
        });
    }
}
