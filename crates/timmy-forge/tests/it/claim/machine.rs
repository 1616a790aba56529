//! Random histories of two hosts on one clock.

use proptest::prelude::*;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_forge::claim::Acquired;
use timmy_forge::claim::Claim;
use timmy_forge::claim::Claims;
use timmy_forge::claim::Published;
use timmy_git::Expect;
use timmy_git::RefName;

use crate::claim::stage::Stage;
use crate::claim::stage::bare;

#[derive(Debug, Clone)]
enum Step {
    Acquire(usize),
    Renew(usize),
    Publish(usize),
    Release(usize),
    Die(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..2_usize).prop_map(Step::Acquire),
        2 => (0..2_usize).prop_map(Step::Renew),
        1 => (0..2_usize).prop_map(Step::Publish),
        1 => (0..2_usize).prop_map(Step::Release),
        1 => (0..2_usize).prop_map(Step::Die),
        4 => (50..800_u64).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 8..14)
}

struct Host {
    claims: Claims,
    claim: Option<Claim>,
    work: ObjectName,
}

impl Host {
    /// Whether it would still act under its claim.
    fn acts(&self) -> bool {
        let remaining = self
            .claim
            .as_ref()
            .map(|claim| self.claims.remaining(claim));
        remaining.is_some_and(|remaining| !remaining.is_zero())
    }

    async fn acquire(&mut self) {
        if self.claim.is_some() {
            return;
        }
        let run = RunId::generate();
        let mut acquired = self.claims.acquire(7, &run).await.unwrap();
        if let Acquired::Lapsed(lapsed) = &acquired {
            acquired = self.claims.takeover(lapsed, &run).await.unwrap();
        }
        if let Acquired::Won(claim) = acquired {
            self.claim = Some(claim);
        }
    }

    async fn renew(&mut self) {
        if let Some(claim) = &mut self.claim
            && self.claims.renew(claim).await.is_err()
        {
            self.claim = None;
        }
    }

    /// Whether the work went out.
    async fn publish(&mut self, actual: Option<ObjectName>) -> bool {
        let branch: RefName = "refs/heads/work".parse().unwrap();
        let expect = actual.map_or(Expect::Absent, Expect::At);
        let Some(claim) = &mut self.claim else {
            return false;
        };
        let published = self
            .claims
            .publish(claim, &branch, &self.work, expect)
            .await;
        if published.is_err() {
            self.claim = None;
        }
        matches!(published, Ok(Published::Done))
    }

    async fn release(&mut self) {
        if let Some(claim) = self.claim.take() {
            // A claim that was lost in the meantime cannot be released; both are fine here.
            drop(self.claims.release(claim).await);
        }
    }
}

async fn play(steps: Vec<Step>) {
    let stage = Stage::new().await;
    let branch: RefName = "refs/heads/work".parse().unwrap();
    let mut hosts = Vec::new();
    for name in ["one", "two"] {
        let bare = bare(&stage.root.path().join(name)).await;
        let work = bare
            .empty_commit(name, jiff::Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        hosts.push(Host {
            claims: stage.host(name).await,
            claim: None,
            work,
        });
    }
    for step in steps {
        let before = stage.on_forge(&branch).await;
        let mut published = None;
        match step {
            Step::Acquire(host) => hosts[host].acquire().await,
            Step::Renew(host) => hosts[host].renew().await,
            Step::Release(host) => hosts[host].release().await,
            Step::Die(host) => hosts[host].claim = None,
            Step::Pass(seconds) => stage.pass(seconds),
            Step::Publish(host) => {
                let acted = hosts[host].acts();
                let done = hosts[host].publish(before.clone()).await;
                assert!(acted || !done, "published without a claim");
                published = done.then(|| hosts[host].work.clone());
            }
        }
        let acting = hosts.iter().filter(|host| host.acts()).count();
        assert!(acting <= 1, "two hosts act under one claim");
        let after = stage.on_forge(&branch).await;
        assert_eq!(
            published.or(before),
            after,
            "the branch moved without a claim"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 6,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn never_two_hosts_act_under_one_claim(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}
