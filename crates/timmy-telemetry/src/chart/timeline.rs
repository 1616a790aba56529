//! The story of a night: what ran in which slot, and what held it back.

use jiff::Timestamp;

use super::drawing::Anchor;
use super::drawing::Drawing;
use super::drawing::Rect;
use super::drawing::Tone;
use super::drawing::width_of;
use super::scale::TimeScale;
use crate::report::Zone;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
/// Where the first lane begins.
const TOP: f64 = 30.0;
/// A lane with its gap, when there are few.
const LANE: f64 = 26.0;
/// The lowest lane, with its gap.
const LEAST_LANE: f64 = 5.0;
/// All lanes together, at most.
const LANES: f64 = 312.0;
/// Lanes from which on they are not named one by one.
const NAMED: u32 = 12;
const SMALL: f64 = 11.0;
/// Distance of lines of text.
const LINE: f64 = 20.0;
const MARKS: i64 = 9;

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// Its slot, from 1.
    pub lane: u32,
    /// When it began.
    pub since: Timestamp,
    /// When it ended, or was last heard of.
    pub until: Timestamp,
    /// What became of it.
    pub tone: Tone,
    /// What is written into it where there is room.
    pub label: String,
    /// What is told to who points at it.
    pub hint: String,
}

/// A time in which something was held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// When it began.
    pub since: Timestamp,
    /// When it was over.
    pub until: Timestamp,
    /// What is told to who points at it.
    pub hint: String,
}

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// The attempts.
    pub bars: Vec<Bar>,
    /// What was held back.
    pub bands: Vec<Band>,
    /// Where the axis begins and ends.
    pub span: (Timestamp, Timestamp),
    /// What the tones stand for, in this order.
    pub legend: Vec<(Tone, &'static str)>,
}

impl Timeline {
    /// Draws it.
    #[must_use]
    pub fn draw(&self, zone: &Zone) -> Drawing {
        let lanes = self.bars.iter().map(|bar| bar.lane).max().unwrap_or(1);
        let lane = (LANES / f64::from(lanes)).clamp(LEAST_LANE, LANE);
        let bottom = TOP + lane * f64::from(lanes);
        let mut drawing = Drawing::new("timeline", "The night, slot by slot", WIDTH, 0.0);
        drawing.describe(self.description(zone, lanes));
        let scale = TimeScale::new(self.span, LEFT, WIDTH - LEFT - RIGHT);
        for number in 1..=lanes {
            lane_ground(&mut drawing, number, lane, lanes);
        }
        for band in &self.bands {
            let (left, right) = (scale.x(band.since), scale.x(band.until));
            let rect = Rect {
                x: left,
                y: TOP - 6.0,
                width: (right - left).max(1.0),
                height: bottom - TOP + 8.0,
            };
            drawing.rect(rect, "pause");
        }
        for mark in scale.marks(zone, MARKS) {
            drawing.line((mark.x, TOP - 6.0), (mark.x, bottom), "grid");
            let place = (mark.x, TOP - 12.0);
            drawing.text(place, Anchor::Middle, "small", &mark.label);
        }
        for bar in &self.bars {
            self.bar(&mut drawing, &scale, bar, lane);
        }
        let end = self.legend(&mut drawing, bottom + LINE);
        drawing.grow(end);
        drawing
    }

    fn bar(&self, drawing: &mut Drawing, scale: &TimeScale, bar: &Bar, lane: f64) {
        let gap = if lane > 12.0 { 4.0 } else { 1.0 };
        let (left, right) = (scale.x(bar.since), scale.x(bar.until));
        let rect = Rect {
            x: left,
            y: TOP + lane * f64::from(bar.lane.saturating_sub(1)) + gap / 2.0,
            width: (right - left - 1.0).max(2.0),
            height: lane - gap,
        };
        drawing.block(rect, bar.tone, &bar.hint);
        let fits = width_of(&bar.label, SMALL) + 8.0 < rect.width;
        if fits && rect.height > SMALL {
            let middle = rect.y + rect.height / 2.0 + 4.0;
            drawing.label((left + 5.0, middle), bar.tone, &bar.label);
        }
    }

    /// Says what the tones stand for; gives back where that ends.
    fn legend(&self, drawing: &mut Drawing, top: f64) -> f64 {
        let (mut x, mut y) = (LEFT, top);
        let mut entries: Vec<(Option<Tone>, &str)> = self
            .legend
            .iter()
            .filter(|(tone, _)| self.bars.iter().any(|bar| bar.tone == *tone))
            .map(|(tone, words)| (Some(*tone), *words))
            .collect();
        if !self.bands.is_empty() {
            entries.push((None, "held back"));
        }
        for (tone, words) in entries {
            let width = width_of(words, SMALL) + 38.0;
            if x + width > WIDTH - RIGHT && x > LEFT {
                (x, y) = (LEFT, y + LINE);
            }
            let sample = Rect {
                x,
                y: y - 9.0,
                width: 16.0,
                height: 11.0,
            };
            match tone {
                Some(tone) => drawing.block(sample, tone, ""),
                None => drawing.rect(sample, "pause"),
            }
            drawing.text((x + 21.0, y), Anchor::Start, "small", words);
            x += width;
        }
        y + 10.0
    }

    fn description(&self, zone: &Zone, lanes: u32) -> String {
        let (begin, end) = self.span;
        format!(
            "{} attempts in {lanes} slots between {} and {}; {} times something was held back",
            self.bars.len(),
            zone.day_and_clock(begin),
            zone.day_and_clock(end),
            self.bands.len()
        )
    }
}

fn lane_ground(drawing: &mut Drawing, number: u32, lane: f64, lanes: u32) {
    let y = TOP + lane * f64::from(number - 1);
    if lane > 12.0 {
        let ground = Rect {
            x: LEFT,
            y: y + 1.0,
            width: WIDTH - LEFT - RIGHT,
            height: lane - 2.0,
        };
        drawing.rect(ground, "lane");
    }
    if lanes <= NAMED {
        let place = (LEFT - 8.0, y + lane / 2.0 + 4.0);
        drawing.text(place, Anchor::End, "small", &format!("slot {number}"));
    }
}
