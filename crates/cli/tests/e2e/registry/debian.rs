//! Debian's docker-registry on loopback, with a log of what it was asked.

use crate::harness::Place;
use crate::transfer::peers::tool;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running registry with a storage of its own; it ends with this value.
pub struct Registry {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Registry {
    /// One that anybody may use, without TLS.
    pub fn start() -> Self {
        Self::with("", "", |_| {})
    }

    /// One that wants to know its users.
    pub fn with_user(user: &str, password: &str) -> Self {
        Self::with(
            "",
            "auth:\n  htpasswd: {realm: test, path: DIRECTORY/htpasswd}\n",
            |directory| {
                let line = Command::new(tool("htpasswd", "apache2-utils"))
                    .args(["-Bbn", user, password])
                    .output()
                    .expect("htpasswd runs");
                assert!(line.status.success(), "{line:?}");
                std::fs::write(directory.path().join("htpasswd"), line.stdout).expect("written");
            },
        )
    }

    /// One with TLS; `certificates` of the place has its authority's certificate, `ca.crt`, afterwards.
    pub fn with_tls(place: &Place) -> Self {
        let tls = "  tls: {certificate: DIRECTORY/server.crt, key: DIRECTORY/server.key}\n";
        let registry = Self::with(tls, "", |directory| {
            let script = "new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n\
                openssl req -x509 $new -subj '/CN=an authority' -keyout ca.key -out ca.crt -days 2\n\
                openssl req $new -subj /CN=localhost -keyout server.key -out server.csr\n\
                echo subjectAltName=DNS:localhost,IP:127.0.0.1 >names\n\
                openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names \
                -out server.crt";
            place.host(script).within(directory.path()).succeeds();
        });
        let authority = std::fs::read(registry.directory.path().join("ca.crt")).expect("made");
        place.write("certificates/ca.crt", authority);
        registry
    }

    fn with(http: &str, more: &str, prepare: impl Fn(&TempDir)) -> Self {
        let directory = tempfile::Builder::new().prefix("wiac-e2e-registry-").tempdir();
        let directory = directory.expect("a temporary directory");
        prepare(&directory);
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: DIRECTORY/storage}}\n  \
             delete: {{enabled: true}}\nhttp:\n  addr: 127.0.0.1:{port}\n{http}{more}"
        );
        let text = text.replace("DIRECTORY", directory.path().to_str().expect("text"));
        std::fs::write(directory.path().join("config.yml"), text).expect("written");
        let log = File::create(directory.path().join("log")).expect("a log");
        let child = Command::new(tool("docker-registry", "docker-registry"))
            .arg("serve")
            .arg(directory.path().join("config.yml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second descriptor"))
            .stderr(log)
            .spawn()
            .expect("docker-registry starts");
        let mut registry = Self { child, port, directory };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = registry.child.try_wait().expect("it can be asked").is_some();
            let late = begun.elapsed() > Duration::from_mins(1);
            assert!(!ended && !late, "docker-registry doesn't start:\n{}", registry.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// An image of it.
    pub fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    /// An image of it by the name that certificates have.
    pub fn named(&self, image: &str) -> String {
        format!("localhost:{}/{image}", self.port)
    }

    /// Everything it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).expect("a log")
    }

    /// The requests that it answered so, `GET /v2/…`, sorted: the log has them only when they are over.
    pub fn requests(&self, method: &str, path: &str, status: u16) -> Vec<String> {
        std::thread::sleep(Duration::from_millis(50));
        let log = self.log();
        let mut found: Vec<String> = log
            .lines()
            .filter_map(|line| {
                let mut quoted = line.split('"');
                let (request, rest) = (quoted.nth(1)?, quoted.next()?);
                let mut words = request.split(' ');
                let (asked, target) = (words.next()?, words.next()?);
                let is_it = asked == method && target.contains(path) && rest.trim().starts_with(&status.to_string());
                is_it.then(|| target.to_owned())
            })
            .collect();
        found.sort();
        found
    }

    /// Waits until it works for nobody: what clients that are gone had sent is answered, though to nobody.
    ///
    /// The kernel's table has a connection of it (`ESTABLISHED`, or `CLOSE_WAIT` when the client has gone) until it has
    /// dealt with the connection's last request.
    pub fn settle(&self) {
        let begun = Instant::now();
        let local = format!(":{:04X}", self.port);
        loop {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
            let at_work = table.lines().any(|line| {
                let mut columns = line.split_whitespace().skip(1);
                let (ours, state) = (columns.next().unwrap_or_default(), columns.nth(1).unwrap_or_default());
                ours.ends_with(&local) && ["01", "08"].contains(&state)
            });
            if !at_work {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "a connection never ends:\n{table}"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How many blobs went out.
    pub fn fetched(&self) -> usize {
        self.requests("GET", "/blobs/sha256:", 200).len() + self.requests("GET", "/blobs/sha256:", 206).len()
    }

    /// How many blobs came in.
    pub fn received(&self) -> usize {
        self.requests("PUT", "/blobs/uploads/", 201).len()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
