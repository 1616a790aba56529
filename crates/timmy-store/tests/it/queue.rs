//! The durable queue.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use timmy_core::Clock;
use timmy_store::Length;
use timmy_store::Offer;
use timmy_store::Queue;
use timmy_testkit::ManualClock;

use crate::databases::Database;
use crate::databases::on_both_databases;
use crate::databases::on_both_with_proptest;

on_both_databases!(
    entries_are_taken_by_rank_then_time_then_name,
    a_lease_that_ran_out_is_taken_over,
    a_named_lease_has_one_holder,
    takers_share_the_entries_between_them,
    what_nobody_holds_is_purged,
    the_length_of_every_topic_is_told,
);

on_both_with_proptest!(no_entry_has_two_holders_and_none_is_lost, steps);

const TOPIC: &str = "issues";
const LEASE: Duration = Duration::from_secs(60);

fn offer(key: &str, rank: i64, due_in: u64) -> Offer {
    Offer {
        key: key.to_owned(),
        rank,
        due_in: Duration::from_secs(due_in),
        payload: format!("payload of {key}"),
    }
}

async fn queue(database: &Database, clock: &Arc<ManualClock>) -> Queue {
    database.store.queue(clock.clone()).await.unwrap()
}

async fn taken(queue: &Queue, holder: &str) -> Option<String> {
    let item = queue.take(TOPIC, holder, LEASE).await.unwrap();
    item.map(|item| item.key)
}

async fn the_length_of_every_topic_is_told(database: Database) {
    let clock = Arc::new(ManualClock::default());
    let queue = queue(&database, &clock).await;
    assert_eq!(BTreeMap::new(), queue.lengths().await.unwrap());
    for key in ["a", "b", "c"] {
        queue.offer(TOPIC, &offer(key, 0, 0)).await.unwrap();
    }
    assert!(queue.lease("other", "d", "one", LEASE).await.unwrap());
    taken(&queue, "one").await;
    let length = |offered, taken| Length { offered, taken };
    let expected = [(TOPIC, length(2, 1)), ("other", length(0, 1))];
    let expected: BTreeMap<String, Length> = expected
        .map(|(topic, length)| (topic.to_owned(), length))
        .into();
    assert_eq!(expected, queue.lengths().await.unwrap());
    clock.advance(LEASE * 2);
    assert_eq!(length(3, 0), queue.lengths().await.unwrap()[TOPIC]);
}

async fn entries_are_taken_by_rank_then_time_then_name(database: Database) {
    let clock = Arc::new(ManualClock::default());
    let queue = queue(&database, &clock).await;
    for (key, rank, due_in) in [
        ("b", 2, 1),
        ("a", 2, 1),
        ("c", 2, 0),
        ("Z", 2, 1),
        ("first", 1, 2),
        ("later", 0, 500),
    ] {
        queue.offer(TOPIC, &offer(key, rank, due_in)).await.unwrap();
    }
    queue.offer("other", &offer("x", 0, 0)).await.unwrap();
    clock.advance(Duration::from_secs(10));
    let mut order = Vec::new();
    while let Some(item) = queue.take(TOPIC, "host", LEASE).await.unwrap() {
        assert_eq!(format!("payload of {}", item.key), item.payload);
        assert_eq!(Some("host"), item.holder.as_deref());
        order.push(item.key);
    }
    assert_eq!(vec!["first", "c", "Z", "a", "b"], order);
    queue.offer(TOPIC, &offer("a", 9, 0)).await.unwrap();
    assert_eq!(
        None,
        taken(&queue, "host").await,
        "an offer keeps the lease"
    );
}

async fn a_lease_that_ran_out_is_taken_over(database: Database) {
    let clock = Arc::new(ManualClock::default());
    let queue = queue(&database, &clock).await;
    queue.offer(TOPIC, &offer("a", 0, 0)).await.unwrap();
    assert_eq!(Some("a".to_owned()), taken(&queue, "one").await);
    clock.advance(LEASE - Duration::from_secs(1));
    assert!(queue.renew(TOPIC, "a", "one", LEASE).await.unwrap());
    clock.advance(LEASE - Duration::from_secs(1));
    assert_eq!(None, taken(&queue, "two").await);
    clock.advance(Duration::from_secs(1));
    assert_eq!(Some("a".to_owned()), taken(&queue, "two").await);
    assert!(!queue.renew(TOPIC, "a", "one", LEASE).await.unwrap());
    assert!(!queue.done(TOPIC, "a", "one").await.unwrap());
    assert!(!queue.put_back(TOPIC, "a", "one", LEASE).await.unwrap());
    assert!(queue.put_back(TOPIC, "a", "two", LEASE).await.unwrap());
    assert_eq!(None, taken(&queue, "three").await);
    clock.advance(LEASE);
    assert_eq!(Some("a".to_owned()), taken(&queue, "three").await);
    assert!(queue.done(TOPIC, "a", "three").await.unwrap());
    assert!(queue.entries(TOPIC, 10).await.unwrap().is_empty());
}

