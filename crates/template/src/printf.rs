//! Go's Printf for JSON values: `%[flags][width][.precision]verb`.

use crate::print;
use serde_json::Value;

/// How wide a field may be.
const WIDEST: usize = 10_000;

/// One `%…`.
#[derive(Debug, Default)]
struct Spec {
    left: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
    verb: char,
}

/// The format with its verbs replaced. Mistakes are printed as Go prints them: `%!d(string=x)`.
pub(crate) fn format(format: &str, arguments: &[Value]) -> String {
    let mut text = String::new();
    let mut arguments = arguments.iter();
    let mut rest = format;
    while let Some(position) = rest.find('%') {
        text.push_str(&rest[..position]);
        let (spec, after) = Spec::parse(&rest[position + 1..]);
        rest = after;
        match spec {
            None => text.push_str("%!(NOVERB)"),
            Some(Spec { verb: '%', .. }) => text.push('%'),
            Some(spec) => {
                let replaced = arguments.next().map(|argument| spec.padded(argument));
                text.push_str(&replaced.unwrap_or_else(|| format!("%!{}(MISSING)", spec.verb)));
            }
        }
    }
    text.push_str(rest);
    let extra: Vec<String> = arguments
        .map(|argument| format!("{}={}", go_type(argument), print::nested(argument)))
        .collect();
    if !extra.is_empty() {
        text.push_str("%!(EXTRA ");
        text.push_str(&extra.join(", "));
        text.push(')');
    }
    text
}

impl Spec {
    /// What stands behind a percent sign, and the rest.
    fn parse(text: &str) -> (Option<Self>, &str) {
        let mut spec = Self::default();
        let mut rest = text;
        while let Some(flag) = rest.chars().next() {
            match flag {
                '-' => spec.left = true,
                '+' => spec.plus = true,
                '0' => spec.zero = true,
                ' ' => spec.space = true,
                '#' => spec.sharp = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        (spec.width, rest) = digits(rest);
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = digits(after);
            spec.precision = Some(precision);
            rest = after;
        }
        let Some(verb) = rest.chars().next() else {
            return (None, rest);
        };
        spec.verb = verb;
        (Some(spec), &rest[verb.len_utf8()..])
    }

    fn padded(&self, value: &Value) -> String {
        let text = self.plain(value).unwrap_or_else(|| self.mistake(value));
        let missing = self.width.saturating_sub(text.chars().count());
        if missing == 0 {
            return text;
        }
        if self.left {
            return format!("{text}{:missing$}", "");
        }
        if self.zero && value.is_number() {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text.as_str()),
            };
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        format!("{:missing$}{text}", "")
    }

    /// The value by itself; `None` where the verb has no form for it.
    fn plain(&self, value: &Value) -> Option<String> {
        match (self.verb, value) {
            ('v', Value::Number(_)) => Some(self.signed(print::nested(value))),
            ('v', _) | ('s', Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                Some(self.cut(&print::nested(value)))
            }
            ('q', Value::String(text)) => Some(format!("{:?}", self.cut(text))),
            ('q', Value::Array(values)) => {
                let words: Vec<String> = values.iter().map(|value| self.plain(value)).collect::<Option<_>>()?;
                Some(format!("[{}]", words.join(" ")))
            }
            ('x' | 'X', Value::String(text)) => Some(self.cased(hexadecimal(text))),
            ('t', Value::Bool(value)) => Some(value.to_string()),
            ('T', value) => Some(go_type(value).to_owned()),
            ('d' | 'x' | 'X' | 'o' | 'b' | 'c' | 'U', Value::Number(number)) => self.integer(number.as_i64()?),
            ('f' | 'F' | 'e' | 'E' | 'g' | 'G', Value::Number(number)) if number.is_f64() => {
                Some(self.float(number.as_f64()?))
            }
            _ => None,
        }
    }

    fn integer(&self, value: i64) -> Option<String> {
        let digits = value.unsigned_abs();
        let prefix = |prefix: &'static str| if self.sharp { prefix } else { "" };
        let text = match self.verb {
            'd' => digits.to_string(),
            'x' => format!("{}{digits:x}", prefix("0x")),
            'X' => format!("{}{digits:X}", prefix("0X")),
            'o' => format!("{}{digits:o}", prefix("0")),
            'b' => format!("{}{digits:b}", prefix("0b")),
            'U' => return Some(format!("U+{digits:04X}")),
            _ => return char::from_u32(u32::try_from(value).ok()?).map(String::from),
        };
        Some(self.signed(if value < 0 { format!("-{text}") } else { text }))
    }

    fn float(&self, value: f64) -> String {
        let precision = self.precision.unwrap_or(6);
        let text = match self.verb {
            'f' | 'F' => format!("{value:.precision$}"),
            'e' | 'E' => print::exponent(&format!("{value:.precision$e}")),
            _ => serde_json::Number::from_f64(value).map_or_else(String::new, |number| print::number(&number)),
        };
        self.signed(self.cased(text))
    }

    fn signed(&self, text: String) -> String {
        match (text.starts_with('-'), self.plus, self.space) {
            (false, true, _) => format!("+{text}"),
            (false, false, true) => format!(" {text}"),
            _ => text,
        }
    }

    fn cased(&self, text: String) -> String {
        if self.verb.is_uppercase() {
            text.to_uppercase()
        } else {
            text
        }
    }

    fn cut(&self, text: &str) -> String {
        match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text.to_owned(),
        }
    }

    fn mistake(&self, value: &Value) -> String {
        format!("%!{}({}={})", self.verb, go_type(value), print::nested(value))
    }
}

fn hexadecimal(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn digits(text: &str) -> (usize, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..end].parse().unwrap_or(0);
    (if end > 5 { WIDEST } else { usize::min(number, WIDEST) }, &text[end..])
}

/// What Go would call the type.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
