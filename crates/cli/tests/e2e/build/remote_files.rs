//! ADD of files of the web: names, modes, times, checksums, and when a server is asked again.

use super::{context, topmost, unchanged};
use crate::harness::{Place, as_users};
use crate::registry::web::{Answer, Asked, serve_requests};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

/// What a server has, and what it was asked.
#[derive(Default)]
struct Site {
    content: Mutex<Vec<u8>>,
    tag: Mutex<String>,
    asked: Mutex<Vec<(String, u16)>>,
}

impl Site {
    fn start(content: &[u8]) -> (Arc<Self>, SocketAddr) {
        let site = Arc::new(Self::default());
        site.put(content, "\"1\"");
        let own = site.clone();
        let address = serve_requests(move |asked| own.answer(asked));
        (site, address)
    }

    fn put(&self, content: &[u8], tag: &str) {
        *self.content.lock().expect("content") = content.to_vec();
        tag.clone_into(&mut self.tag.lock().expect("tag"));
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let mut answer = Answer::of(
            "application/octet-stream",
            self.content.lock().expect("content").clone(),
        );
        let tag = self.tag.lock().expect("tag").clone();
        answer.headers = format!("etag: {tag}\r\nlast-modified: Tue, 29 Feb 2000 12:00:00 GMT\r\n");
        let path = asked.path.split('?').next().unwrap_or_default();
        if path.starts_with("/moved/") {
            answer.status = 302;
            "location: /file.txt\r\n".clone_into(&mut answer.headers);
            answer.body.clear();
        } else if path == "/none" {
            answer.status = 404;
        } else if path == "/short" {
            answer.length = Some(1 << 20);
        } else if asked.header("if-none-match") == Some(&tag) {
            answer.status = 304;
            answer.body.clear();
        }
        let mut log = self.asked.lock().expect("log");
        log.push((asked.path.clone(), answer.status));
        answer
    }

    /// The answers since the last time.
    fn statuses(&self) -> Vec<u16> {
        let mut log = self.asked.lock().expect("log");
        std::mem::take(&mut *log)
            .into_iter()
            .map(|(_, status)| status)
            .collect()
    }
}

as_users!(a_download_is_its_owner_s_and_as_old_as_its_server_says: root, user, single);
fn a_download_is_its_owner_s_and_as_old_as_its_server_says(place: &Place) {
    let (site, address) = Site::start(b"hello");
    place.mkdir("context");
    let dockerfile =
        format!("FROM scratch\nADD http://{address}/file.txt?x=1 /d/\nADD http://{address}/a%20b /named\n");
    let built = place.build("context", &dockerfile).succeeds();
    let layers: Vec<&str> = built.text().split(':').collect();
    let file = std::path::Path::new(layers[1]).join("d/file.txt");
    let meta = file.metadata().expect("the file");
    assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o600, 951_825_600));
    assert_eq!(std::fs::read(&file).expect("read"), b"hello");
    assert_eq!(place.tree(layers[0]), ["named"]);
    assert_eq!(site.statuses(), [200, 200]);
    let more = format!(
        "FROM scratch\nCOPY Dockerfile /x\nADD --chmod=755 http://{address}/ /d/\nADD http://{address}/moved/y http://{address}/z Dockerfile /e/\n"
    );
    let built = place.build("context", &more).succeeds();
    let layers: Vec<&str> = built.text().split(':').collect();
    let file = std::path::Path::new(layers[1]).join("d/__unnamed__");
    assert_eq!(file.metadata().expect("the file").mode() & 0o7777, 0o755);
    assert_eq!(place.tree(layers[0]), ["e", "e/Dockerfile", "e/y", "e/z"]);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

