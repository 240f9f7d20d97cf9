//! Building: what is run again and what isn't, the instructions, what goes into the context, and what failing says.

use crate::harness::{Place, tests_as};
use std::os::unix::fs::MetadataExt;

/// A context with busybox below `root/`.
fn context(place: &Place) {
    place.busybox("context/root");
    place.write("context/root/etc/passwd", "root:x:0:0:root:/:/bin/sh\nann:x:1000:1000:Ann:/home:/bin/sh\n");
    place.write("context/root/etc/group", "root:x:0:\nann:x:1000:\nstaff:x:50:\n");
}

/// Which steps of a build weren't carried out again, by its progress.
fn unchanged(progress: &str) -> Vec<bool> {
    let lines: Vec<&str> = progress.lines().collect();
    let steps = lines.iter().enumerate().filter(|(_, line)| line.starts_with('['));
    steps.map(|(number, _)| lines[number + 1..].iter().take_while(|line| !line.starts_with('[')).any(|line| line.trim() == "unchanged")).collect()
}

/// The directory of the topmost layer that a build printed.
fn topmost(chain: &str) -> String {
    chain.trim().split(':').next().expect("a layer").to_owned()
}

/// Builds `dockerfile` on busybox and runs `script` in the result.
fn result(place: &Place, dockerfile: &str, script: &str) -> String {
    context(place);
    let dockerfile = format!("FROM scratch\nCOPY root /\n{dockerfile}");
    place.build("context", &dockerfile).args(["-t", "result"]).succeeds();
    place.wiac(["run", "result", "sh", "-c", script]).succeeds().stdout
}

