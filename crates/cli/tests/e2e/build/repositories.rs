//! Git repositories in ADD and as build contexts: refs, directories, commits, submodules, `.git`.

use super::topmost;
use crate::harness::{Place, as_users};
use crate::registry::web::{Answer, serve};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;

/// A repository that a web server has, as a bare one whose files alone are asked for: `host/app.git`.
fn repository(place: &Place) -> SocketAddr {
    let top = place.dir().to_owned();
    let address = serve(move |path| {
        let path = path.split('?').next().unwrap_or_default().trim_start_matches('/');
        match std::fs::read(top.join(path)) {
            Ok(body) => Answer::of("application/octet-stream", body),
            Err(_) => Answer {
                status: 404,
                ..Answer::of("text/plain", "none")
            },
        }
    });
    git(
        place,
        "git init -q -b main work; cd work\n\
         mkdir -p sub/deep; echo one >file; echo deep >sub/deep/file; ln -s sub link\n\
         printf '#!/bin/sh\\n' >program; chmod 755 program\n\
         printf 'FROM scratch\\nCOPY . /all/\\n' >Dockerfile\n\
         printf 'FROM scratch\\nCOPY file /deep\\n' >sub/deep/Dockerfile\n\
         git add .; git commit -qm one; git tag -a v1 -m v1\n\
         echo two >file; git commit -qam two; cd ..\n\
         git clone -q --bare work app.git; git -C app.git update-server-info",
    );
    address
}

fn git(place: &Place, script: &str) -> String {
    let said = place
        .host(script)
        .env("GIT_AUTHOR_NAME", "ann")
        .env("GIT_AUTHOR_EMAIL", "ann@example.org")
        .env("GIT_COMMITTER_NAME", "ann")
        .env("GIT_COMMITTER_EMAIL", "ann@example.org")
        .succeeds();
    said.text().to_owned()
}

#[test]
fn add_takes_a_commit_of_a_repository() {
    let place = Place::root();
    let address = repository(&place);
    place.mkdir("context");
    let add = |what: &str| {
        format!(
            "FROM scratch\nADD {} /r/\n",
            what.replace("REPO", &format!("http://{address}/app.git"))
        )
    };
    let built = place.build("context", &add("REPO")).after("umask 077").succeeds();
    let top = topmost(&built.stdout);
    assert_eq!(
        place.tree(&top),
        [
            "r",
            "r/Dockerfile",
            "r/file",
            "r/link",
            "r/program",
            "r/sub",
            "r/sub/deep",
            "r/sub/deep/Dockerfile",
            "r/sub/deep/file"
        ]
    );
    let mode = |path: &str| std::path::Path::new(&top).join(path).metadata().expect("there").mode() & 0o7777;
    assert_eq!(
        (mode("r/file"), mode("r/program"), mode("r/sub")),
        (0o644, 0o755, 0o755)
    );
    let read = |built: &str, path: &str| std::fs::read_to_string(format!("{}/{path}", topmost(built))).expect(path);
    assert_eq!(read(&built.stdout, "r/file"), "two\n");
    // By a tag, a directory of it.
    let built = place.build("context", &add("REPO#v1:sub/deep")).succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["r", "r/Dockerfile", "r/file"]);
    let built = place.build("context", &add("REPO?tag=v1")).succeeds();
    assert_eq!(read(&built.stdout, "r/file"), "one\n");
    // Unchanged as long as the commit is.
    place
        .build("context", &add("REPO#main"))
        .succeeds()
        .never_complains("unchanged\n[stage-0 3");
    let again = place.build("context", &add("REPO#main")).succeeds();
    again.complains(&["unchanged"]);
    git(
        &place,
        "cd work; echo three >file; git commit -qam three; git push -q ../app.git main; git -C ../app.git update-server-info",
    );
    let built = place.build("context", &add("REPO#main")).succeeds();
    assert_eq!(read(&built.stdout, "r/file"), "three\n");
    // The checksum of a repository is its commit.
    let commit = git(&place, "git -C work rev-parse v1^{commit}");
    place
        .build("context", &add(&format!("--checksum={commit} REPO#v1")))
        .succeeds();
    place.build("context", &add(&format!("REPO#{commit}"))).succeeds();
    place
        .build("context", &add(&format!("--checksum={commit} REPO#main")))
        .fails(1)
        .complains(&["Dockerfile:2", &commit, "is expected", "app.git"]);
    let built = place.build("context", &add("--keep-git-dir REPO")).succeeds();
    let kept = std::path::Path::new(&topmost(&built.stdout)).join("r/.git");
    let config = std::fs::read_to_string(kept.join("config")).expect("kept");
    assert!(config.contains("app.git"), "{config}");
    for (what, why) in [
        ("REPO#none", "there is no ref none"),
        ("REPO#main:nowhere", "nowhere"),
        ("REPO#main:file", "isn't a directory"),
        ("REPO#--upload-pack=touch", "can't be a ref"),
        ("REPO?what=1", "unknown parameter what"),
        ("http://me:secret@127.0.0.1:1/x.git", "127.0.0.1:1"),
    ] {
        place
            .build("context", &add(what))
            .fails(1)
            .complains(&["Dockerfile:2", why])
            .never_complains("me:secret@127.0.0.1:1/x.git: ");
    }
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    // Without git.
    place
        .build("context", &add("REPO"))
        .env("PATH", place.path("none"))
        .fails(1)
        .complains(&["no program git", "install git"]);
}

