//! Progress on a terminal: finished steps scroll by, a row each; below them stands what runs now, drawn anew ten times a
//! second.
//!
//! The cursor is hidden within a drawing alone, and no other mode of the terminal is changed: however the build ends, even
//! by SIGKILL, there is nothing to put back.

use super::rows::{Board, Look, columns};
use super::{View, duration, warning, write};
use crate::transfers;
use rustix::termios::tcgetwinsize;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wiac_build::progress::{Event, Progress};

/// Between two drawings.
const TICK: Duration = Duration::from_millis(100);

/// What a terminal has that doesn't say.
const USUAL: (usize, usize) = (80, 24);

/// Whether standard error is a terminal that can move its cursor.
pub(super) fn is_here() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A view that draws by a thread of its own.
pub(super) struct Terminal {
    shared: Arc<Shared>,
    drawer: Option<JoinHandle<()>>,
}

struct Shared {
    screen: Mutex<Screen>,
    ended: Condvar,
}

/// What is on the screen, and what is to be.
struct Screen {
    board: Board,
    /// Rows that stay, not written yet.
    waiting: Vec<String>,
    /// How many columns each row of the last drawing takes.
    drawn: Vec<usize>,
    is_over: bool,
}

impl Terminal {
    pub(super) fn new() -> Self {
        let has_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let shared = Arc::new(Shared {
            screen: Mutex::new(Screen {
                board: Board::new(Instant::now(), has_colours),
                waiting: Vec::new(),
                drawn: Vec::new(),
                is_over: false,
            }),
            ended: Condvar::new(),
        });
        let noting = Arc::clone(&shared);
        transfers::take_terminal(Some(Arc::new(move |text| {
            text.clone_into(&mut noting.screen().board.note);
        })));
        let drawing = Arc::clone(&shared);
        // Without it everything is shown at the end.
        let drawer = std::thread::Builder::new().name("progress".to_owned());
        let drawer = drawer.spawn(move || draw_until_end(&drawing)).ok();
        Self { shared, drawer }
    }
}

impl Shared {
    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn draw_until_end(shared: &Shared) {
    let mut screen = shared.screen();
    while !screen.is_over {
        let waited = shared.ended.wait_timeout(screen, TICK);
        screen = waited.unwrap_or_else(PoisonError::into_inner).0;
        if !screen.is_over {
            screen.draw();
        }
    }
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    let size = tcgetwinsize(rustix::stdio::stderr()).ok();
    size.filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or(USUAL, |size| (size.ws_col.into(), size.ws_row.into()))
}

impl Screen {
    fn draw(&mut self) {
        let (width, height) = size();
        // The cursor stands in the row below.
        let rows = if self.is_over {
            Vec::new()
        } else {
            self.board
                .rows(width.saturating_sub(1), height.saturating_sub(1), Instant::now())
        };
        if rows.is_empty() && self.drawn.is_empty() && self.waiting.is_empty() {
            return;
        }
        let mut frame = String::from("\x1b[?25l");
        // On a terminal that became narrower, a row takes several.
        let above: usize = self.drawn.iter().map(|row| row.div_ceil(width).max(1)).sum();
        if above > 0 {
            let _ = write!(frame, "\x1b[{}A", above.min(height.saturating_sub(1)));
        }
        frame.push('\r');
        for row in self.waiting.drain(..).chain(rows.iter().cloned()) {
            let _ = writeln!(frame, "{row}\x1b[K");
        }
        frame.push_str("\x1b[J\x1b[?25h");
        self.drawn = rows
            .iter()
            .map(|row| columns(&super::text::clean(row.as_bytes(), false)))
            .collect();
        write(&frame);
    }
}

impl Progress for Terminal {
    fn event(&mut self, event: Event<'_>) {
        let mut screen = self.shared.screen();
        let now = Instant::now();
        match event {
            Event::Planned { steps } => screen.board.planned = steps,
            Event::Started { step } => screen.board.start(&step, now),
            Event::Waiting { number, reason } => screen.board.wait(number, reason),
            Event::Output { number, bytes, .. } => screen.board.say(number, bytes),
            Event::Warning(message) => screen.waiting.push(warning(message)),
            Event::Done { step, took, cached } => {
                screen.board.end(step.number);
                let took = duration(took);
                let how = if cached {
                    (Look::Faint, "unchanged")
                } else {
                    (Look::Good, took.as_str())
                };
                let row = screen.board.finished(&step, how, size().0.saturating_sub(1));
                screen.waiting.push(row);
            }
            Event::Failed { step, took, reason } => {
                screen.board.end(step.number);
                let how = match reason {
                    Some(_) => (Look::Bad, format!("failed after {}", duration(took))),
                    None => (Look::Faint, "ended".to_owned()),
                };
                let row = screen
                    .board
                    .finished(&step, (how.0, &how.1), size().0.saturating_sub(1));
                screen.waiting.push(row);
            }
        }
    }
}

impl View for Terminal {
    fn has_shown_failure(&self) -> bool {
        false
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        transfers::take_terminal(None);
        self.shared.screen().is_over = true;
        self.shared.ended.notify_all();
        if let Some(drawer) = self.drawer.take() {
            // It has nothing to say where it panicked.
            let _ = drawer.join();
        }
        self.shared.screen().draw();
    }
}
