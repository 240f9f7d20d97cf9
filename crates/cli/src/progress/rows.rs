//! The rows that show what runs now: a row for each running step with its stage, and below it the last of what it says.
//! Pure: the terminal's size and the time go in, text comes out.

use super::text::{self, Lines};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use wiac_build::progress::Step;

/// The most lines of one step's output.
const MOST_LINES: usize = 6;

/// A width that every terminal has.
const LEAST_WIDTH: usize = 20;

/// The steps that run.
#[derive(Debug)]
pub(super) struct Board {
    running: BTreeMap<usize, Running>,
    pub(super) planned: usize,
    done: usize,
    /// How far a transfer is; empty where there is none.
    pub(super) note: String,
    began: Instant,
    has_colours: bool,
}

#[derive(Debug)]
struct Running {
    place: String,
    text: String,
    began: Instant,
    waiting: Option<String>,
    lines: VecDeque<String>,
    open: Lines,
}

/// How a piece of text is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    Bold,
    Faint,
    Good,
    Bad,
}

impl Board {
    /// Nothing runs yet.
    pub(super) fn new(now: Instant, has_colours: bool) -> Self {
        Self {
            running: BTreeMap::new(),
            planned: 0,
            done: 0,
            note: String::new(),
            began: now,
            has_colours,
        }
    }

    /// A step begins.
    pub(super) fn start(&mut self, step: &Step<'_>, now: Instant) {
        let running = Running {
            place: place(step),
            text: text::first_line(step.text),
            began: now,
            waiting: None,
            lines: VecDeque::new(),
            open: Lines::default(),
        };
        self.running.insert(step.number, running);
    }

    /// A step waits.
    pub(super) fn wait(&mut self, number: usize, reason: &str) {
        if let Some(running) = self.running.get_mut(&number) {
            running.waiting = Some(format!("waiting {}", text::first_line(reason)));
        }
    }

    /// A step says something.
    pub(super) fn say(&mut self, number: usize, bytes: &[u8]) {
        let Some(running) = self.running.get_mut(&number) else {
            return;
        };
        running.waiting = None;
        let lines = running.open.push(bytes, false);
        running
            .lines
            .extend(lines.into_iter().filter(|line| !line.trim().is_empty()));
        let too_many = running.lines.len().saturating_sub(MOST_LINES);
        running.lines.drain(..too_many);
    }

    /// A step ends.
    pub(super) fn end(&mut self, number: usize) {
        self.running.remove(&number);
        self.done += 1;
    }

    /// The rows, each of `width` columns at most, and `height` of them at most.
    pub(super) fn rows(&self, width: usize, height: usize, now: Instant) -> Vec<String> {
        let width = width.max(LEAST_WIDTH);
        let count = self.running.len();
        if count == 0 || height < 2 {
            return Vec::new();
        }
        // The last row is the sum; above it stands the note, if there is one.
        let has_note = !self.note.is_empty() && height > 2;
        let room = height - 1 - usize::from(has_note);
        let shown = count.min(room);
        let lines_each = ((room - shown) / shown).min(MOST_LINES);
        let mut rows = Vec::new();
        for running in self.running.values().take(shown) {
            rows.push(self.head(running, width, now));
            rows.extend(running.last(lines_each).into_iter().map(|line| {
                let line = cut(&line.replace('\t', " "), width - 4);
                format!("    {}", self.look(Look::Faint, &line))
            }));
        }
        if has_note {
            rows.push(self.look(Look::Faint, &cut(&self.note, width)));
        }
        let hidden = count - shown;
        let more = if hidden > 0 {
            format!(", {hidden} of them not shown")
        } else {
            String::new()
        };
        let sum = format!("{} of {} steps done, {count} running{more}", self.done, self.planned);
        rows.push(self.with_time(&[(None, &sum)], now - self.began, width));
        rows
    }

    fn head(&self, running: &Running, width: usize, now: Instant) -> String {
        let parts = [(Some(Look::Bold), running.place.as_str()), (None, &running.text)];
        self.with_time(&parts, now - running.began, width)
    }

    /// Parts of a row, cut where they don't fit, and a time at its end.
    fn with_time(&self, parts: &[(Option<Look>, &str)], time: Duration, width: usize) -> String {
        let time = format!("{:.1} s", time.as_secs_f64());
        let room = width.saturating_sub(time.len() + 1);
        let (mut row, mut used) = (String::new(), 0);
        for (look, part) in parts {
            if used > 0 && used < room {
                row.push(' ');
                used += 1;
            }
            let part = cut(part, room - used.min(room));
            used += columns(&part);
            row.push_str(&look.map_or_else(|| part.clone(), |look| self.look(look, &part)));
        }
        row.push_str(&" ".repeat(width - used - time.len()));
        row + &time
    }

