//! One record of comma-separated values, as in the values of `--mount` and `--device`.

/// Splits a record into fields; a field may be quoted as a whole, with `""` for a quote.
///
/// An error says what is wrong.
pub(crate) fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = if rest.starts_with('"') {
            quoted(rest)?
        } else {
            plain(rest)?
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// A field and what follows its comma, if one follows.
type Field<'a> = (String, Option<&'a str>);

fn plain(text: &str) -> Result<Field<'_>, String> {
    let (field, after) = text
        .split_once(',')
        .map_or((text, None), |(field, after)| (field, Some(after)));
    if field.contains('"') {
        return Err(format!("a quote inside the field {field:?}"));
    }
    Ok((field.to_owned(), after))
}

fn quoted(text: &str) -> Result<Field<'_>, String> {
    let mut field = String::new();
    let mut rest = &text[1..];
    loop {
        let (before, after) = rest
            .split_once('"')
            .ok_or_else(|| format!("the quote of {text:?} is never closed"))?;
        field.push_str(before);
        if let Some(more) = after.strip_prefix('"') {
            field.push('"');
            rest = more;
        } else if let Some(next) = after.strip_prefix(',') {
            return Ok((field, Some(next)));
        } else if after.is_empty() {
            return Ok((field, None));
        } else {
            return Err(format!("text after the quoted field {field:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        for (text, expected) in [
            ("a=1,b", Some(vec!["a=1", "b"])),
            (r#""a=1,2",b"#, Some(vec!["a=1,2", "b"])),
            (r#""a""b""#, Some(vec!["a\"b"])),
            ("", Some(vec![""])),
            ("a,", Some(vec!["a", ""])),
            (r#"a"b"#, None),
            (r#""a"#, None),
            (r#""a"b"#, None),
        ] {
            let expected = expected.map(|fields| fields.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(fields(text).ok(), expected, "{text}");
        }
    }
}
