//! What `--format` asks for: JSON, a template, or a table of one; sizes as docker writes them.

use crate::error::Failure;
use serde_json::{Map, Value};
use std::io::Write as _;
use wiac_template::Template;

/// Objects whose keys are the user's own: a key that is missing there is no mistake.
const MAPS: [&str; 5] = ["Labels", "Annotations", "Volumes", "ExposedPorts", "Label"];

/// How nothing is printed by docker and podman, which know the types of these fields.
const EMPTY: [(&str, &str); 20] = [
    ("Env", "[]"),
    ("Entrypoint", "[]"),
    ("Cmd", "[]"),
    ("OnBuild", "[]"),
    ("Shell", "[]"),
    ("RepoTags", "[]"),
    ("RepoDigests", "[]"),
    ("History", "[]"),
    ("Layers", "[]"),
    ("Labels", "map[]"),
    ("Annotations", "map[]"),
    ("Volumes", "map[]"),
    ("ExposedPorts", "map[]"),
    ("Healthcheck", "<nil>"),
    ("HealthCheck", "<nil>"),
    ("NamesHistory", "[]"),
    ("StopSignal", ""),
    ("Created", ""),
    ("Digest", ""),
    ("ManifestType", ""),
];

/// How a list or an object is printed.
#[derive(Debug)]
pub(crate) enum Format {
    /// A JSON array (or object).
    Json,
    /// A template for each row; all rows at once where it begins with a range over them.
    Template { template: Template, of_all: bool },
}

impl Format {
    /// What was written after `--format`; `default` is the table that is printed without it.
    pub(crate) fn parse(written: Option<&str>, default: &str) -> Result<Self, Failure> {
        let text = match written {
            None | Some("" | "table") => default,
            Some("json") => return Ok(Self::Json),
            Some(text) => text,
        };
        let template = Template::parse(text).map_err(|error| Failure::usage(format!("--format: {error}")))?;
        Ok(Self::Template {
            template: template.with_maps(&MAPS).with_empty(&EMPTY),
            of_all: is_of_all(text),
        })
    }

    /// Prints rows. `columns`: the heading of each field; `json`: what JSON is printed of.
    pub(crate) fn print(
        &self,
        columns: &[(&str, &str)],
        rows: &[Value],
        json: impl FnOnce() -> Value,
        heading: bool,
    ) -> Result<(), Failure> {
        let text = match self {
            Self::Json => pretty(&json()),
            Self::Template { template, .. } if template.is_table() => table(template, columns, rows, heading)?,
            Self::Template { template, of_all: true } if rows.iter().all(Value::is_object) => {
                lines(template, &[Value::Array(rows.to_vec())])?
            }
            Self::Template { template, .. } => lines(template, rows)?,
        };
        write(&text)
    }
}

/// Whether a template goes over all rows itself, as podman's users write it: `{{range .}}…{{end}}`.
fn is_of_all(text: &str) -> bool {
    let action = text
        .trim_start()
        .strip_prefix("{{")
        .map(|rest| rest.trim_start_matches('-').trim_start());
    let behind = action.and_then(|rest| rest.strip_prefix("range")?.trim_start().strip_prefix('.'));
    behind.is_some_and(|rest| rest.trim_start().trim_start_matches('-').starts_with("}}"))
}

/// Prints text at once; whoever stops reading isn't told.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(crate::output::not_written(&error)))
}

/// JSON over several lines.
pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn lines(template: &Template, rows: &[Value]) -> Result<String, Failure> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&rendered(template, row)?);
        text.push('\n');
    }
    Ok(text)
}

fn rendered(template: &Template, row: &Value) -> Result<String, Failure> {
    template
        .render(row)
        .map_err(|error| Failure::usage(format!("--format: {error}")))
}

fn table(template: &Template, columns: &[(&str, &str)], rows: &[Value], heading: bool) -> Result<String, Failure> {
    let mut text = String::new();
    if heading {
        let headers: Map<String, Value> = columns
            .iter()
            .map(|(name, heading)| ((*name).to_owned(), Value::from(*heading)))
            .collect();
        let header = template.header(&headers);
        text.push_str(&header.map_err(|error| Failure::usage(format!("--format: {error}")))?);
        text.push('\n');
    }
    for row in rows {
        text.push_str(&rendered(template, &printable(row))?);
        text.push('\n');
    }
    Ok(trimmed(&wiac_template::align(&text)))
}

/// Without the blank space that columns leave at a line's end.
fn trimmed(text: &str) -> String {
    text.lines()
        .fold(String::with_capacity(text.len()), |mut trimmed, line| {
            trimmed.push_str(line.trim_end());
            trimmed.push('\n');
            trimmed
        })
}

/// What strangers wrote into an image mustn't move the cursor or break the table.
fn printable(value: &Value) -> Value {
    match value {
        Value::String(text) if text.contains(char::is_control) => Value::String(plain(text)),
        Value::Array(values) => values.iter().map(printable).collect(),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (plain(key), printable(value))).collect()),
        other => other.clone(),
    }
}

/// A text without control characters: tabs and line ends become spaces, others are escaped.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' | '\n' | '\r' => plain.push(' '),
            other if other.is_control() => plain.extend(other.escape_default()),
            other => plain.push(other),
        }
    }
    plain
}

/// A number of bytes as docker shows it: three significant digits, powers of 1000.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut unit = 0;
    let mut divisor = 1_u64;
    // From 999.5 on three digits are the next unit's 1.
    while unit + 1 < UNITS.len() && bytes / divisor >= 999 && bytes.saturating_mul(2) / divisor >= 1999 {
        unit += 1;
        divisor *= 1000;
    }
    if unit == 0 {
        return format!("{bytes}B");
    }
    #[allow(clippy::cast_precision_loss)] // Three digits are shown.
    let value = bytes as f64 / divisor as f64;
    let decimals = usize::from(value < 9.995) + usize::from(value < 99.95);
    let text = format!("{value:.decimals$}");
    let text = if decimals > 0 {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", UNITS[unit])
}

/// A text cut to `length` characters, the last of them "…" where something is missing.
pub(crate) fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(length - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_docker_shows_them() {
        for (bytes, expected) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (11_363, "11.4kB"),
            (4_260_000, "4.26MB"),
            (999_499, "999kB"),
            (999_600, "1MB"),
            (100_000_000, "100MB"),
            (1_020_000_000, "1.02GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn a_range_over_all_rows_is_known() {
        assert!(is_of_all("{{range .}}{{.ID}}{{end}}") && is_of_all("{{- range . -}}x{{end}}"));
        assert!(!is_of_all("{{range .Names}}{{.}}{{end}}") && !is_of_all("{{.ID}}"));
    }

    #[test]
    fn control_characters_stay_out_of_tables() {
        assert_eq!(plain("a\tb\nc\u{1b}[2J"), "a b c\\u{1b}[2J");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
    }
}
