//! Where configuration lies, and how patient a transfer is. Nothing of it is read before it is needed.

use crate::ending::Ending;
use crate::http::proxy::Proxies;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What a [`Client`](crate::Client) goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What we call ourselves.
    pub user_agent: String,
    /// Files with credentials, and the one that a login writes.
    pub credentials: CredentialFiles,
    /// User and password given on the command line: for the registry that is named, never for its mirrors.
    pub creds: Option<(String, String)>,
    /// `--tls-verify`: `Some(false)` takes any certificate and plain HTTP, `Some(true)` insists on both being right.
    pub tls_verify: Option<bool>,
    /// registries.conf and its drop-ins.
    pub registries: RegistriesFiles,
    /// Directories with one directory a host: `ca.crt`, `client.cert`, `client.key` (containers' and docker's).
    pub certificates: Vec<PathBuf>,
    /// `--cert-dir`: the directory of whatever host is asked, instead of those above.
    pub cert_dir: Option<PathBuf>,
    /// containerd's directories with one `hosts.toml` a host.
    pub hosts_toml: Vec<PathBuf>,
    /// policy.json: the first that is there counts.
    pub policy: Vec<PathBuf>,
    /// Certificates of authorities.
    pub authorities: AuthorityFiles,
    /// What the environment says of proxies.
    pub proxies: Proxies,
    /// hosts(5) and resolv.conf(5).
    pub names: NameFiles,
    /// How long we wait, and how often we try.
    pub patience: Patience,
    /// How transfers are ended early.
    pub ending: Ending,
}

/// Files with credentials (containers-auth.json(5), docker's config.json).
#[derive(Debug, Clone, Default)]
pub struct CredentialFiles {
    /// Where a login is written.
    pub written: PathBuf,
    /// What is read, the first that knows a registry counts.
    pub read: Vec<PathBuf>,
    /// Where credential helpers are looked for; `None`: in this process's `PATH`.
    pub helper_path: Option<OsString>,
    /// They were named for this command: one that is missing is a mistake.
    pub must_exist: bool,
}

/// containers-registries.conf(5) and what belongs to it.
#[derive(Debug, Clone, Default)]
pub struct RegistriesFiles {
    /// The main file: the first that is there counts.
    pub main: Vec<PathBuf>,
    /// Directories of drop-ins, later ones over earlier ones.
    pub drop_ins: Vec<PathBuf>,
    /// Aliases that podman remembered.
    pub remembered: Option<PathBuf>,
}

/// Where the certificates of authorities are.
#[derive(Debug, Clone, Default)]
pub struct AuthorityFiles {
    /// A bundle: the first that is there counts.
    pub bundles: Vec<PathBuf>,
    /// Directories with a certificate a file.
    pub directories: Vec<PathBuf>,
}

/// What names are looked up with.
#[derive(Debug, Clone)]
pub struct NameFiles {
    /// hosts(5).
    pub hosts: PathBuf,
    /// resolv.conf(5).
    pub resolv_conf: PathBuf,
}

/// How long we wait, and how often we try.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the beginning of an answer.
    pub answer: Duration,
    /// For the next bytes of an answer, or until the server takes the next of ours.
    pub silence: Duration,
    /// Less than this many bytes …
    pub slow_bytes: u64,
    /// … in this time is too slow.
    pub slow_time: Duration,
    /// How often the same is tried, the first time included.
    pub tries: u32,
    /// The pause before the second try; each further one is twice as long, and up to a half longer by chance.
    pub pause: Duration,
    /// The longest pause that a server may ask for.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            answer: Duration::from_mins(1),
            silence: Duration::from_mins(1),
            slow_bytes: 4096,
            slow_time: Duration::from_secs(30),
            tries: 5,
            pause: Duration::from_millis(400),
            longest_pause: Duration::from_mins(1),
        }
    }
}

impl Settings {
    /// What this process's environment says, for a user. Only the environment is looked at, no file.
    ///
    /// `uid` is the user's id outside of any user namespace: inside, everybody is root.
    pub fn from_environment(uid: u32) -> Self {
        Self::from_variables(uid, |name| std::env::var_os(name))
    }

