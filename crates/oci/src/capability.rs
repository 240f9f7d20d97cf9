//! Names of Linux capabilities (capabilities(7)): the list, docker's default, and adding and dropping.

/// Every capability by its number: `ALL[0]` is `CAP_CHOWN`. Linux 5.9 added the last.
pub const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What docker grants when asked for nothing else.
pub const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// A name that is no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {name:?}{}", crate::user::did_you_mean(.nearest.as_deref()))]
pub struct UnknownCapability {
    /// The name as written.
    pub name: String,
    /// The capability it may have been meant to be.
    pub nearest: Option<String>,
}

/// The number of a capability by its full name.
pub fn number(name: &str) -> Option<u32> {
    ALL.iter()
        .position(|&known| known == name)
        .and_then(|index| u32::try_from(index).ok())
}

/// The full name of a capability written with or without `CAP_`, in any case.
///
/// # Errors
/// [`UnknownCapability`] with the nearest name.
pub fn canonical(name: &str) -> Result<&'static str, UnknownCapability> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("CAP_") {
        upper
    } else {
        format!("CAP_{upper}")
    };
    ALL.iter()
        .copied()
        .find(|&known| known == full)
        .ok_or_else(|| UnknownCapability {
            name: name.to_owned(),
            nearest: crate::user::nearest(&full, ALL.iter().copied()),
        })
}

/// The default set with some dropped and some added, by docker's rules: `ALL` among the added starts from every
/// capability, `ALL` among the dropped from none. A name both dropped and added is there, unless `ALL` are added.
///
/// # Errors
/// [`UnknownCapability`] for the first name that is none.
pub fn adjust(add: &[String], drop: &[String]) -> Result<Vec<String>, UnknownCapability> {
    let (add_all, added) = split_all(add)?;
    let (drop_all, dropped) = split_all(drop)?;
    let base: &[&'static str] = match (add_all, drop_all) {
        (true, _) => &ALL,
        (false, true) => &[],
        (false, false) => &DEFAULT,
    };
    let mut names: Vec<&str> = base.iter().copied().filter(|name| !dropped.contains(name)).collect();
    for name in added {
        let kept_out = add_all && dropped.contains(&name);
        if !kept_out && !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn split_all(names: &[String]) -> Result<(bool, Vec<&'static str>), UnknownCapability> {
    let is_all = |name: &&String| name.eq_ignore_ascii_case("all") || name.eq_ignore_ascii_case("cap_all");
    let named = names
        .iter()
        .filter(|name| !is_all(name))
        .map(|name| canonical(name))
        .collect::<Result<_, _>>()?;
    Ok((names.iter().any(|name| is_all(&name)), named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjusted(add: &[&str], drop: &[&str]) -> Vec<String> {
        let strings = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        adjust(&strings(add), &strings(drop)).unwrap()
    }

    #[test]
    fn numbers_are_the_kernels() {
        assert_eq!(number("CAP_CHOWN"), Some(0));
        assert_eq!(number("CAP_SYS_ADMIN"), Some(21));
        assert_eq!(number("CAP_CHECKPOINT_RESTORE"), Some(40));
    }

    #[test]
    fn adds_and_drops() {
        assert_eq!(adjusted(&[], &[]), DEFAULT);
        assert_eq!(adjusted(&[], &["all"]), Vec::<String>::new());
        assert_eq!(adjusted(&["net_admin"], &["ALL"]), ["CAP_NET_ADMIN"]);
        assert_eq!(adjusted(&["ALL", "SYS_ADMIN"], &["sys_admin"]).len(), 40);
        assert!(adjusted(&["MKNOD"], &["MKNOD"]).contains(&"CAP_MKNOD".to_owned()));
        assert!(!adjusted(&[], &["CAP_MKNOD"]).contains(&"CAP_MKNOD".to_owned()));
        assert!(!adjusted(&[], &["MKNOD"]).contains(&"CAP_MKNOD".to_owned()));
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        let error = canonical("SYS_ADMN").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"unknown capability "SYS_ADMN": did you mean "CAP_SYS_ADMIN"?"#
        );
    }
}
