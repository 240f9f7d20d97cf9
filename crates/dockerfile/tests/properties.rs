//! Properties that hold for any input: no panic, places inside the source, agreement between ways to ask.

use proptest::prelude::*;
use wiac_dockerfile::check::{Context, check as check_all};
use wiac_dockerfile::expand::Expander;
use wiac_dockerfile::glob::Glob;
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_dockerfile::stages::{Globals, StageGraph};
use wiac_dockerfile::{Dockerfile, Span, parse};

/// Text made of pieces that mean something in a Dockerfile.
fn dockerfile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("FROM "),
        Just("RUN "),
        Just("COPY "),
        Just("ADD "),
        Just("ENV "),
        Just("ARG "),
        Just("LABEL "),
        Just("ONBUILD "),
        Just("HEALTHCHECK "),
        Just("CMD "),
        Just("EXPOSE "),
        Just("VOLUME "),
        Just("SHELL "),
        Just(" AS x"),
        Just("--from=x "),
        Just("--mount="),
        Just("type=cache,target=/a"),
        Just("--link "),
        Just("--"),
        Just("<<EOF"),
        Just("<<-'E'"),
        Just("\nEOF\n"),
        Just("\nE\n"),
        Just("\n"),
        Just("\r\n"),
        Just("\\\n"),
        Just("`\n"),
        Just("\\"),
        Just("'"),
        Just("\""),
        Just("["),
        Just("]"),
        Just("[\"a\"]"),
        Just(","),
        Just("="),
        Just("a"),
        Just("b c"),
        Just("$"),
        Just("${"),
        Just("}"),
        Just(":-"),
        Just("/"),
        Just("#"),
        Just("# escape=`\n"),
        Just("\u{feff}"),
        Just("é"),
        Just("\u{a0}"),
        Just("\t"),
        Just(" "),
        Just("CMD"),
        Just("NONE"),
        Just("0"),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn spans(dockerfile: &Dockerfile) -> Vec<Span> {
    let stages = dockerfile.stages.iter().flat_map(|stage| {
        let instructions = stage.instructions.iter().map(|instruction| instruction.span);
        [stage.span, stage.from.image.span].into_iter().chain(instructions)
    });
    let args = dockerfile.global_args.iter().map(|arg| arg.span);
    stages
        .chain(args)
        .chain(dockerfile.warnings.iter().map(|warning| warning.span))
        .collect()
}

fn check(source: &[u8]) {
    let lines = source.split(|b| *b == b'\n').count();
    let inside = |span: Span| {
        assert!(span.start <= span.end && span.end <= source.len(), "{span:?}");
        assert!(
            1 <= span.first_line && span.first_line <= span.last_line && span.last_line <= lines,
            "{span:?}"
        );
        assert!(span.column >= 1, "{span:?}");
    };
    match parse(source) {
        Ok(dockerfile) => {
            spans(&dockerfile).into_iter().for_each(inside);
            let images = Globals::new(&dockerfile, [], &|_| None).and_then(|globals| globals.images(&dockerfile));
            if let Ok(images) = images {
                let _ = StageGraph::new(&dockerfile, &images).map(|graph| graph.reachable(0));
            }
            let _ = check_all(&dockerfile, &Context::default());
        }
        Err(error) => {
            error.span.into_iter().for_each(inside);
            let text = error.render("Dockerfile", source);
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_parse_or_fail(source in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&source);
    }

    #[test]
    fn likely_text_parses_or_fails(source in dockerfile_text()) {
        check(source.as_bytes());
        check(format!("FROM x AS x\n{source}").as_bytes());
    }

    #[test]
    fn expansion_never_panics(word in "[$a{}:'\"\\\\`/#%*?+<> é-]{0,30}") {
        let lookup = |name: &str| (name == "a").then(|| "vé/v".to_owned());
        let expander = Expander::new('\\', &lookup);
        if let Err(error) = expander.text(&word) {
            prop_assert!(error.offset <= word.len(), "{error:?}");
        }
    }

    #[test]
    fn plain_words_expand_to_themselves(word in "[a-zA-Z0-9/._=,-]{0,30}") {
        let expanded = Expander::new('\\', &|_| None).text(&word).unwrap();
        prop_assert_eq!(expanded.text, word);
    }

    #[test]
    fn walking_agrees_with_asking(
        patterns in proptest::collection::vec("!?(/?(\\*\\*|[ab*?]{1,3})){1,3}", 0..5),
        path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        let patterns = IgnorePatterns::parse(&patterns.join("\n")).unwrap();
        let mut here = patterns.top();
        for (at, _) in path.match_indices('/') {
            here = patterns.enter(&here, &path[..at]);
            if patterns.can_prune(&here, &path[..at]) {
                prop_assert!(patterns.is_ignored(&path), "pruned {}", &path[..at]);
            }
        }
        prop_assert_eq!(patterns.is_ignored_in(&here, &path), patterns.is_ignored(&path));
    }

    #[test]
    fn globs_that_match_are_found_by_a_walk(pattern in "(/?(\\*\\*|[ab*?]{1,3})){1,3}", path in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
        let glob = Glob::parse(&pattern).unwrap();
        if glob.matches(&path) {
            for (at, _) in path.match_indices('/') {
                prop_assert!(glob.may_match_below(&path[..at]));
            }
        }
    }
}
