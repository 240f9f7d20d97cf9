//! Entering a user namespace with id maps, so that everything else is the same code as for root.
//!
//! With subordinate ids (subuid(5)) newuidmap and newgidmap map 0 to the user and 1… to those; without, 0 alone is
//! mapped. The caller must have a single thread: the process itself moves into the namespace.

use crate::error::Error;
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{WaitId, WaitIdOptions, getgid, getuid, waitid};
use rustix::thread::no_new_privs;
use std::fmt::Write as _;
use std::process::Command;
use wiac_sys::process::{Process, clone_into, set_credentials};

/// One line of an id map: ids from `inside` on are `outside` and the following ones, `count` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id in the namespace.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl IdRange {
    fn contains(&self, id: u32) -> bool {
        id >= self.inside && u64::from(id) < u64::from(self.inside) + u64::from(self.count)
    }
}

/// A user namespace the calling process is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserNamespace {
    /// User ids.
    pub users: Vec<IdRange>,
    /// Group ids.
    pub groups: Vec<IdRange>,
    single: bool,
    may_set_groups: bool,
    inherited: bool,
}

impl UserNamespace {
    /// Whether a user id exists in it.
    pub fn has_user(&self, uid: u32) -> bool {
        self.users.iter().any(|range| range.contains(uid))
    }

    /// Whether a group id exists in it.
    pub fn has_group(&self, gid: u32) -> bool {
        self.groups.iter().any(|range| range.contains(gid))
    }

    /// The highest group id in it.
    pub fn last_group(&self) -> u32 {
        self.groups
            .iter()
            .map(|range| range.inside.saturating_add(range.count - 1))
            .max()
            .unwrap_or(0)
    }

    /// Whether only a single id is mapped.
    pub fn is_single(&self) -> bool {
        self.single
    }

    /// The kernel allows setgroups(2) only where a privileged program (newgidmap) wrote the map.
    pub fn may_set_groups(&self) -> bool {
        self.may_set_groups
    }

    /// Whether the process was started in it, rather than having entered it.
    pub fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// What is mapped, for messages.
    pub fn describe(&self) -> String {
        if self.single {
            return "has the id 0 alone".to_owned();
        }
        let last = self
            .users
            .iter()
            .map(|range| u64::from(range.inside) + u64::from(range.count) - 1)
            .max();
        format!("has the ids 0 to {}", last.unwrap_or(0))
    }

    /// What gives it more ids, for messages.
    pub fn remedy(&self) -> &'static str {
        if self.inherited {
            "whoever started this process in it has to give it more"
        } else if self.single {
            "subordinate ids in /etc/subuid and /etc/subgid, with newuidmap and newgidmap installed (package uidmap), \
             give it more"
        } else {
            "a larger range in /etc/subuid and /etc/subgid gives it more"
        }
    }
}

/// Whether the caller needs a user namespace for containers: it isn't root.
pub fn is_needed() -> bool {
    !rustix::process::geteuid().is_root()
}

/// The user namespace that somebody else made, and in which the caller is root: inside a rootless container, or under
/// `unshare --user --map-root-user`. `None` for the machine's own root.
///
/// # Errors
/// When the maps of such a namespace can't be read.
pub fn inherited() -> Result<Option<UserNamespace>, Error> {
    /// The inode of the machine's own user namespace (`PROC_USER_INIT_INO` in the kernel's linux/proc_ns.h).
    const INITIAL: u64 = 0xEFFF_FFFD;
    match rustix::fs::stat(c"/proc/self/ns/user") {
        Ok(namespace) if namespace.st_ino != INITIAL => {}
        _ => return Ok(None),
    }
    let read = |file: &str| {
        std::fs::read_to_string(file).map_err(|error| {
            failed(format!(
                "can't read the id maps in {file}: {}",
                wiac_sys::error::words(&error)
            ))
        })
    };
    let users = parse_map(&read("/proc/self/uid_map")?);
    Ok(Some(UserNamespace {
        single: users.iter().map(|range| u64::from(range.count)).sum::<u64>() < 2,
        users,
        groups: parse_map(&read("/proc/self/gid_map")?),
        may_set_groups: read("/proc/self/setgroups")?.trim() == "allow",
        inherited: true,
    }))
}

