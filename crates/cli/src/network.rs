//! `--network` of run and build.

use wiac_build::container::Network;

/// Reads `--network`.
pub(crate) fn parse(text: &str) -> Result<Network, String> {
    match text {
        // docker's word for what there is without the option.
        "host" | "default" => Ok(Network::Host),
        "none" => Ok(Network::None),
        "bridge" => Err("a network of its own isn't there yet: host and none are".to_owned()),
        _ => Err("the networks are host and none".to_owned()),
    }
}
