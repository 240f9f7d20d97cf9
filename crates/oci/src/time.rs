//! Points in time as OCI documents write them: RFC 3339, UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// The present, to the nanosecond.
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format(since.as_secs(), since.subsec_nanos())
}

/// A second since 1970, as `2025-11-22T07:34:39Z`; `None` before 1970 and after the year 9999.
pub fn second(seconds: i64) -> Option<String> {
    const LAST: u64 = 253_402_300_799;
    let text = format(u64::try_from(seconds).ok().filter(|seconds| *seconds <= LAST)?, 0);
    Some(text.replace(".000000000Z", "Z"))
}

/// Seconds and nanoseconds since 1970.
pub fn format(seconds: u64, nanoseconds: u32) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z")
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut rest) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if rest < length {
            break;
        }
        rest -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in months {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(format(0, 0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(format(951_782_400, 1), "2000-02-29T00:00:00.000000001Z");
        assert_eq!(format(4_107_542_399, 0), "2100-02-28T23:59:59.000000000Z");
        assert_eq!(second(1_763_796_879).as_deref(), Some("2025-11-22T07:34:39Z"));
        assert_eq!(second(1_798_675_200).as_deref(), Some("2026-12-31T00:00:00Z"));
        assert_eq!(second(1_798_761_600).as_deref(), Some("2027-01-01T00:00:00Z"));
        assert_eq!(second(1_769_904_000).as_deref(), Some("2026-02-01T00:00:00Z"));
        assert_eq!(second(253_402_300_799).as_deref(), Some("9999-12-31T23:59:59Z"));
        assert_eq!(second(253_402_300_800), None);
        assert_eq!(second(-1), None);
        assert_eq!(second(i64::MAX), None);
        assert_eq!(format(1_763_796_879, 0), "2025-11-22T07:34:39.000000000Z");
    }
}
