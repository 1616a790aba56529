//! The git tools.

use super::Entry;

pub(super) fn entries() -> Vec<Entry> {
    Vec::new()
}
