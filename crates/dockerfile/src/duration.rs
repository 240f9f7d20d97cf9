//! Durations as Go writes them: `1h30m`, `1.5s`, `100ms`.

use std::time::Duration;

/// Units and their length in nanoseconds, the longer names first.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Parses a duration that is not negative; `None` if the text is none or the value is out of range.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, length) = UNITS
            .iter()
            .find(|(unit, _)| rest.starts_with(unit) && !is_longer(rest, unit))?;
        total += number * length;
        rest = &rest[unit.len()..];
    }
    // The limit of Go's durations: 2^63 nanoseconds.
    (total < 9.223_372_036_854_775e18).then(|| Duration::from_secs_f64(total / 1e9))
}

/// Whether `rest`, which starts with `unit`, goes on with letters: then the unit is another.
fn is_longer(rest: &str, unit: &str) -> bool {
    rest[unit.len()..].starts_with(|c: char| !c.is_ascii_digit() && c != '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("0", Some(0)),
            ("30s", Some(30_000)),
            ("1.5s", Some(1_500)),
            (".5s", Some(500)),
            ("1h30m", Some(5_400_000)),
            ("1m2s3ms", Some(62_003)),
            ("+1s", Some(1_000)),
            ("", None),
            ("1", None),
            ("-1s", None),
            ("1x", None),
            ("s", None),
            ("1s2", None),
            (".s", None),
            ("9999999999h", None),
        ] {
            assert_eq!(parse(text), expected.map(Duration::from_millis), "{text}");
        }
    }
}