tests_as! {
    [root, user, single]
    fn what_ran_before_with_the_same_inputs_is_not_run_again(place) {
        context(place);
        place.write("context/file", "1");
        let dockerfile = "FROM scratch\nCOPY root /\nRUN echo first > /first\nCOPY file /file\nRUN date +%N > /last\n";
        let first = place.build("context", dockerfile).succeeds();
        assert_eq!(unchanged(&first.stderr)[1..], [false; 4]);
        let second = place.wiac(["build", "context"]).succeeds();
        assert_eq!(unchanged(&second.stderr)[1..], [true; 4]);
        assert_eq!(first.stdout, second.stdout);
        // Times aren't what a file is.
        place.host("touch -d '2001-01-01' context/file").succeeds();
        assert_eq!(place.wiac(["build", "context"]).succeeds().stdout, first.stdout);
        place.write("context/file", "2");
        let third = place.wiac(["build", "context"]).succeeds();
        assert_eq!(unchanged(&third.stderr)[1..], [true, true, false, false]);
        // What was before is remembered too.
        place.write("context/file", "1");
        assert_eq!(place.wiac(["build", "context"]).succeeds().stdout, first.stdout);
        place.chmod("context/file", 0o755);
        assert_eq!(unchanged(&place.wiac(["build", "context"]).succeeds().stderr)[1..], [true, true, false, false]);
    }

    [root, user]
    fn a_build_has_an_id(place) {
        context(place);
        place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN echo 1 > /x\n");
        let first = place.wiac(["build", "-q", "context"]).succeeds();
        assert_eq!(first.stderr, "");
        assert_eq!(first.lines().len(), 1);
        assert_eq!(place.wiac(["build", "--quiet", "context"]).succeeds().stdout, first.stdout);
        place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN echo 2 > /x\n");
        assert_ne!(place.wiac(["build", "-q", "context"]).succeeds().stdout, first.stdout);
    }

    [root, user]
    fn no_cache_runs_every_step_and_what_builds_on_them(place) {
        context(place);
        let dockerfile = "FROM scratch\nCOPY root /\nRUN date +%N > /x\n";
        let first = place.build("context", dockerfile).succeeds();
        let second = place.wiac(["build", "--no-cache", "context"]).succeeds();
        assert_eq!(unchanged(&second.stderr)[1..], [false, false]);
        assert_ne!(first.stdout, second.stdout);
        assert_eq!(place.wiac(["build", "context"]).succeeds().stdout, second.stdout, "the newest counts");
    }

    [root, user, single]
    fn failing_steps_are_shown_and_those_before_stay(place) {
        context(place);
        let said = place.build("context", "FROM scratch\nCOPY root /\nRUN echo fine > /x\n\n# a comment\nRUN echo this is why; \\\n    exit 42\nRUN never\n").fails(1);
        said.complains(&["Dockerfile:6", "exit code 42", "this is why", "exit 42"]);
        assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
        let said = place.build("context", "FROM scratch\nCOPY root /\nRUN echo fine > /x\n\n# a comment\nRUN echo this is better\nRUN test -e /x\n").succeeds();
        assert_eq!(unchanged(&said.stderr)[1..], [true, true, false, false]);
        assert!(said.stdout.lines().count() == 1, "standard output is for the chain alone: {}", said.stdout);
    }

    [root, user]
    fn stages(place) {
        context(place);
        let dockerfile = "FROM scratch AS base\nCOPY root /\n\
            FROM base AS maker\nRUN mkdir /out && echo made > /out/a && echo more > /out/b\n\
            FROM base AS never\nRUN exit 1\n\
            FROM base AS final\nCOPY --from=maker /out/a /taken/\nCOPY --from=1 /out /all\nCMD [\"cat\", \"/taken/a\"]\n";
        let said = place.build("context", dockerfile).args(["-t", "result"]).succeeds().never_complains("never").never_complains("exit 1");
        assert!(said.stderr.contains("[maker "), "{}", said.stderr);
        place.wiac(["run", "result"]).succeeds().says("made");
        place.wiac(["run", "result", "ls", "/all"]).succeeds().says("a\nb");
        place.wiac(["build", "--target", "maker", "-t", "maker", "context"]).succeeds().never_complains("[final");
        place.wiac(["run", "maker", "cat", "/out/b"]).succeeds().says("more");
        place.wiac(["build", "--target", "nver", "context"]).fails(1).complains(&["nver", "did you mean", "never"]);
        place.wiac(["build", "--target", "never", "context"]).fails(1).complains(&["Dockerfile:6", "exit code 1"]);
    }

    [root, user]
    fn bases_are_images_and_bundles(place) {
        context(place);
        place.build("context", "FROM scratch\nCOPY root /\nENV COLOUR=red\nWORKDIR /srv\n").args(["-t", "team/base:v1"]).succeeds();
        place.build("context", "FROM team/base:v1\nRUN echo $COLOUR $PWD > /x\n").args(["-t", "child"]).succeeds();
        place.wiac(["run", "child", "sh", "-c", "cat /x; pwd"]).succeeds().says("red /srv\n/srv");
        place.build("context", "FROM bundle://sh,cat\nRUN echo on a bundle > /x\nCMD [\"cat\", \"/x\"]\n").args(["-t", "bundled"]).succeeds();
        place.wiac(["run", "bundled"]).succeeds().says("on a bundle");
        place.build("context", "FROM scratch\nCOPY --from=team/base:v1 /bin /bin\nCOPY --from=bundled /x /x\nCMD [\"/bin/cat\", \"/x\"]\n").args(["-t", "copied"]).succeeds();
        place.wiac(["run", "copied"]).succeeds().says("on a bundle");
        place.build("context", "FROM team/bsae:v1\n").fails(1).complains(&["Dockerfile:1", "team/bsae:v1"]);
        place.build("context", "FROM bundle://sh,no-such-program\n").fails(1).complains(&["no-such-program"]);
        place.build("context", "FROM bundle://\n").fails(1).complains(&["bundle://"]);
    }

    [root, user, single]
    fn copy_goes_through_links_and_keeps_what_is_there(place) {
        context(place);
        place.symlink("usr/lib64", "context/root/lib64");
        place.mkdir("context/root/usr/lib64");
        place.chmod("context/root/usr/lib64", 0o750);
        place.write("context/files/libx.so", "library");
        place.write("context/files/more/deep", "deep");
        let chain = place.build("context", "FROM scratch\nCOPY root /\nCOPY files /lib64\nCOPY files/libx.so /lib64/second.so\n").succeeds();
        let layers: Vec<&str> = chain.text().split(':').collect();
        assert_eq!(place.tree(layers[1]), ["usr", "usr/lib64", "usr/lib64/libx.so", "usr/lib64/more", "usr/lib64/more/deep"]);
        assert_eq!(place.tree(layers[0]), ["usr", "usr/lib64", "usr/lib64/second.so"]);
        place.sh(chain.text(), "./box", "test -L /lib64 && stat -c %a /usr/lib64; ls /lib64").succeeds().says("750\nlibx.so\nmore\nsecond.so");
    }
}

