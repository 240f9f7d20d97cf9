//! RUN `--mount`, `--network`, `--security`: what a step sees that its image doesn't hold.

use super::{context, topmost};
use crate::harness::call::Call;
use crate::harness::{Place, as_users};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

/// Builds `instructions` on busybox.
fn build(place: &Place, instructions: &str) -> Call {
    if !place.has("context/root") {
        context(place);
    }
    place.build("context", &format!("FROM scratch\nCOPY root /\n{instructions}\n"))
}

as_users!(bind_mounts_show_contexts_stages_and_images: root, user, single);
fn bind_mounts_show_contexts_stages_and_images(place: &Place) {
    context(place);
    place.write("context/src/main.c", "int main;");
    place.write("context/src/ignored.o", "object");
    place.write("context/.dockerignore", "**/*.o\nDockerfile\n");
    let dockerfile = "FROM scratch AS tools\nCOPY root /\nRUN mkdir /deep && echo first > /deep/a && echo gone > /deep/b\nRUN rm /deep/b && echo second > /deep/c\n\
        FROM scratch\nCOPY root /\nWORKDIR /work\n\
        RUN --mount=source=src,target=in --mount=from=tools,source=deep,target=/tools --mount=from=tools,source=/deep/c,target=/c,rw \
        { ls in; cat in/main.c; echo; ls /tools; cat /c; touch in/x || echo read-only; touch /tools/x || echo read-only; echo more >> /c && cat /c; } > /said 2>/dev/null\n\
        RUN --mount=source=src,target=/src,rw echo changed > /src/main.c && rm -f /src/none && touch /src/new && cat /src/main.c >> /said\n\
        RUN --mount=source=src,target=/src cat /src/main.c >> /said; ls /src >> /said; test ! -e /tools && test -d /work && ls /work >> /said\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    place
        .wiac(["run", "result", "cat", "/said"])
        .succeeds()
        .says("main.c\nint main;\na\nc\nsecond\nread-only\nread-only\nsecond\nmore\nchanged\nint main;main.c");
    // The context stays as it was, and a change of what is mounted runs the step again.
    assert_eq!(place.read("context/src/main.c"), "int main;");
    let before = place.wiac(["build", "context"]).succeeds().stdout;
    place.write("context/src/ignored.o", "other object");
    assert_eq!(place.wiac(["build", "context"]).succeeds().stdout, before);
    place.write("context/src/main.c", "int other;");
    assert_ne!(place.wiac(["build", "context"]).succeeds().stdout, before);
    assert!(
        !place
            .tree(topmost(&before))
            .iter()
            .any(|name| name.contains("src") || name.contains("tools"))
    );
}

as_users!(cache_mounts_outlive_builds: root, user, single);
fn cache_mounts_outlive_builds(place: &Place) {
    let step = |text: &str| {
        format!(
            "RUN --mount=type=cache,target=/cache --mount=type=cache,id=second,target=/2,mode=0700,uid=0 echo {text} >> /cache/log; cat /cache/log > /said; stat -c %a /2 >> /said; touch /2/x"
        )
    };
    build(place, &step("one")).succeeds();
    build(place, &step("two")).args(["-t", "result"]).succeeds();
    place
        .wiac(["run", "result", "cat", "/said"])
        .succeeds()
        .says("one\ntwo\n700");
    place
        .wiac(["run", "result", "sh", "-c", "ls /cache /2 2>&1"])
        .ends_with_any(&[1]);
    // A cache of another id is another one; ro can't be written.
    build(
        place,
        "RUN --mount=type=cache,id=other,target=/cache test ! -e /cache/log",
    )
    .succeeds();
    build(
        place,
        "RUN --mount=type=cache,target=/cache,ro cat /cache/log && ! touch /cache/x",
    )
    .succeeds();
    place.wiac(["store", "check"]).succeeds();
}

#[test]
fn cache_mounts_begin_with_what_a_stage_has() {
    let place = Place::root();
    context(&place);
    let dockerfile = |text: &str| {
        format!(
            "FROM scratch AS first\nCOPY root /\nRUN mkdir /seed && echo seed > /seed/s && chown 7:8 /seed\nFROM first\nRUN --mount=type=cache,target=/c,from=first,source=/seed cat /c/* > /said; stat -c %u:%g /c >> /said; echo {text} > /c/t\n"
        )
    };
    place.build("context", &dockerfile("one")).succeeds();
    place
        .build("context", &dockerfile("two"))
        .args(["-t", "result"])
        .succeeds();
    place
        .wiac(["run", "result", "cat", "/said"])
        .succeeds()
        .says("seed\none\n7:8");
}

