//! wiac as its users see it: the binary, started on real directories, as root and as ordinary users.
//!
//! Run them as root with `cargo xtask test`, which also makes the users and installs the programs that the tests
//! need. `WIAC_BIN` names another binary, `WIAC_TEST_DIR` another place for the tests' directories. A test never
//! skips: what it needs and doesn't find is what it fails with.

mod harness;

mod bad_input;
mod build;
mod bundling;
mod chroot_article;
mod copying;
mod dry_run;
mod foreign;
mod image;
mod isolation;
mod kernel;
mod killing;
mod layers_article;
mod overlay;
mod registry;
mod rootless;
mod store;
mod terminal;
mod transfer;
