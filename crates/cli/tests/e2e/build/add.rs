//! ADD, and the flags of COPY that say which files and how.

use super::{context, topmost};
use crate::harness::{Place, as_users};

/// An archive of a small tree with owners of its own, in every compression that ADD knows.
fn archives(place: &Place) {
    place.mkdir("tree/usr/lib64");
    place.write("tree/usr/lib64/libx.so", "library");
    place.write("tree/etc/motd", "hello");
    place.symlink("../usr/lib64/libx.so", "tree/etc/link");
    place
        .host(
            "cd tree && ln etc/motd etc/motd.again && chmod 750 usr && touch -d @1000000000 etc/motd usr\n\
             tar --owner=7 --group=8 -cf ../context/a.tar . && cd ../context\n\
             gzip -k a.tar && mv a.tar.gz zipped && bzip2 -k a.tar && xz -k a.tar && zstd -q a.tar",
        )
        .succeeds();
}

as_users!(add_unpacks_what_is_an_archive_whatever_it_is_called: root, user);
fn add_unpacks_what_is_an_archive_whatever_it_is_called(place: &Place) {
    context(place);
    archives(place);
    place.write("context/not.tar", "no archive");
    let dockerfile = "FROM scratch\nCOPY root /\nADD a.tar /1/\nADD zipped /2\nADD a.tar.bz2 /3\nADD a.tar.xz /4/\nADD a.tar.zst /5/\n\
        ADD not.tar /plain/\nADD --unpack=false a.tar /packed/\nADD --chown=ann:staff a.tar /owned/\nADD root/etc /dir/\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    let script = "cd /; for i in 1 2 3 4 5; do cat $i/etc/motd; cat $i/etc/link; echo; done; \
        stat -c '%n %u:%g %a' 1/usr 1/etc/motd owned/etc/motd owned; stat -c %h 1/etc/motd; stat -c %Y 1/etc/motd 1/usr; cat plain/not.tar; echo; ls packed dir";
    let said = place.wiac(["run", "result", "sh", "-c", script]).succeeds();
    let expected = "hellolibrary\n".repeat(5)
        + "1/usr 7:8 750\n1/etc/motd 7:8 644\nowned/etc/motd 1000:50 644\nowned 1000:50 755\n2\n1000000000\n1000000000\nno archive\ndir:\ngroup\npasswd\n\npacked:\na.tar";
    said.says(&expected);
}

/// A file with two links, whose headers say other things than the file's; a path that no kernel takes.
const HEADERS: &str = r#"
import tarfile
def entry(name, mode, uid, mtime, **more):
    made = tarfile.TarInfo(name)
    made.mode, made.uid, made.gid, made.mtime = mode, uid, uid, mtime
    for key, value in more.items(): setattr(made, key, value)
    return made
with tarfile.open("../context/links.tar", "w", format=tarfile.PAX_FORMAT) as links:
    links.addfile(entry("same", 0o4755, 5, 1))
    links.addfile(entry("same.link", 0o4755, 5, 1, type=tarfile.LNKTYPE, linkname="same"))
    links.addfile(entry("other", 0o644, 5, 1))
    links.addfile(entry("other.link", 0o750, 6, 1000000000, type=tarfile.LNKTYPE, linkname="other",
        pax_headers={"SCHILY.xattr.user.a": "b"}))
    links.addfile(entry("to", 0o777, 5, 1, type=tarfile.SYMTYPE, linkname="same"))
    links.addfile(entry("to.link", 0o700, 6, 2, type=tarfile.LNKTYPE, linkname="to"))
for name, first in [("long", []), ("later", ["first"])]:
    with tarfile.open(f"../context/{name}.tar", "w", format=tarfile.PAX_FORMAT) as long:
        for one in first + ["/".join(["d" * 200] * 21) + "/file"]:
            long.addfile(entry(one, 0o644, 0, 1))
"#;

as_users!(the_header_of_a_link_says_what_the_file_has: root, user);
fn the_header_of_a_link_says_what_the_file_has(place: &Place) {
    context(place);
    place.write("tree/headers.py", HEADERS);
    place.host("cd tree && python3 headers.py").succeeds();
    let dockerfile = "FROM scratch\nCOPY root /\nADD links.tar /in/\nADD --chown=3:4 links.tar /owned/\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    let script =
        "cd /in; stat -c '%n %u %a %Y' same other to; stat -c '%u:%g %a' /owned/same /owned/other; stat -c %h to other";
    let said = place.wiac(["run", "result", "sh", "-c", script]).succeeds();
    said.says("same 5 4755 1\nother 6 750 1000000000\nto 5 777 1\n3:4 4755\n3:4 750\n2\n2");
    let dump = "import os; print(os.getxattr('FILE', 'user.a').decode())";
    let chain = place.wiac(["layers", "-q", "result"]).succeeds();
    let layers: Vec<&str> = chain.text().split(':').collect();
    place
        .host(&format!(
            "python3 -c \"{}\"",
            dump.replace("FILE", &format!("{}/in/other", layers[1]))
        ))
        .succeeds()
        .says("b");
}

