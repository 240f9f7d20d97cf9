//! Image configuration + what the user asks for → runtime configuration, by docker's rules.
//!
//! Image specification: conversion.md; where docker differs, docker counts.

use crate::capability::{self, UnknownCapability};
use crate::image::{ContainerConfig, ImageConfig};
use crate::runtime::{Capabilities, DEFAULT_PATH, Process, ProcessUser, RuntimeConfig};
use crate::user::{User, UserError, UserSpec};

/// What the user asks for on top of the image; the default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessOverrides {
    /// Another entrypoint; it also clears the image's command. Empty (or one empty text) for none at all.
    pub entrypoint: Option<Vec<String>>,
    /// Another command; empty for the image's.
    pub command: Vec<String>,
    /// Variables: `NAME=value` sets one, `NAME` alone takes it away. The last of a name wins.
    pub env: Vec<String>,
    /// Another user, in the image's syntax.
    pub user: Option<String>,
    /// Another working directory, absolute.
    pub workdir: Option<String>,
    /// True to give the process a terminal.
    pub terminal: bool,
    /// The host name inside; also the variable `HOSTNAME`.
    pub hostname: Option<String>,
    /// True if the container must not write to its rootfs.
    pub read_only: bool,
    /// True if exec must not grant privileges.
    pub no_new_privileges: bool,
    /// Capabilities in addition to docker's default; `ALL` for every one.
    pub cap_add: Vec<String>,
    /// Capabilities taken away; `ALL` for every one.
    pub cap_drop: Vec<String>,
}

