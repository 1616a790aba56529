//! A claim that renews itself while a run works, as [`timmy_forge::claim::KeptClaim`] does.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;

use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_git::Expect;

use super::claim::Claim;
use super::claim::ClaimEnd;
use super::claim::Claims;
use super::claim::Published;
use super::schedule::Group;
use super::schedule::Signal;
use super::schedule::Turnstile;
use super::watch::Actor;

/// A held claim with its renewals. Dropped, it is no longer renewed and lapses.
pub(crate) struct Hold {
    claims: Rc<Claims>,
    shared: Rc<Shared>,
    issue: IssueNumber,
    actor: Actor,
    pub(crate) epoch: u64,
    pub(crate) lost: Signal<&'static str>,
}

struct Shared {
    /// Whoever renews, publishes or releases is inside.
    gate: Turnstile,
    claim: RefCell<Option<Claim>>,
    closed: Cell<bool>,
}

impl Hold {
    /// Starts to renew a claim.
    pub(crate) fn start(claims: &Rc<Claims>, group: Group, claim: Claim) -> Self {
        let world = &claims.world;
        let actor = Actor {
            host: claims.host,
            life: claims.life,
            run: claim.run.clone(),
        };
        let issue = claim.issue;
        let happening = world.happening(Some(claims.host), Some(issue), "claim won");
        let mut watch = world.watch.borrow_mut();
        watch
            .trace
            .note(happening, || format!("epoch {}", claim.epoch));
        watch.acts(happening, &world.key(issue), actor.clone());
        drop(watch);
        let hold = Self {
            claims: Rc::clone(claims),
            issue,
            actor,
            epoch: claim.epoch,
            lost: Signal::default(),
            shared: Rc::new(Shared {
                gate: Turnstile::default(),
                claim: RefCell::new(Some(claim)),
                closed: Cell::new(false),
            }),
        };
        let renewing = keep_renewing(
            Rc::clone(claims),
            Rc::clone(&hold.shared),
            hold.lost.clone(),
        );
        world.schedule.spawn(group, renewing);
        hold
    }

    /// Moves a branch and renews the claim, both or neither.
    pub(crate) async fn publish(
        &self,
        branch: &str,
        commit: &ObjectName,
        expect: Expect,
    ) -> Result<Published, ClaimEnd> {
        let _inside = self.shared.gate.enter().await;
        let mut claim = self.taken()?;
        let published = self.claims.publish(&mut claim, branch, commit, expect);
        let published = published.await;
        self.shared.claim.replace(Some(claim));
        published
    }

    /// Gives the claim back; no renewal comes after it.
    pub(crate) async fn release(self) -> Result<(), ClaimEnd> {
        let _inside = self.shared.gate.enter().await;
        let claim = self.taken()?;
        self.rest();
        self.shared.closed.set(true);
        self.claims.release(claim).await
    }

    fn taken(&self) -> Result<Claim, ClaimEnd> {
        let claim = self.shared.claim.borrow_mut().take();
        let reason = self.lost.get().unwrap_or("it was released");
        claim.ok_or(ClaimEnd::Lost(reason))
    }

    /// Nothing is done under it any more; it is only given back.
    pub(crate) fn rest(&self) {
        let world = &self.claims.world;
        let key = world.key(self.issue);
        world.watch.borrow_mut().stops(&key, &self.actor);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.rest();
        self.shared.closed.set(true);
        self.claims.live.borrow_mut().remove(&self.issue);
    }
}

async fn keep_renewing(claims: Rc<Claims>, shared: Rc<Shared>, lost: Signal<&'static str>) {
    let timing = claims.timing;
    let mut pause = timing.renewal_interval();
    loop {
        claims.world.schedule.sleep(pause).await;
        let _inside = shared.gate.enter().await;
        if shared.closed.get() {
            return;
        }
        let Some(mut claim) = shared.claim.borrow_mut().take() else {
            return;
        };
        let renewed = claims.renew(&mut claim).await;
        let end = match renewed {
            Ok(()) => None,
            Err(ClaimEnd::Lost(reason)) => Some(reason),
            Err(ClaimEnd::Unreachable) if claims.remaining(&claim).is_zero() => {
                Some("it could not be renewed for too long")
            }
            Err(ClaimEnd::Unreachable) => None,
        };
        if let Some(reason) = end {
            lost.set(reason);
            return;
        }
        pause = match renewed {
            Ok(()) => timing.renewal_interval(),
            Err(_) => timing.hasty_interval(),
        };
        shared.claim.replace(Some(claim));
    }
}