#[test]
fn an_archive_with_a_path_that_no_kernel_takes_is_refused() {
    let place = Place::root();
    context(&place);
    place.write("tree/headers.py", HEADERS);
    place.host("cd tree && python3 headers.py").succeeds();
    for archive in ["long.tar", "later.tar"] {
        place
            .build("context", &format!("FROM scratch\nADD {archive} /\n"))
            .fails(1)
            .complains(&["Dockerfile:2", archive, "a path or target of more than 4095 bytes"]);
    }
}

#[test]
fn an_archive_is_merged_with_what_is_there() {
    let place = Place::root();
    context(&place);
    // lib64 leads into usr/lib64; conf is a file below and a directory in the archive; data the other way round.
    place.symlink("usr/lib64", "context/root/lib64");
    place.write("context/root/usr/lib64/old.so", "old");
    place.write("context/root/conf", "file");
    place.write("context/root/data/inner", "inner");
    place.mkdir("tree");
    place
        .host(
            "mkdir -p tree/lib64 tree/conf && echo new > tree/lib64/new.so && echo x > tree/conf/x && echo y > tree/data\n\
             cd tree && ln lib64/new.so lib64/again.so && echo plain > .wh.conf\n\
             tar -cf ../context/a.tar lib64/new.so lib64/again.so conf data .wh.conf",
        )
        .succeeds();
    let dockerfile = "FROM scratch\nCOPY root /\nADD a.tar /\nRUN test -L /lib64 && cat /usr/lib64/new.so /usr/lib64/again.so /usr/lib64/old.so /conf/x /data /.wh.conf > /said\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    place
        .wiac(["run", "result", "cat", "/said"])
        .succeeds()
        .says("new\nnew\noldx\ny\nplain");
}

