//! When to try again, after which pause, and what to say when it is enough.

use crate::ending::Ending;
use crate::error::{Error, one_line};
use crate::http::Answer;
use crate::settings::{Patience, Settings};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Counts the tries of one thing.
pub(crate) struct Tries<'p> {
    patience: &'p Patience,
    ending: &'p Ending,
    done: u32,
}

impl<'p> Tries<'p> {
    pub(crate) fn new(settings: &'p Settings) -> Self {
        Self::resume(settings, 0)
    }

    /// Goes on counting where another one stopped.
    pub(crate) fn resume(settings: &'p Settings, done: u32) -> Self {
        Self {
            patience: &settings.patience,
            ending: &settings.ending,
            done,
        }
    }

    /// How many tries there were.
    pub(crate) fn done(&self) -> u32 {
        self.done
    }

    /// Waits before another try after a busy server's answer; false where it is enough.
    pub(crate) fn pause(&mut self, answer: &Answer) -> bool {
        let wished = retry_after(answer);
        let is_long_term = answer.status.as_u16() == 429 && wished.is_none() && limit(answer).is_some();
        if is_long_term || wished.is_some_and(|wished| wished > self.patience.longest_pause) {
            return false;
        }
        self.wait(wished.unwrap_or_default())
    }

    /// Waits before another try after a lost connection; false where it is enough.
    pub(crate) fn pause_after_loss(&mut self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// There was progress: the tries count from the beginning.
    pub(crate) fn start_over(&mut self) {
        self.done = 0;
    }

    fn wait(&mut self, at_least: Duration) -> bool {
        self.done += 1;
        if self.done >= self.patience.tries {
            return false;
        }
        let pause = self.patience.pause * 2_u32.saturating_pow(self.done - 1).min(64);
        self.ending.pause(with_jitter(pause).max(at_least))
    }

    /// The error for a server that stays busy.
    pub(crate) fn busy(&self, registry: String, what: &str, answer: Answer) -> Error {
        let status = answer.status;
        let (limit, wished) = (limit(&answer), retry_after(&answer));
        let said = answer.explanation();
        if status.as_u16() == 429 {
            let limit = limit.or_else(|| wished.map(|wished| format!("try again in {}", span(wished))));
            return rate_limited(registry, said, limit);
        }
        let tries = match self.done {
            0 | 1 => String::new(),
            tries => format!(", {tries} times"),
        };
        let said = match wished {
            Some(wished) if wished > self.patience.longest_pause => {
                format!("{said} (it asks to come back in {})", span(wished))
            }
            _ => said,
        };
        Error::Refused {
            registry,
            what: what.to_owned(),
            status: format!("{status}{tries}"),
            said: said.trim().to_owned(),
        }
    }

    /// The error for a connection that is lost again and again.
    pub(crate) fn lost(&self, error: Error) -> Error {
        match error {
            Error::Connection { address, reason } if self.done > 1 => Error::Connection {
                address,
                reason: format!("{reason}, {} times", self.done),
            },
            other => other,
        }
    }
}

/// True for answers that may be others a little later.
pub(crate) fn is_busy(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 408 | 429 | 502 | 503 | 504)
}

/// The error for too many requests.
pub(crate) fn rate_limited(registry: String, said: String, limit: Option<String>) -> Error {
    let is_hub = registry.ends_with("docker.io");
    let remedy = match (limit, is_hub) {
        (Some(limit), true) => format!("{limit}; logging in (wiac login docker.io) raises the limit"),
        (Some(limit), false) => limit,
        (None, _) => "try again later".to_owned(),
    };
    Error::RateLimited { registry, said, remedy }
}

/// The limit in words, from docker.io's headers: `ratelimit-limit: 100;w=21600`.
pub(crate) fn limit(answer: &Answer) -> Option<String> {
    words_for_limit(answer.header("ratelimit-limit")?)
}

fn words_for_limit(text: &str) -> Option<String> {
    let (count, rest) = text.split_once(';').unwrap_or((text, ""));
    let count: u64 = count.trim().parse().ok()?;
    let window = rest.split(';').find_map(|part| part.trim().strip_prefix("w="));
    Some(match window.and_then(|seconds| seconds.parse().ok()) {
        Some(seconds) => format!("it allows {count} pulls in {}", span(Duration::from_secs(seconds))),
        None => format!("it allows {count} pulls"),
    })
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.header("retry-after")?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = date(&one_line(text, 40))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(until).saturating_sub(now))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7; older forms don't count).
pub(crate) fn date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let words: Vec<_> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words[..] else {
        return None;
    };
    let month = MONTHS.find(month).filter(|at| at % 3 == 0 && month.len() == 3)? as u64 / 3;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let time: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = time[..] else {
        return None;
    };
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970, with the year beginning in March (Howard Hinnant's days_from_civil).
    let (year, month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days.checked_sub(719_468)?) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Up to a half longer, so that many clients don't come back at once.
fn with_jitter(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without chance it is the plain pause.
    let _ = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::NONBLOCK);
    pause + pause * u32::from(byte[0]) / 512
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(date("Tue, 29 Feb 2000 12:00:00 GMT"), Some(951_825_600));
        assert_eq!(date("yesterday"), None);
        assert_eq!(date("Sun, 06 Xyz 1994 08:49:37 GMT"), None);
    }

    #[test]
    fn limits_are_put_into_words() {
        assert_eq!(words_for_limit("100;w=21600").unwrap(), "it allows 100 pulls in 6 h");
        assert_eq!(words_for_limit("5").unwrap(), "it allows 5 pulls");
        assert_eq!(words_for_limit("many"), None);
    }

    #[test]
    fn tries_end() {
        let mut settings = Settings::from_variables(0, |_| None);
        settings.patience = Patience {
            tries: 3,
            pause: Duration::ZERO,
            ..Patience::default()
        };
        let mut tries = Tries::new(&settings);
        assert!(tries.pause_after_loss() && tries.pause_after_loss() && !tries.pause_after_loss());
        let error = tries.lost(Error::connection("r", "the connection was lost"));
        assert_eq!(error.to_string(), "can't reach r: the connection was lost, 3 times");
    }
}
