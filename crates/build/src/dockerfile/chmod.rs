//! `--chmod`: octal, or symbolic as in chmod(1). Pure.

use crate::copy::ModeRule;
use crate::error::{Error, Result};
use std::sync::Arc;
use wiac_sys::root::FileKind;

/// The set-user-id, set-group-id and sticky bits.
const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

/// What `--chmod` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chmod {
    /// These bits, whatever there was.
    Fixed(u32),
    /// Changes, one after the other.
    Symbolic(Vec<Change>),
}

/// One change, such as `g+rX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Of whom: bits of [`USER`], [`GROUP`], [`OTHERS`].
    who: u32,
    operator: char,
    /// As written: `rwxXst`, or one of `ugo` to copy from.
    what: String,
}

const USER: u32 = 0o700;
const GROUP: u32 = 0o070;
const OTHERS: u32 = 0o007;

impl Chmod {
    /// Parses what was written.
    ///
    /// # Errors
    /// Neither an octal number of at most 7777 nor a symbolic mode.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match u32::from_str_radix(text, 8) {
                Ok(mode) if mode <= 0o7777 => Ok(Self::Fixed(mode)),
                _ => Err(wrong(text)),
            };
        }
        let changes: Option<Vec<Vec<Change>>> = text.split(',').map(clause).collect();
        changes
            .map(|changes| Self::Symbolic(changes.concat()))
            .ok_or_else(|| wrong(text))
    }

    /// The bits of something that has `bits`.
    pub(super) fn apply(&self, is_directory: bool, bits: u32) -> u32 {
        match self {
            Self::Fixed(mode) => *mode,
            Self::Symbolic(changes) => changes
                .iter()
                .fold(bits, |bits, change| change.apply(is_directory, bits)),
        }
    }

    /// As the copier takes it.
    pub(super) fn rule(&self) -> ModeRule {
        let chmod = self.clone();
        match self {
            Self::Fixed(mode) => ModeRule::Fixed(*mode),
            Self::Symbolic(_) => ModeRule::Map(Arc::new(move |kind, bits| {
                chmod.apply(kind == FileKind::Directory, bits)
            })),
        }
    }
}

fn wrong(text: &str) -> Error {
    Error::wrong_with_hint(
        format!("--chmod={text}: neither an octal mode (0 to 07777) nor a symbolic one"),
        "write up to four octal digits such as 0755, or changes such as u=rwX,go=rX",
    )
}

/// `ugo+rw-x`: one who, any number of changes.
fn clause(text: &str) -> Option<Vec<Change>> {
    let start = text.find(['+', '-', '='])?;
    let mut who = 0;
    for letter in text[..start].chars() {
        who |= match letter {
            'u' => USER,
            'g' => GROUP,
            'o' => OTHERS,
            'a' => USER | GROUP | OTHERS,
            _ => return None,
        };
    }
    if who == 0 {
        who = USER | GROUP | OTHERS;
    }
    let mut changes: Vec<Change> = Vec::new();
    for letter in text[start..].chars() {
        match letter {
            '+' | '-' | '=' => changes.push(Change {
                who,
                operator: letter,
                what: String::new(),
            }),
            'r' | 'w' | 'x' | 'X' | 's' | 't' | 'u' | 'g' | 'o' => changes.last_mut()?.what.push(letter),
            _ => return None,
        }
    }
    // A permission copied from somebody stands alone.
    let is_sound = |change: &Change| change.what.len() <= 1 || !change.what.contains(['u', 'g', 'o']);
    changes.iter().all(is_sound).then_some(changes)
}

impl Change {
    fn apply(&self, is_directory: bool, bits: u32) -> u32 {
        let meant = self.meant(is_directory, bits);
        match self.operator {
            '+' => bits | meant,
            '-' => bits & !meant,
            _ => (bits & !self.cleared(is_directory)) | meant,
        }
    }

    /// The bits that the letters stand for, of those it is about.
    fn meant(&self, is_directory: bool, bits: u32) -> u32 {
        let mut meant = 0;
        for letter in self.what.chars() {
            meant |= match letter {
                'r' => 0o444 & self.who,
                'w' => 0o222 & self.who,
                'x' => 0o111 & self.who,
                'X' if is_directory || bits & 0o111 != 0 => 0o111 & self.who,
                's' => self.set_ids(),
                't' => STICKY,
                'u' => spread(bits >> 6) & self.who,
                'g' => spread(bits >> 3) & self.who,
                'o' => spread(bits) & self.who,
                _ => 0,
            };
        }
        meant
    }

    fn set_ids(&self) -> u32 {
        let user = if self.who & USER != 0 { SET_UID } else { 0 };
        let group = if self.who & GROUP != 0 { SET_GID } else { 0 };
        user | group
    }

    /// What `=` takes away first; of a directory the set-id bits stay, as in chmod(1).
    fn cleared(&self, is_directory: bool) -> u32 {
        let special = if is_directory { 0 } else { self.set_ids() };
        self.who | special
    }
}

/// Three bits, for everybody.
fn spread(bits: u32) -> u32 {
    (bits & 7) * 0o111
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, bits: u32) -> u32 {
        Chmod::parse(text).expect("a mode").apply(false, bits)
    }

    #[test]
    fn symbolic_modes_are_chmod_s() {
        for (text, before, after) in [
            ("0755", 0o600, 0o755),
            ("7", 0o600, 0o007),
            ("4755", 0, 0o4755),
            ("u+x", 0o644, 0o744),
            ("+x", 0o644, 0o755),
            ("a-w", 0o666, 0o444),
            ("go=", 0o777, 0o700),
            ("u=rwX,go=rX", 0o600, 0o644),
            ("u=rwX,go=rX", 0o700, 0o755),
            ("g=u", 0o640, 0o660),
            ("u+s,g+s,+t", 0o755, 0o7755),
            ("u+rw-x", 0o100, 0o600),
            ("o-rwx", 0o777, 0o770),
        ] {
            assert_eq!(file(text, before), after, "{text} {before:o}");
        }
        let directory = Chmod::parse("go=rX").expect("a mode").apply(true, 0o700);
        assert_eq!(directory, 0o755);
    }

    #[test]
    fn wrong_modes() {
        for text in ["", "8", "77777", "0o755", "u", "q+x", "u+y", "wide", "u+rg", "-1"] {
            assert!(Chmod::parse(text).is_err(), "{text}");
        }
    }
}
