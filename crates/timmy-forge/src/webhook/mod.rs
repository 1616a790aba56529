//! Being told by the forge that something changed.
//!
//! - [`verify`] proves that a delivery comes from the forge;
//! - [`Receiver`] turns deliveries into wake-ups.
//!
//! # Signatures
//! The signature is the HMAC-SHA256 of the raw body, keyed with the secret that the webhook was made
//! with. Gitea sends it in hexadecimal as `X-Gitea-Signature`, Forgejo as `X-Forgejo-Signature`, both
//! also as `X-Hub-Signature-256` with `sha256=` before it. A forge that was given no secret sends the
//! headers with nothing in them.
//!
//! # Rules
//! - A delivery is only a reason to look. Of its body the names of repository and sender are read,
//!   and nothing of it is acted on: forges deliver at most once, and polling is the truth.
//! - What timmy did itself wakes nobody.
//! - However many deliveries come, a repository is woken once a second at most.

mod deliveries;
mod receiver;
mod signature;

pub use receiver::BODY_LIMIT;
pub use receiver::Listening;
pub use receiver::PATH;
pub use receiver::Receiver;
pub use receiver::Subscription;
pub use receiver::listen;
pub use signature::SignatureError;
pub use signature::verify;
