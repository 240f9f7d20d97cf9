//! The functions of text/template, and those docker adds.

use crate::{print, printf};
use serde_json::Value;
use std::cmp::Ordering;

/// All functions, for "did you mean".
const NAMES: [&str; 26] = [
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "index", "slice", "len", "print", "printf", "println",
    "html", "js", "urlquery", "json", "join", "split", "lower", "upper", "title", "pad", "truncate",
];

/// Those that give back their first argument where it is a column's name.
const OF_VALUES: [&str; 13] = [
    "json", "join", "split", "lower", "upper", "title", "truncate", "index", "slice", "len", "html", "js", "urlquery",
];

type Outcome = Result<Value, String>;

/// Calls a function. `is_header`: the arguments are names of columns.
///
/// # Errors
/// An unknown function, too few arguments, arguments of a kind that it can't take.
pub(crate) fn call(name: &str, mut arguments: Vec<Value>, is_header: bool) -> Outcome {
    if !NAMES.contains(&name) {
        let hint = wiac_suggest::nearest(name, NAMES).map_or_else(
            || format!("; there are {}", NAMES.join(" ")),
            |near| format!(" (did you mean {near}?)"),
        );
        return Err(format!("no function {name}{hint}"));
    }
    let text = |text: String| Ok(Value::String(text));
    match name {
        "print" => return text(print::joined(&arguments, false)),
        "println" => return text(print::joined(&arguments, true) + "\n"),
        "html" | "js" | "urlquery" => return text(escaped(name, &print::joined(&arguments, false))),
        _ => {}
    }
    if arguments.is_empty() {
        return Err(format!("{name} needs an argument"));
    }
    let first = arguments.remove(0);
    if is_header && OF_VALUES.contains(&name) {
        let column = if first.is_string() {
            first
        } else {
            arguments.pop().unwrap_or(first)
        };
        return Ok(column);
    }
    match name {
        // Their lazy side is in the evaluation.
        "and" | "or" => Err(format!("{name} can't be used here")),
        "not" => exactly(name, &arguments, 0).map(|()| Value::Bool(!print::is_true(&first))),
        "eq" => equal(&first, &arguments).map(Value::Bool),
        "ne" => equal(&first, one(name, &arguments)?).map(|same| Value::Bool(!same)),
        "lt" | "le" | "gt" | "ge" => compare(name, &first, &one(name, &arguments)?[0]),
        "index" => arguments.iter().try_fold(first, |value, key| index(&value, key)),
        "slice" => slice(&first, &arguments),
        "len" => length(&first),
        "printf" => text(printf::format(&string(name, &first)?, &arguments)),
        "json" => Ok(Value::String(first.to_string())),
        "join" => join(&first, &arguments),
        "split" => {
            let separator = string(name, &one(name, &arguments)?[0])?;
            Ok(split(&string(name, &first)?, &separator))
        }
        "lower" => text(string(name, &first)?.to_lowercase()),
        "upper" => text(string(name, &first)?.to_uppercase()),
        "title" => text(title(&string(name, &first)?)),
        "pad" => pad(&string(name, &first)?, &arguments),
        _ => truncate(&string(name, &first)?, &arguments),
    }
}

fn exactly(name: &str, rest: &[Value], count: usize) -> Result<(), String> {
    if rest.len() == count {
        return Ok(());
    }
    Err(format!("{name} takes {} arguments, not {}", count + 1, rest.len() + 1))
}

fn one<'a>(name: &str, rest: &'a [Value]) -> Result<&'a [Value], String> {
    exactly(name, rest, 1).map(|()| rest)
}

fn string(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        other => Err(format!("{name} takes a text, and this is {}", print::kind(other))),
    }
}

fn number(name: &str, value: &Value) -> Result<usize, String> {
    value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| *number <= 1 << 20)
        .ok_or_else(|| {
            format!(
                "{name} takes a number up to a million, and this is {}",
                print::value(value)
            )
        })
}

/// Whether the first is one of the others.
fn equal(first: &Value, others: &[Value]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("eq needs something to compare with".to_owned());
    }
    for other in others {
        let same = match (first, other) {
            (Value::Null, other) | (other, Value::Null) => other.is_null(),
            (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64()),
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (a, b) => return Err(format!("{} can't be compared with {}", print::kind(a), print::kind(b))),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn compare(name: &str, first: &Value, second: &Value) -> Outcome {
    let order = match (first, second) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64().partial_cmp(&b.as_f64()),
        },
        _ => None,
    };
    let order =
        order.ok_or_else(|| format!("{} can't be compared with {}", print::kind(first), print::kind(second)))?;
    Ok(Value::Bool(match name {
        "lt" => order == Ordering::Less,
        "le" => order != Ordering::Greater,
        "gt" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }))
}