#[test]
fn files_get_the_time_of_the_commit() {
    let place = Place::root();
    let address = repository(&place);
    git(
        &place,
        "cd work; export GIT_AUTHOR_DATE='1111111111 +0000' GIT_COMMITTER_DATE='1234567890 -0500'\n\
         git commit -q --allow-empty -m dated; git tag -a -m dated dated\n\
         git push -q ../app.git main dated; git -C ../app.git update-server-info",
    );
    place.mkdir("context");
    let times = |stdout: &str, path: &str| {
        let top = topmost(stdout);
        ["", "/file", "/link", "/sub", "/sub/deep/file"].map(|name| {
            let path = format!("{top}/{path}{name}");
            std::fs::symlink_metadata(path).expect("there").mtime()
        })
    };
    let add = |query: &str| format!("FROM scratch\nADD http://{address}/app.git{query} /r/\n");
    let plain = place.build("context", &add("?mtime=checkout")).succeeds();
    assert_ne!(times(&plain.stdout, "r")[1], 1_234_567_890);
    // Another step than without it, and by an annotated tag the commit's time, not the tag's.
    for query in [
        "?mtime=commit",
        "?mtime=commit&tag=dated",
        "?mtime=commit&keep-git-dir=1#dated",
    ] {
        let built = place.build("context", &add(query)).succeeds();
        // The directory that it goes to is made by ADD.
        assert_eq!(times(&built.stdout, "r")[1..], [1_234_567_890; 4], "{query}");
    }
    // A subdirectory, and as a build context.
    let built = place.build("context", &add("?mtime=commit&subdir=sub")).succeeds();
    let file = format!("{}/r/deep/file", topmost(&built.stdout));
    assert_eq!(std::fs::metadata(file).expect("there").mtime(), 1_234_567_890);
    let context = format!("http://{address}/app.git?mtime=commit");
    let built = place.wiac(["build", &context]).succeeds();
    assert_eq!(times(&built.stdout, "all")[1..], [1_234_567_890; 4]);
    place.write("other/Dockerfile", "FROM scratch\nCOPY --from=code . /all/\n");
    let code = format!("code={context}&ref=v1");
    let built = place.wiac(["build", "--build-context", &code, "other"]).succeeds();
    assert_ne!(
        times(&built.stdout, "all")[1],
        1_234_567_890,
        "v1 has a time of its own"
    );
    place
        .build("context", &add("?mtime=now"))
        .fails(1)
        .complains(&["Dockerfile:2", "mtime=now", "commit or checkout"]);
}

