//! The client against servers: a misbehaving one of our own, and Debian's docker-registry, cross-checked with skopeo.

mod authentication;
mod connections;
mod debian;
mod debian_pull;
mod debian_push;
mod hostile_answers;
mod hostile_bodies;
mod hostile_odd;
mod hostile_uploads;
mod image;
mod lists;
mod mirrors;
mod redirects;
mod server;
mod settings;
mod tls;
mod token_service;
