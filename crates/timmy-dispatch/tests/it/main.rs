//! Parts of dispatch with everything real around them: a sandbox, a forge over HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

mod conformance;
mod hooks;
mod tracker;