#[test]
fn a_server_is_asked_whether_a_file_has_changed() {
    let place = Place::root();
    let (site, address) = Site::start(b"one");
    context(&place);
    let dockerfile = format!("FROM scratch\nADD http://{address}/file /f\nCOPY root /\nRUN cat /f > /said\n");
    let first = place.build("context", &dockerfile).succeeds();
    assert_eq!(site.statuses(), [200]);
    let second = place.build("context", &dockerfile).succeeds();
    assert_eq!(site.statuses(), [304]);
    assert_eq!(unchanged(&second.stderr)[1..], [true; 3], "{}", second.stderr);
    assert_eq!(first.stdout, second.stdout);
    // Another content under another tag runs what builds on it again; another tag alone doesn't.
    site.put(b"one", "\"2\"");
    let third = place.build("context", &dockerfile).succeeds();
    assert_eq!(site.statuses(), [200]);
    assert_eq!(unchanged(&third.stderr)[1..], [true; 3]);
    site.put(b"two", "\"3\"");
    place.build("context", &dockerfile).args(["-t", "result"]).succeeds();
    assert_eq!(site.statuses(), [200]);
    place.wiac(["run", "result", "cat", "/said"]).succeeds().says("two");
    // Where the layer is gone, what hasn't changed has to come all the same.
    let other = dockerfile.replace("FROM scratch\n", "FROM scratch\nCOPY root/etc /etc\n");
    place.build("context", &other).args(["-t", "result"]).succeeds();
    assert_eq!(site.statuses(), [304, 200]);
    place.wiac(["run", "result", "cat", "/said"]).succeeds().says("two");
    place.wiac(["build", "--no-cache", "context"]).succeeds();
    assert_eq!(site.statuses(), [200]);
}

#[test]
fn a_checksum_needs_no_request() {
    let place = Place::root();
    let (site, address) = Site::start(b"hello");
    place.mkdir("context");
    let sum = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let dockerfile = format!("FROM scratch\nARG SUM={sum}\nADD --checksum=$SUM http://{address}/file /f\n");
    let first = place.build("context", &dockerfile).succeeds();
    assert_eq!(site.statuses(), [200]);
    assert_eq!(place.build("context", &dockerfile).succeeds().stdout, first.stdout);
    assert_eq!(site.statuses(), Vec::<u16>::new());
    site.put(b"evil", "\"2\"");
    place.wiac(["build", "--no-cache", "context"]).fails(1).complains(&[
        "Dockerfile:3",
        "isn't what --checksum says",
        "b5c1fb2e",
        "2cf24dba",
        &format!("{address}/file"),
    ]);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    for (instruction, why) in [
        (
            format!("ADD --checksum=md5:1 http://{address}/file /f"),
            "--checksum=md5:1",
        ),
        (
            format!("ADD --checksum={sum} Dockerfile /f"),
            "every source here is a file",
        ),
        (
            format!("ADD --checksum={sum} http://{address}/a http://{address}/b /d/"),
            "there are several",
        ),
        (
            format!("COPY http://{address}/file /f"),
            "COPY takes files of the build context",
        ),
    ] {
        place
            .build("context", &format!("FROM scratch\n{instruction}\n"))
            .fails(1)
            .complains(&["Dockerfile:2", why]);
    }
}

#[test]
fn a_downloaded_archive_is_unpacked_on_demand() {
    let place = Place::root();
    place.write("source/dir/file", "x");
    place.host("tar -C source -czf source.tgz dir").succeeds();
    let archive = std::fs::read(place.path("source.tgz")).expect("made");
    let (_site, address) = Site::start(&archive);
    place.mkdir("context");
    let add = |flag: &str| format!("FROM scratch\nADD {flag} http://{address}/source.tgz /\n");
    let built = place.build("context", &add("")).succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["source.tgz"]);
    let built = place.build("context", &add("--unpack --chown=5:6")).succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["dir", "dir/file"]);
    let file = std::path::Path::new(&topmost(&built.stdout)).join("dir/file");
    let meta = file.metadata().expect("the file");
    assert_eq!((meta.uid(), meta.gid()), (5, 6));
}

#[test]
fn a_download_that_fails_says_why_and_leaves_nothing() {
    let place = Place::root();
    let (_site, address) = Site::start(b"hello");
    place.mkdir("context");
    let closed = "http://127.0.0.1:1/x";
    for (url, why) in [
        (format!("http://{address}/none"), "404"),
        (format!("http://{address}/short"), "/short"),
        (closed.to_owned(), "127.0.0.1:1"),
        (format!("http://me:secret@{address}/x"), "names a user"),
    ] {
        place
            .build("context", &format!("FROM scratch\nADD {url} /f\n"))
            .fails(1)
            .complains(&["Dockerfile:2", why]);
        assert_eq!(place.tree("data/tmp"), Vec::<String>::new(), "{url}");
        assert_eq!(place.tree("data/cache/steps"), Vec::<String>::new(), "{url}");
    }
}
