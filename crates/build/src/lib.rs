//! Instructions and cache to layers to an image; bundle.
