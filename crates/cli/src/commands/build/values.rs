//! The values of `wiac build`'s options, as docker writes them. Pure but for the environment.

use crate::environment;
use crate::error::Failure;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use wiac_build::dockerfile::{Entitlement, Secret};
use wiac_oci::runtime::Rlimit;

/// `NAME=VALUE`; `NAME` alone is read from the environment, and left out where it isn't set.
pub(super) fn build_arguments(written: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        _ if text.is_empty() || text.starts_with('=') => Err(nameless("--build-arg", text)),
        Some((name, value)) => Ok(Some((name.to_owned(), value.to_owned()))),
        None => Ok(environment::value(text)?.map(|value| (text.clone(), value))),
    };
    written.iter().map(pair).filter_map(Result::transpose).collect()
}

fn nameless(option: &str, text: &str) -> Failure {
    Failure::usage(format!("{option} {text}: a name is missing; write NAME=VALUE"))
}

/// The fields of `a=b,c=d`; one without `=` is given as its own value.
pub(super) fn fields<'t>(option: &str, text: &'t str) -> Result<Vec<(&'t str, &'t str)>, Failure> {
    let fields: Vec<(&str, &str)> = text
        .split(',')
        .map(|field| field.split_once('=').unwrap_or((field, "")))
        .collect();
    if fields.iter().any(|(key, _)| key.is_empty()) {
        return Err(Failure::usage(format!("{option} {text}: a field is empty")));
    }
    Ok(fields)
}

/// `--secret id=ID,src=FILE` or `id=ID,env=NAME`; without either a variable or a file called ID.
pub(super) fn secrets(written: &[String]) -> Result<BTreeMap<String, Secret>, Failure> {
    let mut secrets = BTreeMap::new();
    for text in written {
        let (mut id, mut file, mut variable) = (None, None, None);
        for (key, value) in fields("--secret", text)? {
            match key.to_ascii_lowercase().as_str() {
                "id" => id = Some(value.to_owned()),
                "src" | "source" => file = Some(PathBuf::from(value)),
                "env" => variable = Some(value.to_owned()),
                "type" if matches!(value, "file" | "env") => {}
                "type" => return Err(Failure::usage(format!("--secret {text}: the types are file and env"))),
                _ => {
                    let known = "the fields are id, src, env and type";
                    return Err(Failure::usage(format!("--secret {text}: unknown field {key}; {known}")));
                }
            }
        }
        let id = id.filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Failure::usage(format!("--secret {text}: write id=NAME,src=FILE")))?;
        let secret = match (file, variable) {
            (Some(file), None) => Secret::File(file),
            (None, Some(variable)) => Secret::Variable(variable),
            (None, None) if std::env::var_os(&id).is_some() => Secret::Variable(id.clone()),
            (None, None) => Secret::File(PathBuf::from(&id)),
            (Some(_), Some(_)) => {
                return Err(Failure::usage(format!("--secret {text}: src or env, not both")));
            }
        };
        secrets.insert(id, secret);
    }
    Ok(secrets)
}

/// `--ssh default` (the agent of `SSH_AUTH_SOCK`) or `--ssh ID=SOCKET`.
pub(super) fn agents(written: &[String]) -> Result<BTreeMap<String, PathBuf>, Failure> {
    use std::os::unix::fs::FileTypeExt;
    let mut agents = BTreeMap::new();
    for text in written {
        let (id, path) = if let Some((id, path)) = text.split_once('=') {
            (id, PathBuf::from(path))
        } else {
            let socket = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty());
            let socket = socket.ok_or_else(|| {
                Failure::usage(format!(
                    "--ssh {text}: SSH_AUTH_SOCK isn't set; start an agent with ssh-agent and ssh-add"
                ))
            })?;
            (text.as_str(), PathBuf::from(socket))
        };
        let meta = std::fs::metadata(&path);
        let meta = meta.map_err(|error| {
            Failure::usage(format!(
                "--ssh {text}: {}: {}",
                path.display(),
                crate::error::words(&error)
            ))
        })?;
        if !meta.file_type().is_socket() {
            return Err(Failure::usage(format!(
                "--ssh {text}: {} is no socket; give the key to an agent (ssh-add {0}) and pass --ssh {id}",
                path.display()
            )));
        }
        agents.insert(id.to_owned(), path);
    }
    Ok(agents)
}

/// `--allow`.
pub(super) fn entitlements(written: &[String]) -> Result<Vec<Entitlement>, Failure> {
    let one = |text: &String| match text.as_str() {
        "network.host" => Ok(Entitlement::NetworkHost),
        "security.insecure" => Ok(Entitlement::SecurityInsecure),
        "device" => Ok(Entitlement::Device),
        _ => Err(Failure::usage(format!(
            "--allow {text}: what can be allowed is network.host, security.insecure and device"
        ))),
    };
    written.iter().map(one).collect()
}

