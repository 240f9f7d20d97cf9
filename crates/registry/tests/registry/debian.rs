//! Debian's docker-registry on loopback.

use crate::image::output;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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
            writeln!(text, "  tls: {{certificate: {certificate}, key: {key}}}").unwrap();
        }
        if let Some((user, password)) = options.htpasswd {
            let line = output(Command::new("htpasswd").args(["-Bbn", user, password]));
            std::fs::write(directory.path().join("htpasswd"), line).unwrap();
            writeln!(text, "auth:\n  htpasswd: {{realm: test, path: {root}/htpasswd}}").unwrap();
        }
        if let Some((realm, service, bundle)) = options.token {
            let bundle = bundle.display();
            writeln!(
                text,
                "auth:\n  token: {{realm: \"{realm}\", service: {service}, issuer: test, rootcertbundle: {bundle}}}"
            )
            .unwrap();
        }
        std::fs::write(directory.path().join("config.yml"), text).unwrap();
        let child = run(directory.path());
        let registry = Self { child, port, directory };
        registry.wait();
        registry
    }

    /// Kills it in whatever it is doing, and starts it again.
    pub fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = run(self.directory.path());
        self.wait();
    }

    fn wait(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
            assert!(
                start.elapsed() < Duration::from_mins(1),
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

fn run(directory: &Path) -> Child {
    let log = std::fs::File::create(directory.join("log")).unwrap();
    Command::new("docker-registry")
        .arg("serve")
        .arg(directory.join("config.yml"))
        .stdout(log.try_clone().unwrap())
        .stderr(Stdio::from(log))
        .spawn()
        .expect("this test needs docker-registry (apt-get install docker-registry)")
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands between a client and a registry, and breaks connections off.
pub struct Breaker {
    port: u16,
    up: Arc<AtomicU64>,
}

impl Breaker {
    /// Each of the first `times` connections with more than `most` bytes to the registry breaks there.
    pub fn start(target: &str, times: usize, most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let breaker = Self {
            port: listener.local_addr().unwrap().port(),
            up: Arc::default(),
        };
        let (target, up, left) = (target.to_owned(), breaker.up.clone(), Arc::new(AtomicUsize::new(times)));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&target).unwrap());
                let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let (up, left) = (up.clone(), left.clone());
                std::thread::spawn(move || forward(client, server, &up, &left, most));
            }
        });
        breaker
    }

    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Bytes on their way to the registry.
    pub fn up(&self) -> u64 {
        self.up.load(Ordering::SeqCst)
    }
}

fn forward(mut client: TcpStream, mut server: TcpStream, up: &AtomicU64, left: &AtomicUsize, most: u64) {
    let (mut buffer, mut passed) = (vec![0; 16384], 0);
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
        passed += count as u64;
        up.fetch_add(count as u64, Ordering::SeqCst);
        let breaks = |left: usize| left.checked_sub(1);
        if passed > most && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, breaks).is_ok() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

/// Runs skopeo; it has to succeed. Returns what it writes.
pub fn skopeo(arguments: &[&str]) -> String {
    String::from_utf8(output(Command::new("skopeo").args(arguments))).unwrap()
}
