//! Values as Go's fmt prints them with `%v`.

use serde_json::{Number, Value};

/// A value printed by itself: nothing is `<no value>`, as text/template says it.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        other => nested(other),
    }
}

/// A value inside of another.
pub(crate) fn nested(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => self::number(number),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let words: Vec<String> = values.iter().map(nested).collect();
            format!("[{}]", words.join(" "))
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let words: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", in_map(value)))
                .collect();
            format!("map[{}]", words.join(" "))
        }
    }
}

/// What is empty in a map is a set's nothing in the configuration of images (`ExposedPorts`, `Volumes`), which prints as a
/// struct without fields.
fn in_map(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        other => nested(other),
    }
}

/// Go's shortest form: an exponent from 1e+21 on and below 1e-4.
pub(crate) fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            if float != 0.0 && !(1e-4..1e21).contains(&float.abs()) {
                exponent(&format!("{float:e}"))
            } else {
                float.to_string()
            }
        }
        _ => number.to_string(),
    }
}

/// Rust's `1e21` as Go's `1e+21`.
pub(crate) fn exponent(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text.to_owned();
    };
    let (sign, digits) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Go's Sprint (a space between two values that are no texts) or Sprintln (always one).
pub(crate) fn joined(values: &[Value], always_space: bool) -> String {
    let mut text = String::new();
    for (number, value) in values.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| &values[before]);
        if before.is_some_and(|before| always_space || !(before.is_string() || value.is_string())) {
            text.push(' ');
        }
        text.push_str(&nested(value));
    }
    text
}

/// Whether `if` takes it: everything but false, zero, nothing and what is empty.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// What a value is, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