#[test]
fn an_archive_leads_nowhere_else() {
    let place = Place::root();
    context(&place);
    place.mkdir("tree");
    place
        .host(
            "cd tree && ln -s ../../../../etc out && echo x > y\n\
             tar -cf ../context/a.tar out && rm out && mkdir out && echo bad > out/passwd && tar -rf ../context/a.tar out/passwd\n\
             tar -P --transform 's,^y,../../y,' -cf ../context/b.tar y\n\
             python3 -c 'import tarfile; f = tarfile.TarInfo(\"f\"); f.uid = 4294967295; tarfile.open(\"../context/nobodys.tar\", \"w\").addfile(f)'\n\
             head -c 700 ../context/a.tar > ../context/short.tar",
        )
        .succeeds();
    for (archive, why) in [
        ("a.tar", "leads out"),
        ("b.tar", "leads out"),
        ("nobodys.tar", "an owner that can't be"),
        ("short.tar", "short.tar"),
    ] {
        place
            .build("context", &format!("FROM scratch\nCOPY root /\nADD {archive} /srv/\n"))
            .fails(1)
            .complains(&["Dockerfile:3", why]);
    }
    assert!(!place.has("etc"));
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_do() {
    let place = Place::root();
    context(&place);
    for (instruction, why) in [
        ("COPY https://example.org/a /", "ADD is the instruction"),
        (
            "ADD --checksum=sha256:00 root/etc/passwd /",
            "a checksum is for a download",
        ),
    ] {
        place
            .build("context", &format!("FROM scratch\n{instruction}\n"))
            .fails(1)
            .complains(&["Dockerfile:2", why]);
    }
}

#[test]
fn parents_and_exclude_choose_files() {
    let place = Place::root();
    context(&place);
    for file in [
        "src/a/one.c",
        "src/a/one.h",
        "src/b/two.c",
        "src/b/deep/three.c",
        "other/four.c",
        "src/readme.md",
    ] {
        place.write(&format!("context/{file}"), file);
    }
    place.chmod("context/src/b", 0o700);
    let layer = |instruction: &str| {
        let said = place
            .build("context", &format!("FROM scratch\n{instruction}\n"))
            .succeeds();
        place.tree(topmost(&said.stdout))
    };
    assert_eq!(
        layer("COPY --parents src/a/one.c other /to/"),
        [
            "to",
            "to/other",
            "to/other/four.c",
            "to/src",
            "to/src/a",
            "to/src/a/one.c"
        ]
    );
    assert_eq!(layer("COPY --parents ./src/./a/*.c /to/"), ["to", "to/a", "to/a/one.c"]);
    assert_eq!(
        layer("COPY --parents src/**/*.c /"),
        [
            "src",
            "src/a",
            "src/a/one.c",
            "src/b",
            "src/b/deep",
            "src/b/deep/three.c",
            "src/b/two.c"
        ]
    );
    assert_eq!(
        layer("COPY --exclude=*/*.c --exclude=**/deep src /to"),
        ["to", "to/a", "to/a/one.h", "to/b", "to/readme.md"]
    );
    assert_eq!(
        layer("COPY --exclude=* --exclude=!b/two.c src /to"),
        ["to", "to/b", "to/b/two.c"]
    );
    assert_eq!(layer("COPY --exclude=*.h src/a/one.* /to/"), ["to", "to/one.c"]);
    assert_eq!(
        layer("ADD --exclude=a src /to/"),
        [
            "to",
            "to/b",
            "to/b/deep",
            "to/b/deep/three.c",
            "to/b/two.c",
            "to/readme.md"
        ]
    );
    place
        .build("context", "FROM scratch\nCOPY --parents src/a/none.c /\n")
        .fails(1)
        .complains(&["Dockerfile:2", "none.c"]);
    // What isn't taken doesn't run the step again.
    let build = || {
        place
            .build("context", "FROM scratch\nCOPY --parents src/**/*.c /\n")
            .succeeds()
            .stdout
    };
    let first = build();
    place.write("context/src/a/one.h", "changed");
    place.write("context/other/new", "new");
    assert_eq!(build(), first);
    place.write("context/src/a/one.c", "changed");
    assert_ne!(build(), first);
}

#[test]
fn modes_are_octal_or_symbolic_and_take_variables() {
    let place = Place::root();
    context(&place);
    place.write("context/files/a", "a");
    place.script("context/files/run", "b");
    let dockerfile = "FROM scratch\nCOPY root /\nARG MODE=u=rwX,go=\nCOPY --chmod=$MODE files /s\nCOPY --chmod=u+s,o-rwx files/run /setid\nCOPY --chmod=04711 --chown=${UNSET:-ann} files/run /octal\nCOPY --chmod=0600 <<E /inline\ntext\nE\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    place
        .wiac([
            "run",
            "result",
            "stat",
            "-c",
            "%n %u:%g %a",
            "/s",
            "/s/a",
            "/s/run",
            "/setid",
            "/octal",
            "/inline",
        ])
        .succeeds()
        .says("/s 0:0 755\n/s/a 0:0 600\n/s/run 0:0 700\n/setid 0:0 4750\n/octal 1000:1000 4711\n/inline 0:0 600");
}

#[test]
fn a_linked_layer_depends_on_none_below() {
    let place = Place::root();
    context(&place);
    place.write("context/file", "x");
    place.mkdir("context/root/usr/lib64");
    place.symlink("usr/lib64", "context/root/lib64");
    let build = |below: &str, link: &str| {
        let dockerfile = format!("FROM scratch\nCOPY root /\nRUN {below}\nCOPY {link} file /lib64/\n");
        topmost(&place.build("context", &dockerfile).succeeds().stdout)
    };
    let (one, two) = (build("echo 1 > /x", "--link"), build("echo 2 > /x", "--link"));
    assert_eq!(one, two);
    // It can't know that the destination is a symlink below.
    assert_eq!(place.tree(&one), ["lib64", "lib64/file"]);
    assert_ne!(build("echo 1 > /x", ""), build("echo 2 > /x", ""));
}

#[test]
fn directories_are_merged_as_in_buildkit() {
    let place = Place::root();
    context(&place);
    place.write("context/tree/sub/file", "x");
    place.chmod("context/tree/sub", 0o700);
    place
        .host("touch -d @1000000000 context/tree context/tree/sub && mkdir -p context/root/srv/sub && touch -d @1100000000 context/root/srv/sub context/root/srv && chmod 750 context/root/srv context/root/srv/sub")
        .succeeds();
    let dockerfile =
        "FROM scratch\nCOPY root /\nRUN chown -R 5:6 /srv\nCOPY tree /srv\nCOPY --chown=1:2 --chmod=711 tree /new/er\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    place
        .wiac(["run", "result", "stat", "-c", "%n %u:%g %a %Y", "/srv", "/srv/sub", "/new/er", "/new/er/sub"])
        .succeeds()
        .says("/srv 5:6 750 1000000000\n/srv/sub 0:0 700 1000000000\n/new/er 1:2 755 1000000000\n/new/er/sub 1:2 711 1000000000");
}