    /// The same with other variables: what the tests use.
    pub fn from_variables(uid: u32, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        // An empty variable counts as none.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let home = path("HOME");
        let in_home = |relative: &str| home.as_ref().map(|home| home.join(relative));
        let config_home = path("XDG_CONFIG_HOME").or_else(|| in_home(".config"));
        let in_config = |relative: &str| config_home.as_ref().map(|config| config.join(relative));
        let known = |paths: &[Option<PathBuf>]| paths.iter().flatten().cloned().collect::<Vec<_>>();

        let docker_config = path("DOCKER_CONFIG").or_else(|| in_home(".docker"));
        let runtime = path("XDG_RUNTIME_DIR").map_or_else(
            || PathBuf::from(format!("/run/containers/{uid}/auth.json")),
            |directory| directory.join("containers/auth.json"),
        );
        let explicit = path("REGISTRY_AUTH_FILE");
        let credentials = CredentialFiles {
            written: explicit.clone().unwrap_or_else(|| runtime.clone()),
            read: explicit.map_or_else(
                || {
                    known(&[
                        Some(runtime),
                        in_config("containers/auth.json"),
                        docker_config.map(|directory| directory.join("config.json")),
                    ])
                },
                |path| vec![path],
            ),
            ..CredentialFiles::default()
        };
        let registries = path("CONTAINERS_REGISTRIES_CONF").map_or_else(
            || RegistriesFiles {
                main: known(&[
                    in_config("containers/registries.conf"),
                    Some("/etc/containers/registries.conf".into()),
                    Some("/usr/share/containers/registries.conf".into()),
                ]),
                drop_ins: known(&[
                    Some("/etc/containers/registries.conf.d".into()),
                    in_config("containers/registries.conf.d"),
                ]),
                remembered: if uid == 0 {
                    Some("/var/cache/containers/short-name-aliases.conf".into())
                } else {
                    path("XDG_CACHE_HOME")
                        .or_else(|| in_home(".cache"))
                        .map(|cache| cache.join("containers/short-name-aliases.conf"))
                },
            },
            // As podman does: a file named on purpose stands alone.
            |path| RegistriesFiles {
                main: vec![path],
                ..RegistriesFiles::default()
            },
        );
        Self {
            user_agent: concat!("wiac/", env!("CARGO_PKG_VERSION")).to_owned(),
            credentials,
            creds: None,
            tls_verify: None,
            registries,
            certificates: known(&[
                in_config("containers/certs.d"),
                Some("/etc/containers/certs.d".into()),
                Some("/etc/docker/certs.d".into()),
            ]),
            cert_dir: None,
            hosts_toml: vec!["/etc/containerd/certs.d".into()],
            policy: known(&[
                in_config("containers/policy.json"),
                Some("/etc/containers/policy.json".into()),
            ]),
            authorities: AuthorityFiles::new(path("SSL_CERT_FILE"), variable("SSL_CERT_DIR").as_ref()),
            proxies: Proxies::from_variables(|name| variable(name)?.into_string().ok()),
            names: NameFiles {
                hosts: "/etc/hosts".into(),
                resolv_conf: "/etc/resolv.conf".into(),
            },
            patience: Patience::default(),
            ending: Ending::default(),
        }
    }
}

impl AuthorityFiles {
    /// As OpenSSL and Go look for them: the variables first, then where distributions have them.
    fn new(file: Option<PathBuf>, directories: Option<&OsString>) -> Self {
        const BUNDLES: [&str; 6] = [
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/ssl/ca-bundle.pem",
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
            "/etc/ssl/cert.pem",
            "/etc/pki/tls/cert.pem",
        ];
        let named = file.is_some() || directories.is_some();
        Self {
            bundles: match file {
                Some(file) => vec![file],
                None if named => Vec::new(),
                None => BUNDLES.iter().map(PathBuf::from).collect(),
            },
            directories: directories
                .map(|list| std::env::split_paths(list).collect())
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(uid: u32, variables: &[(&str, &str)]) -> Settings {
        Settings::from_variables(uid, |name| {
            variables
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn files_are_podmans_and_dockers() {
        let found = settings(1000, &[("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/run/user/1000")]);
        assert_eq!(
            found.credentials.written,
            PathBuf::from("/run/user/1000/containers/auth.json")
        );
        assert_eq!(
            found.credentials.read,
            [
                "/run/user/1000/containers/auth.json",
                "/home/u/.config/containers/auth.json",
                "/home/u/.docker/config.json"
            ]
            .map(PathBuf::from)
        );
        assert_eq!(found.registries.main.len(), 3);
        let none = settings(0, &[]);
        assert_eq!(none.credentials.read, [PathBuf::from("/run/containers/0/auth.json")]);
        assert_eq!(none.authorities.bundles.len(), 6);
    }

    #[test]
    fn a_file_named_on_purpose_stands_alone() {
        let found = settings(
            0,
            &[
                ("REGISTRY_AUTH_FILE", "/a.json"),
                ("CONTAINERS_REGISTRIES_CONF", "/r.conf"),
                ("SSL_CERT_FILE", "/ca.pem"),
            ],
        );
        assert_eq!(found.credentials.read, [PathBuf::from("/a.json")]);
        assert_eq!(found.registries.main, [PathBuf::from("/r.conf")]);
        assert!(found.registries.drop_ins.is_empty());
        assert_eq!(found.authorities.bundles, [PathBuf::from("/ca.pem")]);
    }
}
