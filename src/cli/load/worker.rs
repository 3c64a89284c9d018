//! The threads that drive the streams: each has its own runtime, its own streams and its own counters, so that no event wakes another
//! thread and none waits for one.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::http2::SharedConnection;
use super::plan::Plan;
use super::stream::{Carrier, Stream};
use super::totals::{Board, Totals};

/// A thread has begun all its streams.
#[derive(Debug)]
pub(super) struct AllBegun;

/// One thread.
#[derive(Debug)]
pub(super) struct Worker {
    plan: Arc<Plan>,
    board: Board,
    thread: usize,
    totals: Arc<Totals>,
    /// Given up when all its streams are over.
    news: mpsc::UnboundedSender<AllBegun>,
    stop: watch::Receiver<bool>,
}

impl Worker {
    /// Starts all threads of `plan`.
    pub(super) fn start_all(
        plan: &Arc<Plan>,
        board: &Board,
        news: &mpsc::UnboundedSender<AllBegun>,
        stop: &watch::Receiver<bool>,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        let start = |(thread, totals): (usize, &Arc<Totals>)| {
            let worker = Self {
                plan: Arc::clone(plan),
                board: board.clone(),
                thread,
                totals: Arc::clone(totals),
                news: news.clone(),
                stop: stop.clone(),
            };
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            std::thread::Builder::new().name(format!("load-{thread}")).spawn(move || runtime.block_on(worker.run()))
        };
        board.threads.iter().enumerate().map(start).collect()
    }

    /// Begins its streams when they are due, and holds them until all have ended or it is told to stop.
    async fn run(mut self) {
        let mut streams = JoinSet::new();
        let mut stopped = pin!(self.stop.wait_for(|stop| *stop));
        let mut is_stopped = false;
        let connecting = Arc::new(Semaphore::new(self.plan.connecting));
        // Streams come in order, so that the newest connection is all that they need.
        let mut newest: Option<(u32, Arc<SharedConnection>)> = None;
        for number in self.plan.streams_of(self.thread) {
            let due = self.plan.due(self.board.began, number);
            let permit = tokio::select! {
                permit = async { sleep_until(due.into()).await; Arc::clone(&connecting).acquire_owned().await } => permit,
                _ = &mut stopped => {
                    is_stopped = true;
                    break;
                }
            };
            let permit = permit.expect("the semaphore is never closed");
            let carrier = if self.plan.is_http2 {
                let connection = self.plan.connection_of(number);
                let (_, shared) = match newest.take() {
                    Some(known) if known.0 == connection => newest.insert(known),
                    _ => newest.insert((connection, Arc::new(SharedConnection::new(Arc::clone(&self.plan.dial), connection)))),
                };
                Carrier::Shared(Arc::clone(shared))
            } else {
                Carrier::Own
            };
            let stream = Stream::new(Arc::clone(&self.plan), number, carrier, &self.board, Arc::clone(&self.totals));
            streams.spawn(stream.run(permit, Arc::clone(&connecting)));
            while streams.try_join_next().is_some() {}
        }
        let _ = self.news.send(AllBegun);
        let all_over = async { while streams.join_next().await.is_some() {} };
        tokio::select! {
            () = all_over => {}
            _ = &mut stopped, if !is_stopped => {}
            () = std::future::ready(()), if is_stopped => {}
        }
        // Each is counted where it is dropped.
        streams.shutdown().await;
    }
}
