//! Stages, bases, and where the Dockerfile comes from.

use super::context;
use crate::harness::{Place, as_users};

as_users!(stages: root, user);
fn stages(place: &Place) {
    context(place);
    let dockerfile = "FROM scratch AS base\nCOPY root /\n\
        FROM base AS maker\nRUN mkdir /out && echo made > /out/a && echo more > /out/b\n\
        FROM base AS never\nRUN exit 1\n\
        FROM base AS final\nCOPY --from=maker /out/a /taken/\nCOPY --from=1 /out /all\nCMD [\"cat\", \"/taken/a\"]\n";
    let said = place
        .build("context", dockerfile)
        .args(["-t", "result"])
        .succeeds()
        .never_complains("never")
        .never_complains("exit 1");
    assert!(said.stderr.contains("[maker "), "{}", said.stderr);
    place.wiac(["run", "result"]).succeeds().says("made");
    place.wiac(["run", "result", "ls", "/all"]).succeeds().says("a\nb");
    place
        .wiac(["build", "--target", "maker", "-t", "maker", "context"])
        .succeeds()
        .never_complains("[final");
    place.wiac(["run", "maker", "cat", "/out/b"]).succeeds().says("more");
    place
        .wiac(["build", "--target", "nver", "context"])
        .fails(1)
        .complains(&["nver", "did you mean", "never"]);
    place
        .wiac(["build", "--target", "never", "context"])
        .fails(1)
        .complains(&["Dockerfile:6", "exit code 1"]);
}

as_users!(bases_are_images_and_bundles: root, user);
fn bases_are_images_and_bundles(place: &Place) {
    context(place);
    place
        .build("context", "FROM scratch\nCOPY root /\nENV COLOUR=red\nWORKDIR /srv\n")
        .args(["-t", "team/base:v1"])
        .succeeds();
    place
        .build("context", "FROM team/base:v1\nRUN echo $COLOUR $PWD > /x\n")
        .args(["-t", "child"])
        .succeeds();
    place
        .wiac(["run", "child", "sh", "-c", "cat /x; pwd"])
        .succeeds()
        .says("red /srv\n/srv");
    place
        .build(
            "context",
            "FROM bundle://sh,cat\nRUN echo on a bundle > /x\nCMD [\"cat\", \"/x\"]\n",
        )
        .args(["-t", "bundled"])
        .succeeds();
    place.wiac(["run", "bundled"]).succeeds().says("on a bundle");
    place
        .build(
            "context",
            "FROM scratch\nCOPY --from=team/base:v1 /bin /bin\nCOPY --from=bundled /x /x\nCMD [\"/bin/cat\", \"/x\"]\n",
        )
        .args(["-t", "copied"])
        .succeeds();
    place.wiac(["run", "copied"]).succeeds().says("on a bundle");
    place
        .build("context", "FROM team/bsae:v1\n")
        .fails(1)
        .complains(&["Dockerfile:1", "team/bsae:v1"]);
    place
        .build("context", "FROM bundle://sh,no-such-program\n")
        .fails(1)
        .complains(&["no-such-program"]);
    place
        .build("context", "FROM bundle://\n")
        .fails(1)
        .complains(&["bundle://"]);
}

#[test]
fn dockerfiles_have_several_names() {
    let place = Place::root();
    context(&place);
    place.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY root /\nCMD [\"echo\", \"the usual one\"]\n",
    );
    place.write(
        "context/other.Dockerfile",
        "FROM scratch\nCOPY root /\nCMD [\"echo\", \"another\"]\n",
    );
    place
        .wiac(["build", "-f", "context/other.Dockerfile", "-t", "result", "context"])
        .succeeds();
    place.wiac(["run", "result"]).succeeds().says("another");
    let text = "FROM scratch\nCOPY root /\nCMD [\"echo\", \"by standard input\"]\n";
    place
        .wiac(["build", "-f", "-", "-t", "result", "context"])
        .stdin(text)
        .succeeds();
    place.wiac(["run", "result"]).succeeds().says("by standard input");
    place.wiac(["build", "-t", "result"]).within("context").succeeds();
    place.wiac(["run", "result"]).succeeds().says("the usual one");
    place.mkdir("empty");
    place
        .wiac(["build", "empty"])
        .fails(1)
        .complains(&["there is no Dockerfile in empty", "-f"]);
    place
        .wiac(["build", "context/Dockerfile"])
        .fails(1)
        .complains(&["not a directory"]);
    place
        .wiac(["build", "-f", "missing", "context"])
        .fails(1)
        .complains(&["missing", "No such file"]);
}

as_users!(the_older_way_of_looking_at_layers_does_the_same: root, user, single);
fn the_older_way_of_looking_at_layers_does_the_same(place: &Place) {
    place.busybox("context/root");
    let mut lines = vec!["FROM scratch AS many\nCOPY root /\nRUN echo gone > /gone && echo kept > /kept".to_owned()];
    lines.extend((0..80).map(|number| format!("COPY number /n{number}")));
    lines.push("RUN rm /gone\nFROM many".to_owned());
    lines.push("RUN --mount=from=many,target=/m test -e /m/n79 -a ! -e /m/gone && cat /m/kept > /seen".to_owned());
    lines.push("RUN --mount=from=many,target=/m,rw echo new > /m/new".to_owned());
    lines.push("FROM scratch\nCOPY --from=many / /\nCOPY --from=1 /seen /".to_owned());
    place.write("context/number", "1");
    place.write("context/Dockerfile", lines.join("\n"));
    place
        .wiac(["build", "-o", "out", "context"])
        .env("WIAC_LEGACY_OVERLAY", "1")
        .succeeds();
    assert_eq!(place.read("out/seen"), "kept\n");
    assert!(
        place.has("out/n79") && !place.has("out/gone"),
        "the stage is seen wrongly"
    );
}
