//! A drawing of shapes and texts.

use std::fmt::Write;

/// How the classes of a drawing look. The variables are those of the page it is in; without a page
/// the values behind the commas count.
pub const STYLE: &str = include_str!("drawing.css");
/// The same variables, for a drawing in a file of its own in the dark.
const DARK: &str = include_str!("dark.css");

/// The width of a character as a part of the size of the font; on average, of fonts without serifs.
const WIDTH: f64 = 0.58;

/// The size of the font of labels, in pixels.
const LABEL: f64 = 11.0;

/// What something is drawn like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// As it should be.
    Good,
    /// A result with a reservation.
    Warn,
    /// It came to nothing.
    Bad,
    /// It came to nothing for a reason outside.
    Outside,
    /// Neither good nor bad.
    Calm,
    /// It is not over.
    Open,
}

impl Tone {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Good,
        Self::Warn,
        Self::Bad,
        Self::Outside,
        Self::Calm,
        Self::Open,
    ];

    /// Its class.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Outside => "outside",
            Self::Calm => "calm",
            Self::Open => "open",
        }
    }

    /// The pattern over its colour: lines by which it is known without any colour.
    fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Good | Self::Calm | Self::Open => None,
            Self::Warn => Some("M0 3H6"),
            Self::Bad => Some("M-1 1L1 -1M0 6L6 0M5 7L7 5"),
            Self::Outside => Some("M0 0L6 6M-1 5L1 7M5 -1L7 1"),
        }
    }
}

/// Where a text is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At its start.
    Start,
    /// In its middle.
    Middle,
    /// At its end.
    End,
}

/// A rectangle, in pixels from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Its left edge.
    pub x: f64,
    /// Its upper edge.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// A drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    name: &'static str,
    title: String,
    description: String,
    size: (f64, f64),
    body: String,
}

impl Drawing {
    /// An empty drawing. Its name is part of the ids inside, so that several fit on one page.
    #[must_use]
    pub fn new(name: &'static str, title: &str, width: f64, height: f64) -> Self {
        Self {
            name,
            title: title.to_owned(),
            description: String::new(),
            size: (width, height),
            body: String::new(),
        }
    }

