//! `wiac tags` and `wiac search`: what a registry has.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::registry::RegistryOptions;
use clap::Args;
use serde_json::json;
use wiac_oci::reference::Reference;

/// Repositories that a search shows at most, unless told otherwise.
const MOST: usize = 100;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A repository, such as registry.example/app
    #[arg(value_name = "NAME")]
    name: String,
    /// json: an object with the repository and its tags
    #[arg(long, value_name = "json")]
    format: Option<String>,
    #[command(flatten)]
    registry: RegistryOptions,
}

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// REGISTRY, or REGISTRY/PART: repositories with PART in their names
    #[arg(value_name = "REGISTRY[/PART]")]
    term: String,
    /// Show so many at most
    #[arg(long, value_name = "NUMBER", default_value_t = MOST)]
    limit: usize,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// Runs `tags`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let client = arguments.registry.client(rustix::process::geteuid().as_raw());
    let reference = meaning(&client.candidates(&arguments.name)?, &arguments.name)?;
    // Not every registry sorts them, as the specification asks.
    let mut tags = client.tags(&reference)?;
    tags.sort();
    match arguments.format.as_deref() {
        None => tags.iter().for_each(|tag| println!("{tag}")),
        Some("json") => println!("{:#}", json!({ "Repository": reference.name(), "Tags": tags })),
        Some(other) => return Err(Failure::usage(format!("--format {other}: json is expected"))),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `search`.
pub(crate) fn search(arguments: &SearchArguments) -> Result<ExitCode, Failure> {
    let (registry, part) = arguments.term.split_once('/').unwrap_or((&arguments.term, ""));
    let is_hub = matches!(registry, "docker.io" | "index.docker.io");
    if is_hub || !registry.contains(['.', ':']) && registry != "localhost" {
        return Err(Failure::usage(format!(
            "{}: name the registry first, such as registry.example/{}; docker.io has no list of its repositories",
            arguments.term,
            if is_hub { part } else { arguments.term.as_str() },
        )));
    }
    let client = arguments.registry.client(rustix::process::geteuid().as_raw());
    for repository in client.catalog(registry, part, arguments.limit)? {
        println!("{registry}/{repository}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The first meaning of a written name.
pub(crate) fn meaning(candidates: &[Reference], name: &str) -> Result<Reference, Failure> {
    candidates
        .first()
        .cloned()
        .ok_or_else(|| Failure::new(format!("{name}: it isn't known which registry is meant; write it out")))
}
