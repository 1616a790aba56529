//! What work takes from the socket: counted by the processor, or declared by the operator.
//!
//! The processor's counters are those of Linux' powercap framework (Documentation/power/powercap in
//! the kernel's sources): one directory a package, `energy_uj` counts up to `max_energy_range_uj` and
//! begins again. They count the whole machine, whoever used it.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::event::EnergySource;

/// Where Linux shows its counters.
pub const POWERCAP: &str = "/sys/class/powercap";

/// What the directories of packages, and only they, begin with; their parts have a second colon.
const ZONE: &str = "intel-rapl:";
/// What the name of a package begins with. Other zones count some of the same energy again.
const PACKAGE: &str = "package";
const MICROJOULES_PER_MILLIJOULE: u64 = 1_000;

/// The counters of one machine, while something works.
#[derive(Debug, Clone)]
pub struct Meter {
    place: PathBuf,
    last: Reading,
    microjoules: u64,
}

/// One package's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counter {
    /// In microjoules, since some moment.
    energy: u64,
    /// Where it begins again, in microjoules.
    range: u64,
}

/// All counters at one moment, by their directory.
type Reading = BTreeMap<String, Counter>;

impl Meter {
    /// Begins to measure with the counters in a directory such as [`POWERCAP`]. None when there are
    /// none that this user may read: most systems show them to root only.
    #[must_use]
    pub fn start(powercap: &Path) -> Option<Self> {
        Some(Self {
            last: read(powercap)?,
            place: powercap.to_owned(),
            microjoules: 0,
        })
    }

    /// Looks at the counters, and says how many millijoules were used since the start. A package at
    /// 100 W comes round every 40 minutes or so, so this has to be asked more often than that. None
    /// when the counters cannot be read any more.
    pub fn sample(&mut self) -> Option<u64> {
        let now = read(&self.place)?;
        let used = used_between(&self.last, &now)?;
        self.microjoules = self.microjoules.saturating_add(used);
        self.last = now;
        Some(self.microjoules / MICROJOULES_PER_MILLIJOULE)
    }
}

fn read(powercap: &Path) -> Option<Reading> {
    let mut reading = Reading::new();
    for entry in std::fs::read_dir(powercap).ok()? {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let of_package = name
            .strip_prefix(ZONE)
            .is_some_and(|rest| !rest.contains(':'));
        let zone = powercap.join(&name);
        if !of_package || !text(&zone.join("name"))?.starts_with(PACKAGE) {
            continue;
        }
        let counter = Counter {
            energy: text(&zone.join("energy_uj"))?.parse().ok()?,
            range: text(&zone.join("max_energy_range_uj"))?.parse().ok()?,
        };
        reading.insert(name, counter);
    }
    (!reading.is_empty()).then_some(reading)
}

fn text(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned())
}

/// Microjoules between two readings, if both are of the same packages.
fn used_between(before: &Reading, after: &Reading) -> Option<u64> {
    if !before.keys().eq(after.keys()) {
        return None;
    }
    let used = before.values().zip(after.values()).map(|(before, after)| {
        match after.energy.checked_sub(before.energy) {
            Some(used) => used,
            None => after
                .energy
                .saturating_add(before.range.saturating_sub(before.energy)),
        }
    });
    Some(used.fold(0, u64::saturating_add))
}

/// What the model calls of a run took, in millijoules: the watts that the configuration declares for
/// each provider, times the duration of its calls. Calls that failed have no duration and are left
/// out. None when there were no calls, or one of a provider without declared watts: a part of the
/// sum is no sum.
#[must_use]
pub fn declared(events: &[Event], watts: &BTreeMap<String, u32>) -> Option<u64> {
    let mut millijoules = None;
    for event in events {
        let EventKind::ModelCallSettled {
            provider,
            duration_ms,
            ..
        } = &event.kind
        else {
            continue;
        };
        let power = u64::from(*watts.get(provider)?);
        let of_call = duration_ms.saturating_mul(power);
        millijoules = Some(of_call.saturating_add(millijoules.unwrap_or(0)));
    }
    millijoules
}

/// The event for a figure.
#[must_use]
pub fn event(millijoules: u64, source: EnergySource) -> EventKind {
    EventKind::EnergyUsed {
        millijoules,
        source,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use timmy_core::event::SCHEMA_VERSION;
    use timmy_core::money::Usage;

    use super::*;

    fn zone(place: &Path, directory: &str, name: &str, energy: u64) {
        let zone = place.join(directory);
        std::fs::create_dir_all(&zone).unwrap();
        for (file, text) in [
            ("name", name.to_owned()),
            ("energy_uj", energy.to_string()),
            ("max_energy_range_uj", "1000000".to_owned()),
        ] {
            std::fs::write(zone.join(file), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn packages_are_added_up_and_nothing_is_counted_twice() {
        let place = tempfile::tempdir().unwrap();
        let set = |first, second| {
            zone(place.path(), "intel-rapl:0", "package-0", first);
            zone(place.path(), "intel-rapl:1", "package-1", second);
            zone(place.path(), "intel-rapl:0:0", "core", first);
            zone(place.path(), "intel-rapl:2", "psys", first + second);
            zone(place.path(), "intel-rapl-mmio:0", "package-0", first);
        };
        set(500_000, 999_000);
        let mut meter = Meter::start(place.path()).unwrap();
        set(600_000, 1_000);
        assert_eq!(Some(102), meter.sample());
        set(601_000, 1_000);
        assert_eq!(Some(103), meter.sample());
        std::fs::remove_file(place.path().join("intel-rapl:0/energy_uj")).unwrap();
        assert_eq!(None, meter.sample());
    }

    #[test]
    fn a_machine_without_counters_measures_nothing() {
        let place = tempfile::tempdir().unwrap();
        assert!(Meter::start(place.path()).is_none());
        assert!(Meter::start(&place.path().join("missing")).is_none());
        zone(place.path(), "intel-rapl:0", "package-0", 1);
        std::fs::write(place.path().join("intel-rapl:0/energy_uj"), "many").unwrap();
        assert!(Meter::start(place.path()).is_none());
    }

    proptest! {
        /// A counter that comes round once between two looks loses nothing.
        #[test]
        fn coming_round_loses_nothing(range in 1_u64..u64::MAX / 2, start in any::<u64>(), used in any::<u64>()) {
            let (start, used) = (start % range, used % range);
            let reading = |energy| Reading::from([("intel-rapl:0".to_owned(), Counter { energy, range })]);
            let after = (start + used) % range;
            prop_assert_eq!(Some(used), used_between(&reading(start), &reading(after)));
        }
    }

    fn call(provider: &str, duration_ms: u64) -> Event {
        Event {
            seq: 1,
            schema: SCHEMA_VERSION,
            at: Timestamp::UNIX_EPOCH,
            run: None,
            kind: EventKind::ModelCallSettled {
                call: 1,
                provider: provider.to_owned(),
                model: "small".to_owned(),
                usage: Usage::default(),
                measured: true,
                duration_ms,
            },
        }
    }

    #[test]
    fn declared_power_counts_while_a_call_lasts() {
        let watts = BTreeMap::from([("local".to_owned(), 300), ("lamp".to_owned(), 5)]);
        let calls = [call("local", 2_000), call("lamp", 10)];
        assert_eq!(Some(600_050), declared(&calls, &watts));
        assert_eq!(None, declared(&[], &watts));
        let partly = [call("local", 2_000), call("remote", 10)];
        assert_eq!(None, declared(&partly, &watts));
    }
}
