//! What a terminal can show: colours and characters. All meaning survives without either.

use ratatui::style::Color;
use ratatui::style::Modifier;
use ratatui::style::Style;
use timmy_core::event::Severity;
use timmy_core::text;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looks {
    /// Whether colours are wanted. See <https://no-color.org>.
    pub(super) colour: bool,
    /// Whether characters beyond ASCII are shown as such.
    pub(super) unicode: bool,
}

impl Looks {
    /// What the environment says.
    pub(super) fn of_environment() -> Self {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(named);
        let locale = locale.unwrap_or_default().to_uppercase();
        Self {
            colour: named("NO_COLOR").is_none(),
            unicode: locale.contains("UTF-8") || locale.contains("UTF8"),
        }
    }

    fn one_of(self, unicode: char, ascii: char) -> char {
        if self.unicode { unicode } else { ascii }
    }

    /// Stands where something is cut off.
    pub(super) fn mark(self) -> char {
        self.one_of('…', '~')
    }

    /// Of which lines are made.
    pub(super) fn rule(self) -> char {
        self.one_of('─', '-')
    }

    /// The used part of a bar, and the rest.
    pub(super) fn bar(self) -> (char, char) {
        (self.one_of('█', '#'), self.one_of('░', '.'))
    }

    /// Stands before what is selected.
    pub(super) fn pointer(self) -> char {
        self.one_of('▸', '>')
    }

    /// A text from anywhere as one line that this terminal can show.
    pub(super) fn plain(self, text: &str) -> String {
        let line = text::clean_line(text);
        if self.unicode {
            return line;
        }
        let shown = |c: char| if c.is_ascii() { c } else { '?' };
        line.chars().map(shown).collect()
    }

    fn coloured(self, colour: Color, otherwise: Modifier) -> Style {
        match self.colour {
            true => Style::new().fg(colour),
            false => Style::new().add_modifier(otherwise),
        }
    }

    pub(super) fn good(self) -> Style {
        self.coloured(Color::Green, Modifier::empty())
    }

    pub(super) fn warning(self) -> Style {
        self.coloured(Color::Yellow, Modifier::BOLD)
    }

    pub(super) fn bad(self) -> Style {
        let bold = Modifier::BOLD;
        self.coloured(Color::Red, bold).add_modifier(bold)
    }

    pub(super) fn title(self) -> Style {
        self.coloured(Color::Cyan, Modifier::BOLD)
    }

    pub(super) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// For what has to be seen before anything else.
    pub(super) fn loud(self) -> Style {
        self.warning().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn of_severity(self, severity: Severity) -> Style {
        match severity {
            Severity::Notice => Style::new(),
            Severity::Warning => self.warning(),
            Severity::Critical => self.bad(),
        }
    }
}
