//! Everything that was said, added up in the order in which it was said.

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::Analysis;
use super::BUCKETS;
use super::EXAMPLES;
use super::Example;
use super::Fault;
use super::Faulty;
use super::FileRead;
use super::Lines;
use super::SERIES;
use super::block::Entered;
use super::block::Entry;
use super::block::Key;
use super::block::Kind;
use super::block::Parsed;
use super::series::Changes;
use super::series::Order;
use super::series::StateSeries;
use super::series::States;
use super::series::ValueSeries;
use super::series::Values;

/// The fold so far.
pub(super) struct Fold {
    pub(super) files: Vec<FileRead>,
    lines: Lines,
    places: HashMap<Key, u32>,
    values: Vec<Values>,
    states: Vec<States>,
    changes: Vec<Changes>,
    grid: Grid,
}

/// Where the buckets of all series begin and end.
struct Grid {
    /// The length of a bucket is two to the power of this, in seconds.
    shift: u32,
    /// The numbers of the first and the last one in use.
    range: Option<(i64, i64)>,
}

impl Grid {
    /// The bucket of a time in seconds, and by how much all buckets have to be widened before.
    fn bucket(&mut self, second: i64) -> (i64, u32) {
        let mut bucket = second >> self.shift;
        let (low, high) = self.range.unwrap_or((bucket, bucket));
        let (mut low, mut high) = (low.min(bucket), high.max(bucket));
        let mut widen = 0;
        while high - low >= BUCKETS {
            widen += 1;
            low >>= 1;
            high >>= 1;
            bucket >>= 1;
        }
        self.shift += widen;
        self.range = Some((low, high));
        (bucket, widen)
    }
}

impl Fold {
    pub(super) fn new(files: Vec<FileRead>) -> Self {
        let faulty = |fault| Faulty {
            fault,
            count: 0,
            examples: Vec::new(),
        };
        Self {
            files,
            lines: Lines {
                faults: Fault::ALL.map(faulty).into(),
                ..Lines::default()
            },
            places: HashMap::new(),
            values: Vec::new(),
            states: Vec::new(),
            changes: Vec::new(),
            grid: Grid {
                shift: 0,
                range: None,
            },
        }
    }

    /// Adds the next block.
    pub(super) fn add(&mut self, parsed: &Parsed) {
        self.lines.total += parsed.lines;
        self.lines.outside += parsed.outside;
        self.lines.blank += parsed.blank;
        for (faulty, count) in self.lines.faults.iter_mut().zip(parsed.faults) {
            faulty.count += count;
        }
        for (fault, line, text) in &parsed.examples {
            self.example(*fault, parsed.file, *line, || text.clone());
        }
        let places: Vec<Option<u32>> = parsed.keys.iter().map(|key| self.place(key)).collect();
        for entry in &parsed.entries {
            let key = &parsed.keys[entry.key as usize];
            match places[entry.key as usize] {
                Some(place) => self.entry(place, entry, key, parsed),
                None => self.fault(Fault::Crowded, entry, key, parsed.file),
            }
        }
        self.files[parsed.file].lines += parsed.lines;
    }

    /// Where a series is kept, unless there are too many.
    fn place(&mut self, key: &Key) -> Option<u32> {
        if let Some(place) = self.places.get(key) {
            return Some(*place);
        }
        if self.places.len() >= SERIES {
            return None;
        }
        let place = match key.kind {
            Kind::Value => {
                self.values.push(Values::new());
                self.values.len() - 1
            }
            Kind::State => {
                self.states.push(States::new());
                self.states.len() - 1
            }
            Kind::Change => {
                self.changes.push(Changes::new());
                self.changes.len() - 1
            }
        };
        let place = u32::try_from(place).ok()?;
        self.places.insert(key.clone(), place);
        Some(place)
    }

    fn entry(&mut self, place: u32, entry: &Entry, key: &Key, parsed: &Parsed) {
        let place = place as usize;
        let order = match entry.said {
            Entered::Value(value) => self.value(place, entry, value),
            Entered::State(state) => {
                let state = &parsed.states[state as usize];
                self.states[place].take(entry.at, state)
            }
            Entered::Changed => {
                let changes = &mut self.changes[place];
                let order = changes.times.take(entry.at);
                changes.count += u64::from(order != Order::Again);
                order
            }
        };
        match order {
            Order::Again => return self.fault(Fault::Duplicated, entry, key, parsed.file),
            Order::Late => self.fault(Fault::OutOfOrder, entry, key, parsed.file),
            Order::Next => {}
        }
        match key.kind {
            Kind::Value | Kind::State => self.lines.samples += 1,
            Kind::Change => self.lines.changes += 1,
        }
    }

    fn value(&mut self, place: usize, entry: &Entry, value: f64) -> Order {
        let order = self.values[place].times.take(entry.at);
        if order == Order::Again {
            return order;
        }
        let (bucket, widen) = self.grid.bucket(entry.at.as_second());
        if widen > 0 {
            for values in &mut self.values {
                values.widen(widen);
            }
        }
        self.values[place].add(entry.at, value, bucket);
        order
    }

    fn fault(&mut self, fault: Fault, entry: &Entry, key: &Key, file: usize) {
        self.lines.faults[fault as usize].count += 1;
        self.example(fault, file, entry.line, || {
            let line = format!("{} {} {} {}", entry.at, key.host, key.series, key.of);
            timmy_core::text::clean_line(&timmy_core::text::bound(&line, 160))
        });
    }

    fn example(&mut self, fault: Fault, file: usize, line: u64, text: impl FnOnce() -> String) {
        let examples = &mut self.lines.faults[fault as usize].examples;
        if examples.len() < EXAMPLES {
            let file = &self.files[file];
            examples.push(Example {
                file: file.name.clone(),
                line: file.lines + line + 1,
                text: text(),
            });
        }
    }

    /// What it all comes to.
    pub(super) fn finish(self) -> Analysis {
        let bucket_s = 1 << self.grid.shift;
        let mut names: [Vec<Option<[Box<str>; 3]>>; 3] =
            [self.values.len(), self.states.len(), self.changes.len()]
                .map(|length| vec![None; length]);
        for (key, place) in self.places {
            names[key.kind as usize][place as usize] = Some([key.host, key.series, key.of]);
        }
        let [of_values, of_states, of_changes] = names.map(|names| names.into_iter().flatten());
        let mut values: Vec<ValueSeries> = of_values
            .zip(self.values)
            .map(|(names, values)| values.finish(names, bucket_s))
            .collect();
        values.sort_by(|a, b| (&a.host, &a.series, &a.of).cmp(&(&b.host, &b.series, &b.of)));
        let mut states: BTreeMap<[Box<str>; 3], StateSeries> = of_states
            .zip(self.states)
            .map(|(names, states)| (names.clone(), states.finish(names)))
            .collect();
        for (names, changes) in of_changes.zip(self.changes) {
            let series = states
                .entry(names.clone())
                .or_insert_with(|| States::new().finish(names));
            changes.join(series);
        }
        Analysis {
            files: self.files,
            lines: self.lines,
            bucket_s,
            values,
            states: states.into_values().collect(),
        }
    }
}
