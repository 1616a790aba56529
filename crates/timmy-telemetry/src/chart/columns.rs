//! How much of something in each stretch of time.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::drawing::Anchor;
use super::drawing::Drawing;
use super::drawing::Rect;
use super::scale::TimeScale;
use super::scale::round_up;
use super::scale::share_of;
use super::scale::step;
use crate::report::Zone;
use crate::report::rough;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 160.0;
const MARKS: i64 = 9;
/// Columns, at most.
const COLUMNS: i64 = 60;

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Columns {
    /// The name of the drawing.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// What the amounts are of.
    pub unit: &'static str,
    /// Amounts, and when.
    pub amounts: BTreeMap<Timestamp, u64>,
    /// Where the axis begins and ends.
    pub span: (Timestamp, Timestamp),
}

impl Columns {
    /// Draws it.
    #[must_use]
    pub fn draw(&self, zone: &Zone) -> Drawing {
        let mut drawing = Drawing::new(self.name, &self.title, WIDTH, HEIGHT);
        let (begin, end) = (self.span.0.as_second(), self.span.1.as_second());
        let step = step(end - begin, COLUMNS);
        let first = begin.div_euclid(step) * step;
        let mut buckets: BTreeMap<i64, u64> = BTreeMap::new();
        for (at, amount) in &self.amounts {
            let place = (at.as_second() - first).div_euclid(step);
            let bucket = buckets.entry(place).or_default();
            *bucket = bucket.saturating_add(*amount);
        }
        let most = buckets.values().copied().max().unwrap_or(0);
        let top = round_up(most);
        let scale = TimeScale::new(self.span, LEFT, WIDTH - LEFT - RIGHT);
        self.axes(&mut drawing, &scale, zone, top);
        let moment = |place: i64| {
            let second = first.saturating_add(place.saturating_mul(step));
            Timestamp::from_second(second).unwrap_or_default()
        };
        for (place, amount) in &buckets {
            let (left, right) = (scale.x(moment(*place)), scale.x(moment(place + 1)));
            let height = (BOTTOM - TOP) * share_of(*amount, top);
            let rect = Rect {
                x: left + 0.5,
                y: BOTTOM - height,
                width: (right - left - 1.0).max(1.0),
                height,
            };
            drawing.rect(rect, "column");
        }
        drawing.line((LEFT, BOTTOM), (WIDTH - RIGHT, BOTTOM), "axis");
        let all = self
            .amounts
            .values()
            .fold(0_u64, |sum, one| sum.saturating_add(*one));
        drawing.describe(format!(
            "{} {} between {} and {}; at most {} in {} minutes",
            rough(all),
            self.unit,
            zone.day_and_clock(self.span.0),
            zone.day_and_clock(self.span.1),
            rough(most),
            step / 60
        ));
        drawing
    }

    fn axes(&self, drawing: &mut Drawing, scale: &TimeScale, zone: &Zone, top: u64) {
        for (part, amount) in [(0.0, 0), (0.5, top / 2), (1.0, top)] {
            let y = BOTTOM - (BOTTOM - TOP) * part;
            // The half of an odd number is no mark.
            if part > 0.0 && (part > 0.9 || top.is_multiple_of(2)) {
                drawing.line((LEFT, y), (WIDTH - RIGHT, y), "grid");
                drawing.text((LEFT - 8.0, y + 4.0), Anchor::End, "small", &rough(amount));
            }
        }
        for mark in scale.marks(zone, MARKS) {
            drawing.line((mark.x, BOTTOM), (mark.x, BOTTOM + 4.0), "axis");
            drawing.text(
                (mark.x, BOTTOM + 18.0),
                Anchor::Middle,
                "small",
                &mark.label,
            );
        }
    }
}
