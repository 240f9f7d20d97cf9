//! `wiac copy` and the copier under it, compared with what real cp makes of the same trees.

#[path = "copy/bad_input.rs"]
mod bad_input;
#[path = "copy/copier.rs"]
mod copier;
#[path = "copy/fixture.rs"]
mod fixture;
#[path = "copy/tree.rs"]
mod tree;

use fixture::{NOBODY, Place, cp, everything, give_to_nobody, plain, run};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tree::assert_same;
use wiac_build::copy::{Report, copy_into_layer, plan_in_shell};

/// What the test program is started again with, to do a copy as another user or on another mount.
const CHILD: &str = "WIAC_TEST_COPY";

fn copy(layer: &Path, sources: &[PathBuf], destination: &str) -> Report {
    copy_into_layer(layer, sources, OsStr::new(destination)).expect("the copy succeeds")
}

/// Not a test of its own: does the copy that the environment asks for and prints the error.
#[test]
#[ignore = "other tests start it with what it needs"]
fn child() {
    let words = std::env::var(CHILD).expect("started by another test");
    let mut words = words.lines();
    let layer = PathBuf::from(words.next().expect("a layer"));
    let destination = words.next().expect("a destination");
    let sources: Vec<PathBuf> = words.map(PathBuf::from).collect();
    let result = copy_into_layer(&layer, &sources, OsStr::new(destination));
    println!(
        "=={}==",
        result.map_or_else(|error| error.to_string(), |report| format!("{report:?}"))
    );
}

/// The copy by another process, which `wrap` may start in its own way; what it says.
fn copy_elsewhere(nobody: bool, wrap: &[&str], layer: &Path, sources: &[&Path], destination: &str) -> String {
    let program = std::env::current_exe().expect("this test program");
    let mut words = vec![layer.display().to_string(), destination.to_owned()];
    words.extend(sources.iter().map(|path| path.display().to_string()));
    let mut command = match wrap.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
        None => Command::new(&program),
    };
    command
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(CHILD, words.join("\n"));
    let output = run(nobody, &mut command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let parts: Vec<&str> = text.split("==").collect();
    assert!(
        parts.len() >= 3,
        "the copy ran: {text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    parts[1].to_owned()
}

/// One way of naming sources and destination, for which `cp -a` on a layer made by hand does the same.
struct Case {
    /// Below the tree.
    sources: &'static [&'static str],
    destination: &'static str,
    /// What mkdir -p makes for cp, below diff.
    directory: &'static str,
}

const CASES: &[Case] = &[
    Case {
        sources: &["file"],
        destination: "/",
        directory: "",
    },
    Case {
        sources: &["file"],
        destination: ".",
        directory: "",
    },
    Case {
        sources: &["file"],
        destination: "name",
        directory: "",
    },
    Case {
        sources: &["file"],
        destination: "/a/b/name",
        directory: "a/b",
    },
    Case {
        sources: &["file"],
        destination: "/a/b/",
        directory: "a/b",
    },
    Case {
        sources: &["file"],
        destination: "a/b/.",
        directory: "a/b",
    },
    Case {
        sources: &["sub"],
        destination: "/name",
        directory: "",
    },
    Case {
        sources: &["sub"],
        destination: "/name/",
        directory: "name",
    },
    Case {
        sources: &["sub/"],
        destination: "/",
        directory: "",
    },
    Case {
        sources: &["to directory"],
        destination: "/",
        directory: "",
    },
    Case {
        sources: &["to directory/"],
        destination: "/",
        directory: "",
    },
    Case {
        sources: &["to directory"],
        destination: "/name",
        directory: "",
    },
    Case {
        sources: &["."],
        destination: "/name",
        directory: "",
    },
    Case {
        sources: &["sub/."],
        destination: "/name",
        directory: "",
    },
    Case {
        sources: &["sub/deep/.."],
        destination: "/name",
        directory: "",
    },
    Case {
        sources: &["file", "sub", "sparse", "fifo"],
        destination: "/x/",
        directory: "x",
    },
    Case {
        sources: &["file", "sub/same"],
        destination: "/",
        directory: "",
    },
    Case {
        sources: &["sparse"],
        destination: "/",
        directory: "",
    },
    Case {
        sources: &["odd \n'\" name", "fifo", "socket", "empty", "large"],
        destination: "/",
        directory: "",
    },
];

#[test]
fn does_what_cp_does() {
    let place = Place::new();
    let tree = place.join("tree");
    everything(&tree);
    for (number, case) in CASES.iter().enumerate() {
        let label = format!("case {number}: {:?} to {}", case.sources, case.destination);
        let sources: Vec<PathBuf> = case.sources.iter().map(|source| tree.join_text(source)).collect();
        let (by_hand, ours) = (place.join(&format!("cp{number}")), place.join(&format!("wiac{number}")));
        std::fs::create_dir_all(by_hand.join("diff").join(case.directory)).expect("mkdir");
        let target = by_hand.join_text(&format!("diff/{}", case.destination));
        let mut arguments = vec![OsStr::new("-a"), OsStr::new("--")];
        arguments.extend(sources.iter().map(|source| source.as_os_str()));
        arguments.push(target.as_os_str());
        cp(false, &arguments);
        copy(&ours, &sources, case.destination);
        assert_same(&label, &by_hand.join("diff"), &ours.join("diff"));
        // Once more: files replace files, directories are merged. (A directory named anew lands inside by now.)
        cp(false, &arguments);
        copy(&ours, &sources, case.destination);
        if !matches!(case.sources, ["." | "sub/." | "sub/deep/.."]) {
            assert_same(&format!("{label}, again"), &by_hand.join("diff"), &ours.join("diff"));
        }
    }
}

