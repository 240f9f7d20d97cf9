//! COPY and the build context.

use super::{context, result, topmost};
use crate::harness::{Place, as_users};
use std::os::unix::fs::MetadataExt;

as_users!(copy_goes_through_links_and_keeps_what_is_there: root, user, single);
fn copy_goes_through_links_and_keeps_what_is_there(place: &Place) {
    context(place);
    place.symlink("usr/lib64", "context/root/lib64");
    place.mkdir("context/root/usr/lib64");
    place.chmod("context/root/usr/lib64", 0o750);
    place.write("context/files/libx.so", "library");
    place.write("context/files/more/deep", "deep");
    let chain = place
        .build(
            "context",
            "FROM scratch\nCOPY root /\nCOPY files /lib64\nCOPY files/libx.so /lib64/second.so\n",
        )
        .succeeds();
    let layers: Vec<&str> = chain.text().split(':').collect();
    assert_eq!(
        place.tree(layers[1]),
        [
            "usr",
            "usr/lib64",
            "usr/lib64/libx.so",
            "usr/lib64/more",
            "usr/lib64/more/deep"
        ]
    );
    assert_eq!(place.tree(layers[0]), ["usr", "usr/lib64", "usr/lib64/second.so"]);
    place
        .sh(
            chain.text(),
            "./box",
            "test -L /lib64 && stat -c %a /usr/lib64; ls /lib64",
        )
        .succeeds()
        .says("750\nlibx.so\nmore\nsecond.so");
}

#[test]
fn the_ignore_file_leaves_files_out_and_takes_some_back() {
    let place = Place::root();
    for file in [
        "a.txt",
        "b.log",
        "docs/a.md",
        "docs/keep.md",
        "docs/deep/x.md",
        "secret/key",
        "secret/public",
        "src/main.c",
        "src/main.o",
        ".hidden",
    ] {
        place.write(&format!("context/{file}"), file);
    }
    place.write("context/.dockerignore", "# what isn't needed\n*.log\n**/*.o\ndocs\n!docs/keep.md\nsecret/*\n!secret/public\nDockerfile\n.dockerignore\n");
    let said = place.build("context", "FROM scratch\nCOPY . /\n").succeeds();
    let tree = place.tree(topmost(&said.stdout));
    assert_eq!(
        tree,
        [
            ".hidden",
            "a.txt",
            "docs",
            "docs/keep.md",
            "secret",
            "secret/public",
            "src",
            "src/main.c"
        ]
    );
    // What is left out doesn't run a step again.
    place.write("context/b.log", "changed");
    assert_eq!(place.wiac(["build", "context"]).succeeds().stdout, said.stdout);
    place
        .build("context", "FROM scratch\nCOPY b.log /\n")
        .fails(1)
        .complains(&["Dockerfile:2", "b.log", ".dockerignore"]);
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
    place
        .build(
            "context",
            "FROM scratch\nCOPY root /\nCOPY --chown=nobody-here files /x\n",
        )
        .fails(1)
        .complains(&["Dockerfile:3", "nobody-here"]);
    place
        .build("context", "FROM scratch\nCOPY --chmod=wide files /x\n")
        .fails(1)
        .complains(&["Dockerfile:2", "wide", "octal", "symbolic"]);
}

