//! What goes wrong, and when: drawn from the seed before the night begins, or call by call.

use std::time::Duration;

use super::plan::Plan;
use super::random::Random;

const MINUTE: Duration = Duration::from_secs(60);

/// From one time to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

impl Window {
    fn holds(self, at: Duration) -> bool {
        self.from <= at && at < self.to
    }
}

/// One way in which a call to the forge goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 429, not done.
    TooMany {
        /// What `Retry-After` says.
        retry_after: Duration,
    },
    /// A proxy's 503, not done.
    Refused,
    /// No connection: certainly not done.
    NoConnection,
    /// A page of HTML where JSON was expected; not done.
    Page,
    /// Nothing comes back, and nothing was done.
    Dropped,
    /// Nothing comes back, but it was done.
    ReplyLost,
    /// 500, but it was done.
    AppliedThenError,
    /// It was done twice; the second answer comes back.
    Repeated,
}

/// What a host can lack for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The forge is down for everybody.
    Forge,
    /// One host does not reach the forge.
    Network,
    /// The provider's quota is used up.
    Quota,
    /// The disk is full.
    Disk,
    /// The database is away.
    Database,
    /// The configuration file cannot be read.
    Configuration,
}

/// What a night's weather is like.
#[derive(Debug)]
pub(crate) struct Sky {
    factor: f64,
    forge: Vec<Window>,
    /// By host, one list for each kind of lack.
    hosts: Vec<HostSky>,
    /// After this time nothing goes wrong any more, so that the end can be judged.
    calm_from: Duration,
}

#[derive(Debug)]
struct HostSky {
    network: Vec<Window>,
    quota: Vec<Window>,
    disk: Vec<Window>,
    database: Vec<Window>,
    configuration: Vec<Window>,
    /// Jumps of the wall clock: when, and to which offset in milliseconds.
    clock: Vec<(Duration, i64)>,
}

/// The most by which a clock is wrong.
const SKEW_MS: u64 = 300_000;

impl Sky {
    pub(crate) fn new(plan: &Plan, seed: u64) -> Self {
        let mut random = Random::new(seed, "sky");
        let factor = plan.weather.factor();
        let mut windows = |per_night: f64, least: Duration, most: Duration| {
            let mut windows = Vec::new();
            let hours = plan.length.as_secs_f64() / 3_600.0;
            let mut expected = per_night * factor.min(3.0) * hours / 8.0;
            while expected > 0.0 {
                if random.chance(expected.min(1.0)) {
                    let from = random.between(Duration::ZERO, plan.length);
                    let to = from + random.between(least, most);
                    windows.push(Window { from, to });
                }
                expected -= 1.0;
            }
            windows
        };
        let forge = windows(2.0, MINUTE, 15 * MINUTE);
        let mut hosts = Vec::new();
        for _ in 0..plan.hosts {
            hosts.push(HostSky {
                network: windows(1.0, MINUTE, 30 * MINUTE),
                quota: windows(1.0, 5 * MINUTE, 60 * MINUTE),
                disk: windows(0.5, MINUTE, 20 * MINUTE),
                database: windows(0.7, MINUTE / 2, 8 * MINUTE),
                configuration: windows(0.7, MINUTE, 40 * MINUTE),
                clock: Vec::new(),
            });
        }
        for host in &mut hosts {
            let mut jump = |at| {
                let offset = i64::try_from(random.below(2 * SKEW_MS + 1)).unwrap_or(0);
                let skew = i64::try_from(SKEW_MS).unwrap_or(0);
                host.clock.push((at, offset - skew));
            };
            if factor > 0.0 {
                jump(Duration::ZERO);
                jump(plan.length / 3);
                jump(plan.length / 2);
            }
        }
        Self {
            factor,
            forge,
            hosts,
            calm_from: plan.length,
        }
    }

    /// Whether a host lacks something now.
    pub(crate) fn lacks(&self, host: u32, lack: Lack, at: Duration) -> bool {
        self.ends(host, lack, at).is_some()
    }

    /// When a lack of now ends.
    pub(crate) fn ends(&self, host: u32, lack: Lack, at: Duration) -> Option<Duration> {
        if at >= self.calm_from {
            return None;
        }
        let sky = self.host(host)?;
        let windows = match lack {
            Lack::Forge => &self.forge,
            Lack::Network => &sky.network,
            Lack::Quota => &sky.quota,
            Lack::Disk => &sky.disk,
            Lack::Database => &sky.database,
            Lack::Configuration => &sky.configuration,
        };
        let now = windows.iter().filter(|window| window.holds(at));
        now.map(|window| window.to).max()
    }

    fn host(&self, host: u32) -> Option<&HostSky> {
        self.hosts.get(usize::try_from(host).ok()?)
    }

    /// By how much a host's wall clock is wrong, in milliseconds.
    pub(crate) fn clock_offset_ms(&self, host: u32, at: Duration) -> i64 {
        let jumps = self.host(host).map(|sky| sky.clock.as_slice());
        let mut latest = jumps.unwrap_or_default().iter().rev();
        let last = latest.find(|(from, _)| *from <= at);
        last.map_or(0, |(_, offset)| *offset)
    }

    /// Whether a call to the forge goes wrong, and how.
    pub(crate) fn fault(&self, host: u32, at: Duration, random: &mut Random) -> Option<Fault> {
        if at >= self.calm_from || self.factor == 0.0 {
            return None;
        }
        if self.lacks(host, Lack::Network, at) {
            return Some(Fault::NoConnection);
        }
        if self.lacks(host, Lack::Forge, at) {
            let ways = [
                Fault::Refused,
                Fault::NoConnection,
                Fault::Page,
                Fault::Dropped,
            ];
            return random.pick(&ways).copied();
        }
        if !random.chance(0.02 * self.factor) {
            return None;
        }
        let seconds = Duration::from_secs(random.below(20) + 1);
        let ways = [
            Fault::TooMany {
                retry_after: seconds,
            },
            Fault::Refused,
            Fault::NoConnection,
            Fault::Page,
            Fault::Dropped,
            Fault::ReplyLost,
            Fault::AppliedThenError,
            Fault::Repeated,
        ];
        random.pick(&ways).copied()
    }

    /// Whether a process dies after a step it has just recorded.
    pub(crate) fn crashes(&self, at: Duration, random: &mut Random) -> bool {
        at < self.calm_from && random.chance(0.000_3 * self.factor)
    }

    /// Whether a push arrives only when nobody waits for it any more.
    pub(crate) fn delays_push(&self, at: Duration, random: &mut Random) -> bool {
        at < self.calm_from && random.chance(0.006 * self.factor)
    }

    /// Whether a model goes silent in the middle of a call.
    pub(crate) fn goes_silent(&self, at: Duration, random: &mut Random) -> bool {
        at < self.calm_from && random.chance(0.000_5 * self.factor)
    }

    /// Whether a webhook does not arrive.
    pub(crate) fn loses_webhook(&self, random: &mut Random) -> bool {
        random.chance((0.15 * self.factor).min(0.9))
    }

    /// Whether a webhook arrives twice.
    pub(crate) fn doubles_webhook(&self, random: &mut Random) -> bool {
        random.chance((0.1 * self.factor).min(0.5))
    }
}
