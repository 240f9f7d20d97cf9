//! `wiac copy LAYERDIR SRC… DST`: cp into a layer, with everything that a file has.

use crate::harness::{Place, as_users};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

as_users!(the_meaning_is_cps: root, user, single);
fn the_meaning_is_cps(place: &Place) {
    place.write("a", "a");
    place.write("dir/inner", "inner");
    let cases: [(&[&str], &[&str]); 6] = [
        (&["a", "/"], &["a"]),
        (&["a", "/b"], &["b"]),
        (&["a", "/new/"], &["new", "new/a"]),
        (&["dir", "/made"], &["made", "made/inner"]),
        (
            &["dir", "a", "/into/"],
            &["into", "into/a", "into/dir", "into/dir/inner"],
        ),
        (&["dir/.", "/srv/deep/"], &["srv", "srv/deep", "srv/deep/inner"]),
    ];
    for (number, (words, expected)) in cases.into_iter().enumerate() {
        let layer = format!("layer{number}");
        place.wiac(["copy", &layer]).args(words).succeeds().says("");
        assert_eq!(place.tree(format!("{layer}/diff")), expected, "{words:?}");
    }
    place
        .wiac(["copy", "layer0", "a"])
        .fails(125)
        .complains(&["name at least one file or directory, then where it goes: wiac copy LAYERDIR SRC… DST"]);
    // A directory that is there already takes what is copied.
    place.wiac(["copy", "layer3", "dir", "/made"]).succeeds();
    assert_eq!(
        place.tree("layer3/diff"),
        ["made", "made/dir", "made/dir/inner", "made/inner"]
    );
}

as_users!(everything_a_file_has_is_kept: root, user, single);
fn everything_a_file_has_is_kept(place: &Place) {
    place.write("src/a", "a");
    place.script("src/run", "#!/bin/sh\n");
    place.symlink("a", "src/link");
    place.symlink("/no/where", "src/dangling");
    place.mkdir("src/closed");
    place.mark("src/a", "user.mark", "kept");
    place.host("ln src/a src/b; chmod 750 src/closed; chmod 4755 src/run; truncate -s 64M src/sparse; mkfifo src/fifo; touch -h -d '2001-02-03 04:05:06.789' src/a src/link src/closed src").succeeds();
    place.wiac(["copy", "layer", "src", "/copy"]).succeeds();
    let list = "find . -printf '%p %m %y %T@ %l %n\\n' | sort";
    place
        .host(&format!(
            "cd src && {list} > ../one; cd ../layer/diff/copy && {list} > ../../../two; cd ../../.. && diff one two"
        ))
        .succeeds();
    let look = |path: &str| std::fs::metadata(place.path(path)).expect("copied");
    assert_eq!(look("layer/diff/copy/a").ino(), look("layer/diff/copy/b").ino());
    assert!(look("layer/diff/copy/sparse").blocks() < 1000);
    assert_eq!(place.attribute("layer/diff/copy/a", "user.mark"), "kept");
    assert_eq!(look("layer/diff/copy/a").uid(), look("src/a").uid());
}

as_users!(nothing_is_written_outside_of_the_layer: root, user, single);
fn nothing_is_written_outside_of_the_layer(place: &Place) {
    place.write("a", "new");
    place.write("outside/a", "old");
    let outside = place.shown("outside");
    for (number, link) in [outside.as_str(), "../../outside", "../../../../../../../../etc"]
        .into_iter()
        .enumerate()
    {
        place.symlink(link, &format!("layer{number}/diff/link"));
        place
            .wiac(["copy", &format!("layer{number}"), "a", "/link/"])
            .ends_with_any(&[0, 1]);
    }
    place
        .wiac(["copy", "layer9", "a", "/../../../outside/a"])
        .ends_with_any(&[0, 1]);
    assert_eq!(place.read("outside/a"), "old");
    assert!(!Path::new("/etc/a").exists());
}

#[test]
fn owners_are_kept_where_that_is_allowed() {
    let place = Place::root();
    place.write("src/a", "a");
    place.host("chown 12:34 src/a && chown 56:78 src").succeeds();
    place.wiac(["copy", "layer", "src", "/copy"]).succeeds();
    let owner = |path: &str| {
        std::fs::metadata(place.path(path))
            .map(|meta| (meta.uid(), meta.gid()))
            .expect("copied")
    };
    assert_eq!(
        (owner("layer/diff/copy/a"), owner("layer/diff/copy")),
        ((12, 34), (56, 78))
    );
}