/// The lines of /proc/PID/uid_map (user_namespaces(7)).
fn parse_map(text: &str) -> Vec<IdRange> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        Some(IdRange {
            inside: numbers.next()??,
            outside: numbers.next()??,
            count: numbers.next()??,
        })
    };
    text.lines().filter_map(range).collect()
}

/// Moves the process into a new user namespace where it is root.
///
/// # Errors
/// Where the system forbids user namespaces: the message says which setting does.
pub fn enter() -> Result<UserNamespace, Error> {
    let namespace = wanted()?;
    if namespace.single {
        let (uid, gid) = (namespace.users[0].outside, namespace.groups[0].outside);
        unshare()?;
        write_single_maps(uid, gid)?;
    } else {
        let mapper = Mapper::start(&namespace)?;
        unshare()?;
        mapper.finish()?;
    }
    set_credentials(0, 0, None)
        .map_err(|errno| failed(format!("can't become root in the user namespace: {}", words(errno))))?;
    Ok(namespace)
}

fn words(errno: rustix::io::Errno) -> String {
    wiac_sys::error::describe(errno)
}

fn failed(message: impl Into<String>) -> Error {
    Error::UserNamespace(message.into())
}

fn unshare() -> Result<(), Error> {
    wiac_sys::userns::enter_new().map_err(|errno| {
        let mut message = format!(
            "can't make a user namespace, which running without root needs: {}",
            words(errno)
        );
        for (file, off) in [
            ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            ("/proc/sys/user/max_user_namespaces", "0"),
            ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
        ] {
            if std::fs::read_to_string(file).is_ok_and(|value| value.trim() == off) {
                let _ = write!(message, "; {file} is {off}: an administrator can change it");
            }
        }
        failed(message)
    })
}

/// The maps to write: with the user's subordinate ids where there are any and the programs that may map them.
fn wanted() -> Result<UserNamespace, Error> {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let name = user_name(uid);
    let users = subordinate("/etc/subuid", name.as_deref(), uid);
    let groups = subordinate("/etc/subgid", name.as_deref(), uid);
    let programs = ["newuidmap", "newgidmap"]
        .iter()
        .all(|program| find_program(program).is_some());
    let single = users.is_empty() || groups.is_empty() || !programs;
    let map = |own: u32, ranges: &[(u32, u32)]| {
        let mut inside = 1u32;
        let mut map = vec![IdRange {
            inside: 0,
            outside: own,
            count: 1,
        }];
        for &(outside, count) in if single { &[] } else { ranges } {
            map.push(IdRange { inside, outside, count });
            inside = inside
                .checked_add(count)
                .ok_or_else(|| failed("the ranges in /etc/subuid overflow"))?;
        }
        Ok::<_, Error>(map)
    };
    Ok(UserNamespace {
        users: map(uid, &users)?,
        groups: map(gid, &groups)?,
        single,
        may_set_groups: !single,
        inherited: false,
    })
}

fn user_name(uid: u32) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The ranges of `file` that belong to the user, by name or by number.
fn subordinate(file: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    std::fs::read_to_string(file)
        .map(|text| parse_subordinate(&text, name, uid))
        .unwrap_or_default()
}

fn parse_subordinate(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let is_ours = Some(owner) == name || owner.parse() == Ok(uid);
            let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (is_ours && count > 0).then_some((first, count))
        })
        .collect()
}

fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

fn write_single_maps(uid: u32, gid: u32) -> Result<(), Error> {
    let write = |file: &str, text: &str| {
        std::fs::write(file, text)
            .map_err(|error| failed(format!("can't write {file}: {}", wiac_sys::error::words(&error))))
    };
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", &format!("0 {gid} 1"))
}

