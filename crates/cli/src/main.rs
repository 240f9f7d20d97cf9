//! The wiac command.
fn main() {}
