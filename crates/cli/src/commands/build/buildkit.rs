//! What is said to BuildKit by build arguments of its own names, in CI mostly, and counts here as well.
//!
//! docker's reference of Dockerfiles, "`BuildKit` built-in build args".

use super::values::build_arguments;
use crate::error::Failure;
use wiac_build::dockerfile::own_arguments::{CHECK, INLINE_CACHE, KEEP_GIT_DIR};
use wiac_dockerfile::CheckOptions;

/// Whether the image's configuration shall say which steps made it, as with `--cache-to type=inline`.
pub(super) fn has_inline_cache(written: &[String]) -> Result<bool, Failure> {
    flag(written, INLINE_CACHE)
}

/// Whether a build context that is a git repository keeps its `.git`.
pub(super) fn keeps_git_dir(written: &[String]) -> Result<bool, Failure> {
    flag(written, KEEP_GIT_DIR)
}

/// What a build argument or else the environment says of checks; it counts instead of the Dockerfile.
pub(super) fn check_options(written: &[String]) -> Result<Option<CheckOptions>, Failure> {
    let given = build_arguments(written)?.remove(CHECK);
    let Some(text) = given.or_else(|| std::env::var(CHECK).ok()) else {
        return Ok(None);
    };
    wiac_dockerfile::check_options(&text)
        .map(Some)
        .map_err(|problem| Failure::usage(format!("{CHECK}: {problem}")))
}

fn flag(written: &[String], name: &str) -> Result<bool, Failure> {
    match build_arguments(written)?.get(name) {
        None => Ok(false),
        Some(text) => wiac_dockerfile::parse_bool(text)
            .ok_or_else(|| Failure::usage(format!("--build-arg {name}={text}: 1 or 0 is expected"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_go_s() {
        let written = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            has_inline_cache(&written(&["BUILDKIT_INLINE_CACHE=1"])).ok(),
            Some(true)
        );
        assert_eq!(
            has_inline_cache(&written(&["BUILDKIT_INLINE_CACHE=false"])).ok(),
            Some(false)
        );
        assert_eq!(has_inline_cache(&written(&["INLINE_CACHE=1"])).ok(), Some(false));
        assert_eq!(
            keeps_git_dir(&written(&["BUILDKIT_CONTEXT_KEEP_GIT_DIR=true"])).ok(),
            Some(true)
        );
        assert!(has_inline_cache(&written(&["BUILDKIT_INLINE_CACHE=yes"])).is_err());
    }
}