#[test]
fn cache_mounts_are_shared_as_asked() {
    let place = Place::root();
    context(&place);
    for name in ["a", "b"] {
        place.host(&format!("cp -a context context-{name}")).succeeds();
    }
    let both = |sharing: &str| {
        let script = "echo in >> /c/log; sleep 0.7; wc -l < /c/log > /said; sleep 0.7; echo out >> /c/log";
        let names = ["a", "b"];
        let builds: Vec<_> = names
            .iter()
            .map(|name| {
                let dockerfile = format!(
                    "FROM scratch\nCOPY root /\nRUN --mount=type=cache,id={sharing},target=/c,sharing={sharing} : {name}; {script}\n"
                );
                let call = place.build(&format!("context-{name}"), &dockerfile).args(["-t", &format!("{sharing}-{name}")]);
                std::thread::spawn(move || drop(call.succeeds()))
            })
            .collect();
        for build in builds {
            build.join().expect("built");
        }
        let mut counts: Vec<String> = names
            .iter()
            .map(|name| {
                place
                    .wiac(["run", &format!("{sharing}-{name}"), "cat", "/said"])
                    .succeeds()
                    .text()
                    .to_owned()
            })
            .collect();
        counts.sort();
        counts
    };
    assert_eq!(both("shared"), ["2", "2"]);
    // One after the other.
    assert_eq!(both("locked"), ["1", "3"]);
    // Each its own.
    assert_eq!(both("private"), ["1", "1"]);
}

#[test]
fn tmpfs_is_empty_and_limited() {
    let place = Place::root();
    build(&place, "RUN --mount=type=tmpfs,target=/t,size=64k grep -q ' /t tmpfs.*size=64k' /proc/mounts && ! head -c 100000 /dev/zero > /t/x && df /t | tail -n 1\nRUN test ! -e /t/x && test ! -e /t").succeeds();
}

as_users!(secrets_are_seen_by_the_step_alone: root, user, single);
fn secrets_are_seen_by_the_step_alone(place: &Place) {
    let value = "s3cr3t-0123456789-abcdef";
    place.write("secret.txt", value);
    let step = "RUN --mount=type=secret,id=file,mode=0440,gid=0 --mount=type=secret,id=variable,env=TOKEN --mount=type=secret,id=both,target=/both,env=BOTH \
        cat /run/secrets/file | md5sum > /said; echo $TOKEN | md5sum >> /said; cat /both | md5sum >> /said; echo $BOTH | md5sum >> /said; stat -c '%a %u:%g' /run/secrets/file >> /said; test ! -e /run/secrets/variable\n\
        RUN test ! -e /run/secrets && test ! -e /both && test -z \"$TOKEN$BOTH\"";
    let said = build(place, step)
        .args([
            "-t",
            "result",
            "--secret",
            "id=file,src=secret.txt",
            "--secret",
            "id=variable,env=THE_TOKEN",
        ])
        .args(["--secret", "id=both,src=secret.txt"])
        .env("THE_TOKEN", value)
        .succeeds();
    let sums = place
        .host(&format!(
            "printf %s {value} | md5sum; echo {value} | md5sum; printf %s {value} | md5sum; echo {value} | md5sum"
        ))
        .succeeds();
    place
        .wiac(["run", "result", "cat", "/said"])
        .succeeds()
        .says(&format!("{}\n440 0:0", sums.text()));
    // Nowhere in the data directory, in no output.
    place.host(&format!("! grep -r -a -e {value} -- data")).succeeds();
    let said = said.never_complains(value);
    assert!(!said.stdout.contains(value));
    // Another value doesn't run the step again.
    place.write("secret.txt", "another");
    let again = build(place, step)
        .args([
            "--secret",
            "id=file,src=secret.txt",
            "--secret",
            "id=variable,env=THE_TOKEN",
        ])
        .args(["--secret", "id=both,src=secret.txt"])
        .env("THE_TOKEN", "another")
        .succeeds();
    assert_eq!(again.stdout, said.stdout);
}

#[test]
fn a_secret_leaves_nothing_even_where_the_build_is_killed() {
    let place = Place::root();
    context(&place);
    place.write("secret.txt", "s3cr3t-left-behind");
    place.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY root /\nRUN --mount=type=cache,target=/c --mount=type=secret,id=a cat /run/secrets/a > /dev/null; touch /c/up; sleep 30\n",
    );
    let mut build = place
        .wiac(["build", "--secret", "id=a,src=secret.txt", "context"])
        .in_background();
    place
        .host("for i in $(seq 500); do ls data/cache/mounts/*/0/up 2>/dev/null && exit; sleep 0.02; done; exit 1")
        .succeeds();
    build.gets(Signal::KILL);
    build.exit_code();
    place.host("! grep -r -a -e s3cr3t-left -- data").succeeds();
}

