//! Checks of FROM: its variables, its platform, its image.

use super::{Context, Report, Rule};
use crate::expand::Expanded;
use crate::model::{Dockerfile, Stage, Word};
use crate::stages::Globals;
use wiac_suggest::nearest;

pub(super) fn check(dockerfile: &Dockerfile, context: &Context, report: &mut Report<'_>) {
    let automatic = || context.automatic.clone();
    if let Ok(defaults) = Globals::new(dockerfile, automatic(), &|_| None) {
        for stage in &dockerfile.stages {
            valid_by_default(stage, &defaults, report);
        }
    }
    let Ok(globals) = Globals::new(dockerfile, automatic(), &|name| context.build_args.get(name).cloned()) else {
        return;
    };
    let declared = dockerfile.global_args.iter().flat_map(|arg| &arg.kind.definitions);
    let mut known: Vec<&str> = declared.map(|definition| definition.name.as_str()).collect();
    known.extend(globals.iter().map(|(name, _)| name));
    for stage in &dockerfile.stages {
        if let Ok(image) = globals.image(stage) {
            declared_arguments(stage, &stage.from.image, &image, &known, report);
        }
        if let (Some(word), Ok(Some(platform))) = (&stage.from.platform, globals.platform(stage)) {
            declared_arguments(stage, word, &platform, &known, report);
            asked_platform(stage, word, &platform, &globals, report);
        }
    }
}

fn valid_by_default(stage: &Stage, defaults: &Globals, report: &mut Report<'_>) {
    let word = &stage.from.image;
    let valid = match defaults.image(stage) {
        Ok(image) => is_reference(&image.text),
        Err(error) => !matches!(error.kind, crate::ErrorKind::BlankBase { .. }),
    };
    if !valid {
        let message = format!("without build arguments {:?} is not a valid image", word.text);
        report.add(Rule::InvalidDefaultArgInFrom, &stage.skip_checks, word.span, message);
    }
}

fn declared_arguments(stage: &Stage, word: &Word, expanded: &Expanded, known: &[&str], report: &mut Report<'_>) {
    for name in expanded.undefined.iter().filter(|name| !known.contains(&name.as_str())) {
        let suggestion = nearest(name, known.iter().copied()).map(|name| format!(" (did you mean {name}?)"));
        let message = format!(
            "the argument {name} is not declared before FROM{}",
            suggestion.unwrap_or_default()
        );
        report.add(Rule::UndefinedArgInFrom, &stage.skip_checks, word.span, message);
    }
}

fn asked_platform(stage: &Stage, word: &Word, platform: &Expanded, globals: &Globals, report: &mut Report<'_>) {
    let only_target = platform.undefined.is_empty() && platform.used.iter().eq(["TARGETPLATFORM"]);
    if only_target && globals.get("TARGETPLATFORM") == Some(&platform.text) {
        let message = format!("{} is the platform FROM uses anyway", word.text);
        report.add(Rule::RedundantTargetPlatform, &stage.skip_checks, word.span, message);
    }
    if !platform.used.is_empty() || !platform.undefined.is_empty() {
        return;
    }
    let name = stage.name.as_deref().unwrap_or_default();
    let mut parts = platform.text.split('/').take(2);
    if !parts.any(|part| name.contains(part)) {
        let message = format!("the platform is fixed as {:?}", platform.text);
        report.add(
            Rule::FromPlatformFlagConstDisallowed,
            &stage.skip_checks,
            word.span,
            message,
        );
    }
}

/// What stands before a base that isn't an image's name alone: a bundle, an image in another tool's store or in files.
const ELSEWHERE: [&str; 8] = [
    "bundle://",
    "containers-storage:",
    "docker-storage:",
    "docker://",
    "oci:",
    "oci-archive:",
    "docker-archive:",
    "dir:",
];

/// Whether the text has the form of an image's name, or names something else that can be a base.
fn is_reference(text: &str) -> bool {
    if ELSEWHERE.iter().any(|prefix| text.starts_with(prefix)) {
        return true;
    }
    let (name, digest) = text
        .split_once('@')
        .map_or((text, None), |(name, digest)| (name, Some(digest)));
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let colon = name[slash..].find(':').map(|at| slash + at);
    let (name, tag) = colon.map_or((name, None), |at| (&name[..at], Some(&name[at + 1..])));
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let good_tag = tag.is_none_or(|tag| (1..=128).contains(&tag.len()) && tag.chars().all(is_word));
    let good_digest = digest.is_none_or(|digest| digest.split_once(':').is_some_and(|(_, hex)| hex.len() >= 32));
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => name,
    };
    good_tag && good_digest && path.split('/').all(is_path_component)
}

fn is_path_component(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
    edge(part.chars().next()) && edge(part.chars().next_back()) && part.chars().all(inner)
}
