//! Which stages a target needs, and which files are refused.

use super::*;
use crate::parse;

fn images(dockerfile: &Dockerfile) -> Vec<String> {
    let globals = Globals::new(dockerfile, [], &|_| None).unwrap();
    globals.images(dockerfile).unwrap()
}

fn reachable(source: &str, target: Option<&str>) -> Result<Vec<usize>, Error> {
    let dockerfile = parse(source.as_bytes()).unwrap();
    let graph = StageGraph::new(&dockerfile, &images(&dockerfile))?;
    graph.reachable(dockerfile.target(target)?)
}

const FILE: &str = "FROM a AS base\nFROM b AS tools\nFROM base AS build\nCOPY --from=TOOLS /x /y\n\
                    FROM c AS docs\nFROM scratch\nCOPY --from=2 / /\nRUN --mount=from=docs,target=/d true\n";

#[test]
fn targets_reach_what_they_need() {
    for (target, expected) in [
        (None, vec![0, 1, 2, 3, 4]),
        (Some("base"), vec![0]),
        (Some("Build"), vec![0, 1, 2]),
        (Some("docs"), vec![3]),
        (Some("2"), vec![0, 1, 2]),
    ] {
        assert_eq!(reachable(FILE, target).unwrap(), expected, "{target:?}");
    }
}

#[test]
fn unknown_targets_suggest() {
    let error = reachable(FILE, Some("biuld")).unwrap_err();
    assert_eq!(error.to_string(), "there is no stage \"biuld\" (did you mean build?)");
}

#[test]
fn references_must_point_backwards() {
    for (source, expected) in [
        (
            "FROM a AS x\nCOPY --from=x / /\n",
            "line 2: stages depend on each other: x → x",
        ),
        (
            "FROM a AS x\nCOPY --from=y / /\nFROM b AS y\nCOPY --from=x / /\n",
            "line 4: stages depend on each other: x → y → x",
        ),
        (
            "FROM a AS x\nCOPY --from=5 / /\n",
            "line 2: there is no stage 5: the Dockerfile has 1, counted from 0",
        ),
    ] {
        assert_eq!(reachable(source, None).unwrap_err().to_string(), expected, "{source}");
    }
    let forward = "FROM a AS x\nCOPY --from=y / /\nFROM b AS y\n";
    assert_eq!(reachable(forward, None).unwrap(), [1]);
    let error = reachable(forward, Some("x")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2: stage \"x\" uses stage \"y\", which is defined later"
    );
}

#[test]
fn bases_are_earlier_stages_or_images() {
    let dockerfile = parse(b"ARG B=two\nFROM two AS one\nFROM ONE AS two\nFROM $B\nFROM three AS three\n").unwrap();
    let graph = StageGraph::new(&dockerfile, &images(&dockerfile)).unwrap();
    let other = |name: &str| Source::Other(name.to_owned());
    let expected = [other("two"), Source::Stage(0), Source::Stage(1), other("three")];
    for (at, base) in expected.iter().enumerate() {
        assert_eq!(graph.base(at), base, "{at}");
    }
}

#[test]
fn recorded_instructions_need_stages_in_the_child() {
    let source = "FROM a AS tools\nFROM b AS base\nONBUILD COPY --from=tools / /\nFROM base\n";
    assert_eq!(reachable(source, None).unwrap(), [0, 1, 2]);
    assert_eq!(reachable(source, Some("base")).unwrap(), [1]);
}

#[test]
fn globals_take_automatic_values_and_build_arguments() {
    let dockerfile = parse(b"ARG A=1 B=$A-$TARGETARCH\nARG C\nFROM x$B\nFROM --platform=$P y\n").unwrap();
    let automatic = [("TARGETARCH".to_owned(), "arm64".to_owned())];
    let globals = Globals::new(&dockerfile, automatic, &|name| (name == "A").then(|| "2".to_owned())).unwrap();
    assert_eq!(globals.get("B"), Some("2-arm64"));
    assert_eq!(globals.get("C"), None);
    assert_eq!(globals.image(&dockerfile.stages[0]).unwrap().text, "x2-arm64");
    assert!(globals.platform(&dockerfile.stages[1]).is_err());
}
