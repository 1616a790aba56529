//! Whatever is pressed, whatever happens, in whatever room.

use proptest::prelude::*;
use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEvent;
use ratatui::crossterm::event::KeyModifiers;

use super::app::App;
use super::app::Effect;
use super::app::Input;
use super::app::Mode;
use super::frame;
use super::frames::Script;
use super::frames::app;
use super::frames::books;

/// Something that happens to a view.
#[derive(Debug, Clone)]
enum Happening {
    Key(KeyCode),
    Resize(u16, u16),
    /// So many further events of the night.
    Events(usize),
    Reopened,
    Books,
    Trouble(String),
    Told(String),
    Unicode(bool),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let keys = prop_oneof![
        any::<char>().prop_map(KeyCode::Char),
        prop::sample::select("jkgGspq/?hfbyn ".chars().collect::<Vec<_>>()).prop_map(KeyCode::Char),
        prop::sample::select(vec![
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::PageUp,
            KeyCode::PageDown,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::Backspace,
            KeyCode::F(5),
        ]),
    ];
    let happening = prop_oneof![
        6 => keys.prop_map(Happening::Key),
        2 => (0_u16..130, 0_u16..45).prop_map(|(c, r)| Happening::Resize(c, r)),
        3 => (1_usize..9).prop_map(Happening::Events),
        1 => Just(Happening::Reopened),
        1 => Just(Happening::Books),
        1 => any::<String>().prop_map(Happening::Trouble),
        1 => any::<String>().prop_map(Happening::Told),
        1 => any::<bool>().prop_map(Happening::Unicode),
    ];
    prop::collection::vec(happening, 1..60)
}

/// What holds after everything.
fn check(app: &App, effects: &[Effect]) -> Result<(), TestCaseError> {
    // What is selected is shown, and something is selected while anything is.
    prop_assert_eq!(app.runs().is_empty(), app.selection().is_none());
    if let Mode::AskStop(run) = &app.mode {
        prop_assert!(
            app.fleet.as_ref().unwrap().board.live(run).is_some()
                || app.log.is_some()
                || app.fleet.is_some()
        );
    }
    for effect in effects {
        if let Effect::Read(run) = effect {
            prop_assert_eq!(Some(run), app.log.as_ref().map(|log| &log.run));
        }
    }
    let drawn = frame(app);
    prop_assert!(drawn.lines().count() <= usize::from(app.size.1.max(1)));
    // No control character and nothing that turns the text round reaches the terminal.
    let hostile = |c: char| c != '\n' && c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    prop_assert!(!drawn.contains(hostile), "{drawn:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_key_no_size_and_no_event_breaks_the_view(happenings in happenings()) {
        let night = Script::night().0;
        let mut app = app(&Script::default(), (80, 24), 130);
        let mut told = 0;
        for happening in happenings {
            let input = match happening {
                Happening::Key(code) => Input::Key(KeyEvent::new(code, KeyModifiers::NONE)),
                Happening::Resize(columns, rows) => Input::Resize(columns, rows),
                Happening::Events(count) => {
                    let next = night.iter().skip(told).take(count).cloned().collect();
                    told += count;
                    Input::Events(next)
                }
                Happening::Reopened => Input::Opened(Box::new(app.fleet.clone().unwrap())),
                Happening::Books => Input::Books(Box::new(books())),
                Happening::Trouble(why) => Input::Trouble(why),
                Happening::Told(what) => Input::Told(what),
                Happening::Unicode(unicode) => {
                    app.looks.unicode = unicode;
                    continue;
                }
            };
            let effects = app.update(input);
            check(&app, &effects)?;
        }
    }
}
