//! Lists that registries give.
