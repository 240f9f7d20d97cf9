//! The Dockerfile language: text to positioned instructions to stages; pure.
