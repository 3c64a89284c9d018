//! Signals, and how the process leaves. The whole drain happens while Pingora waits for a shutdown signal, because its own shutdown
//! sleeps for a fixed time and closes everything at once (design `pingora.md`, traps 1 and 2).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::certificates::Certificates;
use crate::clock;
use crate::config::DrainSpec;
use crate::drain::Drain;
use crate::telemetry::{AccessLog, Metrics};

/// Waits for the signal to leave, and leaves.
pub(super) struct Leaving {
    drain: Drain,
    metrics: Arc<Metrics>,
    log: Arc<AccessLog>,
    spec: DrainSpec,
    certificates: Arc<Certificates>,
    listeners_close: watch::Sender<bool>,
    process_over: watch::Sender<bool>,
    ready: Mutex<Option<Ready>>,
}

/// Called once, when the process serves and its signals are caught.
pub(super) type Ready = Box<dyn FnOnce() + Send>;

/// The signals that the process knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    quit: Signal,
}

impl Leaving {
    pub(super) fn new(
        drain: Drain,
        metrics: Arc<Metrics>,
        log: Arc<AccessLog>,
        spec: DrainSpec,
        certificates: Arc<Certificates>,
        ready: Ready,
    ) -> Self {
        Self {
            drain,
            metrics,
            log,
            spec,
            certificates,
            listeners_close: watch::Sender::new(false),
            process_over: watch::Sender::new(false),
            ready: Mutex::new(Some(ready)),
        }
    }

    /// True when clients are no longer accepted.
    pub(super) fn listeners_close(&self) -> watch::Receiver<bool> {
        self.listeners_close.subscribe()
    }

    /// True when all is over: operators are served until then.
    pub(super) fn process_over(&self) -> watch::Receiver<bool> {
        self.process_over.subscribe()
    }

    async fn leave(&self, signals: &mut Signals) {
        let started = clock::now();
        let before = self.metrics.streams_ended();
        tracing::info!(
            streams = self.drain.streams(),
            connections = self.drain.running(),
            lag_seconds = self.spec.lag.as_secs_f64(),
            spread_seconds = self.spec.spread.as_secs_f64(),
            deadline_seconds = self.spec.deadline.as_secs_f64(),
            "leaving: /readyz fails, then no new connections; subscriptions end at an event boundary, everything else may finish"
        );
        let hurried = !self.spec.lag.is_zero() && {
            self.drain.announce();
            tokio::select! {
                () = tokio::time::sleep(self.spec.lag) => false,
                () = signals.leave(self) => true,
            }
        };
        let began = clock::now();
        let spread = self.spec.spread;
        // Evenly over the window, so that clients do not come back in one wave.
        self.drain.begin(|position, all| began + spread.mul_f64(position as f64 / all.max(1) as f64));
        self.listeners_close.send_replace(true);
        tokio::select! {
            () = self.drain.nothing_left() => {}
            () = tokio::time::sleep_until((started + self.spec.deadline).into()), if !hurried => {
                tracing::warn!(left = self.drain.running(), "drain.deadline is over: what is left is cut");
            }
            () = async { if !hurried { signals.leave(self).await } } => {
                tracing::warn!(left = self.drain.running(), "a second signal: what is left is cut");
            }
        }
        self.drain.cut();
        // Cut streams only need to be polled once more, so that each tells its end.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.drain.nothing_left()).await;
        let seconds = clock::now().saturating_duration_since(started).as_secs_f64();
        tracing::info!(seconds, "gone: {} while leaving", self.metrics.streams_ended().since(&before));
        self.log.flush(Duration::from_secs(2));
        self.process_over.send_replace(true);
    }
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Resolves at TERM or INT. USR1 opens the access log anew, HUP reads certificates again. QUIT has no effect yet, and says so.
    async fn leave(&mut self, leaving: &Leaving) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    if leaving.certificates.is_empty() {
                        tracing::warn!("HUP: there are no certificates to read again; restart to read the configuration again");
                    } else {
                        tracing::info!("HUP: reading certificates again; restart to read the configuration again");
                        leaving.certificates.reload();
                    }
                }
                _ = self.user1.recv() => {
                    tracing::info!("USR1: opening the access log anew");
                    leaving.log.reopen();
                }
                _ = self.quit.recv() => tracing::warn!("QUIT has no effect yet: send TERM to leave"),
            }
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Leaving {
    async fn recv(&self) -> ShutdownSignal {
        match Signals::catch() {
            Ok(mut signals) => {
                let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(ready) = ready {
                    ready();
                }
                signals.leave(self).await;
                self.leave(&mut signals).await;
            }
            Err(error) => {
                tracing::error!(%error, "signals cannot be caught: the process ends as the system ends it");
                std::future::pending::<()>().await;
            }
        }
        ShutdownSignal::FastShutdown
    }
}
