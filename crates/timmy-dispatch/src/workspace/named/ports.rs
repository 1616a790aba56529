//! A range of ports for each workspace, so that servers of two agents do not meet.

use std::net::Ipv4Addr;
use std::net::TcpListener;

use serde::Deserialize;
use serde::Serialize;

/// Ports in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// How many.
    pub count: u16,
}

impl PortRange {
    fn last(self) -> u32 {
        u32::from(self.first) + u32::from(self.count.max(1)) - 1
    }

    fn meets(self, other: Self) -> bool {
        u32::from(self.first) <= other.last() && u32::from(other.first) <= self.last()
    }

    fn ports(self) -> impl Iterator<Item = u16> {
        (0..self.count).filter_map(move |offset| self.first.checked_add(offset))
    }
}

/// The first range from `base` on that meets none of those that are taken, and on whose ports
/// nothing listens.
pub(super) fn choose(
    base: u16,
    count: u16,
    taken: &[PortRange],
    is_free: impl Fn(u16) -> bool,
) -> Option<PortRange> {
    if base == 0 || count == 0 {
        return None;
    }
    let starts = (base..=u16::MAX).step_by(usize::from(count));
    let ranges = starts.map(|first| PortRange { first, count });
    let mut fitting = ranges
        .filter(|range| range.last() <= u32::from(u16::MAX))
        .filter(|range| !taken.iter().any(|other| range.meets(*other)));
    fitting.find(|range| range.ports().all(&is_free))
}

/// Whether nothing on this machine listens on a port now.
pub(super) fn nobody_listens(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_port_that_somebody_listens_on_is_passed_over() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!nobody_listens(listener.local_addr().unwrap().port()));
        let free = |port| port != 20_005;
        let chosen = choose(20_000, 10, &[], free).unwrap();
        assert_eq!(20_010, chosen.first);
        assert_eq!(None, choose(65_530, 10, &[], |_| true));
        assert_eq!(None, choose(20_000, 0, &[], |_| true));
    }

    proptest! {
        #[test]
        fn ranges_never_meet(base in 1_u16.., counts in proptest::collection::vec(1_u16..2_000, 1..20)) {
            let mut taken: Vec<PortRange> = Vec::new();
            for count in counts {
                let Some(range) = choose(base, count, &taken, |_| true) else { continue };
                prop_assert!(taken.iter().all(|other| !range.meets(*other)));
                prop_assert!(range.first >= base && range.last() <= 65_535);
                prop_assert_eq!(usize::from(count), range.ports().count());
                taken.push(range);
            }
        }
    }
}
