//! `build --dry-run=shell`: scripts run with bash, whose tree is the tree that the build itself makes.

use super::context;
use crate::harness::call::Said;
use crate::harness::{Place, as_users};
use std::path::Path;

/// Lists a tree from the inside: names, types, modes, owners, sizes, contents, and the times of what was old already.
const LIST: &str = r#"find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /etc/hosts -o -path /etc/resolv.conf \
    -o -path /etc/hostname \) -prune -o -print | sort | while read -r path; do
    time=; if [ -f "$path" ] && [ "$path" -ot /old ]; then time=$(stat -c %Y "$path"); fi
    sum=; if [ -f "$path" ] && [ ! -L "$path" ]; then sum=$(md5sum <"$path"); fi
    echo "$(stat -c '%N %F %a %u:%g' "$path") $time $sum"
done"#;

/// Builds, and runs the script for the same; both trees are listed by a container on them.
fn same(place: &Place, arguments: &[&str], dockerfile: &str) -> Said {
    place.write("context/Dockerfile", dockerfile);
    place
        .host("touch -d 2020-01-01 context/old; find context -path '*/root/*' -type f -exec touch -d 2001-02-03 {} +")
        .succeeds();
    let build = ["build", "context"].iter().chain(arguments);
    let chain = place.wiac(build).succeeds().stdout;
    let script = ["build", "--dry-run=shell", "context"].iter().chain(arguments);
    let script = place.wiac(script).succeeds();
    assert!(script.stdout.starts_with("#!"), "{}", script.stdout);
    assert!(!place.has("by-hand"), "a dry run writes nothing");
    place.write("script.sh", &script.stdout);
    let by_hand = place
        .command(Path::new("/bin/bash"))
        .args(["script.sh", "by-hand"])
        .succeeds();
    let list = |chain: &str, layer: &str| {
        let said = place
            .wiac(["run", chain.trim(), layer, "/bin/sh", "-c", LIST])
            .succeeds()
            .stdout;
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (theirs, ours) = (
        list(by_hand.lines().last().expect("a chain"), "./theirs"),
        list(&chain, "./ours"),
    );
    let missing: Vec<_> = ours.iter().filter(|line| !theirs.contains(line)).collect();
    let more: Vec<_> = theirs.iter().filter(|line| !ours.contains(line)).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "only in the build: {missing:#?}\nonly by hand: {more:#?}"
    );
    assert!(ours.len() > 10, "{ours:?}");
    script
}

as_users!(copies_by_hand: root, user, single);
fn copies_by_hand(place: &Place) {
    context(place);
    place.write("context/a.txt", "a");
    place.write("context/b.txt", "b");
    place.script("context/src/tool", "tool");
    place.write("context/src/deep/er/file", "deep");
    place.write("context/src/deep/skip.o", "object");
    place.symlink("deep/er", "context/src/link");
    place.write("context/secret.key", "never");
    place.write("context/.dockerignore", "*.key\n**/*.o\n!src/deep/keep.o\n");
    place.write("context/src/deep/keep.o", "kept");
    place.chmod("context/src/deep", 0o700);
    let script = same(
        place,
        &[],
        "FROM scratch AS base\nCOPY root /\nCOPY old /\n\
         FROM base AS other\nWORKDIR /out/bin\nCOPY --chmod=640 src/tool .\nCOPY --chown=0:0 *.txt /out/\n\
         FROM base\nWORKDIR /srv\nCOPY src sub/\nCOPY src/link /srv/single\nCOPY --chown=0 --chmod=0751 src /owned\n\
         COPY a.txt b.txt /two/\nCOPY --exclude=*.txt . /all\nCOPY --parents src/./deep/*/file src/tool /parents/\n\
         COPY --from=other /out /from\nCOPY --from=other --exclude=bin /out /some/\nCOPY --from=other /out/*.txt /globbed/\n\
         COPY --from=other --parents /out/./bin/tool /kept/\n\
         COPY --chmod=u=rwX,go=rX <<one <<\"two\" /texts/\nthis is\n\"one\"\none\nand '$two'\ntwo\n\
         COPY a.txt /bin/../srv/sub/tool\n",
    );
    assert!(
        script.stdout.contains("# COPY --from=other /out /from"),
        "{}",
        script.stdout
    );
}

