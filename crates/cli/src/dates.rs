//! Times as images carry them (RFC 3339), read, compared and shown as docker shows them.

use std::time::{SystemTime, UNIX_EPOCH};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Seconds since 1970 now.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A moment: seconds since 1970, and the nanoseconds after them.
pub(crate) type Moment = (i64, u32);

/// Go's zero time, 0001-01-01T00:00:00Z: what Go's programs write for a time that nobody gave.
const NEVER: Moment = (-62_135_596_800, 0);

/// The moment of an RFC 3339 time; `None` for what is none, or was never given. What comes after nine digits of a second is
/// dropped.
pub(crate) fn precisely(text: &str) -> Option<Moment> {
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    let digits = fraction
        .bytes()
        .take_while(u8::is_ascii_digit)
        .chain(std::iter::repeat(b'0'));
    let nanoseconds = digits.take(9).fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some((seconds(text)?, nanoseconds)).filter(|moment| *moment != NEVER)
}

/// Seconds since 1970 of an RFC 3339 time; `None` for what is none. Fractions of a second are dropped.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.split('-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if date.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone);
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let mut clock = clock.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let in_range = hour < 24 && minute < 60 && second <= 60 && clock.next().is_none();
    let local = days(year, month, day) * DAY + hour * HOUR + minute * MINUTE + second;
    in_range.then_some(local - offset(zone)?)
}

fn number(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (hours, minutes) = zone[1..].split_once(':')?;
    let east = number(hours)? * HOUR + number(minutes)? * MINUTE;
    Some(if zone.starts_with('-') { -east } else { east })
}

/// Days from 1970 to a date of the Gregorian calendar: whole eras of 400 years, with the year beginning in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The year, month and day so many days after 1970 began.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// As docker's CreatedAt: `2024-01-31 12:00:00 +0000 UTC`.
pub(crate) fn at(seconds: i64) -> String {
    let (date, clock) = parts(seconds);
    format!("{date} {clock} +0000 UTC")
}

/// As JSON has it: `2024-01-31T12:00:00Z`.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let (date, clock) = parts(seconds);
    format!("{date}T{clock}Z")
}

fn parts(seconds: i64) -> (String, String) {
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let rest = seconds.rem_euclid(DAY);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}", rest / HOUR, rest % HOUR / MINUTE, rest % MINUTE),
    )
}

/// How long ago something was, in docker's words and steps.
pub(crate) fn ago(seconds: i64) -> String {
    let words = match seconds {
        i64::MIN..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..MINUTE => format!("{seconds} seconds"),
        MINUTE..120 => "About a minute".to_owned(),
        120..HOUR => format!("{} minutes", seconds / MINUTE),
        _ => long(seconds),
    };
    format!("{words} ago")
}

fn long(seconds: i64) -> String {
    // Rounded, as docker does.
    match (seconds + HOUR / 2) / HOUR {
        ..=1 => "About an hour".to_owned(),
        hours @ 2..48 => format!("{hours} hours"),
        hours @ 48..336 => format!("{} days", hours / 24),
        hours @ 336..1440 => format!("{} weeks", hours / 24 / 7),
        hours @ 1440..17520 => format!("{} months", hours / 24 / 30),
        hours => format!("{} years", hours / 24 / 365),
    }
}

/// The moment that `until` names: so long ago (`24h`, `1h30m`), a time, or seconds since 1970.
pub(crate) fn moment(text: &str, now: i64) -> Option<i64> {
    if let Some(seconds) = seconds(text) {
        return Some(seconds);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    if let Some(day) = seconds(&format!("{text}T00:00:00Z")) {
        return Some(day);
    }
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let count: i64 = rest[..end].parse().ok()?;
        let unit = match rest.as_bytes()[end] {
            b's' => 1,
            b'm' => MINUTE,
            b'h' => HOUR,
            b'd' => DAY,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(unit)?)?;
        rest = &rest[end + 1..];
    }
    (!text.is_empty()).then(|| now.saturating_sub(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_there_and_back() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T12:30:05.123456789Z", 1_709_209_805),
            ("2024-02-29T14:30:05+02:00", 1_709_209_805),
            ("0001-01-01T00:00:00Z", -62_135_596_800),
            ("1969-12-31T23:59:59-00:00", -1),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2024-13-01T00:00:00Z",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "2024-01-01T25:00:00Z",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
        for second in [-62_135_596_800, -1, 0, 951_782_400, 1_709_209_805, 4_102_444_800] {
            assert_eq!(seconds(&rfc3339(second)), Some(second));
        }
        assert_eq!(at(1_709_209_805), "2024-02-29 12:30:05 +0000 UTC");
    }

    #[test]
    fn ages_in_docker_s_words() {
        for (age, expected) in [
            (0, "Less than a second ago"),
            (45, "45 seconds ago"),
            (90, "About a minute ago"),
            (3 * HOUR, "3 hours ago"),
            (3 * DAY, "3 days ago"),
            (20 * DAY, "2 weeks ago"),
            (400 * DAY, "13 months ago"),
            (800 * DAY, "2 years ago"),
        ] {
            assert_eq!(ago(age), expected);
        }
    }

    #[test]
    fn moments() {
        assert_eq!(moment("24h", DAY * 2), Some(DAY));
        assert_eq!(moment("1h30m", DAY), Some(DAY - 5400));
        assert_eq!(moment("100", 0), Some(100));
        assert_eq!(moment("1970-01-02", 0), Some(DAY));
        for wrong in ["", "h", "24", "1x"].iter().filter(|text| **text != "24") {
            assert_eq!(moment(wrong, 0), None, "{wrong}");
        }
    }
}
