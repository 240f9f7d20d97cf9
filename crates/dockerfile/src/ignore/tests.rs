//! Tables of patterns, paths and what is left out.

use super::*;

fn ignored(patterns: &str, path: &str) -> bool {
    IgnorePatterns::parse(patterns).unwrap().is_ignored(path)
}

#[test]
fn single_patterns() {
    for (pattern, path, expected) in [
        ("**", "file", true),
        ("**", "dir/file", true),
        ("**/", "file", true),
        ("**/", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("dir/**", "dir", false),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir2/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**file", "xfile", true),
        ("**/file", "xfile", false),
        ("**/file", "dir/file", true),
        ("**file", "dir/dir/file", true),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        ("a[^b-d]e", "aze", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcdef", false),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abc/def", false),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/foo/bar", true),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("./bar.*", "bar.txt", true),
        ("a(b)c/def", "a(b)c/def", true),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        ("dist/*.whl", "dist/proxy.py-2.whl", true),
        ("/a", "a", true),
        ("a/", "a/b", true),
        ("a/../b", "b", true),
        ("  a  ", "a", true),
        ("# a", "# a", false),
        (" # a", "# a", true),
        ("\u{feff}a", "a", true),
        ("a\r\nb", "a", true),
        ("a", ".", false),
        ("*", "", false),
        ("é?", "éx", true),
    ] {
        assert_eq!(ignored(pattern, path), expected, "{pattern:?} {path:?}");
    }
}

#[test]
fn the_last_match_wins() {
    for (patterns, path, expected) in [
        ("*.md\n!README.md", "README.md", false),
        ("*.md\n!README.md", "a.md", true),
        ("!README.md\n*.md", "README.md", true),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
        ("docs\n!docs/keep", "docs/keep", false),
        ("docs\n!docs/keep", "docs/keep/deep/file", false),
        ("docs\n!docs/keep", "docs/other", true),
        ("*\n!src", "src/main.rs", false),
        ("*\n!src\nsrc/*.tmp", "src/a.tmp", true),
        ("*\n! src/**", "src/a", false),
        ("**/*.o\n!keep/**/*.o", "keep/a/b.o", false),
        ("a\n!a/b\na/b/c", "a/b/c/d", true),
    ] {
        assert_eq!(ignored(patterns, path), expected, "{patterns:?} {path:?}");
    }
}

#[test]
fn wrong_patterns_name_their_line() {
    for (text, line, pattern) in [("a\n!", 2, "!"), ("! ", 1, "!"), ("\n\n[", 3, "["), ("a[]", 1, "a[]")] {
        let error = IgnorePatterns::parse(text).unwrap_err();
        assert_eq!((error.line, error.pattern.as_str()), (line, pattern), "{text:?}");
    }
}

#[test]
fn pruning_is_safe() {
    for (patterns, directory, expected) in [
        ("node_modules", "node_modules", true),
        ("*\n!src/main.rs", "src", false),
        ("*\n!src/main.rs", "docs", true),
        ("*\n!src/*.rs", "src", false),
        ("*\n!src/*.rs", "srcs", true),
        ("*\n!**/keep", "any", false),
        ("!a/b\na", "a", true),
        ("a\n!a/b\na/b", "a", false),
        ("a\n!a/b/**", "a/b", false),
        ("a\n!a/b/**", "a/c", true),
        ("a", "b", false),
        ("a\n!a/?x/y", "a/bx", false),
        ("a\n!a/?x/y", "a/b", true),
    ] {
        let patterns = IgnorePatterns::parse(patterns).unwrap();
        let mut here = patterns.top();
        for (end, _) in directory.match_indices('/').chain([(directory.len(), "")]) {
            here = patterns.enter(&here, &directory[..end]);
        }
        assert_eq!(
            patterns.can_prune(&here, directory),
            expected,
            "{patterns:?} {directory}"
        );
    }
}

#[test]
fn a_walk_agrees_with_single_questions() {
    let text = "*\n!a\na/b/**\n!a/b/c\n**/*.tmp\n!keep.tmp\n";
    let patterns = IgnorePatterns::parse(text).unwrap();
    for path in [
        "a",
        "a/b",
        "a/b/c",
        "a/b/c/d",
        "a/b/x",
        "a/x.tmp",
        "keep.tmp",
        "a/keep.tmp",
        "z",
    ] {
        let mut here = patterns.top();
        for (at, _) in path.match_indices('/') {
            here = patterns.enter(&here, &path[..at]);
        }
        assert_eq!(patterns.is_ignored_in(&here, path), patterns.is_ignored(path), "{path}");
    }
}
