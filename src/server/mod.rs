//! Wiring: a valid configuration becomes listening sockets, Pingora services and a process that leaves in good order.

mod certificates;
mod kernel;
mod limits;
mod listen;
mod signals;
mod wiring;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::ServerApp;
use pingora::apps::http_app::HttpServer;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::admin::Admin;
use crate::config::Config;
use crate::drain::Drain;
use crate::proxy::{Door, Listener};
use crate::telemetry::AccessLog;
use crate::telemetry::access_log::AccessLogError;
use crate::tls::TlsError;

use certificates::Certificates;
use listen::{Accept, ListenService};
use signals::Leaving;
use wiring::{Background, Wired};

pub use limits::raise_descriptors;
pub use wiring::init_logging;

/// A server whose sockets are bound: clients that connect now wait in the kernel until it runs.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    listeners: Vec<TcpListener>,
    admin: Option<TcpListener>,
    log: AccessLog,
    certificates: Certificates,
}

/// Why a server could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be bound.
    Bind(SocketAddr, std::io::Error),
    /// The access log cannot be written.
    AccessLog(AccessLogError),
    /// The process may have too few descriptors to serve anything.
    Descriptors(u64),
    /// A file of certificates or keys cannot be used any more.
    Tls(TlsError),
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
            Self::AccessLog(error) => write!(f, "{error}"),
            Self::Descriptors(few) => {
                let needed = limits::FEWEST_DESCRIPTORS;
                write!(f, "this process may have only {few} descriptors: raise `ulimit -n` to {needed} at least")
            }
            Self::Tls(error) => write!(f, "{error}; {}", error.help),
            Self::Metrics(error) => write!(f, "the metrics are inconsistent: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl Bound {
    /// Binds all addresses of `config` and opens its access log, or does neither.
    ///
    /// # Errors
    /// [`StartError::Tls`], the first address that cannot be had, or [`StartError::AccessLog`].
    pub fn new(config: Config) -> Result<Self, StartError> {
        let certificates = Certificates::load(&config)?;
        let write_stall = config.timeouts.write_stall;
        let listeners =
            config.listeners.iter().map(|listener| listen::bind(listener.address, write_stall)).collect::<Result<_, _>>()?;
        let admin = config.admin.map(|address| listen::bind(address, write_stall)).transpose()?;
        let log = wiring::access_log(&config.log).map_err(StartError::AccessLog)?;
        Ok(Self { config, listeners, admin, log, certificates })
    }

    /// The addresses that clients connect to, port 0 resolved.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The same as URLs, for people.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let scheme = |position| if self.certificates.listener(position).is_some() { "https" } else { "http" };
        self.addresses().iter().enumerate().map(|(position, address)| format!("{}://{address}", scheme(position))).collect()
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
    /// [`StartError::Descriptors`] or [`StartError::Metrics`].
    pub fn run(self, ready: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let Self { config, listeners, admin, log, certificates } = self;
        let descriptors = limits::raise_descriptors();
        if let Some(few) = descriptors.filter(|few| *few < limits::FEWEST_DESCRIPTORS) {
            return Err(StartError::Descriptors(few));
        }
        kernel::look(&kernel::Wants::of(&config));
        let (threads, drain_spec) = (config.threads, config.drain);
        let log = Arc::new(log);
        let certificates = Arc::new(certificates);
        let drain = Drain::new();
        let listening = wiring::listeners(&config, &certificates);
        let watched = (config.watch && !certificates.is_empty()).then(|| Arc::clone(&certificates));
        let Wired { door, metrics, upstreams } =
            wiring::wire(config, descriptors, &drain, &log, &certificates).map_err(StartError::Metrics)?;
        let edge = EdgeDoor { door, listeners: listening };
        let leaving =
            Leaving::new(drain.clone(), Arc::clone(&metrics), Arc::clone(&log), drain_spec, certificates, Box::new(ready));

        // Work on a connection never leaves its runtime; Pingora makes one for each service.
        let mut server = Server::new_with_opt_and_conf(None, ServerConf { threads, ..ServerConf::default() });
        if let Some(listener) = admin {
            let app = Admin::new(metrics, drain, upstreams.clone(), log);
            let app = AdminDoor { app: Arc::new(HttpServer::new_app(app)), places: Arc::new(Semaphore::new(ADMIN_CONNECTIONS)) };
            server.add_service(ListenService::new("admin", vec![listener], Some(1), leaving.process_over(), app));
        }
        server.add_service(Background::new(upstreams, watched, leaving.process_over()));
        server.add_service(ListenService::new("edge", listeners, None, leaving.listeners_close(), edge));
        server.run(RunArgs { shutdown_signal: Box::new(leaving) });
        Ok(())
    }
}

/// Clients.
struct EdgeDoor {
    door: Arc<Door>,
    /// By the position of their socket.
    listeners: Vec<Arc<Listener>>,
}

impl Accept for EdgeDoor {
    fn accept(&self, socket: TcpStream, address: SocketAddr, listener: usize) {
        let Some(listener) = self.listeners.get(listener) else { return };
        // Counted from here on: the process must not leave before the task has run.
        let Some(client) = self.door.admit(address, listener) else { return };
        let door = Arc::clone(&self.door);
        tokio::spawn(async move { door.serve(socket.into(), client).await });
    }

    fn turned_away(&self) {
        self.door.no_descriptor();
    }
}

/// Connections of operators at once, and how long one may take: each has one answer. What they may not take is there for clients.
const ADMIN_CONNECTIONS: usize = 32;
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);

/// Operators: a plain Pingora HTTP application.
struct AdminDoor {
    app: Arc<HttpServer<Admin>>,
    places: Arc<Semaphore>,
}

impl Accept for AdminDoor {
    fn accept(&self, socket: TcpStream, _address: SocketAddr, _listener: usize) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let app = Arc::clone(&self.app);
        tokio::spawn(tokio::time::timeout(ADMIN_PATIENCE, async move {
            let _place = place;
            let (_keep_open, shutdown) = tokio::sync::watch::channel(false);
            let mut next: Option<pingora::protocols::Stream> = Some(Box::new(L4Stream::from(socket)));
            while let Some(stream) = next {
                next = app.process_new(stream, &shutdown).await;
            }
        }));
    }
}