#[test]
fn submodules_come_along() {
    let place = Place::root();
    let address = repository(&place);
    git(
        &place,
        &format!(
            "git init -q -b main outer; cd outer; git submodule --quiet add http://{address}/app.git inner\n\
             git commit -qm outer; cd ..; git clone -q --bare outer outer.git; git -C outer.git update-server-info"
        ),
    );
    place.mkdir("context");
    let built = place
        .build("context", &format!("FROM scratch\nADD http://{address}/outer.git /\n"))
        .succeeds();
    let names = place.tree(topmost(&built.stdout));
    assert!(names.contains(&"inner/sub/deep/file".to_owned()), "{names:?}");
    let built = place
        .build(
            "context",
            &format!("FROM scratch\nADD http://{address}/outer.git?submodules=false /\n"),
        )
        .succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), [".gitmodules", "inner"]);
}

#[test]
fn a_repository_is_a_build_context() {
    let place = Place::root();
    let address = repository(&place);
    let context = |rest: &str| format!("http://{address}/app.git{rest}");
    let built = place.wiac(["build", &context("")]).succeeds();
    assert!(place.tree(topmost(&built.stdout)).contains(&"all/program".to_owned()));
    let again = place.wiac(["build", &context("")]).succeeds();
    assert_eq!(again.stdout, built.stdout);
    assert!(!place.tree(topmost(&built.stdout)).contains(&"all/.git".to_owned()));
    let built = place
        .wiac(["build", "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", &context("")])
        .succeeds();
    assert!(place.tree(topmost(&built.stdout)).contains(&"all/.git".to_owned()));
    let built = place.wiac(["build", &context("#v1:sub/deep")]).succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["deep"]);
    let built = place
        .wiac(["build", "-f", "sub/deep/Dockerfile", &context("#main")])
        .succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["deep"]);
    place.write("context/Dockerfile", "FROM scratch\nCOPY --from=other file /\n");
    let other = format!("other={}", context("#v1"));
    let built = place.wiac(["build", "--build-context", &other, "context"]).succeeds();
    let file = format!("{}/file", topmost(&built.stdout));
    assert_eq!(std::fs::read_to_string(file).expect("read"), "one\n");
    place
        .wiac(["build", &context("#v1:none")])
        .fails(1)
        .complains(&["app.git", "none"]);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    // Of the steps of the local Dockerfile one record is kept.
    let remembered = place.tree("data/cache/files");
    assert_eq!(remembered.len(), 1, "what was fetched isn't remembered by its place");
}

/// git's own server, which gives single commits, as the services do; it ends with this value.
struct Daemon(std::process::Child);

impl Daemon {
    fn start(place: &Place, port: u16) -> Self {
        // The daemon itself: ended by way of git it would stay.
        let programs = std::process::Command::new("git").arg("--exec-path").output();
        let programs = String::from_utf8(programs.expect("git runs").stdout).expect("a path");
        let child = std::process::Command::new(std::path::Path::new(programs.trim()).join("git-daemon"))
            .args(["--reuseaddr", "--export-all", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", place.dir().display()))
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("git daemon starts");
        let daemon = Self(child);
        let begun = std::time::Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed().as_secs() < 30, "git daemon doesn't start");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

as_users!(a_commit_comes_without_its_history: root, user, single);
fn a_commit_comes_without_its_history(place: &Place) {
    repository(place);
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a free port").port();
    let _daemon = Daemon::start(place, port);
    place.mkdir("context");
    let add = |what: &str| format!("FROM scratch\nADD --keep-git-dir git://127.0.0.1:{port}/app.git{what} /r/\n");
    let first = git(place, "git -C app.git rev-parse v1^{commit}");
    for what in ["", "#main", "#v1", &format!("#{first}")] {
        let built = place.build("context", &add(what)).succeeds();
        let top = std::path::Path::new(&topmost(&built.stdout)).join("r");
        assert!(
            top.join(".git/shallow").is_file(),
            "{what}: one commit alone was fetched"
        );
        let expected = if what == "#v1" || what.len() > 10 {
            "one\n"
        } else {
            "two\n"
        };
        assert_eq!(
            std::fs::read_to_string(top.join("file")).expect("a file"),
            expected,
            "{what}"
        );
    }
    let context = format!("git://127.0.0.1:{port}/app.git#v1:sub");
    place
        .wiac(["build", "-f", "deep/Dockerfile", &context])
        .fails(1)
        .complains(&["file"]);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}
