//! x
use super::*;
/// x
pub fn copy_into_layer() {}
