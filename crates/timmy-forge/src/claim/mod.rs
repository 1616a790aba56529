//! Claims: who works on an issue, decided by one leased push to one ref on the forge.
//!
//! `refs/timmy/claims/<issue>` points at a commit without parents and files whose message says who
//! holds it. Every write to it is a push with a lease on what it was before, so of several writers
//! exactly one wins; the nonce in the message keeps two claims from being the same commit.
//!
//! - [`Claims::acquire`] wins a free claim, or says who has it, or that it lapsed.
//! - [`Claims::renew`] every fifth of the time to live. A claim that is not renewed for 0.6 of it is
//!   no longer acted under ([`ClaimError::Fenced`]).
//! - [`Claims::takeover`] needs no agreement about time: an observer must have seen the same commit
//!   for the time to live and a quarter more on its own clock.
//! - [`Claims::publish`] moves the work branch and renews the claim in one atomic push, so a holder
//!   that was dispossessed cannot publish.
//!
//! # Rules
//! - After a push without a clear answer the ref is read again and compared with one's own commits;
//!   libcurl repeats pushes, so even a refusal may be the answer to a push that was already done.
//! - After a release nothing is renewed: [`Claims::release`] consumes the claim. [`KeptClaim`] has
//!   the one mutex for renewing, publishing and releasing.
//! - Claims coordinate hosts that trust each other. Whoever may write the repository may move them.

mod claims;
mod error;
mod identity;
mod keep;
mod message;
mod observe;
mod outcome;
mod sighting;
mod survey;
mod timing;

pub use claims::Acquired;
pub use claims::Claim;
pub use claims::Claims;
pub use claims::Holder;
pub use claims::LapseReason;
pub use claims::Lapsed;
pub use claims::RefSpace;
pub use error::ClaimError;
pub use identity::Identity;
pub use keep::KeptClaim;
pub use message::ClaimMessage;
pub use message::ClaimState;
pub use outcome::Published;
pub use survey::Surveyed;
pub use timing::Timing;
