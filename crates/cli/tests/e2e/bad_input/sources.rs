//! Dockerfiles and what they copy.

use super::complains;
use crate::harness::{Place, as_users};

as_users!(dockerfiles: root, user, single);
fn dockerfiles(place: &Place) {
    for (text, expected) in [
        (&b""[..], "the Dockerfile is empty"),
        (b"# nothing\n\n", "has no instructions"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "not text in UTF-8"),
        (b"FROM scratch\nCOPPY a /\n", "did you mean COPY"),
        (b"FROM scratch\nWHATEVER a\n", "unknown instruction \"WHATEVER\""),
        (b"RUN true\n", "stands before the first FROM"),
        (b"ARG A=1\n", "no FROM instruction"),
        (b"FROM scratch\nCOPY --chwon=1 a /\n", "did you mean --chown"),
        (b"FROM scratch\nCOPY a\n", "COPY needs"),
        (b"FROM scratch\nENV a\n", "ENV"),
        (b"FROM scratch\nRUN true\n", "RUN needs a root with a program in it"),
        (b"FROM scratch AS a\nFROM scratch\nCOPY --from=c x /\n", "c"),
    ] {
        place.write("context/Dockerfile", text);
        let said = place.wiac(["build", "context"]).fails(1).complains(&[expected]);
        assert!(!said.stderr.contains("panicked") && said.stdout.is_empty(), "{said:?}");
    }
}

as_users!(sources_outside_of_the_context: root, user, single);
fn sources_outside_of_the_context(place: &Place) {
    place.write("outside", "secret");
    place.mkdir("context");
    complains(
        place.build("context", "FROM scratch\nCOPY ../outside /\n"),
        1,
        &["Dockerfile:2", "../outside", "COPY takes nothing from outside"],
    );
    place.symlink("../outside", "context/link");
    complains(
        place.build("context", "FROM scratch\nCOPY link /\n"),
        1,
        &[
            "Dockerfile:2",
            "link",
            "is a symlink to",
            "isn't there in the build context",
        ],
    );
    place.symlink("/etc", "context/directory");
    complains(
        place.build("context", "FROM scratch\nCOPY directory/shadow /\n"),
        1,
        &["Dockerfile:2", "directory/shadow"],
    );
}

#[test]
fn copies_that_make_no_sense() {
    let place = Place::root();
    place.write("file", "x");
    place.write("dir/inner", "x");
    complains(place.wiac(["copy", "layer", "missing", "/"]), 1, &["missing"]);
    complains(place.wiac(["copy", "layer", "fiel", "/"]), 1, &["did you mean file"]);
    complains(
        place.wiac(["copy", "layer", "file", "dir", "/a/b"]),
        1,
        &["several sources need a directory"],
    );
    place.wiac(["copy", "layer", "file"]).fails(125);
}