/// Why no process can be made of an image and the user's wishes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Neither the image nor the user names a program.
    #[error("no command: the image has no ENTRYPOINT or CMD, and none was given")]
    NoCommand,
    /// A relative working directory.
    #[error("the working directory {0:?} must be an absolute path")]
    RelativeWorkdir(String),
    /// A variable without a name.
    #[error("the variable {0:?} has no name")]
    UnnamedVariable(String),
    /// A NUL character, which ends a text for the kernel.
    #[error("{0:?} contains a NUL character")]
    Nul(String),
    /// A user that can't be parsed.
    #[error(transparent)]
    User(#[from] UserError),
    /// A name that is no capability.
    #[error(transparent)]
    Capability(#[from] UnknownCapability),
}

/// The user to look up with [`crate::user::lookup_user`]: the user's choice, or the image's, or root.
///
/// # Errors
/// [`ConvertError::User`] for text that is no user.
pub fn user_spec(image: &ImageConfig, overrides: &ProcessOverrides) -> Result<UserSpec, ConvertError> {
    Ok(overrides.user.as_deref().unwrap_or(&image.config.user).parse()?)
}

/// docker's default container with the process that the image and the user ask for. The rootfs's path is left to
/// the caller.
///
/// # Errors
/// As [`process`].
pub fn container(
    image: &ImageConfig,
    overrides: &ProcessOverrides,
    user: &User,
) -> Result<RuntimeConfig, ConvertError> {
    let mut config = RuntimeConfig::default_container();
    config.process = Some(process(image, overrides, user)?);
    config.hostname.clone_from(&overrides.hostname);
    if let Some(root) = &mut config.root {
        root.readonly = overrides.read_only;
    }
    Ok(config)
}

/// The process: arguments, environment, working directory, user and capabilities. `user` is what
/// [`crate::user::lookup_user`] found for [`user_spec`].
///
/// # Errors
/// See [`ConvertError`].
pub fn process(image: &ImageConfig, overrides: &ProcessOverrides, user: &User) -> Result<Process, ConvertError> {
    let names = capability::adjust(&overrides.cap_add, &overrides.cap_drop)?;
    Ok(Process {
        terminal: overrides.terminal,
        user: ProcessUser {
            uid: user.uid,
            gid: user.gid,
            additional_gids: user.additional_gids.clone(),
            ..ProcessUser::default()
        },
        args: args(&image.config, overrides)?,
        env: env(&image.config, overrides, user)?,
        cwd: cwd(&image.config, overrides)?,
        capabilities: Some(Capabilities::for_user(user.uid, &names)),
        no_new_privileges: overrides.no_new_privileges,
        ..Process::default()
    })
}

/// Entrypoint and command: an entrypoint given clears the image's command, a command given replaces it.
///
/// # Errors
/// [`ConvertError::NoCommand`], [`ConvertError::Nul`].
pub fn args(image: &ContainerConfig, overrides: &ProcessOverrides) -> Result<Vec<String>, ConvertError> {
    let (entrypoint, default_command) = match &overrides.entrypoint {
        Some(entrypoint) if matches!(entrypoint.as_slice(), [only] if only.is_empty()) => (&[][..], &[][..]),
        Some(entrypoint) => (entrypoint.as_slice(), &[][..]),
        None => (or_empty(image.entrypoint.as_ref()), or_empty(image.cmd.as_ref())),
    };
    let command = if overrides.command.is_empty() {
        default_command
    } else {
        &overrides.command
    };
    let args: Vec<String> = entrypoint.iter().chain(command).cloned().collect();
    if args.is_empty() {
        return Err(ConvertError::NoCommand);
    }
    args.iter().try_for_each(|arg| check_nul(arg))?;
    Ok(args)
}

fn or_empty(list: Option<&Vec<String>>) -> &[String] {
    list.map_or(&[], Vec::as_slice)
}

/// The environment: docker's own variables, the image's, the user's; the last of a name wins and keeps the place of
/// the first. `HOME` comes from `user` unless it is set.
///
/// # Errors
/// [`ConvertError::UnnamedVariable`], [`ConvertError::Nul`].
pub fn env(image: &ContainerConfig, overrides: &ProcessOverrides, user: &User) -> Result<Vec<String>, ConvertError> {
    let mut env = vec![format!("PATH={DEFAULT_PATH}")];
    if let Some(hostname) = &overrides.hostname {
        env.push(format!("HOSTNAME={hostname}"));
    }
    if overrides.terminal {
        env.push("TERM=xterm".to_owned());
    }
    for variable in image.env.iter().chain(&overrides.env) {
        check_nul(variable)?;
        set_variable(&mut env, variable)?;
    }
    if !env
        .iter()
        .any(|variable| variable.strip_prefix("HOME=").is_some_and(|home| !home.is_empty()))
    {
        set_variable(&mut env, &format!("HOME={}", user.home))?;
    }
    Ok(env)
}

/// Sets one variable in a list (`NAME=value`), or takes it away (`NAME`).
///
/// # Errors
/// [`ConvertError::UnnamedVariable`] for `=value` and the empty text.
pub fn set_variable(env: &mut Vec<String>, variable: &str) -> Result<(), ConvertError> {
    let (name, value) = variable
        .split_once('=')
        .map_or((variable, None), |(name, value)| (name, Some(value)));
    if name.is_empty() {
        return Err(ConvertError::UnnamedVariable(variable.to_owned()));
    }
    let has_name = |entry: &String| entry.split_once('=').is_some_and(|(other, _)| other == name);
    match (env.iter().position(has_name), value) {
        (Some(place), Some(_)) => variable.clone_into(&mut env[place]),
        (Some(place), None) => drop(env.remove(place)),
        (None, Some(_)) => env.push(variable.to_owned()),
        (None, None) => {}
    }
    Ok(())
}

/// The working directory: the user's choice, the image's (relative ones count from `/`), or `/`.
fn cwd(image: &ContainerConfig, overrides: &ProcessOverrides) -> Result<String, ConvertError> {
    if let Some(workdir) = &overrides.workdir {
        check_nul(workdir)?;
        if !workdir.starts_with('/') {
            return Err(ConvertError::RelativeWorkdir(workdir.clone()));
        }
        return Ok(workdir.clone());
    }
    check_nul(&image.working_dir)?;
    let rooted = image.working_dir.starts_with('/');
    Ok(if rooted {
        image.working_dir.clone()
    } else {
        format!("/{}", image.working_dir)
    })
}

fn check_nul(text: &str) -> Result<(), ConvertError> {
    if text.contains('\0') {
        Err(ConvertError::Nul(text.to_owned()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    fn image(entrypoint: Option<&[&str]>, cmd: Option<&[&str]>) -> ContainerConfig {
        ContainerConfig {
            entrypoint: entrypoint.map(strings),
            cmd: cmd.map(strings),
            ..ContainerConfig::default()
        }
    }

    fn asked(entrypoint: Option<&[&str]>, command: &[&str]) -> ProcessOverrides {
        ProcessOverrides {
            entrypoint: entrypoint.map(strings),
            command: strings(command),
            ..ProcessOverrides::default()
        }
    }

    #[test]
    fn entrypoint_and_command() {
        let both = image(Some(&["e"]), Some(&["c"]));
        let cases: [(&ContainerConfig, ProcessOverrides, &[&str]); 8] = [
            (&both, asked(None, &[]), &["e", "c"]),
            (&both, asked(None, &["x", "y"]), &["e", "x", "y"]),
            (&both, asked(Some(&["n"]), &[]), &["n"]),
            (&both, asked(Some(&["n"]), &["x"]), &["n", "x"]),
            (&both, asked(Some(&[""]), &["x"]), &["x"]),
            (&both, asked(Some(&[]), &["x"]), &["x"]),
            (&image(None, Some(&["c"])), asked(None, &[]), &["c"]),
            (&image(Some(&["e"]), None), asked(None, &[]), &["e"]),
        ];
        for (image, overrides, expected) in cases {
            assert_eq!(args(image, &overrides).unwrap(), expected, "{overrides:?}");
        }
        assert_eq!(args(&both, &asked(Some(&[""]), &[])), Err(ConvertError::NoCommand));
        assert_eq!(
            args(&image(None, None), &asked(None, &[])),
            Err(ConvertError::NoCommand)
        );
    }

    fn environment(image_env: &[&str], overrides: &ProcessOverrides) -> Vec<String> {
        let image = ContainerConfig {
            env: strings(image_env),
            ..ContainerConfig::default()
        };
        env(
            &image,
            overrides,
            &User {
                home: "/root".to_owned(),
                ..User::root()
            },
        )
        .unwrap()
    }

    #[test]
    fn variables_are_merged_in_order() {
        let mut overrides = ProcessOverrides {
            hostname: Some("box".to_owned()),
            ..ProcessOverrides::default()
        };
        overrides.env = strings(&["B=3", "C=4", "GONE", "E"]);
        let env = environment(&["PATH=/bin", "A=1", "B=2", "GONE=1"], &overrides);
        assert_eq!(env, ["PATH=/bin", "HOSTNAME=box", "A=1", "B=3", "C=4", "HOME=/root"]);
    }

    #[test]
    fn defaults_where_nothing_is_set() {
        let overrides = ProcessOverrides {
            terminal: true,
            ..ProcessOverrides::default()
        };
        let path = format!("PATH={DEFAULT_PATH}");
        assert_eq!(
            environment(&[], &overrides),
            [path.as_str(), "TERM=xterm", "HOME=/root"]
        );
        assert_eq!(
            environment(&["TERM=dumb", "HOME=/h"], &overrides),
            [path.as_str(), "TERM=dumb", "HOME=/h"]
        );
        assert_eq!(
            environment(&["HOME="], &overrides),
            [path.as_str(), "TERM=xterm", "HOME=/root"]
        );
    }

    #[test]
    fn bad_texts_are_refused() {
        let with_env = |text: &str| {
            let overrides = ProcessOverrides {
                env: strings(&[text]),
                ..ProcessOverrides::default()
            };
            env(&ContainerConfig::default(), &overrides, &User::root()).unwrap_err()
        };
        assert_eq!(with_env("=x"), ConvertError::UnnamedVariable("=x".to_owned()));
        assert_eq!(with_env("A=\0"), ConvertError::Nul("A=\0".to_owned()));
        let in_directory = |workdir: &str| ProcessOverrides {
            workdir: Some(workdir.to_owned()),
            ..ProcessOverrides::default()
        };
        let nul = ConvertError::Nul("/\0".to_owned());
        assert_eq!(cwd(&ContainerConfig::default(), &in_directory("/\0")), Err(nul));
        assert!(matches!(
            cwd(&ContainerConfig::default(), &in_directory("x")),
            Err(ConvertError::RelativeWorkdir(_))
        ));
    }

    #[test]
    fn working_directories() {
        let cwd_of = |working_dir: &str| {
            let image = ContainerConfig {
                working_dir: working_dir.to_owned(),
                ..ContainerConfig::default()
            };
            cwd(&image, &ProcessOverrides::default()).unwrap()
        };
        assert_eq!(cwd_of(""), "/");
        assert_eq!(cwd_of("/srv"), "/srv");
        assert_eq!(cwd_of("srv"), "/srv");
    }

    #[test]
    fn a_whole_container() {
        let image = ImageConfig::parse(br#"{"config":{"User":"web","Cmd":["id"],"WorkingDir":"/w"}}"#).unwrap();
        let overrides = ProcessOverrides {
            hostname: Some("box".to_owned()),
            read_only: true,
            cap_drop: strings(&["ALL"]),
            cap_add: strings(&["KILL"]),
            ..ProcessOverrides::default()
        };
        let spec = user_spec(&image, &overrides).unwrap();
        let user = crate::user::lookup_user(&spec, "web:x:5:6::/home/web:/bin/sh\n", "g:x:9:web\n").unwrap();
        let config = container(&image, &overrides, &user).unwrap();
        let process = config.process.unwrap();
        assert_eq!(
            (process.user.uid, process.user.gid, process.user.additional_gids),
            (5, 6, vec![6, 9])
        );
        assert_eq!((process.args, process.cwd.as_str()), (strings(&["id"]), "/w"));
        let capabilities = process.capabilities.unwrap();
        assert_eq!(
            (capabilities.bounding, capabilities.effective),
            (strings(&["CAP_KILL"]), vec![])
        );
        assert_eq!(config.hostname.as_deref(), Some("box"));
        assert!(config.root.unwrap().readonly);
    }
}