#[test]
fn copy_takes_patterns_and_several_sources() {
    let place = Place::root();
    context(&place);
    for file in ["a1.txt", "a2.txt", "b1.txt", "dir/inner"] {
        place.write(&format!("context/{file}"), file);
    }
    let said = place
        .build(
            "context",
            "FROM scratch\nCOPY a*.txt /p/\nCOPY a?.txt dir b1.txt /q/\nCOPY [\"a1.txt\", \"/with space/x y\"]\n",
        )
        .succeeds();
    let layers: Vec<&str> = said.text().split(':').collect();
    assert_eq!(place.tree(layers[2]), ["p", "p/a1.txt", "p/a2.txt"]);
    assert_eq!(
        place.tree(layers[1]),
        ["q", "q/a1.txt", "q/a2.txt", "q/b1.txt", "q/inner"]
    );
    assert_eq!(place.tree(layers[0]), ["with space", "with space/x y"]);
    place
        .build("context", "FROM scratch\nCOPY a1.txt a2.txt /p\n")
        .fails(1)
        .complains(&["Dockerfile:2", "several sources need a directory"]);
    // No slash is needed where a directory is there, or comes first.
    let said = place
        .build(
            "context",
            "FROM scratch\nWORKDIR /p\nCOPY a1.txt a2.txt /p\nCOPY dir b1.txt /q\nCOPY a1.txt b1.txt /q\n",
        )
        .succeeds();
    let layers: Vec<&str> = said.text().split(':').collect();
    assert_eq!(place.tree(layers[2]), ["p", "p/a1.txt", "p/a2.txt"]);
    assert_eq!(place.tree(layers[1]), ["q", "q/b1.txt", "q/inner"]);
    assert_eq!(place.tree(layers[0]), ["q", "q/a1.txt", "q/b1.txt"]);
    // As in docker, a pattern may match nothing; a name has to be there.
    for nothing in ["z*.txt", "dir/z*", "dir/z*/a", "d*/z"] {
        let dockerfile = format!("FROM scratch\nCOPY {nothing} /p/\n");
        place.build("context", &dockerfile).succeeds();
    }
    for (pattern, reason) in [
        ("dri/*", "dri: there is no such file or directory"),
        ("dir/no/z*/a", "dir/no: there is no such file or directory"),
        ("b1.txt/*", "b1.txt isn't a directory"),
    ] {
        let dockerfile = format!("FROM scratch\nCOPY {pattern} /p/\n");
        let said = place.build("context", &dockerfile).fails(1);
        said.complains(&["Dockerfile:2", reason]);
    }
    place
        .build("context", "FROM scratch\nCOPY a1.text /p/\n")
        .fails(1)
        .complains(&["Dockerfile:2", "a1.text", "did you mean a1.txt"]);
}

#[test]
fn directories_above_what_is_copied_keep_their_metadata() {
    let place = Place::root();
    context(&place);
    place.mkdir("context/root/srv/shared");
    place.write("context/file", "x");
    place.write("context/tree/other", "x");
    place.chmod("context/tree", 0o700);
    let dockerfile = "FROM scratch\nCOPY root /\nRUN chown 1000:50 /srv/shared && chmod 2775 /srv/shared\nCOPY file /srv/shared/\nCOPY tree /srv/shared\nRUN touch /srv/shared/third\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    place
        .wiac(["run", "result", "stat", "-c", "%u:%g %a", "/srv/shared"])
        .succeeds()
        .says("1000:50 2775");
    place
        .wiac(["run", "result", "ls", "/srv/shared"])
        .succeeds()
        .says("file\nother\nthird");
}

#[test]
fn a_file_takes_the_place_of_another() {
    let place = Place::root();
    let made = result(
        &place,
        "RUN echo old > /x && ln -s x /link\nCOPY <<E /x\nnew\nE\nRUN rm /x\nCOPY <<E /x\nagain\nE\n",
        "cat /x; readlink /link",
    );
    assert_eq!(made, "again\nx\n");
}

#[test]
fn hard_links_stay_links_and_attributes_stay() {
    let place = Place::root();
    context(&place);
    place.write("context/files/a", "a");
    place
        .host("ln context/files/a context/files/b && truncate -s 64M context/files/sparse")
        .succeeds();
    place.mark("context/files/a", "user.mark", "kept");
    let said = place.build("context", "FROM scratch\nCOPY files /files\n").succeeds();
    let top = topmost(&said.stdout);
    assert_eq!(place.attribute(&format!("{top}/files/a"), "user.mark"), "kept");
    let (a, b) = (
        std::fs::metadata(format!("{top}/files/a")).expect("a"),
        std::fs::metadata(format!("{top}/files/b")).expect("b"),
    );
    assert_eq!(a.ino(), b.ino());
    assert!(
        std::fs::metadata(format!("{top}/files/sparse"))
            .expect("sparse")
            .blocks()
            < 1000
    );
}

#[test]
fn a_symlink_that_leads_out_of_the_context_is_named() {
    let place = Place::root();
    place.write("beside/file", "outside");
    place.write("context/in/file", "inside");
    place.symlink("../beside/file", "context/link");
    place.symlink("/etc", "context/absolute");
    place.symlink("in", "context/fine");
    for (source, link, target) in [
        ("link", "link", "../beside/file"),
        ("li*", "link", "../beside/file"),
        ("absolute/hostname", "absolute", "/etc"),
    ] {
        place
            .build("context", &format!("FROM scratch\nCOPY {source} /\n"))
            .fails(1)
            .complains(&[
                &format!("{link} is a symlink to {target}, which isn't there in the build context"),
                "Dockerfile:2",
            ]);
    }
    place.build("context", "FROM scratch\nCOPY fine/file /\n").succeeds();
    place
        .build("context", "FROM scratch\nCOPY fine/fil /\n")
        .fails(1)
        .complains(&["did you mean file?"]);
}