async fn a_named_lease_has_one_holder(database: Database) {
    let clock = Arc::new(ManualClock::default());
    let queue = queue(&database, &clock).await;
    assert!(queue.lease(TOPIC, "merge", "one", LEASE).await.unwrap());
    assert!(!queue.lease(TOPIC, "merge", "two", LEASE).await.unwrap());
    assert!(queue.lease(TOPIC, "other", "two", LEASE).await.unwrap());
    clock.advance(LEASE / 2);
    assert!(
        queue.lease(TOPIC, "merge", "one", LEASE).await.unwrap(),
        "its holder gets it again"
    );
    clock.advance(LEASE / 2);
    assert!(!queue.lease(TOPIC, "merge", "two", LEASE).await.unwrap());
    clock.advance(LEASE / 2);
    assert!(queue.lease(TOPIC, "merge", "two", LEASE).await.unwrap());
}

async fn takers_share_the_entries_between_them(database: Database) {
    const ENTRIES: usize = 40;
    let clock = Arc::new(ManualClock::default());
    let queue = queue(&database, &clock).await;
    for number in 0..ENTRIES {
        queue
            .offer(TOPIC, &offer(&format!("{number:02}"), 0, 0))
            .await
            .unwrap();
    }
    let mut takers = Vec::new();
    for number in 0..6 {
        // Connections of their own, as other hosts have.
        let store = database.again().await;
        let queue = store.queue(clock.clone()).await.unwrap();
        takers.push(tokio::spawn(async move {
            let holder = format!("host {number}");
            let mut own = Vec::new();
            while let Some(key) = taken(&queue, &holder).await {
                own.push(key);
            }
            own
        }));
    }
    let mut all = Vec::new();
    for taker in takers {
        all.extend(taker.await.unwrap());
    }
    all.sort();
    let expected: Vec<String> = (0..ENTRIES).map(|number| format!("{number:02}")).collect();
    assert_eq!(expected, all);
}

async fn what_nobody_holds_is_purged(database: Database) {
    let clock = Arc::new(ManualClock::default());
    let queue = queue(&database, &clock).await;
    for key in ["a", "b", "c"] {
        queue.offer(TOPIC, &offer(key, 0, 0)).await.unwrap();
    }
    taken(&queue, "host").await;
    assert_eq!(2, queue.purge(TOPIC).await.unwrap());
    let left = queue.entries(TOPIC, 10).await.unwrap();
    assert_eq!(
        vec![("a", Some("host"))],
        left.iter()
            .map(|item| (item.key.as_str(), item.holder.as_deref()))
            .collect::<Vec<_>>()
    );
}

/// One thing that one of three hosts does, or time that passes.
#[derive(Debug, Clone)]
enum Step {
    Offer { key: u8, rank: i64, due_in: u64 },
    Take { host: u8 },
    Lease { host: u8, key: u8 },
    Renew { host: u8, key: u8 },
    Done { host: u8, key: u8 },
    PutBack { host: u8, key: u8, due_in: u64 },
    Wait { seconds: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (host, key, due_in) = (0_u8..3, 0_u8..4, 0_u64..90);
    let step = prop_oneof![
        4 => (key.clone(), -2_i64..3, due_in.clone()).prop_map(|(key, rank, due_in)| Step::Offer { key, rank, due_in }),
        5 => host.clone().prop_map(|host| Step::Take { host }),
        2 => (host.clone(), key.clone()).prop_map(|(host, key)| Step::Lease { host, key }),
        2 => (host.clone(), key.clone()).prop_map(|(host, key)| Step::Renew { host, key }),
        1 => (host.clone(), key.clone()).prop_map(|(host, key)| Step::Done { host, key }),
        2 => (host, key, due_in).prop_map(|(host, key, due_in)| Step::PutBack { host, key, due_in }),
        3 => (1_u64..70).prop_map(|seconds| Step::Wait { seconds }),
    ];
    prop::collection::vec(step, 1..60)
}

/// The queue as it should be: in seconds from the start.
#[derive(Debug, Clone)]
struct Entry {
    rank: i64,
    due: u64,
    held: Option<(u8, u64)>,
}

#[derive(Default)]
struct Expected {
    now: u64,
    entries: BTreeMap<u8, Entry>,
}

impl Expected {
    fn holder(&self, key: u8) -> Option<u8> {
        let (host, until) = self.entries.get(&key)?.held?;
        (until > self.now).then_some(host)
    }

