//! What goes over the wire, and the habits of each server.

mod arguments;
pub(crate) mod dialect;
pub(crate) mod draft;
mod reasoning;
pub(crate) mod request;
pub(crate) mod stream;
pub(crate) mod text_calls;
