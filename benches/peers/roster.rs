//! Who is compared: how each is found, which version it is, and how it is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fallible;
use crate::process::Program;
use crate::pure::{template, version};
use crate::tools;

/// One contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub(crate) enum Peer {
    /// No proxy at all: what load and origin cost by themselves.
    Direct,
    /// This build.
    Ssedge,
    /// nginx from Debian.
    Nginx,
    /// HAProxy from Debian.
    Haproxy,
    /// Envoy from its wheel.
    Envoy,
    /// Pingora as it comes (`vanilla/`).
    Pingora,
    /// Traefik from its wheel.
    Traefik,
    /// Caddy from its wheel.
    Caddy,
}

/// How clients come to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Front {
    /// HTTP/2 in place of HTTP/1.1.
    pub http2: bool,
    /// Over TLS, with the comparison's own certificate.
    pub tls: bool,
}

/// What a proxy is started with.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Where its own metrics listen, if it is ssedge.
    pub admin: u16,
    /// Where the origin listens.
    pub origin: u16,
    /// Its threads or processes.
    pub workers: usize,
    /// How clients come.
    pub front: Front,
    /// For all files that it writes.
    pub dir: &'a Path,
    /// Where the certificates are.
    pub tls_dir: &'a Path,
}

impl Peer {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 8] =
        [Self::Direct, Self::Ssedge, Self::Nginx, Self::Haproxy, Self::Envoy, Self::Pingora, Self::Traefik, Self::Caddy];

    /// As it is called on the command line and in `results.json`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Ssedge => "ssedge",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Pingora => "pingora",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
        }
    }

    /// Its executable.
    pub(crate) fn binary(self) -> Fallible<PathBuf> {
        match self {
            Self::Direct | Self::Ssedge => Ok(tools::ssedge()),
            Self::Nginx => tools::find("nginx"),
            Self::Haproxy => tools::find("haproxy"),
            Self::Envoy => tools::envoy(),
            Self::Pingora => tools::existing(tools::vanilla()),
            Self::Traefik => tools::existing(tools::venv().join("bin/traefik")),
            Self::Caddy => tools::existing(tools::venv().join("bin/caddy")),
        }
    }

    /// The command that brings it.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Direct | Self::Ssedge => "cargo build",
            Self::Nginx => "apt-get install nginx-light",
            Self::Haproxy => "apt-get install haproxy",
            Self::Envoy | Self::Traefik | Self::Caddy => {
                "apt-get install python3-venv, and a network for pip: benches/peers/requirements.txt is installed by this command"
            }
            Self::Pingora => "a network for cargo: benches/peers/vanilla is built by this command",
        }
    }

    /// What it says of its version, in short.
    pub(crate) fn version(self) -> String {
        let flag = match self {
            Self::Direct => return "no proxy".to_owned(),
            Self::Pingora => return "0.9.1, vanilla".to_owned(),
            Self::Ssedge | Self::Envoy => "--version",
            Self::Nginx | Self::Haproxy => "-v",
            Self::Traefik | Self::Caddy => "version",
        };
        let output = self.binary().and_then(|path| Command::new(path).arg(flag).output().map_err(|error| error.to_string()));
        let Ok(output) = output else { return "unknown".to_owned() };
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        version::in_text(&text).unwrap_or_else(|| "unknown".to_owned())
    }

    /// The program that forwards as `setup` says; `None` for `Direct`, which has none.
    pub(crate) fn program(self, setup: &Setup<'_>) -> Fallible<Option<Program>> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let conf = |source: &str, name: &str| configure(setup, source, name).map(|path| text(&path));
        let path = self.binary()?;
        let program = match self {
            Self::Direct => return Ok(None),
            Self::Ssedge => Program::new("ssedge", path, &["run", "--config", &conf("ssedge.yaml", "ssedge.yaml")?]),
            Self::Nginx => {
                Program::new("nginx", path, &["-e", "stderr", "-p", &text(setup.dir), "-c", &conf("nginx.conf", "nginx.conf")?])
            }
            Self::Haproxy => Program::new("haproxy", path, &["-db", "-f", &conf("haproxy.cfg", "haproxy.cfg")?]),
            Self::Envoy => {
                let conf = conf("envoy.yaml", "envoy.yaml")?;
                let workers = setup.workers.to_string();
                Program::new("envoy", path, &["-c", &conf, "--concurrency", &workers, "-l", "error", "--disable-hot-restart"])
            }
            Self::Pingora => self.vanilla(setup, path),
            Self::Traefik => {
                conf("traefik-routes.yaml", "routes.yaml")?;
                Program::new("traefik", path, &[&format!("--configFile={}", conf("traefik.yaml", "traefik.yaml")?)])
            }
            Self::Caddy => {
                Program::new("caddy", path, &["run", "--config", &conf("Caddyfile", "Caddyfile")?, "--adapter", "caddyfile"])
            }
        };
        // Go takes as many threads as the machine has cores, whatever it was given to run on.
        let env = [("GOMAXPROCS", setup.workers.to_string()), ("HOME", text(setup.dir))];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Some(Program { env, ..program }))
    }

    fn vanilla(self, setup: &Setup<'_>, path: PathBuf) -> Program {
        let (listen, origin) = (format!("127.0.0.1:{}", setup.port), format!("127.0.0.1:{}", setup.origin));
        let workers = setup.workers.to_string();
        let (cert, key) = (tools::certificate(setup.tls_dir), tools::key(setup.tls_dir));
        let (cert, key) = (cert.to_string_lossy(), key.to_string_lossy());
        let mut args: Vec<&str> = vec![&listen, &origin, &workers];
        if setup.front.tls {
            args.extend([cert.as_ref(), key.as_ref()]);
        }
        Program::new(self.name(), path, &args)
    }
}

/// Fills the template `source` and writes it to `name` in the run's directory.
fn configure(setup: &Setup<'_>, source: &str, name: &str) -> Fallible<PathBuf> {
    let source = tools::suite().join("conf").join(source);
    let text = fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
    let shown = |path: PathBuf| path.to_string_lossy().into_owned();
    let (port, admin, origin, workers) =
        (setup.port.to_string(), setup.admin.to_string(), setup.origin.to_string(), setup.workers.to_string());
    let dir = setup.dir.to_string_lossy();
    let (cert, key) = (shown(tools::certificate(setup.tls_dir)), shown(tools::key(setup.tls_dir)));
    let pem = shown(tools::certificate_with_key(setup.tls_dir));
    let values: [(&str, &str); 8] = [
        ("port", &port),
        ("admin", &admin),
        ("origin", &origin),
        ("workers", &workers),
        ("dir", &dir),
        ("cert", &cert),
        ("key", &key),
        ("pem", &pem),
    ];
    let holds = [if setup.front.tls { "tls" } else { "clear" }, if setup.front.http2 { "http2" } else { "http1" }];
    let filled = template::fill(&text, &values, &holds).map_err(|error| format!("{}: {error}", source.display()))?;
    let path = setup.dir.join(name);
    fs::write(&path, filled).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}
