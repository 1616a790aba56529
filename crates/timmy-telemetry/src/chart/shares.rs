//! Shares of a whole, as one bar with its legend.

use super::drawing::Anchor;
use super::drawing::Drawing;
use super::drawing::Rect;
use super::drawing::Tone;
use super::drawing::width_of;
use super::scale::share_of;

const WIDTH: f64 = 960.0;
const BAR: f64 = 34.0;
const SMALL: f64 = 12.0;
const LINE: f64 = 22.0;

/// One share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// What it is.
    pub label: String,
    /// How many.
    pub count: u64,
    /// How it is drawn.
    pub tone: Tone,
}

/// Draws shares beside each other.
#[must_use]
pub fn draw(name: &'static str, title: &str, shares: &[Share]) -> Drawing {
    let mut drawing = Drawing::new(name, title, WIDTH, 0.0);
    let all: u64 = shares.iter().map(|share| share.count).sum();
    let told: Vec<String> = shares
        .iter()
        .map(|share| format!("{} {}", share.count, share.label))
        .collect();
    drawing.describe(told.join(", "));
    let mut left = 0.0;
    for share in shares {
        let width = WIDTH * share_of(share.count, all);
        let rect = Rect {
            x: left,
            y: 0.0,
            width: (width - 2.0).max(1.0),
            height: BAR,
        };
        let label = format!("{} {}", share.count, share.label);
        drawing.block(rect, share.tone, &label);
        let number = share.count.to_string();
        if width_of(&number, SMALL) + 10.0 < width {
            let half = width_of(&number, SMALL) / 2.0;
            let place = (left + width / 2.0 - half, BAR / 2.0 + 4.0);
            drawing.label(place, share.tone, &number);
        }
        left += width;
    }
    let (mut x, mut y) = (0.0, BAR + LINE);
    for (share, words) in shares.iter().zip(&told) {
        let width = width_of(words, SMALL) + 40.0;
        if x + width > WIDTH && x > 0.0 {
            (x, y) = (0.0, y + LINE);
        }
        let sample = Rect {
            x,
            y: y - 10.0,
            width: 16.0,
            height: 12.0,
        };
        drawing.block(sample, share.tone, "");
        drawing.text((x + 22.0, y), Anchor::Start, "words", words);
        x += width;
    }
    drawing.grow(y + 8.0);
    drawing
}
