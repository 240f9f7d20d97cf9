//! Build arguments of `BuildKit`'s that a build heeds although no ARG declares them.

/// Checks, as `# check=` has them.
pub const CHECK: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// The image's configuration says which steps made it.
pub const INLINE_CACHE: &str = "BUILDKIT_INLINE_CACHE";

/// A build context that is a git repository keeps its `.git`.
pub const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

/// All of them.
pub(super) const ALL: [&str; 3] = [CHECK, INLINE_CACHE, KEEP_GIT_DIR];
