//! `--network` of run and build.

use wiac_build::container::Network;

/// Reads `--network`.
pub(crate) fn parse(text: &str) -> Result<Network, String> {
    match text {
        "host" => Ok(Network::Host),
        "none" => Ok(Network::None),
        "bridge" | "default" => Err("a network of its own isn't there yet: host and none are".to_owned()),
        _ => Err("the networks are host and none".to_owned()),
    }
}
