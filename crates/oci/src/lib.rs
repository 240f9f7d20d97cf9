//! OCI documents: image and runtime configuration, references, digests; pure.
//!
//! Nothing here reads a disk or calls the kernel: text and structs go in, structs and text come out.
//!
//! | module | what it holds | specification |
//! |---|---|---|
//! | [`digest`] | `Digest` and the names made of digests: `DiffId`, `ChainId`, `ImageId` | image-spec, descriptor.md, config.md |
//! | [`mod@reference`] | `host/repository:tag@digest` | distribution-spec; docker's defaults |
//! | [`manifest`] | descriptors, manifests, indexes, the image layout | image-spec, manifest.md, image-index.md |
//! | [`manifest_kind`] | the same manifest as OCI and docker write it | docker: manifest-v2-2.md |
//! | [`image`] | the image configuration with docker's extensions | image-spec, config.md |
//! | [`build_cache`] | which steps made which layers | our own |
//! | [`runtime`] | the runtime configuration (`config.json`) | runtime-spec 1.2, config.md, config-linux.md |
//! | [`capability`] | the names of Linux capabilities, added and dropped | capabilities(7) |
//! | [`user`] | the user of an image, looked up in passwd and group | docker's and runc's rules |
//! | [`paths`] | paths in JSON, also those that aren't UTF-8 | |
//! | [`convert`] | image configuration + overrides → runtime configuration | image-spec, conversion.md |

pub mod build_cache;
pub mod capability;
pub mod convert;
pub mod digest;
pub mod image;
mod lenient;
pub mod manifest;
pub mod manifest_kind;
pub mod paths;
pub mod platform;
pub mod reference;
pub mod runtime;
pub mod time;
pub mod user;

/// Fields of a JSON object that this crate has no name for; they are kept and written back.
pub type Extra = serde_json::Map<String, serde_json::Value>;
