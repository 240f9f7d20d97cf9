//! Words that bash reads as exactly these bytes.

use std::fmt::Write as _;

/// A word that bash reads as exactly `text`: bare where nothing in it means anything to a shell, in single quotes
/// where it can be printed, else as `$'…'` with escapes. It is always one line.
pub fn quote(text: impl AsRef<[u8]>) -> String {
    let bytes = text.as_ref();
    if !bytes.is_empty() && bytes.iter().all(|&byte| is_plain(byte)) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => escape(bytes),
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./:,+@%=".contains(&byte)
}

fn escape(bytes: &[u8]) -> String {
    let mut quoted = "$'".to_owned();
    for &byte in bytes {
        match byte {
            b'\n' => quoted.push_str("\\n"),
            b'\t' => quoted.push_str("\\t"),
            b'\'' => quoted.push_str("\\'"),
            b'\\' => quoted.push_str("\\\\"),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => {
                let _ = write!(quoted, "\\x{byte:02x}");
            }
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_readable() {
        assert_eq!(quote("/usr/lib-1.2/a_b"), "/usr/lib-1.2/a_b");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("$(x)`y`~*"), "'$(x)`y`~*'");
        assert_eq!(quote("a\nb'\\"), r"$'a\nb\'\\'");
        assert_eq!(quote([b'a', 0xff, b'1']), r"$'a\xff1'");
        assert_eq!(quote("naïve"), "'naïve'");
    }

    #[test]
    fn bash_reads_them_back() {
        let every: Vec<u8> = (1..=255).collect();
        let texts: [&[u8]; 6] = [
            &every,
            b"$HOME `id` \"x\" !!",
            b"~",
            b"a\nLAST\nb",
            b"-n",
            "é\u{85}".as_bytes(),
        ];
        for text in texts {
            let script = format!("printf %s {}", quote(text));
            let output = std::process::Command::new("bash")
                .args(["-c", &script])
                .output()
                .expect("bash: apt-get install bash");
            assert_eq!(output.stdout, text, "{script}");
        }
    }
}