#[test]
fn secrets_that_are_missing() {
    let place = Place::root();
    build(&place, "RUN --mount=type=secret,id=a test ! -e /run/secrets/a").succeeds();
    build(&place, "RUN --mount=type=secret,id=token,required true")
        .args(["--secret", "id=tokem,src=/etc/hostname"])
        .fails(1)
        .complains(&["Dockerfile:3", "token is required", "tokem"]);
    build(&place, "RUN --mount=type=secret,id=a true")
        .args(["--secret", "id=a,src=none"])
        .fails(1)
        .complains(&["Dockerfile:3", "can't read the secret", "none"]);
    build(&place, "RUN true")
        .args(["--secret", "src=none"])
        .fails(125)
        .complains(&["--secret src=none", "id=NAME"]);
}

#[test]
fn an_agent_is_forwarded() {
    let place = Place::root();
    let path = place.path("agent");
    let listener = UnixListener::bind(&path).expect("a socket");
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        let mut question = [0; 5];
        connection.read_exact(&mut question).expect("a question");
        connection.write_all(b"answer to ").expect("written");
        connection.write_all(&question).expect("written");
    });
    context(&place);
    // busybox has no program that reaches a socket by its path: perl of the host asks instead.
    place
        .host("cd context/root && lib=usr/lib/x86_64-linux-gnu && mkdir -p $lib lib64 && cp -a /$lib/perl-base $lib/ && cp /usr/bin/perl bin/ && for f in $(ldd /usr/bin/perl | grep -o '/[^ ]*'); do mkdir -p .$(dirname $f); cp -L $f .$f; done")
        .succeeds();
    place.write(
        "context/root/ask.pl",
        "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un($ENV{SSH_AUTH_SOCK})) or die \"connect: $!\"; syswrite S, 'hello'; shutdown(S, 1); print while <S>;\n",
    );
    build(&place, "RUN --mount=type=ssh,mode=0666,uid=5 stat -c %a:%u $SSH_AUTH_SOCK > /said; perl /ask.pl >> /said\nRUN test -z \"$SSH_AUTH_SOCK\" && test ! -e /run/buildkit")
        .args(["-t", "result", "--ssh", "default"])
        .env("SSH_AUTH_SOCK", &path)
        .succeeds();
    server.join().expect("served");
    place
        .wiac(["run", "result", "cat", "/said"])
        .succeeds()
        .says("666:5\nanswer to hello");
    build(&place, "RUN --mount=type=ssh,required true")
        .fails(1)
        .complains(&["Dockerfile:3", "SSH agent default is required", "--ssh default"]);
    build(&place, "RUN --mount=type=ssh test -z \"$SSH_AUTH_SOCK\"").succeeds();
    build(&place, "RUN true")
        .args(["--ssh", "default=secret.txt"])
        .fails(125)
        .complains(&["--ssh default=secret.txt"]);
}

#[test]
fn what_needs_to_be_allowed_is() {
    let place = Place::root();
    let step = "RUN --security=insecure grep CapEff /proc/self/status > /said && grep Seccomp: /proc/self/status >> /said && touch /proc/sys/kernel/domainname";
    build(&place, step).fails(1).complains(&[
        "Dockerfile:3",
        "--security=insecure isn't allowed",
        "--allow security.insecure",
    ]);
    build(&place, step)
        .args(["--allow", "security.insecure", "-t", "result"])
        .succeeds();
    let said = place.wiac(["run", "result", "cat", "/said"]).succeeds();
    assert!(said.text().contains("Seccomp:\t0"), "{}", said.stdout);
    build(&place, "RUN --network=none ls /sys/class/net > /said")
        .args(["-t", "result"])
        .succeeds();
    place.wiac(["run", "result", "cat", "/said"]).succeeds().says("lo");
    build(&place, "RUN --network=host true")
        .args(["--network", "none"])
        .fails(1)
        .complains(&["--allow network.host"]);
    build(&place, "RUN --network=host true")
        .args(["--network", "none", "--allow", "network.host"])
        .succeeds();
    build(&place, "RUN --mount=type=tmpfs,target=/ true")
        .fails(1)
        .complains(&["Dockerfile:3", "on / itself"]);
    build(&place, "RUN --mount=source=nothing,target=/x true")
        .fails(1)
        .complains(&["Dockerfile:3", "nothing"]);
}

#[test]
fn steps_get_hosts_limits_and_shared_memory() {
    let place = Place::root();
    build(
        &place,
        "RUN grep fictional /etc/hosts > /said; ulimit -n >> /said; df -k /dev/shm | awk 'END { print $2 }' >> /said",
    )
    .args([
        "--add-host",
        "fictional:10.1.2.3",
        "--ulimit",
        "nofile=123:456",
        "--shm-size",
        "2m",
        "-t",
        "result",
    ])
    .succeeds();
    place
        .wiac(["run", "result", "cat", "/said"])
        .succeeds()
        .says("10.1.2.3\tfictional\n123\n2048");
    build(&place, "RUN true")
        .args(["--ulimit", "nofiles=1"])
        .fails(125)
        .complains(&["did you mean nofile"]);
}