    /// What it shows, for who cannot see it.
    pub fn describe(&mut self, description: impl Into<String>) {
        self.description = description.into();
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What it shows.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Its width in pixels.
    #[must_use]
    pub fn width(&self) -> f64 {
        self.size.0
    }

    /// Makes it higher.
    pub fn grow(&mut self, height: f64) {
        self.size.1 = self.size.1.max(height);
    }

    /// A rectangle in a tone, with its pattern; `hint` is shown to who points at it.
    pub fn block(&mut self, rect: Rect, tone: Tone, hint: &str) {
        self.body.push_str("<g>");
        if !hint.is_empty() {
            let _ = write!(self.body, "<title>{}</title>", escaped(hint));
        }
        self.rect(rect, tone.class());
        if tone.pattern().is_some() && rect.width >= 3.0 {
            let place = Place(rect);
            let (name, class) = (self.name, tone.class());
            let _ = write!(
                self.body,
                "<rect {place} rx=\"2\" fill=\"url(#{name}-{class})\"/>"
            );
        }
        self.body.push_str("</g>");
    }

    /// A label on a rectangle in a tone: its pattern is left out under the words.
    pub fn label(&mut self, (x, y): (f64, f64), tone: Tone, text: &str) {
        let class = match tone {
            Tone::Open => "small",
            _ => "inverse",
        };
        if tone.pattern().is_some() {
            let ground = Rect {
                x: x - 3.0,
                y: y - LABEL,
                width: width_of(text, LABEL) + 6.0,
                height: LABEL + 3.0,
            };
            self.rect(ground, tone.class());
        }
        self.text((x, y), Anchor::Start, class, text);
    }

    /// A rectangle of a class.
    pub fn rect(&mut self, rect: Rect, class: &str) {
        let place = Place(rect);
        let _ = write!(self.body, "<rect {place} rx=\"2\" class=\"ch-{class}\"/>");
    }

    /// A line of a class.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        let _ = write!(
            self.body,
            "<path d=\"M{} {}L{} {}\" class=\"ch-{class}\"/>",
            Pixels(x1),
            Pixels(y1),
            Pixels(x2),
            Pixels(y2)
        );
    }

    /// A line through points, of a class; nothing for fewer than two.
    pub fn trail(&mut self, points: &[(f64, f64)], class: &str) {
        let Some(((x, y), rest)) = points.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return;
        };
        let _ = write!(self.body, "<path d=\"M{} {}", Pixels(*x), Pixels(*y));
        for (x, y) in rest {
            let _ = write!(self.body, "L{} {}", Pixels(*x), Pixels(*y));
        }
        let _ = write!(self.body, "\" class=\"ch-{class}\"/>");
    }

    /// A text of a class, held at a point on its base line.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let _ = write!(
            self.body,
            "<text x=\"{}\" y=\"{}\"{anchor} class=\"ch-{class}\">{}</text>",
            Pixels(x),
            Pixels(y),
            escaped(text)
        );
    }

    /// The drawing inside a page that has [`STYLE`].
    #[must_use]
    pub fn inside(&self) -> String {
        self.written("", "")
    }

    /// The drawing as a file.
    #[must_use]
    pub fn alone(&self) -> String {
        let style = format!("<style>{STYLE}@media(prefers-color-scheme:dark){{{DARK}}}</style>");
        let page = Rect {
            x: 0.0,
            y: 0.0,
            width: self.size.0,
            height: self.size.1,
        };
        let ground = format!("<rect {} class=\"ch-ground\"/>", Place(page));
        format!(
            "{}\n",
            self.written(" xmlns=\"http://www.w3.org/2000/svg\"", &(style + &ground))
        )
    }

    fn written(&self, attributes: &str, before: &str) -> String {
        let Self {
            name,
            title,
            description,
            size: (width, height),
            body,
        } = self;
        let (width, height) = (Pixels(*width), Pixels(*height));
        format!(
            "<svg{attributes} class=\"chart\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"{name}-title {name}-desc\">\
             <title id=\"{name}-title\">{}</title><desc id=\"{name}-desc\">{}</desc>{before}{}{body}\
             </svg>",
            escaped(title),
            escaped(description),
            self.patterns()
        )
    }

    /// The patterns that are used.
    fn patterns(&self) -> String {
        let mut patterns = String::new();
        for tone in Tone::ALL {
            let (name, class) = (self.name, tone.class());
            let id = format!("{name}-{class}");
            if let Some(lines) = tone.pattern()
                && self.body.contains(&format!("url(#{id})"))
            {
                let _ = write!(
                    patterns,
                    "<pattern id=\"{id}\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
                     <path d=\"{lines}\" class=\"ch-hatch\"/></pattern>"
                );
            }
        }
        match patterns.as_str() {
            "" => patterns,
            _ => format!("<defs>{patterns}</defs>"),
        }
    }
}

/// About how wide a text is, in pixels, in a font of this size.
#[must_use]
pub(super) fn width_of(text: &str, size: f64) -> f64 {
    let wide = |character: char| {
        if character as u32 >= 0x1100 {
            1.0
        } else {
            WIDTH
        }
    };
    text.chars().map(wide).sum::<f64>() * size
}

/// A text for XML and HTML: nothing in it is markup, forbidden there, or hidden from a reader.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in timmy_core::text::clean(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            other => safe.push(other),
        }
    }
    safe
}

/// A length with at most one decimal.
struct Pixels(f64);

impl std::fmt::Display for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.1}", self.0);
        f.write_str(text.strip_suffix(".0").unwrap_or(&text))
    }
}

/// A rectangle as attributes.
struct Place(Rect);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Rect {
            x,
            y,
            width,
            height,
        } = self.0;
        write!(
            f,
            "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
            Pixels(x),
            Pixels(y),
            Pixels(width.max(0.0)),
            Pixels(height.max(0.0))
        )
    }
}