#[test]
fn variables() {
    let place = Place::root();
    context(&place);
    let dockerfile = "ARG BASE=scratch\nFROM $BASE\nARG BASE\nCOPY root /\nARG COLOUR=red\nARG UNSET\nENV SIZE=large\nENV COLOUR_TOO=${COLOUR}-ish SIZE_TOO=${SIZE:-small} NONE=${UNSET:-nothing}\n\
        RUN echo \"$COLOUR $COLOUR_TOO $SIZE_TOO $NONE $BASE\" > /x\nENV A=1\nENV A=2 B=$A\nRUN echo $A $B >> /x\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    // ARG is for the build alone, ENV stays.
    place.wiac(["run", "result", "sh", "-c", "cat /x; echo \"[$COLOUR] [$COLOUR_TOO] [$B]\""]).succeeds().says("red red-ish large nothing scratch\n2 1\n[] [red-ish] [1]");
    place.wiac(["build", "--build-arg", "COLOUR=blue", "-t", "result", "context"]).succeeds();
    place.wiac(["run", "result", "cat", "/x"]).succeeds().says("blue blue-ish large nothing scratch\n2 1");
    place.wiac(["build", "--build-arg", "COLOUR", "-t", "result", "context"]).env("COLOUR", "green").succeeds();
    place.wiac(["run", "result", "head", "-n", "1", "/x"]).succeeds().says("green green-ish large nothing scratch");
    // ENV counts before ARG.
    let shadowed = "FROM scratch\nCOPY root /\nENV V=env\nARG V=arg\nRUN echo $V > /x\n";
    place.build("context", shadowed).args(["--build-arg", "V=given", "-t", "result"]).succeeds();
    place.wiac(["run", "result", "cat", "/x"]).succeeds().says("env");
    place.wiac(["build", "--build-arg", "TYPO=1", "context"]).succeeds().complains(&["no ARG declares", "TYPO"]);
}

#[test]
fn a_build_argument_that_a_step_can_see_runs_it_again() {
    let place = Place::root();
    context(&place);
    let dockerfile = "FROM scratch\nCOPY root /\nRUN true\nARG V\nRUN echo $V > /x\n";
    place.build("context", dockerfile).args(["--build-arg", "V=1"]).succeeds();
    let said = place.wiac(["build", "--build-arg", "V=2", "context"]).succeeds();
    assert_eq!(unchanged(&said.stderr).last(), Some(&false), "{}", said.stderr);
    assert!(unchanged(&said.stderr)[2], "{}", said.stderr);
}

