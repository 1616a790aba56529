//! The terminal: raw and on its other screen while the view lives, and as it was afterwards.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::KeyEvent;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::io::Errno;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;

use super::app::App;
use super::app::Effect;
use super::app::Input;
use super::feed;
use super::keys::Keys;
use super::looks::Looks;
use super::view;
use crate::commands::Ended;
use crate::host::Host;

/// How often the time is looked at, and with it the picture drawn again.
const TICK: Duration = Duration::from_secs(1);
/// An escape that nothing follows for so long is the key of that name: 50 ms.
const ESCAPE_ENDS: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// A terminal that is given back as it was, also when the program panics.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> Result<Self, Problem> {
        // It also restores the terminal before a panic is told.
        ratatui::try_init().map(Self).map_err(|error| gone(&error))
    }

    fn draw(&mut self, app: &mut App) -> io::Result<()> {
        let size = self.0.size()?;
        app.update(Input::Resize(size.width, size.height));
        self.0.draw(|frame| view::view(frame, app)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // One that is gone cannot be restored.
        drop(ratatui::try_restore());
    }
}

/// Why the view ends.
enum End {
    /// A person or the system wants it to.
    Asked,
    /// The terminal is gone.
    Gone(io::Error),
}

/// Shows the fleet until a person leaves, the system says so, or the terminal is gone.
pub(super) async fn live(host: &Host) -> Ended {
    let mut signals = Signals::listen()?;
    let mut screen = Screen::open()?;
    let (inputs, inbox) = unbounded_channel();
    let (asks, effects) = unbounded_channel();
    let keys = unbounded_channel();
    std::thread::spawn(move || read_keys(&keys.0));
    let end = tokio::select! {
        end = show(host, &mut screen, inbox, keys.1, &asks, &mut signals) => end,
        () = feed::run(host, &inputs, effects) => End::Asked,
    };
    drop(screen);
    match end {
        End::Asked => Ok(ExitStatus::Success),
        End::Gone(error) => Err(gone(&error)),
    }
}

/// Draws whenever something happened, and once a second.
async fn show(
    host: &Host,
    screen: &mut Screen,
    mut inbox: UnboundedReceiver<Input>,
    mut keys: UnboundedReceiver<KeyEvent>,
    asks: &UnboundedSender<Effect>,
    signals: &mut Signals,
) -> End {
    let mut app = App::new((0, 0), Looks::of_environment(), host.clock.now());
    loop {
        app.update(Input::Clock(host.clock.now()));
        if let Err(error) = screen.draw(&mut app) {
            return End::Gone(error);
        }
        let mut happened = Vec::new();
        tokio::select! {
            input = inbox.recv() => happened.extend(input),
            key = keys.recv() => match key {
                Some(key) => happened.push(Input::Key(key)),
                None => return End::Gone(io::ErrorKind::UnexpectedEof.into()),
            },
            said = signals.next() => match said {
                Said::End => return End::Asked,
                Said::Resized => {}
            },
            () = tokio::time::sleep(TICK) => {}
        }
        // What came at the same time is one picture.
        while let Ok(input) = inbox.try_recv() {
            happened.push(input);
        }
        while let Ok(key) = keys.try_recv() {
            happened.push(Input::Key(key));
        }
        for input in happened {
            for effect in app.update(input) {
                if effect == Effect::Quit {
                    return End::Asked;
                }
                drop(asks.send(effect));
            }
        }
    }
}

/// Reads keys until the terminal is gone or nobody wants them.
fn read_keys(keys: &UnboundedSender<KeyEvent>) {
    let stdin = io::stdin();
    let (mut reader, mut bytes) = (Keys::default(), [0; 1_024]);
    loop {
        let patience = reader.is_open().then_some(&ESCAPE_ENDS);
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        let found: Vec<KeyEvent> = match poll(&mut watched, patience) {
            Ok(0) => reader.close().into_iter().collect(),
            Ok(_) => match rustix::io::read(&stdin, &mut bytes) {
                // Its end.
                Ok(0) => return,
                Ok(count) => reader.take(&bytes[..count]),
                Err(Errno::INTR | Errno::AGAIN) => Vec::new(),
                Err(_) => return,
            },
            Err(Errno::INTR) => Vec::new(),
            Err(_) => return,
        };
        for key in found {
            if keys.send(key).is_err() {
                return;
            }
        }
    }
}

/// What the system says.
enum Said {
    /// The program is to end.
    End,
    /// The terminal has another size.
    Resized,
}

/// Hears what the system says.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    resized: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Problem> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                let what = "the program cannot listen to signals";
                Problem::new(Code::new(109), ExitStatus::Internal, what)
                    .at(error.to_string())
                    .fix("check the limits on threads and open files (ulimit -a)")
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
            resized: listen(SignalKind::window_change())?,
        })
    }

    async fn next(&mut self) -> Said {
        tokio::select! {
            _ = self.terminate.recv() => Said::End,
            _ = self.interrupt.recv() => Said::End,
            _ = self.hang_up.recv() => Said::End,
            _ = self.resized.recv() => Said::Resized,
        }
    }
}

fn gone(error: &io::Error) -> Problem {
    let what = "the terminal cannot be drawn on any more";
    Problem::new(Code::new(1072), ExitStatus::Unavailable, what)
        .at(error.to_string())
        .fix("nothing else ended with the view; start it again in another terminal")
}
