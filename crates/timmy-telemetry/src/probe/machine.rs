//! Memory and load, as Linux tells them, and the machine's name.

use timmy_core::text;

/// Where Linux tells about memory.
const MEMORY: &str = "/proc/meminfo";
/// Where it tells about load.
const LOAD: &str = "/proc/loadavg";
/// Where it keeps the name.
const NAME: &str = "/proc/sys/kernel/hostname";
/// The longest name, in bytes: that of DNS.
const LONGEST_NAME: usize = 253;

/// Memory and load.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Machine {
    /// Bytes that new programs could have without swapping.
    pub memory_available: Option<u64>,
    /// Bytes there are.
    pub memory_total: Option<u64>,
    /// Processes that ran or wanted to, on average over a minute.
    pub load: Option<f64>,
}

/// How the machine stands. What the system does not tell is not there.
#[must_use]
pub fn read() -> Machine {
    let memory = std::fs::read_to_string(MEMORY).unwrap_or_default();
    let load = std::fs::read_to_string(LOAD).unwrap_or_default();
    parse(&memory, &load)
}

/// The name of this machine.
#[must_use]
pub fn host_name() -> String {
    let name = std::fs::read_to_string(NAME).unwrap_or_default();
    let name = text::clean_line(&name);
    match name.as_str() {
        "" => "localhost".to_owned(),
        name => text::clean_line(&text::bound(name, LONGEST_NAME)),
    }
}

fn parse(memory: &str, load: &str) -> Machine {
    let kibibytes = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name))?;
        let number = line.strip_prefix(':')?.split_whitespace().next()?;
        number.parse::<u64>().ok()?.checked_mul(1_024)
    };
    let load = load.split_whitespace().next();
    let load = load.and_then(|load| load.parse::<f64>().ok());
    Machine {
        memory_available: kibibytes("MemAvailable"),
        memory_total: kibibytes("MemTotal"),
        load: load.filter(|load| load.is_finite()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_linux_tells_is_read() {
        let memory = "MemTotal:       24567 kB\nMemFree: 1 kB\nMemAvailable:   123 kB\n";
        let expected = Machine {
            memory_available: Some(123 * 1_024),
            memory_total: Some(24_567 * 1_024),
            load: Some(0.52),
        };
        assert_eq!(expected, parse(memory, "0.52 0.58 0.59 1/467 12345\n"));
        assert_eq!(Machine::default(), parse("", ""));
        assert!(read().memory_total.is_some());
        assert!(!host_name().is_empty());
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(memory in any::<String>(), load in any::<String>()) {
            parse(&memory, &load);
        }
    }
}