#[test]
fn shells_labels_and_forms_of_run() {
    let place = Place::root();
    let made = result(
        &place,
        "LABEL version=\"1.0\" \"with space\"=yes\nRUN [\"/bin/sh\", \"-c\", \"echo $0 exec > /x\"]\nSHELL [\"/bin/sh\", \"-eu\", \"-c\"]\nRUN echo $- >> /x; false || echo after >> /x\nUSER ann\nRUN id -u > /tmp-x || true\nWORKDIR /srv/deep\nWORKDIR er\nUSER root\nRUN pwd >> /x\nEXPOSE 80/tcp\nVOLUME /data\nSTOPSIGNAL SIGINT\nHEALTHCHECK NONE\nMAINTAINER nobody\n",
        "cat /x; pwd; stat -c %u:%g:%a /srv/deep/er",
    );
    let lines: Vec<&str> = made.lines().collect();
    assert_eq!(lines[0], "/bin/sh exec");
    assert!(lines[1].contains('e') && lines[1].contains('u'), "{made}");
    assert_eq!(lines[2..], ["after", "/srv/deep/er", "/srv/deep/er", "0:0:755"]);
    // A set -e shell ends at the first failure.
    place.build("context", "FROM scratch\nCOPY root /\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\nRUN false; echo on > /x\n").fails(1).complains(&["Dockerfile:4", "exit code 1"]);
}

#[test]
fn heredocs() {
    let place = Place::root();
    let made = result(
        &place,
        "ENV NAME=Ann\nRUN <<EOF\necho one > /x\necho \"two $NAME\" >> /x\nEOF\nRUN <<'EOF'\n#!/bin/sh\necho three $NAME >> /x\nEOF\nCOPY <<one <<two /files/\nI am $NAME\none\nliteral\ntwo\nCOPY <<'RAW' /raw\n$NAME stays\nRAW\nRUN cat <<EOF >> /x\nfour\nEOF\n",
        "cat /x /files/one /files/two /raw; stat -c %a /raw",
    );
    assert_eq!(made, "one\ntwo Ann\nthree Ann\nfour\nI am Ann\nliteral\n$NAME stays\n644\n");
    place.build("context", "FROM scratch\nCOPY root /\nRUN <<EOF\nfalse\nexit 9\nEOF\n").fails(1).complains(&["Dockerfile:3", "exit code 9"]);
    place.build("context", "FROM scratch\nRUN <<EOF\nnever ended\n").fails(1).complains(&["Dockerfile:2", "EOF", "never ended"]);
}

#[test]
fn the_ignore_file_leaves_files_out_and_takes_some_back() {
    let place = Place::root();
    for file in ["a.txt", "b.log", "docs/a.md", "docs/keep.md", "docs/deep/x.md", "secret/key", "secret/public", "src/main.c", "src/main.o", ".hidden"] {
        place.write(&format!("context/{file}"), file);
    }
    place.write("context/.dockerignore", "# what isn't needed\n*.log\n**/*.o\ndocs\n!docs/keep.md\nsecret/*\n!secret/public\nDockerfile\n.dockerignore\n");
    let said = place.build("context", "FROM scratch\nCOPY . /\n").succeeds();
    let tree = place.tree(topmost(&said.stdout));
    assert_eq!(tree, [".hidden", "a.txt", "docs", "docs/keep.md", "secret", "secret/public", "src", "src/main.c"]);
    // What is left out doesn't run a step again.
    place.write("context/b.log", "changed");
    assert_eq!(place.wiac(["build", "context"]).succeeds().stdout, said.stdout);
    place.build("context", "FROM scratch\nCOPY b.log /\n").fails(1).complains(&["Dockerfile:2", "b.log", ".dockerignore"]);
}

