//! A table of files and what the checks find in them.

use super::*;
use crate::{check_options, parse};

/// The findings as `Rule@line`, in order.
fn found(source: &str, context: &Context) -> String {
    let dockerfile = parse(source.as_bytes()).unwrap();
    let findings = check(&dockerfile, context);
    let text = |finding: &Finding| format!("{}@{}", finding.rule.name(), finding.span.first_line);
    findings.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_check_finds_what_it_should() {
    for (source, expected) in [
        ("FROM scratch\nCOPY a /\nCMD [\"/a\"]\n", ""),
        ("FROM x AS Build\n", "StageNameCasing@1"),
        ("FROM x as build\n", "FromAsCasing@1"),
        ("from x as build\n", ""),
        ("FROM x\nRUN a \\\n\n b\n", "NoEmptyContinuation@3"),
        ("FROM x\nrun a\nRUN b\n", "ConsistentInstructionCasing@2"),
        ("from x\nRun a\nrun b\n", "ConsistentInstructionCasing@2"),
        ("FROM x AS a\nFROM y AS a\n", "DuplicateStageName@2"),
        ("FROM x AS scratch\n", "ReservedStageName@1"),
        (
            "FROM x\nCMD a\nENTRYPOINT a\n",
            "JSONArgsRecommended@2 JSONArgsRecommended@3",
        ),
        ("FROM x\nSHELL [\"a\"]\nCMD a\n", ""),
        ("FROM x\nMAINTAINER me\n", "MaintainerDeprecated@2"),
        (
            "ARG VERSION=1\nFROM x:$VERSIO\n",
            "InvalidDefaultArgInFrom@2 UndefinedArgInFrom@2",
        ),
        ("ARG V\nFROM x:$V\n", "InvalidDefaultArgInFrom@2"),
        ("ARG V=1\nFROM x:$V\n", ""),
        ("FROM containers-storage:[overlay@/var/store]localhost/x\n", ""),
        ("FROM docker-storage:x:1\n", ""),
        ("FROM oci-archive:/Some.tar:x:1\n", ""),
        ("FROM x\nWORKDIR a\nWORKDIR b\n", "WorkdirRelativePath@2"),
        ("FROM x\nWORKDIR /a\nWORKDIR b\n", ""),
        ("FROM scratch\nENV A=1\nCOPY $A $B /\n", "UndefinedVar@3"),
        ("FROM scratch\nARG B\nENV A=$B$PATH C=${D:-e}\n", "UndefinedVar@3"),
        ("FROM unknown\nCOPY $B /\n", ""),
        ("FROM known\nCOPY $HOME $B /\n", "UndefinedVar@2"),
        ("FROM scratch AS a\nENV X=1\nFROM a\nUSER $X\n", ""),
        ("FROM x\nCMD [\"a\"]\nCMD [\"b\"]\n", "MultipleInstructionsDisallowed@2"),
        (
            "FROM x\nENV a b\nLABEL c d\n",
            "LegacyKeyValueFormat@2 LegacyKeyValueFormat@3",
        ),
        ("FROM --platform=$TARGETPLATFORM x\n", "RedundantTargetPlatform@1"),
        ("FROM --platform=$BUILDPLATFORM x\n", ""),
        ("FROM --platform=linux/amd64 x\n", "FromPlatformFlagConstDisallowed@1"),
        ("FROM --platform=linux/amd64 x AS for-amd64\n", ""),
        (
            "FROM x\nARG API_TOKEN\nENV PUBLIC_KEY=1 KEYS=2 my_password=3\n",
            "SecretsUsedInArgOrEnv@2 SecretsUsedInArgOrEnv@3",
        ),
        (
            "FROM x\nEXPOSE 80/TCP 1.2.3.4:80:80\n",
            "ExposeProtoCasing@2 ExposeInvalidFormat@2",
        ),
        (
            "FROM scratch\nCOPY <<A <<'B' /d/\n$PATH $x\nA\n$x\nB\nADD <<C /e\n\\$x ${y:-1}\nC\n",
            "UndefinedVar@2 UndefinedVar@7",
        ),
        ("# other\nFROM x AS y\n", ""),
        (
            "# check=experimental=all\n# other\nFROM x AS y\n# z it is\nARG z\n",
            "InvalidDefinitionDescription@3",
        ),
        (
            "# check=skip=JSONArgsRecommended\nFROM x\nCMD a\nMAINTAINER b\n",
            "MaintainerDeprecated@4",
        ),
        ("# check=skip=all\nFROM x\nCMD a\n", ""),
        (
            "FROM x\n# check=skip=JSONArgsRecommended\nCMD a\nENTRYPOINT a\n",
            "JSONArgsRecommended@4",
        ),
    ] {
        let mut context = Context::default();
        let home = [("HOME".to_owned(), "/".to_owned())];
        context.base_environments.insert("known".to_owned(), home.into());
        assert_eq!(found(source, &context), expected, "{source}");
    }
}

#[test]
fn options_given_replace_those_of_the_file() {
    let source = "# check=skip=all\nFROM x\nCMD a\n";
    let context = Context {
        options: Some(check_options("").unwrap()),
        ..Context::default()
    };
    assert_eq!(found(source, &context), "JSONArgsRecommended@3");
}

#[test]
fn findings_are_drawn() {
    let source = "FROM x\nENV A=1 TOKEN=2\n";
    let dockerfile = parse(source.as_bytes()).unwrap();
    let findings = check(&dockerfile, &Context::default());
    let expected = "Dockerfile:2: warning: ENV should not hold a secret (\"TOKEN\") [SecretsUsedInArgOrEnv]\n\
                    2 | ENV A=1 TOKEN=2\n  |         ^^^^^\n";
    assert_eq!(findings[0].render("Dockerfile", source.as_bytes()), expected);
    assert_eq!(Rule::ALL.len(), 22);
}
