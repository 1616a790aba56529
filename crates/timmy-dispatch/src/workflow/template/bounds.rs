//! How large a template may be, and what it may use.

use std::io;
use std::io::Write;

use liquid_core::Error;
use liquid_core::Result;
use liquid_core::Runtime;
use liquid_core::ValueView;

/// The longest template that is read, in bytes.
const SOURCE_BYTES: usize = 64 << 10;
/// The longest tag or placeholder, in bytes. Bounds how deep one can nest.
const TAG_BYTES: usize = 1 << 10;
/// The most tags in a template. Bounds how deep blocks can nest.
const TAGS: usize = 128;
/// The longest run of white space, in bytes: the engine looks ahead over it from each of its
/// characters.
const BLANK_BYTES: usize = 256;
/// The most that a template or one of its values may print, in bytes.
const OUTPUT_BYTES: usize = 64 << 10;
/// The most look-ups, turns of a loop and filters of one rendering.
const STEPS: u32 = 20_000;
/// Bytes that a filter works on for one step.
const BYTES_A_STEP: usize = 256;

/// Refuses what would cost the engine more than its worth.
pub(super) fn check_source(source: &str) -> std::result::Result<(), String> {
    if source.len() > SOURCE_BYTES {
        return Err(format!("it is longer than {SOURCE_BYTES} bytes"));
    }
    let blank = |run: &str| run.len() > BLANK_BYTES;
    if source.split(|c: char| !c.is_whitespace()).any(blank) {
        return Err(format!("it has more than {BLANK_BYTES} blanks in a row"));
    }
    if source.matches("{%").count() > TAGS {
        return Err(format!("it has more than {TAGS} tags"));
    }
    for (open, close) in [("{%", "%}"), ("{{", "}}")] {
        for inside in source.split(open).skip(1) {
            let length = inside.find(close).unwrap_or(inside.len());
            if length > TAG_BYTES {
                return Err(format!(
                    "a tag is longer than {TAG_BYTES} bytes or is never closed"
                ));
            }
        }
    }
    Ok(())
}

/// What a rendering used so far, and what it asked for in vain.
#[derive(Default)]
pub(super) struct Meter {
    steps: u32,
    pub(super) unknown: Option<String>,
}

impl Meter {
    pub(super) fn fault(&self) -> Option<String> {
        if self.steps > STEPS {
            return Some(format!("it takes more than {STEPS} steps"));
        }
        self.unknown.clone()
    }
}

/// Counts steps, and ends the rendering when they are too many.
pub(super) fn charge(runtime: &dyn Runtime, steps: usize) -> Result<()> {
    let mut meter = runtime.registers().get_mut::<Meter>();
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    meter.steps = meter.steps.saturating_add(steps);
    match meter.steps > STEPS {
        true => Err(Error::with_msg("it takes too many steps")),
        false => Ok(()),
    }
}

/// The size of a value in bytes, every element of a list counting as one more.
pub(super) fn weight(value: &dyn ValueView) -> usize {
    if let Some(array) = value.as_array() {
        return array.values().map(|value| weight(value) + 1).sum();
    }
    if let Some(object) = value.as_object() {
        return object
            .iter()
            .map(|(key, value)| key.len() + weight(value) + 1)
            .sum();
    }
    value.to_kstr().len()
}

/// Counts the work of a filter on so many bytes.
pub(super) fn charge_for(runtime: &dyn Runtime, bytes: usize) -> Result<()> {
    charge(runtime, 1 + bytes / BYTES_A_STEP)
}

/// Refuses a value that is larger than everything a template may print.
pub(super) fn check_value(value: &dyn ValueView) -> Result<()> {
    match weight(value) > OUTPUT_BYTES {
        true => Err(Error::with_msg("a value grows too large")),
        false => Ok(()),
    }
}

/// Takes what a template prints, up to a limit.
#[derive(Default)]
pub(super) struct BoundedOutput {
    bytes: Vec<u8>,
    full: bool,
}

impl BoundedOutput {
    pub(super) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(super) fn fault(&self) -> Option<String> {
        self.full
            .then(|| format!("it prints more than {OUTPUT_BYTES} bytes"))
    }
}

impl Write for BoundedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_BYTES {
            self.full = true;
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
