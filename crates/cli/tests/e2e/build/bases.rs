//! What a stage starts on: ONBUILD of its base, platforms, contexts by name.

use super::{context, topmost};
use crate::harness::{Place, as_users};

as_users!(onbuild_runs_right_after_from_and_once: root, user);
fn onbuild_runs_right_after_from_and_once(place: &Place) {
    context(place);
    place.write("context/app", "app");
    let base = "FROM scratch\nCOPY root /\nONBUILD ARG NAME=nobody\nONBUILD COPY app /app\nONBUILD RUN echo \"built for $NAME\" > /said\nRUN test ! -e /app\n";
    place.build("context", base).args(["-t", "base"]).succeeds();
    let said = place
        .build("context", "FROM base\nRUN echo then >> /said\n")
        .args(["-t", "result", "--build-arg", "NAME=ann"])
        .succeeds();
    said.complains(&["ONBUILD COPY app /app"]);
    place
        .wiac(["run", "result", "sh", "-c", "cat /app /said"])
        .succeeds()
        .says("appbuilt for ann\nthen");
    // Not inherited further: app is gone, and nobody asks for it.
    place.host("rm context/app").succeeds();
    place.build("context", "FROM result\nRUN true\n").succeeds();
    // Within one Dockerfile too, where the base itself keeps its triggers.
    place.write("context/app", "again");
    let stages = "FROM scratch AS first\nCOPY root /\nONBUILD COPY --from=other /x /x\nFROM scratch AS other\nCOPY app /x\nFROM first\nRUN cat /x > /said\n";
    place.build("context", stages).args(["-t", "result"]).succeeds();
    place.wiac(["run", "result", "cat", "/said"]).succeeds().says("again");
}

#[test]
fn onbuild_of_an_image_may_name_a_stage() {
    let place = Place::root();
    context(&place);
    place.write("context/app", "app");
    place
        .build(
            "context",
            "FROM scratch\nCOPY root /\nONBUILD COPY --from=made /made /made\n",
        )
        .args(["-t", "base"])
        .succeeds();
    place
        .build(
            "context",
            "FROM scratch AS made\nCOPY app /made\nFROM base\nRUN cat /made\n",
        )
        .succeeds();
    place
        .build("context", "FROM base\nRUN true\nFROM scratch AS made\nCOPY app /made\n")
        .args(["--target", "0"])
        .fails(1)
        .complains(&["Dockerfile:1", "ONBUILD COPY --from=made", "stage made isn't built yet"]);
    place
        .build("context", "FROM scratch\nCOPY root /\nONBUILD RUN exit 3\n")
        .args(["-t", "base"])
        .succeeds();
    place
        .build("context", "FROM base\n")
        .fails(1)
        .complains(&["Dockerfile:1", "exit code 3"]);
}

#[test]
fn platforms() {
    let place = Place::root();
    context(&place);
    place.write("context/file", "x");
    let dockerfile = "FROM scratch\nARG TARGETPLATFORM\nARG TARGETARCH\nARG TARGETVARIANT\nARG BUILDARCH\nLABEL p=$TARGETPLATFORM a=$TARGETARCH v=$TARGETVARIANT b=$BUILDARCH\nCOPY file /\n";
    place
        .build("context", dockerfile)
        .args(["-t", "other", "--platform", "linux/arm/v7"])
        .succeeds();
    let said = place.wiac(["inspect", "other"]).succeeds();
    for part in [
        "\"p\": \"linux/arm/v7\"",
        "\"a\": \"arm\"",
        "\"v\": \"v7\"",
        "\"b\": \"amd64\"",
        "\"Architecture\": \"arm\"",
    ] {
        assert!(said.stdout.contains(part), "{part} in {}", said.stdout);
    }
    // A stage of the build's own platform in a build for another one.
    let mixed = "FROM --platform=$BUILDPLATFORM scratch AS tools\nCOPY root /\nRUN uname -m > /said\nFROM scratch\nCOPY --from=tools /said /\n";
    place
        .build("context", mixed)
        .args(["--platform", "linux/arm64"])
        .succeeds();
    place
        .build("context", "FROM other\nCOPY file /y\n")
        .succeeds()
        .complains(&["other is for linux/arm/v7, and linux/amd64 is built"]);
    // A program of another platform needs an interpreter: here is the head of one for s390x.
    let mut program = b"\x7fELF\x02\x02\x01".to_vec();
    program.resize(16, 0);
    program.extend([0, 2, 0, 22, 0, 0, 0, 1]);
    program.resize(64, 0);
    place.write("context/bin/sh", &program);
    place.chmod("context/bin/sh", 0o755);
    place
        .build("context", "FROM scratch\nCOPY bin /bin\nRUN true\n")
        .args(["--platform", "linux/s390x"])
        .fails(1)
        .complains(&["Dockerfile:3", "linux/s390x", "binfmt_misc"]);
    place
        .build("context", dockerfile)
        .args(["--platform", "a/b/c/d"])
        .fails(125)
        .complains(&["a/b/c/d"]);
    place
        .build("context", dockerfile)
        .args(["--platform", "linux/amd64,linux/arm64", "--dry-run=shell"])
        .fails(125)
        .complains(&["one platform at a time"]);
    place
        .build("context", "FROM --platform=x/y/z/w scratch\nCOPY file /\n")
        .fails(1)
        .complains(&["Dockerfile:1", "x/y/z/w"]);
}

