//! Runtime configuration → plan of steps → process: the engine that `wiac run` and the steps of a build share, and
//! over which an OCI runtime's command line can be a thin layer.
//!
//! A caller makes a [`plan::Plan`] from an OCI [`RuntimeConfig`](wiac_oci::runtime::RuntimeConfig) and a
//! [`plan::Rootfs`], then either runs it in one go ([`container::Container::run`]) or keeps create apart from start.
//! This crate knows no images and no store, and never prints.

pub mod attach;
mod child;
pub mod container;
mod default_filter;
pub mod error;
mod inlet;
pub mod io;
mod monitor;
mod outlet;
pub mod plan;
pub mod protocol;
pub mod seccomp;
pub mod shell;
mod target;
pub mod user_namespace;
pub mod view;

pub use container::{Container, ContainerRoot, Ended};
pub use error::Error;
pub use plan::Plan;
