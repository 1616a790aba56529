//! The order of a night: tasks that wait for simulated time or for each other.
//!
//! One thread, one heap of `(time, sequence, waker)`. What is due at the same time runs in the order
//! in which it was asked for, so that a night of a seed is the same night every time. Nothing waits
//! for a real clock.

use std::cell::Cell;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;
use std::time::Duration;

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks that end together: those of one life of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group(pub(crate) u64);

/// The schedule of one night. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Schedule {
    inner: Rc<Inner>,
}

#[derive(Default)]
struct Inner {
    now: Cell<Duration>,
    sequence: Cell<u64>,
    timers: RefCell<BinaryHeap<Reverse<Timer>>>,
    tasks: RefCell<Vec<Task>>,
    ready: Arc<Ready>,
}

struct Task {
    group: Group,
    /// Absent while it is polled, and once it is over.
    work: Option<Work>,
    waker: Waker,
    over: bool,
}

#[derive(Default)]
struct Ready(Mutex<VecDeque<usize>>);

struct Awakening {
    task: usize,
    ready: Arc<Ready>,
}

impl Wake for Awakening {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut queue = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(self.task);
    }
}

struct Timer {
    at: Duration,
    sequence: u64,
    waker: Waker,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl Schedule {
    /// Time since the night began.
    pub(crate) fn now(&self) -> Duration {
        self.inner.now.get()
    }

    /// Starts a task. It first runs when everything that is due before it has run.
    pub(crate) fn spawn(&self, group: Group, work: impl Future<Output = ()> + 'static) {
        let mut tasks = self.inner.tasks.borrow_mut();
        let awakening = Arc::new(Awakening {
            task: tasks.len(),
            ready: Arc::clone(&self.inner.ready),
        });
        awakening.wake_by_ref();
        tasks.push(Task {
            group,
            work: Some(Box::pin(work)),
            waker: awakening.into(),
            over: false,
        });
    }

    /// Ends every task of a group where it stands. May be called from within one of them, which
    /// then goes no further than its next wait.
    pub(crate) fn kill(&self, group: Group) {
        let mut ended = Vec::new();
        for task in self.inner.tasks.borrow_mut().iter_mut() {
            if task.group == group && !task.over {
                task.over = true;
                ended.extend(task.work.take());
            }
        }
        // What is dropped may wake others.
        drop(ended);
    }

    /// Drops every task and timer.
    pub(crate) fn clear(&self) {
        let tasks = std::mem::take(&mut *self.inner.tasks.borrow_mut());
        self.inner.timers.borrow_mut().clear();
        drop(tasks);
    }

    /// How many tasks of a group are not over.
    #[cfg(test)]
    pub(crate) fn alive(&self, group: Group) -> usize {
        let tasks = self.inner.tasks.borrow();
        let alive = |task: &&Task| task.group == group && !task.over;
        tasks.iter().filter(alive).count()
    }

    /// Runs everything that is due up to a time.
    pub(crate) fn run_until(&self, end: Duration) {
        loop {
            while let Some(task) = self.next_ready() {
                self.poll(task);
            }
            let mut timers = self.inner.timers.borrow_mut();
            if timers.peek().is_none_or(|Reverse(timer)| timer.at > end) {
                break;
            }
            let Some(Reverse(timer)) = timers.pop() else {
                break;
            };
            drop(timers);
            self.inner.now.set(timer.at);
            timer.waker.wake();
        }
        self.inner.now.set(end);
    }

    fn next_ready(&self) -> Option<usize> {
        let ready = &self.inner.ready.0;
        ready
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    fn poll(&self, index: usize) {
        let taken = {
            let mut tasks = self.inner.tasks.borrow_mut();
            let task = &mut tasks[index];
            task.work.take().map(|work| (work, task.waker.clone()))
        };
        let Some((mut work, waker)) = taken else {
            return;
        };
        let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
        let mut tasks = self.inner.tasks.borrow_mut();
        let task = &mut tasks[index];
        if polled.is_pending() && !task.over {
            task.work = Some(work);
            return;
        }
        task.over = true;
        drop(tasks);
        drop(work);
    }

    /// Waits.
    pub(crate) async fn sleep(&self, time: Duration) {
        let at = self.now() + time;
        let mut asked = false;
        poll_fn(|context| {
            if self.now() >= at && asked {
                return Poll::Ready(());
            }
            if !asked {
                asked = true;
                self.wake_at(at, context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn wake_at(&self, at: Duration, waker: Waker) {
        let sequence = self.inner.sequence.get();
        self.inner.sequence.set(sequence + 1);
        let timer = Timer {
            at,
            sequence,
            waker,
        };
        self.inner.timers.borrow_mut().push(Reverse(timer));
    }
}

/// The wait of a task whose process has just died.
pub(crate) async fn forever<T>() -> T {
    std::future::pending().await
}

/// Which of two came first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum First<A, B> {
    /// The first, also when both were there.
    One(A),
    /// The second.
    Other(B),
}

/// Waits for whichever of two comes first and drops the other.
pub(crate) async fn race<A, B>(
    one: impl Future<Output = A>,
    other: impl Future<Output = B>,
) -> First<A, B> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| {
        if let Poll::Ready(value) = one.as_mut().poll(context) {
            return Poll::Ready(First::One(value));
        }
        other.as_mut().poll(context).map(First::Other)
    })
    .await
}

/// Something that happens once, with a value. Cheap to clone.
pub(crate) struct Signal<T> {
    shared: Rc<RefCell<(Option<T>, Vec<Waker>)>>,
}

impl<T> Clone for Signal<T> {
    fn clone(&self) -> Self {
        let shared = Rc::clone(&self.shared);
        Self { shared }
    }
}

impl<T> Default for Signal<T> {
    fn default() -> Self {
        let shared = Rc::new(RefCell::new((None, Vec::new())));
        Self { shared }
    }
}

impl<T: Clone> Signal<T> {
    /// It happens. The first value stays.
    pub(crate) fn set(&self, value: T) {
        let mut shared = self.shared.borrow_mut();
        shared.0.get_or_insert(value);
        for waker in shared.1.drain(..) {
            waker.wake();
        }
    }

    /// What happened, if it has.
    pub(crate) fn get(&self) -> Option<T> {
        self.shared.borrow().0.clone()
    }

    /// Waits for it.
    pub(crate) async fn wait(&self) -> T {
        poll_fn(|context| {
            let mut shared = self.shared.borrow_mut();
            if let Some(value) = &shared.0 {
                return Poll::Ready(value.clone());
            }
            shared.1.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// What others put in and one task takes out, in order. Cheap to clone.
pub(crate) struct Mailbox<T> {
    shared: Rc<RefCell<(VecDeque<T>, Option<Waker>)>>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        let shared = Rc::clone(&self.shared);
        Self { shared }
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        let shared = Rc::new(RefCell::new((VecDeque::new(), None)));
        Self { shared }
    }
}

impl<T> Mailbox<T> {
    /// Puts something in.
    pub(crate) fn put(&self, item: T) {
        let mut shared = self.shared.borrow_mut();
        shared.0.push_back(item);
        if let Some(waker) = shared.1.take() {
            waker.wake();
        }
    }

    /// Waits for the next.
    pub(crate) async fn take(&self) -> T {
        poll_fn(|context| {
            let mut shared = self.shared.borrow_mut();
            match shared.0.pop_front() {
                Some(item) => Poll::Ready(item),
                None => {
                    shared.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Lets one task in at a time. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Turnstile {
    shared: Rc<RefCell<(bool, VecDeque<Waker>)>>,
}

/// The right to be inside.
pub(crate) struct Inside {
    shared: Rc<RefCell<(bool, VecDeque<Waker>)>>,
}

impl Turnstile {
    /// Waits until nobody is inside.
    pub(crate) async fn enter(&self) -> Inside {
        poll_fn(|context| {
            let mut shared = self.shared.borrow_mut();
            if shared.0 {
                shared.1.push_back(context.waker().clone());
                return Poll::Pending;
            }
            shared.0 = true;
            Poll::Ready(())
        })
        .await;
        let shared = Rc::clone(&self.shared);
        Inside { shared }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.0 = false;
        for waker in shared.1.drain(..) {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const GROUP: Group = Group(1);

    type Notes = Rc<RefCell<Vec<(u64, &'static str)>>>;

    fn note(schedule: &Schedule, notes: &Notes, what: &'static str) {
        notes.borrow_mut().push((schedule.now().as_secs(), what));
    }

    #[test]
    fn things_happen_at_their_time_and_in_the_order_asked_for() {
        let schedule = Schedule::default();
        let notes = Notes::default();
        for (what, time) in [("late", 5), ("first", 2), ("second", 2)] {
            let (inner, notes) = (schedule.clone(), Rc::clone(&notes));
            schedule.spawn(GROUP, async move {
                inner.sleep(time * SECOND).await;
                note(&inner, &notes, what);
            });
        }
        schedule.run_until(4 * SECOND);
        assert_eq!(vec![(2, "first"), (2, "second")], *notes.borrow());
        schedule.run_until(9 * SECOND);
        assert_eq!(Some(&(5, "late")), notes.borrow().last());
        assert_eq!(0, schedule.alive(GROUP));
    }

    #[test]
    fn a_killed_group_goes_no_further_even_when_it_kills_itself() {
        let schedule = Schedule::default();
        let notes = Notes::default();
        let (inner, own) = (schedule.clone(), Rc::clone(&notes));
        schedule.spawn(GROUP, async move {
            inner.sleep(SECOND).await;
            note(&inner, &own, "crash");
            inner.kill(GROUP);
            forever::<()>().await;
        });
        let (inner, own) = (schedule.clone(), Rc::clone(&notes));
        schedule.spawn(GROUP, async move {
            inner.sleep(2 * SECOND).await;
            note(&inner, &own, "never");
        });
        schedule.run_until(9 * SECOND);
        assert_eq!(vec![(1, "crash")], *notes.borrow());
        assert_eq!(0, schedule.alive(GROUP));
    }

    #[test]
    fn a_race_takes_the_first_and_drops_the_other() {
        let schedule = Schedule::default();
        let (inner, signal) = (schedule.clone(), Signal::<u8>::default());
        let (own, found) = (signal.clone(), Signal::default());
        let told = found.clone();
        schedule.spawn(GROUP, async move {
            let first = race(own.wait(), inner.sleep(5 * SECOND)).await;
            told.set(first == First::One(3));
        });
        schedule.run_until(SECOND);
        signal.set(3);
        signal.set(4);
        schedule.run_until(2 * SECOND);
        assert_eq!((Some(true), Some(3)), (found.get(), signal.get()));
    }

    #[test]
    fn one_at_a_time_goes_through_and_a_dead_one_makes_room() {
        let schedule = Schedule::default();
        let (turnstile, notes) = (Turnstile::default(), Notes::default());
        for (group, what) in [(Group(2), "dies"), (GROUP, "next")] {
            let (inner, own) = (schedule.clone(), Rc::clone(&notes));
            let turnstile = turnstile.clone();
            schedule.spawn(group, async move {
                let _inside = turnstile.enter().await;
                note(&inner, &own, what);
                inner.sleep(9 * SECOND).await;
            });
        }
        schedule.run_until(SECOND);
        assert_eq!(vec![(0, "dies")], *notes.borrow());
        schedule.kill(Group(2));
        schedule.run_until(2 * SECOND);
        assert_eq!(vec![(0, "dies"), (1, "next")], *notes.borrow());
    }

    #[test]
    fn mail_arrives_in_order() {
        let schedule = Schedule::default();
        let (mailbox, seen) = (Mailbox::default(), Rc::new(RefCell::new(Vec::new())));
        let (own, read) = (mailbox.clone(), Rc::clone(&seen));
        schedule.spawn(GROUP, async move {
            loop {
                let item: u8 = own.take().await;
                read.borrow_mut().push(item);
            }
        });
        schedule.run_until(SECOND);
        mailbox.put(1);
        mailbox.put(2);
        schedule.run_until(2 * SECOND);
        assert_eq!(vec![1, 2], *seen.borrow());
    }
}
