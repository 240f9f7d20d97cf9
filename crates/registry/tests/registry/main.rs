//! The client against servers: a misbehaving one of our own, and Debian's docker-registry, cross-checked with skopeo.

mod authentication;
mod debian;
mod debian_pull;
mod hostile_answers;
mod hostile_bodies;
mod image;
mod redirects;
mod server;
mod settings;
mod tls;