#[test]
fn contexts_by_name() {
    let place = Place::root();
    context(&place);
    place.write("other/dir/file", "from the other context");
    place.write("other/dir/hidden.o", "x");
    place.write("other/.dockerignore", "**/*.o\n");
    let dockerfile = "FROM scratch\nCOPY root /\nCOPY --from=second dir /d\nRUN --mount=from=second,source=dir,target=/m ls /m > /said\n";
    let build = || {
        place
            .build("context", dockerfile)
            .args(["--build-context", "second=other", "-t", "result"])
    };
    build().succeeds();
    let said = || {
        place
            .wiac(["run", "result", "sh", "-c", "cat /said /d/file; ls /d"])
            .succeeds()
    };
    said().says("file\nfrom the other contextfile");
    let before = build().succeeds().stdout;
    place.write("other/dir/hidden.o", "y");
    assert_eq!(build().succeeds().stdout, before);
    place.write("other/dir/file", "changed");
    build().succeeds();
    said().says("file\nchangedfile");
    // An image and a layout under other names, a directory as a base, and a stage that is replaced.
    place.wiac(["save", "-o", "layout.tar", "result"]).succeeds();
    place.host("mkdir layout && tar -xf layout.tar -C layout").succeeds();
    place
        .build(
            "context",
            "FROM golang\nCOPY --from=lib /said /lib\nRUN cat /lib /d/file\n",
        )
        .args([
            "--build-context",
            "golang=docker-image://result",
            "--build-context",
            "lib=oci-layout://layout",
        ])
        .succeeds();
    let said = place
        .build("context", "FROM tree\nCOPY root/etc/passwd /p\n")
        .args(["--build-context", "tree=other"])
        .succeeds();
    let layers: Vec<&str> = said.text().split(':').collect();
    assert_eq!(place.tree(layers[1]), [".dockerignore", "dir", "dir/file"]);
    place
        .build(
            "context",
            "FROM scratch AS made\nCOPY none /\nFROM scratch\nCOPY --from=made dir/file /\n",
        )
        .args(["--build-context", "made=other"])
        .succeeds();
    assert_eq!(
        place.tree(topmost(
            &place
                .wiac(["build", "--build-context", "made=other", "context"])
                .succeeds()
                .stdout
        )),
        ["file"]
    );
    for (value, why) in [("x", "write NAME=DIRECTORY"), ("x=nowhere", "no such directory")] {
        place
            .build("context", dockerfile)
            .args(["--build-context", value])
            .fails(125)
            .complains(&[value, why]);
    }
}

#[test]
fn instructions_of_the_configuration() {
    let place = Place::root();
    context(&place);
    let dockerfile = "# syntax=docker/dockerfile:1\n# check=skip=JSONArgsRecommended\nFROM scratch\nARG PORTS=8000-8002\nEXPOSE $PORTS 53/udp\nVOLUME [\"/a b\", \"/c\"]\nSTOPSIGNAL sigint\nHEALTHCHECK --interval=30s --retries=2 --start-interval=1s CMD curl -f http://x\nSHELL [\"/bin/ash\", \"-c\"]\nCMD echo $HOME\nLABEL a=1\n";
    place
        .build("context", dockerfile)
        .args(["-t", "result", "--label", "a=2", "--label", "b=3"])
        .succeeds();
    let said = place.wiac(["inspect", "result"]).succeeds();
    for part in [
        "8001/tcp",
        "53/udp",
        "/a b",
        "sigint",
        "CMD-SHELL",
        "30000000000",
        "/bin/ash",
        "\"a\": \"2\"",
        "\"b\": \"3\"",
    ] {
        assert!(said.stdout.contains(part), "{part} in {}", said.stdout);
    }
    for (instruction, why) in [
        ("STOPSIGNAL SIGTREM", "did you mean SIGTERM"),
        ("EXPOSE http", "http"),
        ("HEALTHCHECK --interval=5 CMD x", "interval"),
        ("SHELL /bin/sh", "SHELL"),
    ] {
        place
            .build("context", &format!("FROM scratch\n{instruction}\n"))
            .fails(1)
            .complains(&["Dockerfile:2", why]);
    }
    place
        .build("context", "# syntax=example.org/frontend\nFROM scratch\n")
        .fails(1)
        .complains(&["Dockerfile:1", "example.org/frontend"]);
    // What the checks find is a warning, or an error where the file says so.
    place
        .build("context", "FROM scratch as x\nMAINTAINER me\n")
        .succeeds()
        .complains(&["line 2", "MaintainerDeprecated"]);
    place
        .build("context", "# check=error=true\nFROM scratch\nMAINTAINER me\n")
        .fails(1)
        .complains(&["Dockerfile:3", "MaintainerDeprecated"]);
}
