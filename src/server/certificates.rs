//! The files of certificates and keys: read before anything is bound, read again at HUP and when they change.
//!
//! Directories are watched and not files: certbot and Kubernetes put new files in place by renaming, and a watch on a file follows the
//! old one. What cannot be used is told and leaves what holds; nothing here ends a connection.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify_debouncer_full::notify::RecursiveMode;
use notify_debouncer_full::{DebounceEventResult, new_debouncer};
use tokio::sync::{mpsc, watch};

use super::StartError;
use crate::config::Config;
use crate::tls::{CertificateSpec, ClientAuth, ClientTls, Reloaded, ServerTls, TlsError, alpn};
use crate::upstream::Protocol;

/// Files of one change are written one after the other: so long after the last of them, they are read.
const QUIET: Duration = Duration::from_millis(500);

/// All settings that come from files.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// By the position of the listener.
    listeners: Vec<Option<Arc<ServerTls>>>,
    upstreams: HashMap<Arc<str>, Arc<ClientTls>>,
}

impl Certificates {
    /// Reads the files that `config` names.
    pub(super) fn load(config: &Config) -> Result<Self, StartError> {
        let listener = |spec: &Option<_>| spec.clone().map(|spec| ServerTls::new(spec).map(Arc::new)).transpose();
        let listeners = config.listeners.iter().map(|each| listener(&each.tls)).collect::<Result<_, _>>();
        let mut upstreams = HashMap::new();
        for spec in &config.upstreams {
            let protocol = match spec.protocol {
                Protocol::Http1 => alpn::HTTP_1_1,
                Protocol::Http2 => alpn::H2,
            };
            if let Some(tls) = &spec.tls {
                let tls = ClientTls::new(tls.clone(), protocol).map_err(StartError::Tls)?;
                upstreams.insert(Arc::clone(&spec.name), Arc::new(tls));
            }
        }
        Ok(Self { listeners: listeners.map_err(StartError::Tls)?, upstreams })
    }

    /// For the listener at that position.
    pub(super) fn listener(&self, position: usize) -> Option<Arc<ServerTls>> {
        self.listeners.get(position)?.clone()
    }

    /// For the upstream with that name.
    pub(super) fn upstream(&self, name: &str) -> Option<Arc<ClientTls>> {
        self.upstreams.get(name).cloned()
    }

    /// Reads all files again.
    pub(super) fn reload(&self) {
        let mut changed = 0;
        let listeners = self.listeners.iter().flatten().map(|tls| tls.reload());
        let upstreams = self.upstreams.values().map(|tls| tls.reload());
        for result in listeners.chain(upstreams) {
            match result {
                Ok(Reloaded::Changed) => changed += 1,
                Ok(Reloaded::Same) => {}
                Err(error) => tell(&error),
            }
        }
        if changed > 0 {
            tracing::info!(changed, "certificates were read again: new connections use them");
        }
    }

    /// Reads files again when they change, until `over`.
    pub(super) async fn watch(self: Arc<Self>, mut over: watch::Receiver<bool>) {
        let (sender, mut changes) = mpsc::channel(1);
        let told = move |events: DebounceEventResult| match events {
            // That a file was looked at changes nothing; our own reading would wake us again and again.
            Ok(events) if events.iter().all(|event| event.kind.is_access()) => {}
            // One that waits already stands for this one too.
            Ok(_) => drop(sender.try_send(())),
            Err(errors) => tracing::warn!(?errors, "certificates may have changed unseen: send HUP after each change"),
        };
        let mut debouncer = match new_debouncer(QUIET, None, told) {
            Ok(debouncer) => debouncer,
            Err(error) => return tracing::warn!(%error, "files of certificates cannot be watched: send HUP after each change"),
        };
        let mut watched = BTreeSet::new();
        loop {
            // A link that leads elsewhere now is followed anew.
            let fresh: Vec<_> = self.directories().into_iter().filter(|directory| watched.insert(directory.clone())).collect();
            for directory in &fresh {
                if let Err(error) = debouncer.watch(directory, RecursiveMode::NonRecursive) {
                    tracing::warn!(directory = %directory.display(), %error, "certificates there are not watched: send HUP after each change");
                }
            }
            if !fresh.is_empty() {
                // What changed before it was watched.
                self.reload();
            }
            tokio::select! {
                Some(()) = changes.recv() => self.reload(),
                _ = over.wait_for(|over| *over) => return,
            }
        }
    }

    /// Where the files lie: by their names, and where those lead as links.
    fn directories(&self) -> BTreeSet<PathBuf> {
        let parent = |path: &Path| path.parent().map(Path::to_owned);
        let of = |path: PathBuf| parent(&path).into_iter().chain(path.canonicalize().ok().as_deref().and_then(parent));
        self.files().flat_map(of).collect()
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let pair = |spec: &CertificateSpec| [spec.cert.clone(), spec.key.clone()];
        let listeners = self.listeners.iter().flatten().flat_map(move |tls| {
            let ca = match &tls.spec().client_auth {
                ClientAuth::None => None,
                ClientAuth::Optional(ca) | ClientAuth::Required(ca) => Some(ca.clone()),
            };
            tls.spec().certificates.iter().flat_map(pair).chain(ca)
        });
        let upstreams = self.upstreams.values().flat_map(move |tls| {
            let spec = tls.spec();
            spec.identity.iter().flat_map(pair).chain(spec.ca.clone())
        });
        listeners.chain(upstreams)
    }

    /// Whether there is nothing to read again.
    pub(super) fn is_empty(&self) -> bool {
        self.files().next().is_none()
    }
}

fn tell(error: &TlsError) {
    tracing::error!(%error, "certificates cannot be read again, and those before stay in use: {}", error.help);
}
