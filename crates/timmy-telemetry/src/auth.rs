//! Logins whose tokens expire: how they stand, and exchanging tokens before they run out.
//!
//! The files belong to other programs, Hermes above all. Refresh tokens are used once: whoever uses one
//! a second time ends the login for everybody. So all of this keeps to the rules of the program that
//! owns the file: its locks in its order, a second look under them, and the new tokens on the disk
//! before anybody uses them.
//!
//! # Rules
//! - [`look`] changes nothing.
//! - Tokens travel in a header or a form, never in an address, an argument, an event or a message.
//! - What was asked and not answered is not asked again blindly: the token may be spent.
//! - Tokens are taken away only on the portal's own word, and a copy is kept.

mod book;
mod document;
mod error;
mod held;
mod lock;
mod memory;
mod nous;
mod portal;
mod refresh;
mod settings;
mod standing;
mod token;
mod writing;

pub use error::AuthError;
pub use refresh::Outcome;
pub use refresh::Refresher;
pub use refresh::Turn;
pub use settings::AuthProvider;
pub use settings::AuthSettings;
pub use settings::Carrier;
pub use settings::LoginName;
pub use settings::Pointer;
pub use settings::Rule;
pub use settings::TimeForm;
pub use standing::LoginStanding;
pub use standing::Surroundings;
pub use standing::examine;
pub use standing::look;

#[cfg(test)]
mod tests;
