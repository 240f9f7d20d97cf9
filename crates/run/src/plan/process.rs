//! The process of a plan: limits, user, capabilities, filter, program.

use super::make::{c_string, invalid};
use super::step::{Capabilities, Credentials, Exec, Step};
use super::{SeccompChoice, Settings};
use crate::default_filter::default_filter;
use crate::error::Error;
use crate::seccomp;
use std::ffi::CString;
use wiac_oci::capability;
use wiac_oci::runtime::{DEFAULT_PATH, Linux, Process, Rlimit, RuntimeConfig};
use wiac_sys::process::CStringArray;

/// Resource names in the order of the kernel's numbers (getrlimit(2)).
const RESOURCES: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

pub(super) fn resource_limit(limit: &Rlimit) -> Result<Step, Error> {
    let number = RESOURCES
        .iter()
        .position(|name| *name == limit.kind)
        .ok_or_else(|| invalid(format!("unknown resource limit {:?}", limit.kind)))?;
    let resource = u32::try_from(number).unwrap_or_default();
    Ok(Step::ResourceLimit {
        resource,
        soft: limit.soft,
        hard: limit.hard,
        name: RESOURCES[number],
    })
}

/// The bits of capabilities by name. Unknown names are left out, as the runtime specification asks.
fn mask(names: &[String]) -> u64 {
    names
        .iter()
        .filter_map(|name| capability::number(name))
        .fold(0, |mask, number| mask | 1 << number)
}

/// Whether the container's processes can have CAP_MKNOD.
pub(super) fn may_make_devices(config: &RuntimeConfig) -> bool {
    let process = config.process.as_ref();
    process
        .and_then(|process| process.capabilities.as_ref())
        .is_some_and(|sets| {
            let names = sets.bounding.iter().chain(&sets.permitted);
            names.into_iter().any(|name| name == "CAP_MKNOD")
        })
}

/// The capability sets of the process. What this process itself lacks, as in a container of another runtime, nobody can
/// hand on: the program goes without, as the kernel would have it for any child.
pub(super) fn capabilities(process: &Process) -> Result<Capabilities, Error> {
    let Some(sets) = &process.capabilities else {
        return Ok(Capabilities::default());
    };
    let sets = Capabilities {
        bounding: mask(&sets.bounding),
        effective: mask(&sets.effective),
        permitted: mask(&sets.permitted),
        inheritable: mask(&sets.inheritable),
        ambient: mask(&sets.ambient),
    };
    if sets.effective & !sets.permitted != 0 {
        return Err(invalid("a capability is to be effective but isn't permitted"));
    }
    if sets.ambient & !(sets.permitted & sets.inheritable) != 0 {
        return Err(invalid(
            "a capability is to be ambient but isn't both permitted and inheritable",
        ));
    }
    let own = rustix::thread::capabilities(None).map_or(u64::MAX, |own| own.permitted.bits());
    Ok(Capabilities {
        bounding: sets.bounding,
        effective: sets.effective & own,
        permitted: sets.permitted & own,
        inheritable: sets.inheritable & own,
        ambient: sets.ambient & own,
    })
}

pub(super) fn credentials(process: &Process, settings: &Settings) -> Result<Credentials, Error> {
    let user = &process.user;
    let Some(namespace) = &settings.user_namespace else {
        return Ok(Credentials {
            uid: user.uid,
            gid: user.gid,
            groups: Some(user.additional_gids.clone()),
        });
    };
    if !namespace.has_user(user.uid) || !namespace.has_group(user.gid) {
        return Err(invalid(format!(
            "user {}:{} has no id in the user namespace, which {}; {}",
            user.uid,
            user.gid,
            namespace.describe(),
            namespace.remedy(),
        )));
    }
    let groups = user
        .additional_gids
        .iter()
        .copied()
        .filter(|&gid| namespace.has_group(gid))
        .collect();
    Ok(Credentials {
        uid: user.uid,
        gid: user.gid,
        groups: namespace.may_set_groups().then_some(groups),
    })
}

pub(super) fn seccomp(linux: &Linux, bounding: u64, settings: &Settings) -> Result<Option<Step>, Error> {
    let failed = |error: seccomp::Error| Error::Seccomp(error.to_string());
    let (program, flags) = match (settings.seccomp, &linux.seccomp) {
        (SeccompChoice::Default, _) => default_filter(bounding).map_err(failed)?,
        (SeccompChoice::FromConfig, None) => return Ok(None),
        (SeccompChoice::FromConfig, Some(profile)) => {
            let compiled = seccomp::compile(profile).map_err(failed)?;
            if compiled.notify {
                return Err(Error::Seccomp(
                    "a profile that notifies a listener isn't there yet".to_owned(),
                ));
            }
            (compiled.instructions.into(), compiled.flags)
        }
    };
    Ok(Some(Step::Seccomp { program, flags }))
}

pub(super) fn exec(process: &Process) -> Result<Step, Error> {
    let name = process.args.first().ok_or_else(|| invalid("no command to start"))?;
    if name.is_empty() {
        return Err(invalid("the command is an empty string"));
    }
    let strings = |what: &str, items: &[String]| {
        CStringArray::new(items).map_err(|_| invalid(format!("{what} contains a NUL byte")))
    };
    Ok(Step::Exec(Exec {
        candidates: candidates(name, &process.env)?,
        arguments: strings("the command", &process.args)?,
        environment: strings("the environment", &process.env)?,
    }))
}

/// A name with a slash is a path; any other is looked for in the directories of the container's PATH.
fn candidates(name: &str, environment: &[String]) -> Result<Vec<CString>, Error> {
    if name.contains('/') {
        return Ok(vec![c_string("the command", name)?]);
    }
    let path = environment
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH);
    path.split(':')
        .map(|directory| if directory.is_empty() { "." } else { directory })
        .map(|directory| c_string("the command", format!("{}/{name}", directory.trim_end_matches('/'))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_for_in_path() {
        let env = ["PATH=/usr/bin:/bin/::/".to_owned()];
        let found = candidates("ls", &env).expect("no NUL");
        assert_eq!(
            found,
            [
                c"/usr/bin/ls".into(),
                c"/bin/ls".into(),
                c"./ls".into(),
                CString::from(c"/ls")
            ]
        );
        assert_eq!(candidates("./x/ls", &env).expect("no NUL"), [CString::from(c"./x/ls")]);
    }

    #[test]
    fn a_limit_has_its_number() {
        let limit = Rlimit {
            kind: "RLIMIT_NOFILE".into(),
            soft: 1,
            hard: 2,
        };
        assert!(matches!(
            resource_limit(&limit),
            Ok(Step::ResourceLimit { resource: 7, .. })
        ));
        assert!(
            resource_limit(&Rlimit {
                kind: "RLIMIT_X".into(),
                ..limit
            })
            .is_err()
        );
    }
}
