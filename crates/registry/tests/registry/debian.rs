//! Debian's docker-registry on loopback.

use crate::image::output;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How a registry is to be run.
#[derive(Default)]
pub struct Options<'o> {
    /// User and password that it wants.
    pub htpasswd: Option<(&'o str, &'o str)>,
    /// Certificate and key.
    pub tls: Option<(&'o Path, &'o Path)>,
    /// A token server: its address, the service's name and the certificate of its key.
    pub token: Option<(&'o str, &'o str, &'o Path)>,
}

/// A running registry with a storage of its own; it ends with this value.
pub struct Registry {
    child: Child,
    port: u16,
    pub directory: tempfile::TempDir,
}

impl Registry {
    pub fn start(options: &Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root = directory.path().display().to_string();
        let mut text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {root}/storage}}\n  \
             delete: {{enabled: true}}\nhttp:\n  addr: 127.0.0.1:{port}\n"
        );
        if let Some((certificate, key)) = options.tls {
            let (certificate, key) = (certificate.display(), key.display());
            text.push_str(&format!("  tls: {{certificate: {certificate}, key: {key}}}\n"));
        }
        if let Some((user, password)) = options.htpasswd {
            let line = output(Command::new("htpasswd").args(["-Bbn", user, password]));
            std::fs::write(directory.path().join("htpasswd"), line).unwrap();
            text.push_str(&format!("auth:\n  htpasswd: {{realm: test, path: {root}/htpasswd}}\n"));
        }
        if let Some((realm, service, bundle)) = options.token {
            let bundle = bundle.display();
            text.push_str(&format!(
                "auth:\n  token: {{realm: \"{realm}\", service: {service}, issuer: test, rootcertbundle: {bundle}}}\n"
            ));
        }
        let path = directory.path().join("config.yml");
        std::fs::write(&path, text).unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdout(log.try_clone().unwrap())
            .stderr(Stdio::from(log))
            .spawn()
            .expect("this test needs docker-registry (apt-get install docker-registry)");
        let registry = Self { child, port, directory };
        registry.wait();
        registry
    }

    fn wait(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "docker-registry doesn't start: {log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The same by a name, as certificates have it.
    pub fn named(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs skopeo; it has to succeed. Returns what it writes.
pub fn skopeo(arguments: &[&str]) -> String {
    String::from_utf8(output(Command::new("skopeo").args(arguments))).unwrap()
}
