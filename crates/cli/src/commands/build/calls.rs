//! `--call`: what a Dockerfile says of itself, without building it.

use super::buildkit;
use super::values::build_arguments;
use crate::error::Failure;
use crate::exit::ExitCode;
use std::collections::BTreeSet;
use wiac_dockerfile::check::{Context, check};
use wiac_dockerfile::stages::{Globals, StageGraph};
use wiac_dockerfile::{Dockerfile, Kind, Mount, sanitise};

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Call {
    /// Build, as without it
    Build,
    /// Find what is better done otherwise
    Check,
    /// Show the target's arguments, secrets and agents
    Outline,
    /// Show the stages
    Targets,
}

/// What is asked about.
pub(super) struct Asked<'a> {
    pub(super) file_name: &'a str,
    pub(super) text: &'a [u8],
    pub(super) target: Option<&'a str>,
    pub(super) build_args: &'a [String],
}

impl Asked<'_> {
    /// Answers on standard output.
    pub(super) fn answer(&self, call: Call) -> Result<ExitCode, Failure> {
        let dockerfile =
            wiac_dockerfile::parse(self.text).map_err(|error| Failure::new(error.render(self.file_name, self.text)))?;
        match call {
            Call::Build | Call::Check => self.check(&dockerfile),
            Call::Targets => Ok(Self::targets(&dockerfile)),
            Call::Outline => self.outline(&dockerfile),
        }
    }

    fn check(&self, dockerfile: &Dockerfile) -> Result<ExitCode, Failure> {
        let context = Context {
            build_args: build_arguments(self.build_args)?,
            options: buildkit::check_options(self.build_args)?,
            ..Context::default()
        };
        let findings = check(dockerfile, &context);
        if findings.is_empty() {
            println!("Check complete, no warnings found.");
            return Ok(ExitCode::SUCCESS);
        }
        let plural = if findings.len() == 1 { "" } else { "s" };
        println!("Check complete, {} warning{plural} found!", findings.len());
        for finding in &findings {
            print!("\n{}", finding.render(self.file_name, self.text));
        }
        Ok(ExitCode::FAILURE)
    }

    fn targets(dockerfile: &Dockerfile) -> ExitCode {
        let default = dockerfile.stages.len() - 1;
        println!("{:<24} DESCRIPTION", "TARGET");
        for stage in dockerfile.stages.iter().rev() {
            let name = stage.name.clone().unwrap_or_default();
            let name = match (name.is_empty(), stage.index == default) {
                (true, true) => "(default)".to_owned(),
                (true, false) => continue,
                (false, true) => format!("{name} (default)"),
                (false, false) => name,
            };
            println!(
                "{:<24} {}",
                sanitise(&name),
                sanitise(stage.doc.as_deref().unwrap_or_default())
            );
        }
        ExitCode::SUCCESS
    }

    fn outline(&self, dockerfile: &Dockerfile) -> Result<ExitCode, Failure> {
        let failed = |error: wiac_dockerfile::Error| Failure::new(error.render(self.file_name, self.text));
        let target = dockerfile.target(self.target).map_err(failed)?;
        let given = build_arguments(self.build_args)?;
        let lookup = |name: &str| given.get(name).cloned();
        let globals = Globals::new(dockerfile, Context::default().automatic, &lookup).map_err(failed)?;
        let images = globals.images(dockerfile).map_err(failed)?;
        let graph = StageGraph::new(dockerfile, &images).map_err(failed)?;
        let order = graph.reachable(target).map_err(failed)?;
        let stage = &dockerfile.stages[target];
        println!("TARGET:      {}", sanitise(stage.name.as_deref().unwrap_or("default")));
        if let Some(doc) = &stage.doc {
            println!("DESCRIPTION: {}", sanitise(doc));
        }
        let mut arguments: Vec<(String, String, String)> = Vec::new();
        let (mut secrets, mut agents) = (BTreeSet::new(), BTreeSet::new());
        let global = dockerfile.global_args.iter().map(|arg| &arg.kind);
        let local = order.iter().flat_map(|&index| &dockerfile.stages[index].instructions);
        let declared = local.clone().filter_map(|instruction| match &instruction.kind {
            Kind::Arg(arg) => Some(arg),
            _ => None,
        });
        for definition in global.chain(declared).flat_map(|arg| &arg.definitions) {
            let name = &definition.name.text;
            let default = definition
                .default
                .as_ref()
                .map(|word| word.text.clone())
                .unwrap_or_default();
            let value = given.get(name).cloned().unwrap_or(default);
            if !arguments.iter().any(|(known, ..)| known == name) {
                arguments.push((name.clone(), value, definition.doc.clone().unwrap_or_default()));
            }
        }
        for instruction in local {
            let Kind::Run(run) = &instruction.kind else { continue };
            let expander = wiac_dockerfile::expand::Expander::new(dockerfile.directives.escape, &lookup);
            for mount in run.mounts.iter().filter_map(|mount| mount.resolve(&expander).ok()) {
                match mount {
                    Mount::Secret { id, required, .. } => drop(secrets.insert((id, required))),
                    Mount::Ssh { id, required, .. } => drop(agents.insert((id, required))),
                    _ => {}
                }
            }
        }
        if !arguments.is_empty() {
            println!("\n{:<20} {:<24} DESCRIPTION", "BUILD ARG", "VALUE");
            for (name, value, doc) in &arguments {
                println!("{:<20} {:<24} {}", sanitise(name), sanitise(value), sanitise(doc));
            }
        }
        for (title, list) in [("SECRET", secrets), ("SSH", agents)] {
            if !list.is_empty() {
                println!("\n{title:<20} REQUIRED");
            }
            for (id, required) in list {
                println!("{:<20} {}", sanitise(&id), if required { "true" } else { "" });
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
