//! Which deliveries came before.

use std::collections::HashSet;
use std::collections::VecDeque;

/// How many deliveries are remembered.
const REMEMBERED: usize = 1024;
/// The longest id of a delivery, in bytes. Forges send a UUID.
const ID_BYTES: usize = 100;

/// The newest deliveries, by id.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    order: VecDeque<String>,
    known: HashSet<String>,
}

impl Deliveries {
    /// Whether this one is new. An id that no forge sends is never new.
    pub(super) fn note(&mut self, id: &str) -> bool {
        if id.is_empty() || id.len() > ID_BYTES || !self.known.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_is_new_once_and_memory_is_bounded(ids in proptest::collection::vec("[a-d]{0,3}", 0..300)) {
            let mut deliveries = Deliveries::default();
            let mut seen = HashSet::new();
            for id in ids {
                let new = !id.is_empty() && seen.insert(id.clone());
                prop_assert_eq!(new, deliveries.note(&id));
            }
            for number in 0..REMEMBERED + 10 {
                deliveries.note(&number.to_string());
                prop_assert!(deliveries.order.len() <= REMEMBERED);
                prop_assert_eq!(deliveries.order.len(), deliveries.known.len());
            }
            prop_assert!(!deliveries.note(&"x".repeat(ID_BYTES + 1)));
        }
    }
}
