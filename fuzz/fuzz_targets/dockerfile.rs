//! Any bytes parse as a Dockerfile or fail with a place inside them; what parses can be expanded and ordered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wiac_dockerfile::expand::Expander;
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_dockerfile::stages::{Globals, StageGraph};
use wiac_dockerfile::{check, parse};

fuzz_target!(|source: &[u8]| {
    let lookup = |name: &str| (name.len() % 2 == 1).then(|| "a/b:c".to_owned());
    if let Ok(text) = std::str::from_utf8(source) {
        let _ = Expander::new('\\', &lookup).text(text);
        if let Ok(patterns) = IgnorePatterns::parse(text) {
            let _ = patterns.is_ignored("a/b/c.txt");
        }
    }
    match parse(source) {
        Err(error) => {
            assert!(error.span.is_none_or(|span| span.start <= span.end && span.end <= source.len()));
            let _ = error.render("Dockerfile", source);
        }
        Ok(dockerfile) => {
            let _ = check::check(&dockerfile, &check::Context::default());
            let Ok(globals) = Globals::new(&dockerfile, [], &lookup) else { return };
            let Ok(images) = globals.images(&dockerfile) else { return };
            let Ok(graph) = StageGraph::new(&dockerfile, &images) else { return };
            let _ = graph.reachable(0);
        }
    }
});