as_users!(runs_by_hand: root, user, single);
fn runs_by_hand(place: &Place) {
    context(place);
    place.write("context/secret", "told to nobody");
    same(
        place,
        &[
            "--build-arg",
            "VERSION=2 and more",
            "--secret",
            "id=s,src=context/secret",
        ],
        "FROM scratch AS base\nCOPY root /\nCOPY old /\n\
         FROM base AS made\nRUN echo made > /made && ln /made /again && chmod 2755 /home /tmp 2>/dev/null; mkdir -p /gone/x\n\
         FROM base\nARG VERSION\nENV COLOUR=\"dark red\" PATH=/bin\nWORKDIR /srv/app\n\
         RUN echo \"$VERSION $COLOUR it's $HOME\" > said; pwd > where; rm -r /etc/group; id -u > id\n\
         RUN [\"/bin/sh\", \"-c\", \"env | sort > /environment; hostname > /name\"]\n\
         RUN <<EOF\ncat > /heredoc <<X\n  $COLOUR\nX\nmkdir -p /deep/er\nEOF\n\
         RUN <<EOF\n#!/bin/sh -eu\necho $0 > /by-file\nEOF\n\
         RUN --mount=type=secret,id=s,env=WORD --mount=type=secret,id=s cat /run/secrets/s | wc -c > /length; echo ${#WORD} >> /length\n\
         RUN --mount=from=made,source=/made,target=/mnt/made --mount=target=/ctx --mount=type=tmpfs,target=/scratch \
         --mount=type=cache,target=/cache cat /mnt/made /ctx/old > /seen; echo x > /scratch/x; echo y > /cache/y\n\
         RUN --mount=type=cache,target=/cache cat /cache/y > /kept\n\
         SHELL [\"/bin/ash\", \"-ec\"]\nRUN --network=none test ! -e /scratch/x && rm -rf /gone && mkdir /gone\n\
         COPY --from=made /made /again /linked/\nCMD [\"sh\"]\n",
    );
    assert!(
        !place.read("script.sh").contains("told to nobody"),
        "the secret is in the script"
    );
    let config: serde_json::Value = serde_json::from_str(&place.read("by-hand/config.json")).expect("JSON");
    assert_eq!(config["config"]["WorkingDir"], "/srv/app");
    assert_eq!(config["config"]["Cmd"][0], "sh");
}

as_users!(linked_copies_and_filled_caches_by_hand: root, user);
fn linked_copies_and_filled_caches_by_hand(place: &Place) {
    context(place);
    place.write("context/src/file", "text");
    let state = "stat -c '%u:%g %a' /cache; cat /cache/*";
    same(
        place,
        &[],
        &format!(
            "FROM scratch AS base\nCOPY root /\nCOPY old /\n\
             RUN mkdir -p /there/deep /first && echo begun > /first/file && chown -R 1000:50 /there /first && chmod 770 /there /first\n\
             FROM base\nCOPY --link src /there/\nCOPY --link --chown=ann:staff src/file /there/deep/\n\
             COPY --link --from=base /first /there/first\nCOPY --link --chmod=600 src/file /there/with-mode\n\
             ADD --link src/file /new/file\n\
             RUN --mount=type=cache,target=/cache,from=base,source=/first ({state}) > /seen; echo more > /cache/more\n\
             RUN --mount=type=cache,target=/cache,from=base,source=/first ({state}) > /seen-again\n\
             RUN --mount=type=cache,target=/cache,id=own,from=base,source=/first,uid=4,mode=0700 ({state}) > /owned\n\
             RUN --mount=type=cache,target=/cache,from=base,source=/first,ro ({state}) > /read\n"
        ),
    );
    assert!(place.read("script.sh").contains("begin linked"));
}

as_users!(users_by_hand: root, user);
fn users_by_hand(place: &Place) {
    context(place);
    place.write("context/file", "of ann");
    same(
        place,
        &[],
        "FROM scratch\nCOPY --chown=root:root file /rooted\nCOPY root /\nCOPY old /\nRUN mkdir -m 777 /shared && echo bob:x:77:78::/bobs:/bin/sh >> /etc/passwd\n\
         COPY --chown=ann:staff file /anns/file\nCOPY --chown=bob file /bobs/\nUSER ann\nWORKDIR /work\n\
         RUN (id -u; id -g) > /shared/id; pwd >> /shared/id; echo $HOME >> /shared/id; touch here\nUSER bob\nRUN (id -u; id -g; pwd) > /shared/bob\n",
    );
}

as_users!(archives_by_hand: root, user, single);
fn archives_by_hand(place: &Place) {
    context(place);
    place.write("context/in/dir/one", "1");
    place.symlink("one", "context/in/dir/two");
    place
        .host("tar --owner=0 --group=0 -C context/in -czf context/it.tgz dir && rm -r context/in")
        .succeeds();
    same(
        place,
        &[],
        "FROM scratch\nCOPY root /\nCOPY old /\nADD it.tgz /\nADD it.tgz /opt/x/\nADD --unpack=false it.tgz /as-it-is/\nADD old /o\n",
    );
}

as_users!(bases_by_hand: root, user, single);
fn bases_by_hand(place: &Place) {
    place.image(
        "app",
        "ENV A=b\nONBUILD COPY late /late\nONBUILD RUN echo $A > /triggered",
    );
    place.write("context/late", "late");
    place.write("context/old", "");
    same(
        place,
        &[],
        "FROM app\nCOPY old /\nCOPY --from=bundle://ls /usr/bin/ls /ls\n",
    );
}

#[test]
fn what_a_script_cannot_do_is_said() {
    let place = Place::root();
    context(&place);
    place
        .build("context", "FROM scratch\nADD https://example.com/x /x\n")
        .arg("--dry-run=shell")
        .fails(1)
        .complains(&["ADD https://example.com/x: a download"])
        .mentions("fail 'a step");
}

#[test]
fn the_chain_is_one_for_run() {
    let place = Place::root();
    context(&place);
    let script = place
        .build("context", "FROM scratch\nCOPY root /\nRUN echo here >/file\n")
        .arg("--dry-run=shell")
        .succeeds();
    place.write("script.sh", &script.stdout);
    let script = place.command(Path::new("/bin/bash")).args(["script.sh", "a:b\\c"]);
    let chain = script.succeeds();
    place
        .sh(chain.lines().last().expect("a chain"), "./layer", "cat /file")
        .succeeds()
        .says("here");
}
