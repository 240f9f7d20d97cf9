//! The JSON form of arguments.

/// What an argument text is, seen as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Json {
    /// An array of strings.
    Strings(Vec<String>),
    /// An array that holds something else.
    NotStrings,
    /// No array at all: the text is meant otherwise.
    Other,
}

/// Looks at an argument text.
pub(crate) fn parse(text: &str) -> Json {
    if !text.trim_start().starts_with('[') {
        return Json::Other;
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        return Json::Other;
    };
    let strings: Option<Vec<String>> = values
        .into_iter()
        .map(|value| match value {
            serde_json::Value::String(text) => Some(text),
            _ => None,
        })
        .collect();
    strings.map_or(Json::NotStrings, Json::Strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, expected) in [
            (r#"["a", "b c"]"#, Json::Strings(vec!["a".into(), "b c".into()])),
            (r#" [ "\u0041\n" ] "#, Json::Strings(vec!["A\n".into()])),
            ("[]", Json::Strings(vec![])),
            ("['a']", Json::Other),
            (r#"["a"] b"#, Json::Other),
            (r#"["a","#, Json::Other),
            ("[ -f x ]", Json::Other),
            ("[1]", Json::NotStrings),
            ("[[]]", Json::NotStrings),
            ("a", Json::Other),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
