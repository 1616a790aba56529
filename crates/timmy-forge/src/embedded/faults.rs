//! Going wrong on purpose, for tests of clients. In production the plan is empty.

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use http::Method;
use http::StatusCode;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use tokio::sync::Semaphore;

use super::answer;

/// One way in which a forge, or what stands before it, lets a client down.
#[derive(Debug, Clone)]
pub enum Fault {
    /// 429, not done. `Retry-After` says how many seconds to wait.
    TooManyRequests {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// This status from a proxy, not done.
    Refused(StatusCode),
    /// No reply, not done.
    Dropped,
    /// This status, but done.
    AppliedThen(StatusCode),
    /// No reply, but done.
    ReplyLost,
    /// Done only when the gate is opened.
    Held(Gate),
}

impl Fault {
    pub(super) async fn around(self, answering: impl Future<Output = Reply>) -> Reply {
        match self {
            Self::TooManyRequests { retry_after } => {
                let refusal = answer::text(StatusCode::TOO_MANY_REQUESTS, "slow down\n");
                let wait = retry_after.to_string();
                Reply::Whole(answer::with_header(refusal, "retry-after", &wait))
            }
            Self::Refused(status) => Reply::Whole(answer::text(status, "not now\n")),
            Self::Dropped => Reply::Dropped,
            Self::AppliedThen(status) => {
                answering.await;
                Reply::Whole(answer::text(status, "database is locked\n"))
            }
            Self::ReplyLost => {
                answering.await;
                Reply::Dropped
            }
            Self::Held(gate) => {
                gate.pass().await;
                answering.await
            }
        }
    }
}

/// What a request waits at until the test opens it.
#[derive(Debug, Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    opened: Arc<Semaphore>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self {
            arrived: Arc::new(Semaphore::new(0)),
            opened: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits until one more request stands at the gate.
    pub async fn reached(&self) {
        if let Ok(arrival) = self.arrived.acquire().await {
            arrival.forget();
        }
    }

    /// Lets one request through.
    pub fn open(&self) {
        self.opened.add_permits(1);
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        if let Ok(passage) = self.opened.acquire().await {
            passage.forget();
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct Planned {
    method: Method,
    path: String,
    fault: Fault,
}

/// Which requests go wrong, and how. Each entry is used once, in order.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<Vec<Planned>>,
    checks: Mutex<Option<Gate>>,
}

impl Faults {
    /// The next request with this method whose path and query contain `path` goes wrong.
    pub fn plan(&self, method: Method, path: &str, fault: Fault) {
        let path = path.to_owned();
        lock(&self.planned).push(Planned {
            method,
            path,
            fault,
        });
    }

    /// Lets nothing that was planned go wrong any more.
    pub fn clear(&self) {
        lock(&self.planned).clear();
    }

    /// How many planned faults have not been met.
    #[must_use]
    pub fn left(&self) -> usize {
        lock(&self.planned).len()
    }

    /// From now on every check of whether a pull request can be merged waits at this gate first.
    pub fn hold_merge_checks(&self, gate: Gate) {
        *lock(&self.checks) = Some(gate);
    }

    pub(super) fn take(&self, request: &Request) -> Option<Fault> {
        let place = request.uri().to_string();
        let mut planned = lock(&self.planned);
        let found = planned
            .iter()
            .position(|entry| entry.method == request.method() && place.contains(&entry.path))?;
        Some(planned.remove(found).fault)
    }

    pub(super) async fn before_merge_check(&self) {
        let gate = lock(&self.checks).clone();
        if let Some(gate) = gate {
            gate.pass().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