#[test]
fn copy_sets_owners_and_modes() {
    let place = Place::root();
    context(&place);
    place.write("context/files/a", "a");
    place.script("context/files/sub/b", "b");
    place.symlink("a", "context/files/link");
    let dockerfile = "FROM scratch\nCOPY root /\nCOPY files /plain\nCOPY --chown=ann:staff files /owned\nCOPY --chown=7 files/a /seven\nCOPY --chmod=640 files/a /mode\nCOPY --chmod=0711 --chown=1:2 files /both/\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    let script = "stat -c '%n %u:%g %a' /plain /plain/a /plain/sub/b /owned /owned/sub /owned/a /owned/link /seven /mode /both/sub/b; readlink /owned/link";
    let said = place.wiac(["run", "result", "sh", "-c", script]).succeeds();
    said.says("/plain 0:0 755\n/plain/a 0:0 644\n/plain/sub/b 0:0 755\n/owned 1000:50 755\n/owned/sub 1000:50 755\n/owned/a 1000:50 644\n/owned/link 1000:50 777\n/seven 7:7 644\n/mode 0:0 640\n/both/sub/b 1:2 711\na");
    place.build("context", "FROM scratch\nCOPY root /\nCOPY --chown=nobody-here files /x\n").fails(1).complains(&["Dockerfile:3", "nobody-here"]);
    place.build("context", "FROM scratch\nCOPY --chmod=wide files /x\n").fails(1).complains(&["Dockerfile:2", "wide", "octal"]);
}

#[test]
fn copy_takes_patterns_and_several_sources() {
    let place = Place::root();
    context(&place);
    for file in ["a1.txt", "a2.txt", "b1.txt", "dir/inner"] {
        place.write(&format!("context/{file}"), file);
    }
    let said = place.build("context", "FROM scratch\nCOPY a*.txt /p/\nCOPY a?.txt dir b1.txt /q/\nCOPY [\"a1.txt\", \"/with space/x y\"]\n").succeeds();
    let layers: Vec<&str> = said.text().split(':').collect();
    assert_eq!(place.tree(layers[2]), ["p", "p/a1.txt", "p/a2.txt"]);
    assert_eq!(place.tree(layers[1]), ["q", "q/a1.txt", "q/a2.txt", "q/b1.txt", "q/inner"]);
    assert_eq!(place.tree(layers[0]), ["with space", "with space/x y"]);
    place.build("context", "FROM scratch\nCOPY a1.txt a2.txt /p\n").fails(1).complains(&["Dockerfile:2", "several sources need a directory"]);
    // As in docker, a pattern may match nothing; a name has to be there.
    place.build("context", "FROM scratch\nCOPY z*.txt /p/\n").succeeds();
    place.build("context", "FROM scratch\nCOPY a1.text /p/\n").fails(1).complains(&["Dockerfile:2", "a1.text", "did you mean a1.txt"]);
}

#[test]
fn directories_that_are_there_keep_their_metadata() {
    let place = Place::root();
    context(&place);
    place.mkdir("context/root/srv/shared");
    place.host("chmod 2775 context/root/srv/shared && touch -d '2001-02-03 04:05:06' context/root/srv/shared").succeeds();
    place.write("context/file", "x");
    place.write("context/tree/srv/shared/other", "x");
    place.chmod("context/tree/srv/shared", 0o700);
    let dockerfile = "FROM scratch\nCOPY root /\nRUN chown 1000:50 /srv/shared\nCOPY file /srv/shared/\nCOPY tree /\nRUN touch /srv/shared/third\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    place.wiac(["run", "result", "stat", "-c", "%u:%g %a", "/srv/shared"]).succeeds().says("1000:50 2775");
    place.wiac(["run", "result", "ls", "/srv/shared"]).succeeds().says("file\nother\nthird");
}

#[test]
fn a_file_takes_the_place_of_another() {
    let place = Place::root();
    let made = result(&place, "RUN echo old > /x && ln -s x /link\nCOPY <<E /x\nnew\nE\nRUN rm /x\nCOPY <<E /x\nagain\nE\n", "cat /x; readlink /link");
    assert_eq!(made, "again\nx\n");
}

#[test]
fn hard_links_stay_links_and_attributes_stay() {
    let place = Place::root();
    context(&place);
    place.write("context/files/a", "a");
    place.host("ln context/files/a context/files/b && setfattr -n user.mark -v kept context/files/a && truncate -s 64M context/files/sparse").succeeds();
    let said = place.build("context", "FROM scratch\nCOPY files /files\n").succeeds();
    let top = topmost(&said.stdout);
    let (a, b) = (std::fs::metadata(format!("{top}/files/a")).expect("a"), std::fs::metadata(format!("{top}/files/b")).expect("b"));
    assert_eq!(a.ino(), b.ino());
    assert!(std::fs::metadata(format!("{top}/files/sparse")).expect("sparse").blocks() < 1000);
}