    fn next(&self) -> Option<u8> {
        let free = self
            .entries
            .iter()
            .filter(|(key, entry)| entry.due <= self.now && self.holder(**key).is_none());
        free.min_by_key(|(key, entry)| (entry.rank, entry.due, **key))
            .map(|(key, _)| *key)
    }

    /// The entry, if this host is the last one that held it.
    fn own(&mut self, host: u8, key: u8) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&key)?;
        (entry.held?.0 == host).then_some(entry)
    }
}

async fn no_entry_has_two_holders_and_none_is_lost(database: Database, steps: Vec<Step>) {
    let clock = Arc::new(ManualClock::default());
    let queue = queue(&database, &clock).await;
    let mut expected = Expected::default();
    let lease = LEASE.as_secs();
    let name = |key: u8| format!("entry {key}");
    let who = |host: u8| format!("host {host}");
    for step in steps {
        let until = expected.now + lease;
        match step {
            Step::Wait { seconds } => {
                clock.advance(Duration::from_secs(seconds));
                expected.now += seconds;
            }
            Step::Offer { key, rank, due_in } => {
                queue
                    .offer(TOPIC, &offer(&name(key), rank, due_in))
                    .await
                    .unwrap();
                let held = expected.entries.get(&key).and_then(|entry| entry.held);
                let due = expected.now + due_in;
                expected.entries.insert(key, Entry { rank, due, held });
            }
            Step::Take { host } => {
                let next = expected.next();
                assert_eq!(next.map(name), taken(&queue, &who(host)).await);
                if let Some(entry) = next.and_then(|key| expected.entries.get_mut(&key)) {
                    entry.held = Some((host, until));
                }
            }
            Step::Lease { host, key } => {
                let free = expected.holder(key).is_none_or(|holder| holder == host);
                assert_eq!(
                    free,
                    queue
                        .lease(TOPIC, &name(key), &who(host), LEASE)
                        .await
                        .unwrap()
                );
                if free {
                    let now = expected.now;
                    let entry = expected.entries.entry(key).or_insert(Entry {
                        rank: 0,
                        due: now,
                        held: None,
                    });
                    entry.held = Some((host, until));
                }
            }
            Step::Renew { host, key } => {
                let own = expected.own(host, key);
                assert_eq!(
                    own.is_some(),
                    queue
                        .renew(TOPIC, &name(key), &who(host), LEASE)
                        .await
                        .unwrap()
                );
                if let Some(entry) = own {
                    entry.held = Some((host, until));
                }
            }
            Step::Done { host, key } => {
                let own = expected.own(host, key).is_some();
                assert_eq!(
                    own,
                    queue.done(TOPIC, &name(key), &who(host)).await.unwrap()
                );
                if own {
                    expected.entries.remove(&key);
                }
            }
            Step::PutBack { host, key, due_in } => {
                let due = expected.now + due_in;
                let own = expected.own(host, key);
                let wait = Duration::from_secs(due_in);
                assert_eq!(
                    own.is_some(),
                    queue
                        .put_back(TOPIC, &name(key), &who(host), wait)
                        .await
                        .unwrap()
                );
                if let Some(entry) = own {
                    (entry.held, entry.due) = (None, due);
                }
            }
        }
        let found = queue.entries(TOPIC, 100).await.unwrap();
        let found: BTreeSet<(String, i64, Option<String>)> = found
            .into_iter()
            .map(|item| (item.key, item.rank, item.holder))
            .collect();
        let known = expected
            .entries
            .iter()
            .map(|(key, entry)| (name(*key), entry.rank, expected.holder(*key).map(who)));
        assert_eq!(known.collect::<BTreeSet<_>>(), found);
    }
    assert!(clock.monotonic() >= Duration::from_secs(expected.now));
}
