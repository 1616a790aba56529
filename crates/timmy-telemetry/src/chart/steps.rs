//! How many there were by when.

use jiff::Timestamp;

use super::drawing::Anchor;
use super::drawing::Drawing;
use super::drawing::width_of;
use super::scale::TimeScale;
use super::scale::round_up;
use super::scale::share_of;
use crate::report::Zone;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 96.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 168.0;
const MARKS: i64 = 8;
const SMALL: f64 = 11.0;
/// Two words nearer than this would lie on each other.
const APART: f64 = 14.0;

/// Two counts that grow.
#[derive(Debug, Clone)]
pub struct Steps {
    /// The name of the drawing.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// The count that matters: its name, and when it grew by one.
    pub first: (&'static str, Vec<Timestamp>),
    /// The count it is compared with.
    pub second: (&'static str, Vec<Timestamp>),
    /// Where the axis begins and ends.
    pub span: (Timestamp, Timestamp),
}

impl Steps {
    /// Draws it.
    #[must_use]
    pub fn draw(&self, zone: &Zone) -> Drawing {
        let mut drawing = Drawing::new(self.name, &self.title, WIDTH, HEIGHT);
        let most = self.first.1.len().max(self.second.1.len()) as u64;
        let top = round_up(most);
        let scale = TimeScale::new(self.span, LEFT, WIDTH - LEFT - RIGHT);
        for amount in [top / 2, top] {
            let y = height(amount, top);
            if amount > 0 && (amount == top || top.is_multiple_of(2)) {
                drawing.line((LEFT, y), (WIDTH - RIGHT, y), "grid");
                let place = (LEFT - 8.0, y + 4.0);
                drawing.text(place, Anchor::End, "small", &amount.to_string());
            }
        }
        for mark in scale.marks(zone, MARKS) {
            drawing.line((mark.x, BOTTOM), (mark.x, BOTTOM + 4.0), "axis");
            let place = (mark.x, BOTTOM + 18.0);
            drawing.text(place, Anchor::Middle, "small", &mark.label);
        }
        drawing.line((LEFT, BOTTOM), (WIDTH - RIGHT, BOTTOM), "axis");
        let second = trail(&mut drawing, &scale, &self.second.1, top, "second");
        let first = trail(&mut drawing, &scale, &self.first.1, top, "first");
        let lower = if (first - second).abs() < APART {
            second + APART
        } else {
            second
        };
        let (upper, lower) = if first > second {
            (first.max(lower), second)
        } else {
            (first, lower)
        };
        for ((words, times), y) in [(&self.first, upper), (&self.second, lower)] {
            let told = format!("{} {words}", times.len());
            let x = WIDTH - RIGHT + 6.0;
            let room = width_of(&told, SMALL) <= RIGHT;
            let told = if room { told } else { (*words).to_owned() };
            drawing.text((x, y + 4.0), Anchor::Start, "small", &told);
        }
        drawing.describe(format!(
            "{} {} and {} {} by {}",
            self.first.1.len(),
            self.first.0,
            self.second.1.len(),
            self.second.0,
            zone.day_and_clock(self.span.1)
        ));
        drawing
    }
}

fn height(amount: u64, top: u64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * share_of(amount, top)
}

/// Draws one count; gives back where it ends.
fn trail(
    drawing: &mut Drawing,
    scale: &TimeScale,
    times: &[Timestamp],
    top: u64,
    class: &str,
) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let mut points = vec![(LEFT, BOTTOM)];
    let mut y = BOTTOM;
    for (number, at) in (1..).zip(times) {
        let x = scale.x(at);
        points.push((x, y));
        y = height(number, top);
        points.push((x, y));
    }
    points.push((WIDTH - RIGHT, y));
    drawing.trail(&points, class);
    y
}