    /// A finished step's row.
    pub(super) fn finished(&self, step: &Step<'_>, how: (Look, &str), width: usize) -> String {
        let width = width.max(LEAST_WIDTH);
        let place = place(step);
        let how_shown = cut(how.1, width / 2);
        let room = width.saturating_sub(columns(&place) + columns(&how_shown) + 2);
        let text = cut(&text::first_line(step.text), room);
        format!(
            "{} {text} {}",
            self.look(Look::Bold, &place),
            self.look(how.0, &how_shown)
        )
    }

    fn look(&self, look: Look, text: &str) -> String {
        if !self.has_colours || text.is_empty() {
            return text.to_owned();
        }
        let code = match look {
            Look::Bold => 1,
            Look::Faint => 2,
            Look::Good => 32,
            Look::Bad => 31,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

impl Running {
    /// The last `count` lines it said, with the one that isn't whole yet; or what it waits for.
    fn last(&self, count: usize) -> Vec<String> {
        let open = self.open.seen(false).filter(|line| !line.trim().is_empty());
        let waiting = self.waiting.clone();
        let all: Vec<String> = self.lines.iter().cloned().chain(open).chain(waiting).collect();
        all[all.len().saturating_sub(count)..].to_vec()
    }
}

fn place(step: &Step<'_>) -> String {
    let stage = text::first_line(step.stage);
    format!("[{stage} {}/{}]", step.position, step.count)
}

/// As much of a text as fits into so many columns.
pub(super) fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let (mut used, mut kept) = (0, String::new());
    for character in text.chars() {
        used += width_of(character);
        if used >= most {
            break;
        }
        kept.push(character);
    }
    if most > 0 {
        kept.push('…');
    }
    kept
}

/// How many columns a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// How many columns a character takes, as far as a display of progress has to know: East Asian wide ones and pictures two,
/// marks that combine none (Unicode's EastAsianWidth, the blocks that are wide throughout).
fn width_of(character: char) -> usize {
    match character {
        '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff01}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: usize) -> Step<'static> {
        Step {
            number,
            position: 2,
            count: 5,
            stage: "build",
            text: "RUN make all\\\n  install",
        }
    }

    fn board(count: usize, now: Instant) -> Board {
        let mut board = Board::new(now, false);
        board.planned = 9;
        for number in 1..=count {
            board.start(&step(number), now);
        }
        board
    }

    #[test]
    fn a_step_with_its_last_lines() {
        let now = Instant::now();
        let mut board = board(1, now);
        for number in 0..20 {
            board.say(1, format!("line {number}\n\n").as_bytes());
        }
        board.say(1, b"\x1b[2J 10%\r 90%");
        let rows = board.rows(40, 24, now + Duration::from_millis(1250));
        assert_eq!(rows[0], "[build 2/5] RUN make all\\          1.2 s");
        assert_eq!(rows[1], "    line 15");
        assert_eq!(rows[6], "     90%");
        assert_eq!(rows[7], "0 of 9 steps done, 1 running       1.2 s");
        assert_eq!(rows.len(), 8);
    }

    #[test]
    fn rows_fit_any_terminal() {
        let now = Instant::now();
        let mut board = board(7, now);
        for number in 1..=7 {
            board.say(
                number,
                "ein längerer Satz, 漢字 und \t🙂 noch mehr Worte\n"
                    .repeat(9)
                    .as_bytes(),
            );
            board.wait(number, "for a stage");
        }
        board.note = "12 MB of 34 MB".to_owned();
        for width in 0..100 {
            for height in 0..40 {
                let rows = board.rows(width, height, now);
                assert!(rows.len() <= height, "{width}×{height}: {rows:#?}");
                for row in &rows {
                    assert!(columns(row) <= width.max(LEAST_WIDTH), "{width}×{height}: {row:?}");
                }
                assert_eq!(rows.is_empty(), height < 2);
            }
        }
        assert_eq!(board.rows(80, 4, now)[2], "12 MB of 34 MB");
        board.note.clear();
        assert!(board.rows(80, 4, now)[3].contains("7 running, 4 of them not shown"));
        board.end(3);
        assert!(
            board
                .rows(80, 40, now)
                .last()
                .expect("rows")
                .starts_with("1 of 9 steps done, 6 running")
        );
    }

    #[test]
    fn a_finished_step_is_a_row() {
        let board = board(0, Instant::now());
        assert!(board.rows(80, 24, Instant::now()).is_empty());
        let row = |width| board.finished(&step(1), (Look::Good, "1.2 s"), width);
        assert_eq!(row(80), "[build 2/5] RUN make all\\ 1.2 s");
        assert_eq!(row(25), "[build 2/5] RUN ma… 1.2 s");
        for width in 0..60 {
            assert!(columns(&row(width)) <= width.max(LEAST_WIDTH), "{width}");
        }
    }

    #[test]
    fn cutting() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字漢字", 4), "漢…");
        assert_eq!(cut("abc", 0), "");
    }
}
