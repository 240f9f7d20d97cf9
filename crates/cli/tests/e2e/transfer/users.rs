//! Ordinary users, those with a single id among them: what they can't put on disk comes out again.

use super::layout::{CONFIG, GZIP, Layout, config, digest, named};
use super::{assert_whole, json, rich};
use crate::harness::Place;

/// An image as root's wiac writes it: owners, devices, capabilities, deletions.
fn written_by_root(root: &Place) {
    rich::layout(root, "rich");
    root.wiac(["load", "-q", "-i", "rich", "-t", "rich"]).succeeds();
    root.wiac(["export", "-o", "flat.tar", "rich"]).succeeds();
    // Owners beyond what subordinate ids cover are another matter.
    root.host("mkdir flat && tar --xattrs --xattrs-include='*' --numeric-owner -C flat -xpf flat.tar && chown 70:71 flat/big/sparse && rm flat.tar")
        .succeeds();
    let changes = ["-c", "CMD [\"sh\"]", "-c", "ENV PATH=/usr/bin"];
    root.wiac(["import"]).args(changes).args(["flat", "flat"]).succeeds();
    let steps = "FROM flat\nRUN rm -r /var/opaque && mkdir /var/opaque && echo x >/var/opaque/x && rm /var/kept\n\
        RUN chown 33:34 /etc/nothing && mkdir /home && chown 1000:1000 /home && touch /home/a && ln /etc/group /home/b\n";
    root.build("context", steps).args(["-q", "-t", "app:1"]).succeeds();
    root.wiac(["save", "--format=docker-archive", "-o", "app.tar", "app:1"])
        .succeeds();
    root.wiac(["export", "-o", "app-flat.tar", "app:1"]).succeeds();
}

/// Loads root's image as the place's user and lets go of the bytes it came with: what leaves is packed from the disk.
fn loaded(root: &Place, place: &Place) {
    place.take(&root.path("app.tar"), "app.tar");
    place
        .wiac(["load", "-i", "app.tar"])
        .succeeds()
        .says("Loaded image: app:1");
    place.wiac(["prune", "-f", "--blobs"]).succeeds();
    assert_eq!(blobs(place), 0, "no layer's blob is kept");
}

/// Blobs that aren't documents.
fn blobs(place: &Place) -> usize {
    let names = place.tree("data/blobs/sha256");
    let is_document = |name: &&String| {
        place
            .path(&format!("data/blobs/sha256/{name}"))
            .metadata()
            .is_ok_and(|meta| meta.len() < 10_000)
    };
    names.len() - names.iter().filter(is_document).count()
}

#[test]
fn what_root_saved_comes_out_of_any_users_store_unchanged() {
    let root = Place::root();
    written_by_root(&root);
    let ids = |place: &Place| json(place.wiac(["inspect", "app:1"]))[0]["RootFS"]["Layers"].clone();
    for place in [Place::root(), Place::user(), Place::single()] {
        loaded(&root, &place);
        place
            .wiac(["save", "--format=docker-archive", "-o", "again.tar", "app:1"])
            .succeeds();
        place
            .host(&format!("cmp {} again.tar", root.shown("app.tar")))
            .succeeds();
        assert_eq!(ids(&place), ids(&root));
        place.wiac(["export", "-o", "flat.tar", "app:1"]).succeeds();
        place
            .host(&format!("cmp {} flat.tar", root.shown("app-flat.tar")))
            .succeeds();
        assert_whole(&place, "data");
    }
}

#[test]
fn what_users_make_on_it_keeps_what_is_below() {
    let root = Place::root();
    written_by_root(&root);
    for place in [Place::user(), Place::single()] {
        loaded(&root, &place);
        place.write("context/file", "file\n");
        let steps = "FROM app:1\nRUN rm /etc/nothing && echo x >/home/new\nCOPY file /usr/lib64/file\n";
        place.build("context", steps).args(["-q", "-t", "mine"]).succeeds();
        let chain = place.wiac(["layers", "-q", "mine"]).succeeds();
        place
            .sh(
                chain.text(),
                "./box",
                "echo more >/home/more; chmod 600 /etc/attributed; mv /etc/passwd /etc/passed",
            )
            .succeeds();
        place.wiac(["commit", "./box", "committed"]).succeeds();
        place.wiac(["squash", "committed", "squashed"]).succeeds();
        for image in ["mine", "committed", "squashed"] {
            place
                .wiac(["save", "--format=oci-dir", "-o", &format!("{image}.oci"), image])
                .succeeds();
            place.wiac(["export", "-o", "flat.tar", image]).succeeds();
            let said = place.host("tar --numeric-owner -tvf flat.tar | tr -s ' '").succeeds();
            for (name, expected) in [
                ("dev/disk", "brw-r----- 0/0"),
                ("dev/null", "crw-rw-rw- 0/0"),
                ("etc/attributed", "1000/50"),
                ("big/sparse", "70/71"),
                // A directory that something was put into is still its owner's.
                ("home/", "1000/1000"),
                ("home/a", "0/0"),
            ] {
                let line = said.stdout.lines().find(|line| line.ends_with(&format!(" {name}")));
                let line = line.unwrap_or_else(|| panic!("{image}: no {name} in {}", said.stdout));
                assert!(line.contains(expected), "{image}: {line}, expected {expected}");
            }
        }
        // Root takes it, and finds it whole.
        root.wiac(["load", "-q", "-i"])
            .arg(place.path("committed.oci"))
            .succeeds();
        root.wiac([
            "run",
            "committed",
            "sh",
            "-c",
            "cat /home/more /usr/lib64/file; stat -c %u:%g /home /big/sparse",
        ])
        .succeeds()
        .says("more\nfile\n1000:1000\n70:71");
        assert_whole(&place, "data");
    }
}

