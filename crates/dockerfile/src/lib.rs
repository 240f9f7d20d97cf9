//! The Dockerfile language: text to positioned instructions to stages; pure.
//!
//! [`parse`] takes the bytes of a file and gives a [`Dockerfile`] whose words are as written. [`expand`] replaces
//! variables, [`stages`] finds what a target needs, [`ignore`] reads `.dockerignore`, [`glob`] matches the sources of
//! COPY, and [`check`] finds what is no error but better done otherwise. Nothing here touches a file or prints.

pub mod check;
pub mod expand;
pub mod glob;
pub mod ignore;
pub mod instruction;
pub mod remote;
pub mod stages;

mod csv;
mod directives;
mod duration;
mod error;
mod excerpt;
mod flags;
mod heredoc;
mod json;
mod lines;
mod model;
mod parse;
mod span;
mod text;

pub use directives::{check_options, parse_bool};
pub use error::{Error, ErrorKind, unset_hint};
pub use excerpt::{excerpt, sanitise};
pub use instruction::{
    Add, Arg, ArgDefinition, Check, Command, Copy, CopySource, Device, Env, HealthCheck, Kind, Label, Mount,
    MountField, Network, OnBuild, Pair, Run, RunMount, Script, Security, Sharing, Transfer,
};
pub use model::{
    CheckOptions, CheckSet, Directives, Dockerfile, From, Heredoc, Instruction, Stage, Warning, WarningKind, Word,
};
pub use parse::{parse, parse_trigger};
pub use span::Span;
