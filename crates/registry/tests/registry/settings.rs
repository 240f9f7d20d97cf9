//! Settings that touch nothing of this machine, with little patience.

use std::path::Path;
use std::time::Duration;
use wiac_registry::settings::{CredentialFiles, Patience};
use wiac_registry::{Client, Settings};

/// Nothing of this machine's configuration; files of a test go below `directory`.
pub fn settings(directory: &Path) -> Settings {
    let mut settings = Settings::from_variables(0, |_| None);
    settings.credentials = CredentialFiles {
        written: directory.join("auth.json"),
        read: vec![directory.join("auth.json")],
        ..CredentialFiles::default()
    };
    settings.registries.main = vec![directory.join("registries.conf")];
    settings.registries.drop_ins = vec![directory.join("registries.conf.d")];
    settings.registries.remembered = None;
    settings.certificates = vec![directory.join("certs.d")];
    settings.hosts_toml = vec![directory.join("hosts.d")];
    settings.policy = vec![directory.join("policy.json")];
    settings.names.hosts = directory.join("hosts");
    settings.patience = Patience {
        connect: Duration::from_secs(10),
        answer: Duration::from_secs(10),
        silence: Duration::from_secs(10),
        slow_bytes: 4096,
        slow_time: Duration::from_secs(10),
        tries: 4,
        pause: Duration::from_millis(5),
        longest_pause: Duration::from_secs(3),
    };
    settings
}

/// A client with such settings, and the directory they are about.
pub fn client() -> (Client, tempfile::TempDir) {
    client_with(|_, _| {})
}

/// The same, changed.
pub fn client_with(change: impl FnOnce(&mut Settings, &Path)) -> (Client, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    change(&mut settings, directory.path());
    (Client::new(settings), directory)
}
