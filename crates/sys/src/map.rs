//! The hash map for what a command looks up again and again while it starts.

/// A map by a hash that is much cheaper than the standard library's, which no sender of keys can choose collisions for.
/// This one makes that hard, not impossible: it is for tables whose size is bounded otherwise, such as the files that
/// programs of one root need.
pub type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
