//! The claim protocol over smart HTTP.

mod machine;
mod protocol;
mod race;
mod round_trip;
mod stage;
