//! What is kept of a series.

use jiff::Timestamp;
use serde::Serialize;

use super::LONGEST_SILENCE_MS;

/// Lines of a series that a new one is compared with.
const WINDOW: usize = 4;
/// States of a series that are told apart.
const STATES: usize = 64;
/// What further states count as.
const OTHER: &str = "(other)";

/// A series of figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValueSeries {
    /// The machine.
    pub host: String,
    /// The series.
    pub series: String,
    /// Of what; empty for the machine as a whole.
    pub of: String,
    /// Samples.
    pub count: u64,
    /// The time of the oldest.
    pub first_at: Timestamp,
    /// The oldest.
    pub first: f64,
    /// The time of the newest.
    pub last_at: Timestamp,
    /// The newest.
    pub last: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
    /// The samples by time, oldest first; times without samples have no bucket.
    pub buckets: Vec<Bucket>,
}

/// The samples of a while.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bucket {
    /// Where it begins.
    pub at: Timestamp,
    /// Samples.
    pub count: u64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
}

/// A series of states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateSeries {
    /// The machine.
    pub host: String,
    /// The series.
    pub series: String,
    /// Of what; empty for the machine as a whole.
    pub of: String,
    /// Samples.
    pub count: u64,
    /// The time of the oldest sample or change.
    pub first_at: Timestamp,
    /// The time of the newest sample or change.
    pub last_at: Timestamp,
    /// The newest state; none when only changes are known.
    pub last: Option<String>,
    /// Time in each state, in the order in which they were first seen.
    pub states: Vec<StateTime>,
    /// Silences longer than [`LONGEST_SILENCE_MS`], in milliseconds: they count for no state.
    pub unseen_ms: i64,
    /// Changes in `events.jsonl`.
    pub changes: u64,
}

/// Time in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateTime {
    /// The state.
    pub state: String,
    /// Samples of it.
    pub count: u64,
    /// Milliseconds from samples of it to the ones after them.
    pub time_ms: i64,
}

/// What a line is to its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Next,
    Late,
    Again,
}

/// The times of the last lines of a series.
#[derive(Debug, Clone)]
pub(super) struct Times {
    recent: [Timestamp; WINDOW],
    seen: usize,
    pub(super) oldest: Timestamp,
    pub(super) newest: Timestamp,
}

impl Times {
    pub(super) fn new() -> Self {
        Self {
            recent: [Timestamp::MIN; WINDOW],
            seen: 0,
            oldest: Timestamp::MAX,
            newest: Timestamp::MIN,
        }
    }

    /// Takes the next line in.
    pub(super) fn take(&mut self, at: Timestamp) -> Order {
        if self.recent[..self.seen.min(WINDOW)].contains(&at) {
            return Order::Again;
        }
        self.recent[self.seen % WINDOW] = at;
        self.seen += 1;
        let order = if at < self.newest {
            Order::Late
        } else {
            Order::Next
        };
        self.oldest = self.oldest.min(at);
        self.newest = self.newest.max(at);
        order
    }
}

/// Figures, summed up.
#[derive(Debug, Clone, Copy)]
struct Sum {
    count: u64,
    min: f64,
    max: f64,
    sum: f64,
}

impl Sum {
    const EMPTY: Self = Self {
        count: 0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        sum: 0.0,
    };

    fn of(value: f64) -> Self {
        Self {
            count: 1,
            min: value,
            max: value,
            sum: value,
        }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "far fewer samples than 2^53 fit on a disk"
    )]
    fn mean(self) -> f64 {
        // Rounding may carry a mean of equal figures past them.
        (self.sum / self.count as f64).clamp(self.min, self.max)
    }
}

/// Figures of a series so far.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) times: Times,
    first: f64,
    last: f64,
    all: Sum,
    /// By the number of the bucket, in order.
    buckets: Vec<(i64, Sum)>,
}

impl Values {
    pub(super) fn new() -> Self {
        Self {
            times: Times::new(),
            first: 0.0,
            last: 0.0,
            all: Sum::EMPTY,
            buckets: Vec::new(),
        }
    }