/// A process left in the parent namespace that runs newuidmap and newgidmap for us: only there may they be run.
struct Mapper {
    process: Process,
    go: OwnedFd,
}

impl Mapper {
    fn start(namespace: &UserNamespace) -> Result<Self, Error> {
        let pipe = |errno| failed(format!("can't make a pipe: {}", words(errno)));
        let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(pipe)?;
        let pid = rustix::process::getpid().as_raw_nonzero().to_string();
        let users = arguments(&pid, &namespace.users);
        let groups = arguments(&pid, &namespace.groups);
        let mut go = Some(go);
        let process = clone_into(0, None, || {
            drop(go.take());
            i32::from(!write_maps(&wait, &users, &groups))
        })
        .map_err(Error::Clone)?;
        let Some(go) = go else { return Err(Error::Killed) };
        Ok(Self { process, go })
    }

    fn finish(self) -> Result<(), Error> {
        let gone = |errno| failed(format!("can't tell newuidmap to go: {}", words(errno)));
        rustix::io::write(&self.go, b"g").map_err(gone)?;
        let status =
            rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(self.process.pidfd.as_fd()), WaitIdOptions::EXITED));
        match status {
            Ok(Some(status)) if status.exit_status() == Some(0) => Ok(()),
            _ if no_new_privs().unwrap_or(false) => Err(failed(
                "newuidmap and newgidmap can't write the id maps, since this process may gain no privileges \
                 (no_new_privs, as setpriv or systemd's NoNewPrivileges= set it): start wiac without that",
            )),
            _ => Err(failed(
                "newuidmap or newgidmap could not write the id maps; check that the ranges for this user in \
                 /etc/subuid and /etc/subgid don't overlap its own id and that both programs are set-user-id root",
            )),
        }
    }
}

fn arguments(pid: &str, map: &[IdRange]) -> Vec<String> {
    let numbers = map.iter().flat_map(|range| [range.inside, range.outside, range.count]);
    std::iter::once(pid.to_owned())
        .chain(numbers.map(|number| number.to_string()))
        .collect()
}

/// Runs in the clone, which has the only thread: waits for the word, then runs both programs.
fn write_maps(wait: &OwnedFd, users: &[String], groups: &[String]) -> bool {
    let mut byte = [0];
    if rustix::io::retry_on_intr(|| rustix::io::read(wait, &mut byte)) != Ok(1) {
        return false;
    }
    let run = |program: &str, arguments: &[String]| {
        Command::new(program)
            .args(arguments)
            .status()
            .is_ok_and(|status| status.success())
    };
    run("newuidmap", users) && run("newgidmap", groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_user() {
        let text = "alice:100000:65536\nbob:165536:65536\n1001:300000:10\nalice:broken\n";
        assert_eq!(parse_subordinate(text, Some("alice"), 1000), [(100_000, 65_536)]);
        assert_eq!(parse_subordinate(text, None, 1001), [(300_000, 10)]);
        assert!(parse_subordinate(text, Some("carol"), 1002).is_empty());
    }

    #[test]
    fn maps_of_the_kernel() {
        let text = "         0       1000          1\n         1     100000      65536\n";
        let ranges = parse_map(text);
        assert_eq!(ranges.len(), 2);
        assert_eq!(
            (ranges[1].inside, ranges[1].outside, ranges[1].count),
            (1, 100_000, 65_536)
        );
    }

    #[test]
    fn ids_in_ranges() {
        let users = vec![
            IdRange {
                inside: 0,
                outside: 1000,
                count: 1,
            },
            IdRange {
                inside: 1,
                outside: 100_000,
                count: 65_536,
            },
        ];
        let namespace = UserNamespace {
            groups: users.clone(),
            users,
            single: false,
            may_set_groups: true,
            inherited: false,
        };
        assert!(namespace.has_user(65_536) && !namespace.has_user(65_537));
        assert_eq!(namespace.describe(), "has the ids 0 to 65536");
    }
}
