//! Signals, and how the process leaves. The whole drain happens while Pingora waits for a shutdown signal, because its own shutdown
//! sleeps for a fixed time and closes everything at once (design `pingora.md`, traps 1 and 2).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::clock;
use crate::drain::Drain;
use crate::telemetry::Metrics;

/// Waits for the signal to leave, and leaves.
pub(super) struct Leaving {
    drain: Drain,
    metrics: Arc<Metrics>,
    deadline: Duration,
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
    pub(super) fn new(drain: Drain, metrics: Arc<Metrics>, deadline: Duration, ready: Ready) -> Self {
        Self {
            drain,
            metrics,
            deadline,
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
        tracing::info!(
            streams = self.drain.streams(),
            running = self.drain.running(),
            deadline_seconds = self.deadline.as_secs_f64(),
            "leaving: no new connections, subscriptions end at their next event boundary, everything else may finish"
        );
        self.drain.begin(|_, _| started);
        self.listeners_close.send_replace(true);
        tokio::select! {
            () = self.drain.nothing_left() => {}
            () = tokio::time::sleep(self.deadline) => {
                tracing::warn!(left = self.drain.running(), "drain.deadline is over: what is left is cut");
            }
            () = signals.leave() => tracing::warn!(left = self.drain.running(), "a second signal: what is left is cut"),
        }
        self.drain.cut();
        // Cut streams only need to be polled once more, so that each tells its end.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.drain.nothing_left()).await;
        for (reason, streams) in self.metrics.streams_ended() {
            tracing::info!(reason = reason.label(), streams, "streams that ended");
        }
        tracing::info!(seconds = clock::now().saturating_duration_since(started).as_secs_f64(), "gone");
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

    /// Resolves at TERM or INT. The others have no effect yet, and say so.
    async fn leave(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => tracing::warn!("HUP has no effect yet: restart to read the configuration again"),
                _ = self.user1.recv() => tracing::warn!("USR1 has no effect yet: logs go to standard error"),
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
                signals.leave().await;
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