    /// Adds a sample that [`Times::take`] has taken, to a bucket.
    pub(super) fn add(&mut self, at: Timestamp, value: f64, bucket: i64) {
        if at == self.times.newest {
            self.last = value;
        }
        if at == self.times.oldest {
            self.first = value;
        }
        let one = Sum::of(value);
        self.all.add(one);
        let place = match self.buckets.last() {
            Some((last, _)) if *last == bucket => Ok(self.buckets.len() - 1),
            Some((last, _)) if *last < bucket => Err(self.buckets.len()),
            _ => self
                .buckets
                .binary_search_by_key(&bucket, |(number, _)| *number),
        };
        match place {
            Ok(place) => self.buckets[place].1.add(one),
            Err(place) => self.buckets.insert(place, (bucket, one)),
        }
    }

    /// Makes one bucket of each 2^`shift` neighbours.
    pub(super) fn widen(&mut self, shift: u32) {
        let mut wider: Vec<(i64, Sum)> = Vec::with_capacity(self.buckets.len() / 2 + 1);
        for (number, sum) in self.buckets.drain(..) {
            let number = number >> shift;
            match wider.last_mut() {
                Some((last, all)) if *last == number => all.add(sum),
                _ => wider.push((number, sum)),
            }
        }
        self.buckets = wider;
    }

    pub(super) fn finish(self, names: [Box<str>; 3], bucket_s: i64) -> ValueSeries {
        let [host, series, of] = names.map(String::from);
        let bucket = |(number, sum): (i64, Sum)| Bucket {
            at: Timestamp::from_second(number * bucket_s).unwrap_or(Timestamp::MIN),
            count: sum.count,
            min: sum.min,
            max: sum.max,
            mean: sum.mean(),
        };
        ValueSeries {
            host,
            series,
            of,
            count: self.all.count,
            first_at: self.times.oldest,
            first: self.first,
            last_at: self.times.newest,
            last: self.last,
            min: self.all.min,
            max: self.all.max,
            mean: self.all.mean(),
            buckets: self.buckets.into_iter().map(bucket).collect(),
        }
    }
}

/// States of a series so far.
#[derive(Debug)]
pub(super) struct States {
    pub(super) times: Times,
    count: u64,
    states: Vec<StateTime>,
    /// Which of them is the newest.
    current: Option<usize>,
    unseen_ms: i64,
}

impl States {
    pub(super) fn new() -> Self {
        Self {
            times: Times::new(),
            count: 0,
            states: Vec::new(),
            current: None,
            unseen_ms: 0,
        }
    }

    /// Adds a sample, and says what it is to its series.
    pub(super) fn take(&mut self, at: Timestamp, state: &str) -> Order {
        let before = self.times.newest;
        let order = self.times.take(at);
        if order == Order::Again {
            return order;
        }
        self.count += 1;
        let place = self.place(state);
        self.states[place].count += 1;
        if order == Order::Late {
            return order;
        }
        if let Some(current) = self.current {
            let passed = at.as_millisecond() - before.as_millisecond();
            if passed <= LONGEST_SILENCE_MS {
                self.states[current].time_ms += passed;
            } else {
                self.unseen_ms += passed;
            }
        }
        self.current = Some(place);
        order
    }

    fn place(&mut self, state: &str) -> usize {
        let known = |state: &str| self.states.iter().position(|one| one.state == state);
        if let Some(place) = known(state) {
            return place;
        }
        let state = if self.states.len() < STATES {
            state
        } else {
            OTHER
        };
        if let Some(place) = known(state) {
            return place;
        }
        self.states.push(StateTime {
            state: state.to_owned(),
            count: 0,
            time_ms: 0,
        });
        self.states.len() - 1
    }

    pub(super) fn finish(self, names: [Box<str>; 3]) -> StateSeries {
        let [host, series, of] = names.map(String::from);
        let last = self.current.map(|place| self.states[place].state.clone());
        StateSeries {
            host,
            series,
            of,
            count: self.count,
            first_at: self.times.oldest,
            last_at: self.times.newest,
            last,
            states: self.states,
            unseen_ms: self.unseen_ms,
            changes: 0,
        }
    }
}

/// Changes of a series so far.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) times: Times,
    pub(super) count: u64,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self {
            times: Times::new(),
            count: 0,
        }
    }

    /// Adds these changes to the states of the same series.
    pub(super) fn join(self, series: &mut StateSeries) {
        series.first_at = series.first_at.min(self.times.oldest);
        series.last_at = series.last_at.max(self.times.newest);
        series.changes = self.count;
    }
}
