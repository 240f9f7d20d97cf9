//! `wiac referrers`: what refers to an image in its registry: signatures, attestations, bills of materials.

use super::tags::meaning;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::format;
use crate::registry::RegistryOptions;
use clap::Args;
use serde_json::json;
use wiac_oci::manifest::Descriptor;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// An image in a registry
    #[arg(value_name = "NAME")]
    name: String,
    /// Only those of this type
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,
    /// json: the descriptors, as the registry has them
    #[arg(long, value_name = "json")]
    format: Option<String>,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let client = arguments.registry.client(rustix::process::geteuid().as_raw());
    let reference = meaning(&client.candidates(&arguments.name)?, &arguments.name)?.with_default_tag();
    let digest = match reference.digest() {
        Some(digest) => digest.clone(),
        // Not only the registry's word: what refers to it refers to what it is.
        None => client.manifest(&reference)?.descriptor.digest,
    };
    let found = client.referrers(&reference, &digest, arguments.artifact_type.as_deref())?;
    match arguments.format.as_deref() {
        Some("json") => println!("{:#}", json!({ "digest": digest, "manifests": found })),
        Some(other) => return Err(Failure::usage(format!("--format {other}: json is expected"))),
        None => found.iter().for_each(|one| println!("{}", line(one))),
    }
    Ok(ExitCode::SUCCESS)
}

/// The digest, the type and the size of a referrer.
fn line(one: &Descriptor) -> String {
    let kind = one.artifact_type.as_deref().unwrap_or(&one.media_type);
    format!("{}  {}  {}", one.digest, format::plain(kind), format::size(one.size))
}
