//! What the live view knows and what keys do. Pure: no terminal, no database, no clock.

use jiff::SignedDuration;
use jiff::Timestamp;
use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEvent;
use ratatui::crossterm::event::KeyEventKind;
use ratatui::crossterm::event::KeyModifiers;
use timmy_core::Event;
use timmy_core::RunId;
use timmy_core::text;

use super::books::Books;
use super::fleet::Fleet;
use super::log_view::LogView;
use super::looks::Looks;
use crate::commands::board::Live;
use crate::commands::control::REASON_BYTES;

/// How long it is shown what became of a wish.
const NOTICE: SignedDuration = SignedDuration::from_secs(5);
/// Rows of the log's frame that hold no part of it.
const LOG_FRAME: u16 = 2;

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// Time passed.
    Clock(Timestamp),
    /// The log was read for the first time, or again after it was away.
    Opened(Box<Fleet>),
    /// The log went on.
    Events(Vec<Event>),
    /// The books were read.
    Books(Box<Books>),
    /// The events of a run so far.
    Log(RunId, Vec<Event>),
    /// The database does not answer, for this reason.
    Trouble(String),
    /// What became of something that was asked for.
    Told(String),
}

/// Something to do outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Read the events of a run.
    Read(RunId),
    /// Ask that a run be stopped.
    Stop(RunId),
    /// Ask that nothing new begins.
    Pause(String),
    /// Ask that the fleet goes on.
    Resume,
    /// Leave.
    Quit,
}

/// What the keys mean now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// The picture of the fleet, or the log of a run if one is open.
    Looking,
    /// The keys are explained.
    Help,
    /// Whether this run is to be stopped.
    AskStop(RunId),
    /// Whether the fleet is to be paused.
    AskPause,
    /// Why it is to be paused, as far as it was typed.
    AskReason(String),
    /// Whether the fleet is to go on.
    AskResume,
    /// The text that shown issues have in them is typed.
    Filtering,
}

/// Everything the view knows.
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) size: (u16, u16),
    pub(super) looks: Looks,
    pub(super) now: Timestamp,
    /// None until the log was read.
    pub(super) fleet: Option<Fleet>,
    pub(super) books: Option<Books>,
    pub(super) mode: Mode,
    pub(super) log: Option<LogView>,
    pub(super) selected: Option<RunId>,
    pub(super) filter: String,
    /// Why the picture does not go on.
    pub(super) trouble: Option<String>,
    /// What became of what was asked for last, and until when that is shown.
    pub(super) notice: Option<(Timestamp, String)>,
}

impl App {
    pub(super) fn new(size: (u16, u16), looks: Looks, now: Timestamp) -> Self {
        Self {
            size,
            looks,
            now,
            fleet: None,
            books: None,
            mode: Mode::Looking,
            log: None,
            selected: None,
            filter: String::new(),
            trouble: None,
            notice: None,
        }
    }

