//! Tables of words and what they expand to.

use super::*;
use crate::span::Span;

fn values(name: &str) -> Option<String> {
    let value = match name {
        "PWD" => "/home",
        "SHELL" => "bash",
        "NULL" => "",
        "KOREAN" => "한국어",
        "FOO" => "xxyy",
        "FILE" => "/a/foo/b/c.txt",
        "STARS" => "a***yy*",
        "spaces" => " ab  c ",
        _ => return None,
    };
    Some(value.to_owned())
}

fn expand(word: &str) -> Result<Expanded, Error> {
    Expander::new('\\', &values).text(word)
}

#[test]
fn quotes_and_escapes() {
    for (word, expected) in [
        ("hello", "hello"),
        ("he'll'o", "hello"),
        (r"he\'llo", "he'llo"),
        (r"abc\tdef", "abctdef"),
        (r#""abc\tdef""#, r"abc\tdef"),
        (r#""abc\\tdef""#, r"abc\tdef"),
        (r"'abc\tdef'", r"abc\tdef"),
        (r"hello\", "hello"),
        (r"hello\\", r"hello\"),
        (r#""hel'lo""#, "hel'lo"),
        (r"'hello\'", r"hello\"),
        ("$.", "$."),
        ("he$1x", "hex"),
        (r"he\$PWD", "he$PWD"),
        (r"he\\$PWD", r"he\/home"),
        (r#""he\$PWD""#, "he$PWD"),
        (r"'he\$PWD'", r"he\$PWD"),
        (r"he\${}xx", "he${}xx"),
        (r#""he'$PWD'""#, "he'/home'"),
        ("'$PWD'", "$PWD"),
        ("a<b<<  c", "a<b<<  c"),
        ("안'녕'하세요$KOREAN", "안녕하세요한국어"),
        ("", ""),
    ] {
        assert_eq!(expand(word).unwrap().text, expected, "{word}");
    }
}

#[test]
fn substitutions() {
    for (word, expected) in [
        ("he${PWD}xx", "he/homexx"),
        ("${XXX}", ""),
        ("he${XXX:-000}xx", "he000xx"),
        ("he${PWD:-000}xx", "he/homexx"),
        ("${NULL:-000}", "000"),
        ("${NULL-000}", ""),
        ("${XXX-000}", "000"),
        ("he${XXX:-${YYY:-yyy}}xx", "heyyyxx"),
        ("he${XXX:-$PWD}xx", "he/homexx"),
        ("${PWD?}", "/home"),
        ("${NULL?}", ""),
        ("he${PWD:+${SHELL}}xx", "hebashxx"),
        ("${XXX:+000}", ""),
        ("${NULL+000}", "000"),
        (r"he${XXX:-\$PWD:}xx", "he$PWD:xx"),
        (r"he${XXX:-\${PWD}z}xx", "he${PWDz}xx"),
        ("${aaa:-bbb}}", "bbb}"),
        ("${aaa:-bbb {foo}", "bbb {foo"),
        ("${1:-bbb}", "bbb"),
        ("$001aaa", "aaa"),
        ("$@@@", "@@"),
        ("${-:-bbb}", "bbb"),
        ("$$", ""),
        ("$", "$"),
    ] {
        assert_eq!(expand(word).unwrap().text, expected, "{word}");
    }
}

#[test]
fn patterns() {
    for (word, expected) in [
        ("${FOO#*x*y}", "y"),
        ("${FOO#*}", "xxyy"),
        ("${FOO##*x}", "yy"),
        ("${FOO#}", "xxyy"),
        ("${FOO%y}", "xxy"),
        ("${FOO%%y*}", "xx"),
        (r"${STARS%%\**\*}", "a"),
        ("${FILE##*/}", "c.txt"),
        ("${FILE%.*}", "/a/foo/b/c"),
        ("${FILE%/*}", "/a/foo/b"),
        (r"${FILE/\//_}", "_a/foo/b/c.txt"),
        (r"${FILE//\//_}", "_a_foo_b_c.txt"),
        ("${FOO/x/$PWD}", "/homexyy"),
        ("${FOO//x/}", "yy"),
        ("${FOO/${XXX:-y}/z}", "xxzy"),
        ("${XXX///}", ""),
        ("${FOO//\\//\\/}", "xxyy"),
        ("${FOO#$SHELL}", "xxyy"),
    ] {
        assert_eq!(expand(word).unwrap().text, expected, "{word}");
    }
}

#[test]
fn errors_say_what_and_where() {
    for (word, offset, message) in [
        ("a'b", 1, "the quote ' is never closed"),
        ("ab\"c", 2, "the quote \" is never closed"),
        ("he${PWD", 2, "a substitution lacks its closing }"),
        ("${aaa:-bbb ${foo}", 0, "a substitution lacks its closing }"),
        ("${", 0, "a substitution lacks its closing }"),
        ("x${}", 1, "a substitution has no valid name"),
        ("${{aaa}", 0, "a substitution has no valid name"),
        ("${:-b}", 0, "a substitution has no valid name"),
        ("he${.}", 2, "the operator \".\" is not supported in a substitution"),
        ("${PWD:=0}", 0, "the operator \":=\" is not supported in a substitution"),
        ("${PWD:#x}", 0, "the operator \":#\" is not supported in a substitution"),
        ("${PWD:%x}", 0, "the operator \":%\" is not supported in a substitution"),
        ("${XXX?}", 0, "XXX: \"must be set\""),
        ("a ${NULL:?}", 2, "NULL: \"must not be empty\""),
        ("${XXX:?say $PWD}", 0, "XXX: \"say /home\""),
        ("${FOO//ww}", 0, "a replacement lacks its second /"),
        ("${FOO/a/b", 0, "a substitution lacks its closing }"),
        ("${FOO#\\a}", 0, "invalid pattern \"\\\\a\" in a substitution"),
    ] {
        let error = expand(word).unwrap_err();
        assert_eq!((error.offset, error.to_string().as_str()), (offset, message), "{word}");
    }
    assert_eq!(expand(&"${a:-".repeat(5000)).unwrap_err().kind, ErrorKind::TooDeep);
}

#[test]
fn words_are_split_after_expansion() {
    for (word, expected) in [
        ("hello there", vec!["hello", "there"]),
        (r"hello\ there", vec!["hello there"]),
        (r#"hel"lo  there""#, vec!["hello  there"]),
        ("x${spaces}y", vec!["x", "ab", "c", "y"]),
        ("\"x${spaces}y\"", vec!["x ab  c y"]),
        ("80${XXX:-80} 1", vec!["8080", "1"]),
        ("''", vec![]),
        ("  ", vec![]),
    ] {
        assert_eq!(expand(word).unwrap().words, expected, "{word}");
    }
}

#[test]
fn used_and_undefined_names_are_told() {
    let names = |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
    for (word, used, undefined) in [
        ("x", "", ""),
        ("${XXX} $PWD", "PWD", "XXX"),
        ("${PWD-$YYY}", "PWD", "YYY"),
        ("'$PWD' \\$PWD", "", ""),
        ("\"$PWD\"", "PWD", ""),
        ("${FOO/$PWD/$YYY}", "FOO PWD", "YYY"),
    ] {
        let expanded = expand(word).unwrap();
        assert_eq!(
            (names(&expanded.used).as_str(), names(&expanded.undefined).as_str()),
            (used, undefined),
            "{word}"
        );
    }
}

#[test]
fn the_other_escape_character() {
    let expander = Expander::new('`', &values);
    for (word, expected) in [
        (r"C:\dir\$SHELL", r"C:\dir\bash"),
        ("`$PWD", "$PWD"),
        ("\"`$PWD\\\"", "$PWD\\"),
    ] {
        assert_eq!(expander.text(word).unwrap().text, expected, "{word}");
    }
}

#[test]
fn heredocs_keep_their_quotes() {
    let heredoc = |content: &str, expand, strip_tabs| Heredoc {
        name: "EOF".to_owned(),
        fd: None,
        expand,
        strip_tabs,
        content: content.to_owned(),
        span: Span::default(),
    };
    let expander = Expander::new('`', &values);
    for (content, expand, strip_tabs, expected) in [
        ("it's \"$PWD\"\n", true, false, "it's \"/home\"\n"),
        ("\\$PWD\n", true, false, "$PWD\n"),
        ("\\$PWD\n", false, false, "\\$PWD\n"),
        ("\t\ta\n\tb\tc\n", true, true, "a\nb\tc\n"),
        ("\t\ta\n", false, false, "\t\ta\n"),
    ] {
        assert_eq!(
            expander.heredoc(&heredoc(content, expand, strip_tabs)).unwrap().text,
            expected,
            "{content}"
        );
    }
}

#[test]
fn pairs_see_one_snapshot() {
    let dockerfile = crate::parse(b"FROM x\nENV a=$PWD b=$a \"c d\"='$PWD'\n").unwrap();
    let crate::Kind::Env(env) = &dockerfile.stages[0].instructions[0].kind else {
        panic!()
    };
    let pairs = expand_pairs(&env.pairs, &Expander::new('\\', &values)).unwrap();
    let expected = [("a", "/home"), ("b", ""), ("c d", "$PWD")];
    assert_eq!(
        pairs.pairs,
        expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
    assert!(pairs.undefined.contains("a"));
}
