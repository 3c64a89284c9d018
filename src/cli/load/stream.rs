//! One stream as a task: it connects, asks, reads, and comes back if it should. It is counted once, when it is dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::http1::{self, Answer};
use super::http2::{self, SharedConnection};
use super::outcome::{Failure, Outcome};
use super::plan::Plan;
use super::subscriber::{Moment, Subscriber};
use super::totals::{Board, Totals};
use crate::clock;

/// How long a connection that stands counts as connecting while no answer comes: it may still be in the server's accept queue. A
/// server that takes longer to answer must not slow the others down.
const ACCEPT_PATIENCE: Duration = Duration::from_millis(100);

/// Before a reconnect, until the server says otherwise: what browsers take (WHATWG HTML section 9.2.2 leaves it to them).
const RETRY: Duration = Duration::from_secs(3);

/// How a stream reaches its server.
#[derive(Debug)]
pub(super) enum Carrier {
    /// By HTTP/1.1, on connections of its own.
    Own,
    /// By HTTP/2, on one that it shares.
    Shared(Arc<SharedConnection>),
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    plan: Arc<Plan>,
    number: u32,
    carrier: Carrier,
    totals: Arc<Totals>,
    subscriber: Subscriber,
    /// Streams that the server allows on the connection, while there is no answer.
    waits_among: Option<usize>,
    /// How it ended; nothing while it has not.
    outcome: Option<Outcome>,
}

impl Stream {
    pub(super) fn new(plan: Arc<Plan>, number: u32, carrier: Carrier, board: &Board, totals: Arc<Totals>) -> Self {
        let subscriber = Subscriber::new(Arc::clone(&totals), board.began, plan.reconnect, Moment::now());
        totals.begun.add(1);
        Self { plan, number, carrier, totals, subscriber, waits_among: None, outcome: None }
    }

    /// Drives it until it ends for good; `permit` is given back once the server was seen to have taken it.
    pub(super) async fn run(mut self, mut permit: OwnedSemaphorePermit, connecting: Arc<Semaphore>) {
        loop {
            let outcome = self.connection(permit).await;
            self.subscriber.closed();
            if !self.plan.reconnect || !outcome.comes_back() {
                self.outcome = Some(outcome);
                return;
            }
            self.totals.outcomes().disconnect(&outcome);
            // What it is if the load ends before it came back.
            self.outcome = Some(outcome);
            sleep(self.subscriber.retry().unwrap_or(RETRY)).await;
            permit = Arc::clone(&connecting).acquire_owned().await.expect("the semaphore is never closed");
            self.subscriber.comes_back(Moment::now());
        }
    }

    /// One connection of it, from its begin to its end.
    async fn connection(&mut self, permit: OwnedSemaphorePermit) -> Outcome {
        let ended = match &self.carrier {
            Carrier::Own => self.http1(permit).await,
            Carrier::Shared(shared) => {
                let shared = Arc::clone(shared);
                self.http2(&shared, permit).await
            }
        };
        ended.unwrap_or_else(Outcome::Failed)
    }

    async fn http1(&mut self, permit: OwnedSemaphorePermit) -> Result<Outcome, Failure> {
        let began = clock::now();
        let mut connection = self.plan.dial.connect(self.number).await?;
        self.subscriber.connected(clock::now().duration_since(began));
        match self.subscriber.last_id() {
            None => connection.write_all(&self.plan.first_request).await?,
            last_id => connection.write_all(&self.plan.target.request.http1(last_id)).await?,
        }
        connection.flush().await?;
        let mut answer = Answer::new(self.plan.target.request.is_head());
        let first = timeout(ACCEPT_PATIENCE, http1::read_once(&mut connection, &mut answer, &mut self.subscriber)).await;
        drop(permit);
        self.outcome = None;
        match first {
            Ok(Some(outcome)) => Ok(outcome),
            _ => Ok(http1::read_to_end(&mut connection, &mut answer, &mut self.subscriber).await),
        }
    }

    async fn http2(&mut self, shared: &SharedConnection, permit: OwnedSemaphorePermit) -> Result<Outcome, Failure> {
        let mut exchange = http2::Exchange::begin(shared, &self.plan.target.request, &self.subscriber).await?;
        let soon = timeout(ACCEPT_PATIENCE, exchange.answer(&mut self.subscriber)).await;
        drop(permit);
        self.outcome = None;
        let answer = match soon {
            Ok(answer) => answer,
            Err(_) => {
                self.waits_among = Some(exchange.limit());
                exchange.answer(&mut self.subscriber).await
            }
        };
        self.waits_among = None;
        match answer {
            Ok(body) => Ok(http2::read_to_end(body, &mut self.subscriber, self.plan.dial.read_rate).await),
            Err(outcome) => Ok(outcome),
        }
    }

    /// How it ends when the load does.
    fn at_stop(&self) -> Outcome {
        match self.waits_among {
            Some(limit) if limit < self.plan.streams_per_connection as usize => Outcome::Failed(Failure::StreamLimit(limit)),
            _ => self.subscriber.at_stop(),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let outcome = match self.outcome.take() {
            _ if std::thread::panicking() => Outcome::Failed(Failure::Panicked),
            Some(outcome) => outcome,
            None => self.at_stop(),
        };
        self.totals.outcomes().add(outcome);
    }
}
