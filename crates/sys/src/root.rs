//! In-root path resolution.