/// `--add-host NAME:ADDRESS` or `NAME=ADDRESS`, where an IPv6 address may stand in brackets.
pub(super) fn hosts(written: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut hosts = Vec::new();
    for text in written {
        let wrong = || Failure::usage(format!("--add-host {text}: write NAME=ADDRESS"));
        let (name, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .ok_or_else(wrong)?;
        let address = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(address);
        // As in docker: whatever the host is called from a container. Here they share its network.
        let address = if address == "host-gateway" {
            "127.0.0.1"
        } else {
            address
        };
        if name.is_empty() || address.parse::<IpAddr>().is_err() {
            return Err(wrong());
        }
        hosts.push((name.to_owned(), address.to_owned()));
    }
    Ok(hosts)
}

/// A size in bytes: a number with b, k, m or g.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write 64m or 1g");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let factor = match text[digits..].to_ascii_lowercase().trim_end_matches('b') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

/// The names docker knows.
const LIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// `--ulimit NAME=SOFT[:HARD]`; -1 is no limit.
pub(super) fn limits(written: &[String]) -> Result<Vec<Rlimit>, Failure> {
    let number = |text: &str| {
        if text == "-1" {
            Some(u64::MAX)
        } else {
            text.parse().ok()
        }
    };
    let mut limits = Vec::new();
    for text in written {
        let wrong = || {
            Failure::usage(format!(
                "--ulimit {text}: write NAME=SOFT[:HARD], such as nofile=1024:2048"
            ))
        };
        let (name, values) = text.split_once('=').ok_or_else(wrong)?;
        if !LIMITS.contains(&name) {
            let hint =
                wiac_suggest::nearest(name, LIMITS).map_or(String::new(), |near| format!("; did you mean {near}?"));
            return Err(Failure::usage(format!(
                "--ulimit {text}: there is no limit {name}{hint}"
            )));
        }
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (soft, hard) = (number(soft).ok_or_else(wrong)?, number(hard).ok_or_else(wrong)?);
        if soft > hard {
            return Err(Failure::usage(format!(
                "--ulimit {text}: the soft limit is above the hard one"
            )));
        }
        limits.push(Rlimit {
            kind: format!("RLIMIT_{}", name.to_ascii_uppercase()),
            hard,
            soft,
        });
    }
    Ok(limits)
}

/// `--label NAME=VALUE`.
pub(super) fn labels(written: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if name.is_empty() {
            return Err(nameless("--label", text));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    written.iter().map(pair).collect()
}

/// The value of `--provenance` and `--sbom`: only none is to be had, which builds for other tools ask for.
pub(super) fn nothing_attested(text: &str) -> Result<bool, String> {
    match text {
        "false" => Ok(false),
        _ => Err("attestations aren't there yet: false is what can be asked for".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn secrets_come_from_files_and_variables() {
        let secret = |text| secrets(&one(text)).map(|secrets| secrets.into_values().next());
        assert_eq!(secret("id=a,src=/f").expect("one"), Some(Secret::File("/f".into())));
        assert_eq!(secret("id=a,env=V").expect("one"), Some(Secret::Variable("V".into())));
        assert_eq!(secret("id=PATH").expect("one"), Some(Secret::Variable("PATH".into())));
        assert_eq!(secret("id=no-such").expect("one"), Some(Secret::File("no-such".into())));
        for wrong in ["src=/f", "id=", "id=a,src=/f,env=V", "id=a,what=1", "id=a,type=x"] {
            assert!(secrets(&one(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn arguments_and_labels_have_names() {
        assert_eq!(build_arguments(&one("a=")).expect("one")["a"], "");
        assert_eq!(labels(&one("a")).expect("one")["a"], "");
        for wrong in ["", "=", "=x"] {
            let said = build_arguments(&one(wrong)).expect_err(wrong).to_string();
            assert!(said.contains("a name is missing"), "{said}");
            assert!(labels(&one(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_limits_and_hosts() {
        assert_eq!(
            (size("64m"), size("1GB"), size("7")),
            (Ok(64 << 20), Ok(1 << 30), Ok(7))
        );
        assert!(size("").is_err() && size("x").is_err() && size("1t").is_err() && size("99999999999g").is_err());
        let limit = limits(&one("nofile=1:2")).expect("a limit");
        assert_eq!(
            (limit[0].kind.as_str(), limit[0].soft, limit[0].hard),
            ("RLIMIT_NOFILE", 1, 2)
        );
        assert!(
            limits(&one("nofile=2:1")).is_err() && limits(&one("nofiles=2")).is_err() && limits(&one("x")).is_err()
        );
        assert_eq!(
            hosts(&one("a:10.0.0.1")).expect("a host"),
            [("a".to_owned(), "10.0.0.1".to_owned())]
        );
        assert_eq!(
            hosts(&one("a=[::1]")).expect("a host"),
            [("a".to_owned(), "::1".to_owned())]
        );
        assert!(hosts(&one("a")).is_err() && hosts(&one("a:b")).is_err());
    }
}
