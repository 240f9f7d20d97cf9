//! Layers, images, names, locks and garbage on disk.
