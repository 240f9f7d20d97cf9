//! References to verified streams and back: what registries are asked over the network.
//!
//! | module | what it holds | specification |
//! |---|---|---|
//! | `client` | [`Client`]: manifests, blobs, uploads, tags, referrers, login | OCI distribution-spec 1.1 |
//! | `download` | files of the web, which ADD and build contexts name | RFC 9110 |
//! | [`settings`] | where configuration lies, how patient a transfer is | |
//! | [`credentials`] | who we are to a registry: auth.json, docker's config.json, credential helpers | containers-auth.json(5) |
//! | `config` | registries.conf, certs.d, hosts.toml, policy.json | containers-registries.conf(5) and others |
//! | `auth` | basic and token authentication | distribution: auth/token, auth/oauth |
//! | `http` | connections, names, certificates, redirects, patience with slow servers | RFC 9110, 9112 |
//!
//! Nothing here knows of our store. Everything a server sends is bounded: headers, documents, times, redirects and
//! the number of tries. No file, resolver or certificate is touched before the first transfer begins.

mod auth;
mod blob;
mod client;
mod config;
pub mod credentials;
mod download;
mod ending;
mod error;
mod http;
mod list;
mod login;
mod manifest;
mod publish;
mod referrers;
mod session;
pub mod settings;
mod upload;

pub use blob::Blob;
pub use client::Client;
pub use download::{Download, Validators, WebFile};
pub use ending::{Begun, Ender, Ending};
pub use error::{Error, Kind, Result};
pub use manifest::Fetched;
pub use settings::Settings;
pub use upload::Source;
