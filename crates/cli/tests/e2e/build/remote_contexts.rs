//! Build contexts that arrive: a tar or a Dockerfile, on standard input or from the web.

use super::{topmost, unchanged};
use crate::harness::{Place, as_users};
use crate::registry::web::{Answer, serve};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const DOCKERFILE: &str = "FROM scratch\nCOPY dir /d\n";

/// A tar of a context, with a file that its ignore file leaves out.
fn archive(place: &Place, compress: &str) -> Vec<u8> {
    place.write("source/Dockerfile", DOCKERFILE);
    place.write("source/other/Other", "FROM scratch\nCOPY Dockerfile /other\n");
    place.write("source/dir/file", "x");
    place.write("source/dir/hidden.o", "x");
    place.write("source/dir/.wh.file", "no whiteout here");
    place.write("source/.dockerignore", "**/*.o\n");
    place
        .host(&format!("tar -C source -c . | {compress} >source.tar"))
        .succeeds();
    std::fs::read(place.path("source.tar")).expect("made")
}

as_users!(a_tar_on_standard_input_is_a_context: root, user, single);
fn a_tar_on_standard_input_is_a_context(place: &Place) {
    for compress in ["cat", "gzip", "xz", "bzip2", "zstd -q"] {
        let tar = archive(place, compress);
        let built = place.wiac(["build", "-"]).stdin(&tar).succeeds();
        assert_eq!(
            place.tree(topmost(&built.stdout)),
            ["d", "d/.wh.file", "d/file"],
            "{compress}"
        );
    }
    let tar = archive(place, "cat");
    let again = place.wiac(["build", "-"]).stdin(&tar).succeeds();
    assert!(unchanged(&again.stderr)[1], "{}", again.stderr);
    let built = place.wiac(["build", "-f", "other/Other", "-"]).stdin(&tar).succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["other"]);
    // A Dockerfile alone has an empty context.
    let built = place
        .wiac(["build", "-"])
        .stdin("FROM scratch\nCOPY <<x /\ntext\nx\n")
        .succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["x"]);
    place
        .wiac(["build", "-"])
        .stdin(DOCKERFILE)
        .fails(1)
        .complains(&["Dockerfile:2", "dir"]);
    place.wiac(["build", "-", "--check"]).stdin(DOCKERFILE).succeeds();
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

#[test]
fn a_context_that_makes_no_sense_says_so() {
    let place = Place::root();
    let tar = archive(&place, "gzip");
    for (input, arguments, code, why) in [
        (&tar[..tar.len() / 2], vec!["-"], 1, "standard input"),
        (b"\x00\x01\x02", vec!["-"], 1, "neither a tar nor a Dockerfile"),
        (b"\x1f\x8b\x08\x00", vec!["-"], 1, "standard input"),
        (
            &tar,
            vec!["-", "-f", "-"],
            125,
            "can't be the context and the Dockerfile",
        ),
        (&tar, vec!["-", "-f", "none"], 1, "there is no none"),
        (b"FROM scratch\n", vec!["-", "-f", "x"], 125, "leave -f out"),
    ] {
        place
            .wiac(["build"])
            .args(&arguments)
            .stdin(input)
            .fails(code)
            .complains(&[why]);
        assert_eq!(place.tree("data/tmp"), Vec::<String>::new(), "{arguments:?}");
    }
    // Nothing of it leads out, and its Dockerfile is read inside of it.
    place.write("secret", "FROM scratch\n# a secret\nWRONG\n");
    place
        .host("mkdir hostile; ln -s /etc out; ln -s $PWD/secret hostile/Dockerfile; tar -C hostile -cf hostile.tar .")
        .succeeds();
    let hostile = std::fs::read(place.path("hostile.tar")).expect("made");
    place
        .wiac(["build", "-"])
        .stdin(hostile)
        .fails(1)
        .complains(&["there is no Dockerfile"])
        .never_complains("WRONG");
}

#[test]
fn a_url_is_a_context_or_a_dockerfile() {
    let place = Place::root();
    let tar = archive(&place, "gzip");
    let address = serve(move |path| match path {
        "/context.tgz?key=1" => Answer::of("application/gzip", tar.clone()),
        "/Dockerfile" => Answer::of("text/plain", "FROM scratch\nCOPY <<x /\ntext\nx\n"),
        "/local" => Answer::of("text/plain", "FROM scratch\nCOPY file /local\n"),
        "/slow" => {
            std::thread::sleep(Duration::from_mins(1));
            Answer::of("text/plain", "")
        }
        _ => Answer {
            status: 404,
            ..Answer::of("text/html", "<title>none</title>")
        },
    });
    let url = |path: &str| format!("http://{address}{path}");
    let built = place.wiac(["build", &url("/context.tgz?key=1")]).succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["d", "d/.wh.file", "d/file"]);
    let built = place.wiac(["build", &url("/Dockerfile")]).succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["x"]);
    place.write("context/file", "x");
    let built = place.wiac(["build", "-f", &url("/local"), "context"]).succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["local"]);
    place.write("context/Dockerfile", "FROM scratch\nCOPY --from=other dir/file /\n");
    let other = format!("other={}", url("/context.tgz?key=1"));
    let built = place.wiac(["build", "--build-context", &other, "context"]).succeeds();
    assert_eq!(place.tree(topmost(&built.stdout)), ["file"]);
    place
        .wiac(["build", &url("/none")])
        .fails(1)
        .complains(&["404", "/none"]);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    // What a killed command fetched to is taken away by the next.
    let mut slow = place.wiac(["build", &url("/slow")]).in_background();
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    slow.gets(Signal::TERM);
    assert_eq!(slow.exit_code(), 143);
    assert!(begun.elapsed() < Duration::from_secs(10));
    place.wiac(["images"]).succeeds();
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}