/// `join` of the standard library takes "." and a slash at the end away.
trait JoinText {
    fn join_text(&self, text: &str) -> PathBuf;
}

impl JoinText for Path {
    fn join_text(&self, text: &str) -> PathBuf {
        PathBuf::from(format!("{}/{text}", self.display()))
    }
}

#[test]
fn counts_what_it_copied() {
    let place = Place::new();
    let tree = place.join("tree");
    plain(&tree);
    let report = copy(&place.join("layer"), &[tree], "/tree");
    let found = (
        report.files,
        report.directories,
        report.symlinks,
        report.specials,
        report.links,
    );
    assert_eq!(found, (7, 4, 2, 2, 2));
    assert_eq!((report.owners_lost, report.xattrs_lost), (0, 0));
}

#[test]
fn does_what_cp_does_for_an_ordinary_user() {
    fixture::require_root();
    let place = Place::new();
    let tree = place.join("tree");
    everything(&tree);
    // What such a user can't read or make at all.
    for name in ["null", "block", "empty"] {
        std::fs::remove_file(tree.join(name)).expect("rm");
    }
    for path in ["sub", "sub/deep", "fifo"] {
        give_to_nobody(&tree.join(path));
    }
    fixture::times(&tree);
    for layer in ["cp", "wiac"] {
        let diff = place.directory(&format!("{layer}/diff"));
        give_to_nobody(&diff);
    }
    let arguments = [
        OsStr::new("-a"),
        tree.as_os_str(),
        &place.join("cp/diff/tree").into_os_string(),
    ];
    cp(true, &arguments);
    let said = copy_elsewhere(true, &[], &place.join("wiac"), &[&tree], "/tree");
    assert!(
        said.contains("owners_lost: ") && !said.contains("owners_lost: 0"),
        "{said}"
    );
    assert_same("as nobody", &place.join("cp/diff"), &place.join("wiac/diff"));
    let owner = place.join("wiac/diff/tree/file").symlink_metadata().expect("lstat");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), NOBODY);
}

#[test]
fn the_script_does_the_same() {
    let place = Place::new();
    let tree = place.join("tree");
    everything(&tree);
    for (number, case) in CASES.iter().enumerate() {
        let label = format!("case {number}: {:?} to {}", case.sources, case.destination);
        let sources: Vec<PathBuf> = case.sources.iter().map(|source| tree.join_text(source)).collect();
        let (by_hand, ours) = (place.join(&format!("sh{number}")), place.join(&format!("wiac{number}")));
        for round in ["", ", again"] {
            for step in plan_in_shell(&by_hand, &sources, OsStr::new(case.destination)) {
                assert!(!step.comment.contains('\n'));
                let output = run(false, Command::new("bash").args(["-euc", &step.command]));
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success(), "{label}: {}: {error}", step.command);
            }
            copy(&ours, &sources, case.destination);
            assert_same(&format!("{label}{round}"), &by_hand.join("diff"), &ours.join("diff"));
        }
    }
}

#[test]
fn contents_leave_the_directory_they_go_into_as_it_is() {
    let place = Place::new();
    let tree = place.directory("tree");
    place.file("tree/usr/bin/x", "x");
    fixture::mode(&tree, ".", 0o700);
    fixture::mode(&tree, "usr", 0o711);
    let layer = place.join("layer");
    copy(&layer, &[tree.join_text(".")], "/");
    let mode = |path: &str| std::os::unix::fs::MetadataExt::mode(&layer.join(path).metadata().expect("stat")) & 0o7777;
    assert_eq!((mode("diff"), mode("diff/usr")), (0o755, 0o711));
}

#[test]
fn names_in_the_layer_stay_in_the_layer() {
    let place = Place::new();
    let outside = place.directory("outside");
    let layer = place.join("layer");
    let source = place.file("file", "new");
    let diff = place.directory("layer/diff/usr/lib").join("../..");
    let link = |text: &Path, name: &str| std::os::unix::fs::symlink(text, diff.join(name)).expect("symlink");
    link(Path::new("usr/lib"), "lib");
    link(Path::new("/usr"), "absolute");
    link(Path::new("../../../../usr"), "above");
    link(&outside, "elsewhere");
    place.file("layer/diff/usr/old", "old");
    link(Path::new("/usr/old"), "to file");
    for (destination, found) in [
        ("/lib/a", "usr/lib/a"),
        ("/absolute/lib/b", "usr/lib/b"),
        ("above/c", "usr/c"),
        ("../../../../../d", "d"),
        ("/lib/", "usr/lib/file"),
        ("/to file", "usr/old"),
        ("/lib/../e", "usr/e"),
    ] {
        copy(&layer, std::slice::from_ref(&source), destination);
        let text = std::fs::read_to_string(diff.join(found)).expect(destination);
        assert_eq!(text, "new", "{destination}");
    }
    assert!(diff.join("to file").is_symlink());
    let error = copy_into_layer(&layer, &[source], OsStr::new("/elsewhere/x")).expect_err("it leads nowhere");
    assert!(
        error.to_string().contains("this symlink in the layer leads to"),
        "{error}"
    );
    assert_eq!(outside.read_dir().expect("readdir").count(), 0);
}
