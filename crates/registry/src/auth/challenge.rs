//! `WWW-Authenticate` (RFC 9110, 11.6.1): one or several challenges in a header.

/// A scheme with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case: `bearer`, `basic`.
    pub(super) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter's value.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads a header; what can't be understood is passed over.
pub(super) fn parse(text: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = text.trim_start_matches([',', ' ', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let trimmed = after.trim_start_matches([' ', '\t']);
        rest = match trimmed.strip_prefix('=') {
            Some(value) if !word.is_empty() => {
                let (value, after) = read_value(value.trim_start_matches([' ', '\t']));
                if let Some(challenge) = challenges.last_mut() {
                    challenge.parameters.push((word.to_ascii_lowercase(), value));
                }
                after
            }
            // An equals sign without a name: skipped.
            Some(after) => after,
            None => {
                challenges.push(Challenge {
                    scheme: word.to_ascii_lowercase(),
                    parameters: Vec::new(),
                });
                trimmed
            }
        };
        rest = rest.trim_start_matches([',', ' ', '\t']);
    }
    challenges
}

/// A quoted string or a token, and what comes after it.
fn read_value(text: &str) -> (String, &str) {
    let Some(inside) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &inside[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn anything_is_read_to_its_end(text in r#"[Bb=",\\ \ta-c]{0,40}|.{0,60}"#) {
            prop_assert!(parse(&text).len() <= text.len());
        }
    }

    #[test]
    fn challenges_are_told_apart() {
        let text = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull,push", Basic realm="x, \"y\"""#;
        let challenges = parse(text);
        assert_eq!(challenges.len(), 2);
        assert_eq!(challenges[0].parameter("scope"), Some("repository:a:pull,push"));
        assert_eq!(challenges[0].parameter("service"), Some("registry.docker.io"));
        assert_eq!(challenges[1].scheme, "basic");
        assert_eq!(challenges[1].parameter("realm"), Some("x, \"y\""));
    }

    #[test]
    fn the_odd_ends() {
        assert_eq!(parse("Negotiate").len(), 1);
        assert_eq!(parse("Basic realm=x").first().unwrap().parameter("realm"), Some("x"));
        assert!(parse("").is_empty());
        for odd in ["=", ",,=,=\"", "Bearer realm=\"open", "Bearer \"\"", "a=\\"] {
            let _ = parse(odd);
        }
    }
}