/// A key that isn't in a map gives what the map's values are when they are empty: a text, in all that have keys of the
/// user's own.
fn index(value: &Value, key: &Value) -> Outcome {
    let empty = || Value::from("");
    match (value, key) {
        (Value::Null, Value::String(_)) => Ok(empty()),
        (Value::Null, _) => Ok(Value::Null),
        (Value::Object(map), Value::String(key)) => Ok(map.get(key).cloned().unwrap_or_else(empty)),
        (Value::Array(values), key) if key.is_number() => {
            let position = number("index", key)?;
            let missing = || format!("there is no element {position}: the list has {}", values.len());
            values.get(position).cloned().ok_or_else(missing)
        }
        (Value::String(text), key) if key.is_number() => {
            let position = number("index", key)?;
            let byte = text.as_bytes().get(position).copied();
            byte.map(Value::from)
                .ok_or_else(|| format!("there is no byte {position} in {text:?}"))
        }
        (value, key) => Err(format!("{} has no element {}", print::kind(value), print::value(key))),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Outcome {
    let bounds: Vec<usize> = bounds
        .iter()
        .map(|bound| number("slice", bound))
        .collect::<Result<_, _>>()?;
    let range = |length: usize| {
        let (from, to) = (
            bounds.first().copied().unwrap_or(0),
            bounds.get(1).copied().unwrap_or(length),
        );
        let wrong = || format!("there is nothing from {from} to {to}: the length is {length}");
        if from <= to && to <= length {
            Ok(from..to)
        } else {
            Err(wrong())
        }
    };
    match value {
        Value::Array(values) => Ok(Value::Array(values[range(values.len())?].to_vec())),
        Value::String(text) => match text.get(range(text.len())?) {
            Some(part) => Ok(Value::String(part.to_owned())),
            None => Err("slice would cut a character in two".to_owned()),
        },
        other => Err(format!(
            "slice takes a list or a text, and this is {}",
            print::kind(other)
        )),
    }
}

fn length(value: &Value) -> Outcome {
    match value {
        Value::Array(values) => Ok(Value::from(values.len())),
        Value::Object(map) => Ok(Value::from(map.len())),
        Value::String(text) => Ok(Value::from(text.len())),
        Value::Null => Ok(Value::from(0)),
        other => Err(format!(
            "len takes a list or a text, and this is {}",
            print::kind(other)
        )),
    }
}

/// In docker's order, list and separator, or the other way round, as a pipeline gives them.
fn join(first: &Value, rest: &[Value]) -> Outcome {
    let second = &one("join", rest)?[0];
    let (list, separator) = match (first, second) {
        (Value::String(separator), list @ (Value::Array(_) | Value::Null))
        | (list @ (Value::Array(_) | Value::Null), Value::String(separator)) => (list, separator),
        (other, _) => {
            return Err(format!(
                "join takes a list and a text, and this is {}",
                print::kind(other)
            ));
        }
    };
    let values = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let words: Vec<String> = values.iter().map(print::value).collect();
    Ok(Value::String(words.join(separator)))
}

/// An empty separator stands between all characters.
fn split(text: &str, separator: &str) -> Value {
    if separator.is_empty() {
        return text.chars().map(|c| Value::String(c.to_string())).collect();
    }
    text.split(separator)
        .map(|part| Value::String(part.to_owned()))
        .collect()
}

fn title(text: &str) -> String {
    let mut starts = true;
    let mut titled = String::with_capacity(text.len());
    for character in text.chars() {
        if starts {
            titled.extend(character.to_uppercase());
        } else {
            titled.push(character);
        }
        starts = !(character.is_alphanumeric() || matches!(character, '_' | '\''));
    }
    titled
}

fn pad(text: &str, rest: &[Value]) -> Outcome {
    exactly("pad", rest, 2)?;
    let (before, after) = (number("pad", &rest[0])?, number("pad", &rest[1])?);
    let padded = if text.is_empty() {
        String::new()
    } else {
        format!("{:before$}{text}{:after$}", "", "")
    };
    Ok(Value::String(padded))
}

fn truncate(text: &str, rest: &[Value]) -> Outcome {
    let length = number("truncate", &one("truncate", rest)?[0])?;
    Ok(Value::String(text.chars().take(length).collect()))
}

fn escaped(name: &str, text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let replacement = match (name, character) {
            ("html", '"') => "&#34;",
            ("html", '\'') => "&#39;",
            ("html", '&') => "&amp;",
            ("html", '<') => "&lt;",
            ("html", '>') => "&gt;",
            ("js", '\\') => "\\\\",
            ("js", '\'') => "\\'",
            ("js", '"') => "\\\"",
            ("js", '<') => "\\u003C",
            ("js", '>') => "\\u003E",
            ("js", '&') => "\\u0026",
            ("js", '=') => "\\u003D",
            ("js", c) if c < ' ' => {
                let _ = write!(escaped, "\\u{:04X}", u32::from(c));
                continue;
            }
            ("urlquery", ' ') => "+",
            ("urlquery", c) if !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~')) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(escaped, "%{byte:02X}");
                }
                continue;
            }
            _ => {
                escaped.push(character);
                continue;
            }
        };
        escaped.push_str(replacement);
    }
    escaped
}