#[test]
fn dockerfiles_have_several_names() {
    let place = Place::root();
    context(&place);
    place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nCMD [\"echo\", \"the usual one\"]\n");
    place.write("context/other.Dockerfile", "FROM scratch\nCOPY root /\nCMD [\"echo\", \"another\"]\n");
    place.wiac(["build", "-f", "context/other.Dockerfile", "-t", "result", "context"]).succeeds();
    place.wiac(["run", "result"]).succeeds().says("another");
    let text = "FROM scratch\nCOPY root /\nCMD [\"echo\", \"by standard input\"]\n";
    place.wiac(["build", "-f", "-", "-t", "result", "context"]).stdin(text).succeeds();
    place.wiac(["run", "result"]).succeeds().says("by standard input");
    place.wiac(["build", "-t", "result"]).within("context").succeeds();
    place.wiac(["run", "result"]).succeeds().says("the usual one");
    place.mkdir("empty");
    place.wiac(["build", "empty"]).fails(1).complains(&["there is no Dockerfile in empty", "-f"]);
    place.wiac(["build", "context/Dockerfile"]).fails(1).complains(&["not a directory"]);
    place.wiac(["build", "-f", "missing", "context"]).fails(1).complains(&["missing", "No such file"]);
}

#[test]
fn what_a_step_says_goes_to_standard_error() {
    let place = Place::root();
    context(&place);
    let said = place.build("context", "FROM scratch\nCOPY root /\nRUN echo aloud; echo softly >&2; cat\n").stdin("not for it").succeeds();
    assert_eq!(said.stdout.lines().count(), 1);
    said.complains(&["aloud", "softly", "RUN echo aloud"]).never_complains("not for it");
    // -q is quiet but for what fails.
    place.build("context", "FROM scratch\nCOPY root /\nRUN echo why; exit 3\n").args(["-q"]).fails(1).complains(&["exit code 3", "Dockerfile:3"]);
}

#[test]
fn two_builds_at_once_get_along() {
    let place = Place::root();
    context(&place);
    place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN echo 1 > /x\nRUN echo 2 > /y\n");
    std::thread::scope(|scope| {
        for number in 0..6 {
            let place = &place;
            scope.spawn(move || {
                let name = format!("image{number}");
                place.wiac(["build", "-t", &name, "context"]).succeeds();
                place.wiac(["run", &name, "cat", "/x", "/y"]).succeeds().says("1\n2");
            });
        }
    });
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

#[test]
fn steps_have_the_network_that_is_asked_for() {
    let place = Place::root();
    context(&place);
    place.build("context", "FROM scratch\nCOPY root /\nRUN ls /sys/class/net > /all\nRUN --network=none ls /sys/class/net > /none\n").args(["-t", "result"]).succeeds();
    place.wiac(["run", "result", "cat", "/none"]).succeeds().says("lo");
    place.wiac(["build", "--network", "none", "-t", "result", "context"]).succeeds();
    place.wiac(["run", "result", "cat", "/all"]).succeeds().says("lo");
}

#[test]
fn what_is_not_there_yet_says_so() {
    let place = Place::root();
    context(&place);
    for (instruction, says) in [("RUN --mount=type=cache,target=/c true", "--mount"), ("ADD root.tar /", "ADD"), ("COPY --parents root /", "--parents"), ("ONBUILD RUN true", "")] {
        let call = place.build("context", &format!("FROM scratch\nCOPY root /\n{instruction}\n"));
        if says.is_empty() {
            call.succeeds();
        } else {
            call.fails(1).complains(&["Dockerfile:3", says]);
        }
    }
}