#[test]
fn a_link_to_what_could_not_be_made_below_is_the_same_thing() {
    // A device below that a layer above gives another name, an attribute that no symlink takes.
    const TARS: &str = r"
import tarfile
def entry(tar, name, kind, **more):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in more.items(): setattr(info, key, value)
    tar.addfile(info)
with tarfile.open('low.tar', 'w', format=tarfile.PAX_FORMAT) as tar:
    entry(tar, 'null', tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666, uid=7)
    entry(tar, 'link', tarfile.SYMTYPE, linkname='x', pax_headers={'SCHILY.xattr.user.a': '1'})
with tarfile.open('high.tar', 'w', format=tarfile.PAX_FORMAT) as tar:
    entry(tar, 'again', tarfile.LNKTYPE, linkname='null', mode=0o666, uid=7)
    entry(tar, 'other', tarfile.LNKTYPE, linkname='link')
";
    let root = Place::root();
    for place in [Place::root(), Place::user(), Place::single()] {
        place.host(&format!("python3 -c \"{TARS}\"")).succeeds();
        let layout = Layout::new(&place, "layout");
        let tars = ["low.tar", "high.tar"].map(|name| std::fs::read(place.path(name)).expect("a tar"));
        let layers = tars.each_ref().map(|tar| layout.blob(GZIP, tar));
        let config = layout.document(CONFIG, &config(&tars.map(|tar| digest(&tar))));
        layout.index(&[named(&layout.manifest(&config, &layers), "it")]);
        place.wiac(["load", "-q", "-i", "layout", "-t", "it"]).succeeds();
        place.wiac(["squash", "it", "flat"]).succeeds();
        for image in ["it", "flat"] {
            place.wiac(["export", "-o", &format!("{image}.tar"), image]).succeeds();
        }
        place.host("cmp it.tar flat.tar").succeeds();
        root.host(&format!("tar --xattrs -tvvf {}", place.shown("it.tar")))
            .succeeds()
            .mentions("crw-rw-rw-  7/0")
            .mentions("null link to again")
            .mentions("other link to link")
            .mentions("user.a");
        assert_whole(&place, "data");
    }
}

#[test]
fn a_save_is_the_same_everywhere() {
    const EPOCH: &str = "1600000000";
    let save = |place: &Place, data: &str, format: &str| {
        let file = format!("{data}-{format}.tar");
        for arguments in [
            vec!["build", "-q", "-t", "app:1", "context"],
            vec!["save", "--format", format, "-o", &file, "app:1"],
        ] {
            super::wiac_on(place, data, arguments)
                .env("SOURCE_DATE_EPOCH", EPOCH)
                .succeeds();
        }
        place.path(&file)
    };
    let places = [Place::root(), Place::root(), Place::user(), Place::single()];
    for place in &places {
        place.busybox("context/root");
        place.write("context/file", "file\n");
        let dockerfile = "FROM scratch\nCOPY root /\nCOPY file /a/file\nRUN echo x >/a/x && mkdir /b && ln /a/x /b/y\nRUN rm /a/file\nENV A=b\n";
        place.write("context/Dockerfile", dockerfile);
    }
    for format in ["oci-archive", "docker-archive"] {
        let first = save(&places[0], "data", format);
        let mut others = vec![save(&places[0], "other", format)];
        others.extend(places[1..].iter().map(|place| save(place, "data", format)));
        for other in others {
            places[0]
                .host(&format!("cmp {} {}", first.display(), other.display()))
                .succeeds();
        }
    }
}