    /// Takes note of something, and says what is to be done.
    pub(super) fn update(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Key(key) if key.kind == KeyEventKind::Release => {}
            Input::Key(key) => return self.key(key),
            Input::Resize(columns, rows) => self.size = (columns, rows),
            Input::Clock(now) => {
                self.now = now;
                self.notice.take_if(|(until, _)| *until < now);
            }
            Input::Opened(fleet) => {
                self.fleet = Some(*fleet);
                self.trouble = None;
                self.keep_selection();
                // What was missed of the log that is open is read again.
                let open = self.log.as_ref().map(|log| log.run.clone());
                return open.map(Effect::Read).into_iter().collect();
            }
            Input::Events(events) => self.events(&events),
            Input::Books(books) => self.books = Some(*books),
            Input::Log(run, events) => {
                if let Some(log) = self.log.as_mut().filter(|log| log.run == run) {
                    events.iter().for_each(|event| log.take(event));
                }
            }
            Input::Trouble(why) => self.trouble = Some(text::clean_line(&why)),
            Input::Told(what) => self.notice(&what),
        }
        Vec::new()
    }

    fn notice(&mut self, what: &str) {
        let until = self.now.checked_add(NOTICE).unwrap_or(self.now);
        self.notice = Some((until, text::clean_line(what)));
    }

    fn events(&mut self, events: &[Event]) {
        self.trouble = None;
        let Some(fleet) = &mut self.fleet else {
            return;
        };
        for event in events {
            fleet.take(event);
            let log = self.log.as_mut();
            let log = log.filter(|log| event.run.as_ref() == Some(&log.run));
            if let Some(log) = log {
                log.take(event);
            }
        }
        self.keep_selection();
    }

    /// The running attempts that are shown, by slot.
    pub(super) fn runs(&self) -> Vec<(u32, &Live)> {
        let Some(fleet) = &self.fleet else {
            return Vec::new();
        };
        let mut runs = fleet.board.at_work(self.now);
        runs.retain(|(_, live)| self.shows(&live.issue().to_string(), live.title()));
        runs
    }

    /// Whether an issue has the text that is looked for.
    pub(super) fn shows(&self, issue: &str, title: &str) -> bool {
        let wanted = self.filter.to_lowercase();
        [issue, title]
            .iter()
            .any(|text| text.to_lowercase().contains(&wanted))
    }

    /// The place of the selected run among those that are shown.
    pub(super) fn selection(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        let runs = self.runs();
        runs.iter().position(|(_, live)| live.run() == selected)
    }

    /// A run that ended, or is not shown any more, gives the selection to the first.
    fn keep_selection(&mut self) {
        if self.selection().is_none() {
            let runs = self.runs();
            self.selected = runs.first().map(|(_, live)| live.run().clone());
        }
    }

    fn select(&mut self, by: isize) {
        let runs = self.runs();
        let last = runs.len().saturating_sub(1);
        let place = self.selection().unwrap_or(0).saturating_add_signed(by);
        let chosen = runs.get(place.min(last));
        self.selected = chosen.map(|(_, live)| live.run().clone());
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        self.notice = None;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return vec![Effect::Quit];
        }
        if control || key.modifiers.contains(KeyModifiers::ALT) {
            return Vec::new();
        }
        match std::mem::replace(&mut self.mode, Mode::Looking) {
            Mode::Looking if self.log.is_some() => self.key_in_log(key.code),
            Mode::Looking => self.key_in_fleet(key.code),
            Mode::Help => Vec::new(),
            Mode::AskStop(run) => self.answered(key.code, Mode::AskStop(run.clone()), |_| {
                vec![Effect::Stop(run)]
            }),
            Mode::AskPause => self.answered(key.code, Mode::AskPause, |app| {
                app.mode = Mode::AskReason(String::new());
                Vec::new()
            }),
            Mode::AskResume => self.answered(key.code, Mode::AskResume, |_| vec![Effect::Resume]),
            Mode::AskReason(reason) => self.key_in_reason(key.code, reason),
            Mode::Filtering => self.key_in_filter(key.code),
        }
    }

    /// Yes, no, or a key that is neither and changes nothing.
    fn answered(
        &mut self,
        key: KeyCode,
        question: Mode,
        yes: impl FnOnce(&mut Self) -> Vec<Effect>,
    ) -> Vec<Effect> {
        match key {
            KeyCode::Char('y' | 'Y') => yes(self),
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => Vec::new(),
            _ => {
                self.mode = question;
                Vec::new()
            }
        }
    }

    fn key_in_fleet(&mut self, key: KeyCode) -> Vec<Effect> {
        match key {
            KeyCode::Char('q') => return vec![Effect::Quit],
            KeyCode::Char('j') | KeyCode::Down => self.select(1),
            KeyCode::Char('k') | KeyCode::Up => self.select(-1),
            KeyCode::Home | KeyCode::Char('g') => self.select(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.select(isize::MAX),
            KeyCode::Enter => return self.open_log(),
            KeyCode::Char('s') => self.ask_stop(self.selected.clone()),
            KeyCode::Char('p') => self.ask_pause(),
            KeyCode::Char('/') => self.mode = Mode::Filtering,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Esc => {
                self.filter.clear();
                self.keep_selection();
            }
            _ => {}
        }
        Vec::new()
    }

    fn key_in_log(&mut self, key: KeyCode) -> Vec<Effect> {
        let (width, height) = self.log_room();
        let page = isize::try_from(height).unwrap_or(isize::MAX);
        let Some(log) = &mut self.log else {
            return Vec::new();
        };
        match key {
            KeyCode::Esc | KeyCode::Left | KeyCode::Char('q') => self.log = None,
            KeyCode::Char('j') | KeyCode::Down => log.scroll(1, width, height),
            KeyCode::Char('k') | KeyCode::Up => log.scroll(-1, width, height),
            KeyCode::PageDown | KeyCode::Char(' ') => log.scroll(page, width, height),
            KeyCode::PageUp | KeyCode::Char('b') => log.scroll(-page, width, height),
            KeyCode::Home | KeyCode::Char('g') => log.show_beginning(width, height),
            KeyCode::End | KeyCode::Char('G' | 'f') => log.follow(),
            KeyCode::Char('s') => {
                let run = log.run.clone();
                self.ask_stop(Some(run));
            }
            KeyCode::Char('p') => self.ask_pause(),
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            _ => {}
        }
        Vec::new()
    }

    fn key_in_reason(&mut self, key: KeyCode, mut reason: String) -> Vec<Effect> {
        match key {
            KeyCode::Enter => return vec![Effect::Pause(reason)],
            KeyCode::Esc => return Vec::new(),
            KeyCode::Backspace => drop(reason.pop()),
            KeyCode::Char(typed) if reason.len() < REASON_BYTES => reason.push(typed),
            _ => {}
        }
        self.mode = Mode::AskReason(reason);
        Vec::new()
    }

    fn key_in_filter(&mut self, key: KeyCode) -> Vec<Effect> {
        match key {
            KeyCode::Enter => return Vec::new(),
            KeyCode::Esc => {
                self.filter.clear();
                self.keep_selection();
                return Vec::new();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(typed) if self.filter.len() < REASON_BYTES => self.filter.push(typed),
            _ => {}
        }
        self.mode = Mode::Filtering;
        self.keep_selection();
        Vec::new()
    }

    fn open_log(&mut self) -> Vec<Effect> {
        let Some(run) = self.selected.clone() else {
            return Vec::new();
        };
        self.log = Some(LogView::new(run.clone()));
        vec![Effect::Read(run)]
    }

    /// Only a run without an end can be stopped.
    fn ask_stop(&mut self, run: Option<RunId>) {
        let fleet = self.fleet.as_ref();
        let open = |run: &RunId| fleet.is_some_and(|fleet| fleet.board.live(run).is_some());
        match run.filter(open) {
            Some(run) => self.mode = Mode::AskStop(run),
            None => self.notice("nothing runs that could be stopped"),
        }
    }

    fn ask_pause(&mut self) {
        let fleet = self.fleet.as_ref();
        let paused = fleet.map(|fleet| fleet.board.pause.is_some());
        match paused {
            Some(true) => self.mode = Mode::AskResume,
            Some(false) => self.mode = Mode::AskPause,
            None => self.notice("the log was not read yet"),
        }
    }

    /// Columns and rows for the lines of a log.
    pub(super) fn log_room(&self) -> (usize, usize) {
        let (columns, rows) = self.size;
        (
            usize::from(columns),
            usize::from(rows.saturating_sub(LOG_FRAME)),
        )
    }
}
