//! What is known of a Dockerfile before anything is built: automatic arguments, the checks, arguments nobody declares.

use super::{Request, own_arguments, stage};
use crate::error::{Error, Result};
use wiac_dockerfile::check::{self, Finding};
use wiac_dockerfile::stages::Globals;
use wiac_dockerfile::{Dockerfile, Kind};
use wiac_oci::manifest::Platform;

/// The arguments that FROM knows without an ARG: dockerfile.md, "Automatic global".
pub(super) fn automatic_arguments(target: Option<&str>, platform: &Platform) -> Vec<(String, String)> {
    let mut arguments = Vec::new();
    for (side, platform) in [("TARGET", platform), ("BUILD", &Platform::host())] {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        arguments.push((format!("{side}PLATFORM"), platform.to_string()));
        arguments.push((format!("{side}OS"), platform.os.clone()));
        arguments.push((format!("{side}OSVERSION"), text(&platform.os_version)));
        arguments.push((format!("{side}ARCH"), platform.architecture.clone()));
        arguments.push((format!("{side}VARIANT"), text(&platform.variant)));
    }
    arguments.push(("TARGETSTAGE".to_owned(), target.unwrap_or("default").to_owned()));
    arguments
}

/// What the checks find, a line each; an error where the file or the caller says that findings are errors.
pub(super) fn check_first(
    request: &Request,
    dockerfile: &Dockerfile,
    automatic: &[(String, String)],
) -> Result<Vec<String>> {
    let context = check::Context {
        automatic: automatic.iter().cloned().collect(),
        build_args: request.build_args.clone(),
        options: request.check.clone(),
        ..check::Context::default()
    };
    let options = request.check.as_ref().unwrap_or(&dockerfile.directives.check);
    let findings = check::check(dockerfile, &context);
    match findings.first() {
        Some(first) if options.error => Err(Error::wrong_with_hint(
            format!(
                "{} [{}], and check=error=true makes that an error",
                first.message,
                first.rule.name()
            ),
            "wiac build --check shows all that is found",
        )
        .at(first.span)),
        _ => {
            let line = |finding: &check::Finding| {
                let Finding { rule, message, span } = finding;
                format!("line {}: {message} [{}]", span.first_line, rule.name())
            };
            Ok(findings.iter().map(line).collect())
        }
    }
}

/// A warning of build arguments that no ARG declares.
pub(super) fn unused_arguments(request: &Request, dockerfile: &Dockerfile, globals: &Globals) -> Option<String> {
    let stages = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
    let declared = stages.filter_map(|instruction| match &instruction.kind {
        Kind::Arg(arg) => Some(arg),
        _ => None,
    });
    let all = declared.chain(dockerfile.global_args.iter().map(|arg| &arg.kind));
    let names: Vec<&str> = all
        .flat_map(|arg| &arg.definitions)
        .map(|d| d.name.text.as_str())
        .collect();
    let is_unused = |name: &str| {
        let is_heeded = stage::is_proxy(name) || own_arguments::ALL.contains(&name) || globals.get(name).is_some();
        !names.contains(&name) && !is_heeded
    };
    let given = request.build_args.keys().map(String::as_str);
    let unused: Vec<&str> = given.filter(|name| is_unused(name)).collect();
    (!unused.is_empty()).then(|| {
        format!(
            "no ARG declares the build argument{} {}",
            if unused.len() > 1 { "s" } else { "" },
            unused.join(", ")
        )
    })
}
