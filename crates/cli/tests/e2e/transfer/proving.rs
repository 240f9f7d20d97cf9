//! `wiac store check --deep`: a layer that came in is what its tar says, however odd that tar; each damage is found, named
//! and mended.

use super::layout::{CONFIG, GZIP, LAYER, Layout, config, digest, named};
use super::{assert_whole, json, rich};
use crate::harness::{Place, as_users};
use serde_json::Value;

/// Two layers: the second one deletes from the first, and takes a directory from it that its tar doesn't name.
const TARS: &str = r#"
umask 022
mkdir -p l1/d l1/o l1/dev l2/d l2/o
for name in alone first gone attributed; do echo $name >l1/d/$name; done
ln l1/d/first l1/d/linked
chown 5:6 l1/d/alone
python3 -c 'import os; os.setxattr("l1/d/attributed", "user.a", b"1")'
python3 -c 'import os; os.setxattr("l1/d/attributed", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))'
mknod l1/dev/null c 1 3
ln -s alone l1/d/link
: >l2/d/.wh.gone
: >l2/o/.wh..wh..opq
echo new >l2/d/new
find l1 l2 -print0 | xargs -0 touch -h -d @1000.5
for layer in l1 l2; do
    names=$(cd $layer && find . -mindepth 1 $([ $layer = l2 ] && echo '-not -path ./d' || true) | LC_ALL=C sort)
    (cd $layer && printf '%s\n' "$names" | tar --format=posix --pax-option=delete=atime,delete=ctime --no-recursion \
        --numeric-owner --xattrs --xattrs-include='*' -cf ../$layer.tar -T -)
done
gzip -1nk l1.tar
rm -r l1 l2
"#;

/// What is done to the layers `$base` and `$top` (times of directories are put back after it), and the one finding that it
/// makes.
const DAMAGES: [(&str, &str); 16] = [
    ("chmod 4755 $base/d/alone", "/d/alone: mode is 4755 instead of 0644"),
    ("chmod 700 $base/d", "/d: mode is 0700 instead of 0755"),
    ("chown 1:1 $base/d/first", "/d/first: owner is "),
    ("chown -h 1:1 $base/d/link", "/d/link: owner is "),
    (
        "touch -d @5 $base/d/alone",
        "/d/alone: was modified at 5 instead of 1000.5",
    ),
    ("touch -d @7 $top/o", "/o: was modified at 7 instead of 1000.5"),
    ("echo ALONE | over $base/d/alone", "/d/alone: has another content"),
    ("echo longer | over $base/d/alone", "/d/alone: has 7 bytes instead of 6"),
    ("echo more >$base/d/more", "/d/more: was added"),
    ("rm $base/d/alone", "/d/alone: is missing"),
    ("rm $top/d/gone", "/d/gone: the whiteout is missing"),
    (
        "rm $base/d/link && ln -s first $base/d/link && touch -hd @1000.5 $base/d/link && chown -h --from=0:0 $owner $base/d/link",
        "/d/link: leads to first instead of alone",
    ),
    (
        "cp -p $base/d/linked $base/d/x && mv $base/d/x $base/d/linked",
        "/d/linked: isn't the same file as /d/first",
    ),
    (
        "attribute $base/d/attributed user.a 2",
        "/d/attributed: attribute user.a has another value",
    ),
    (
        "attribute $base/d/attributed user.b 2",
        "/d/attributed: attribute user.b was added",
    ),
    ("unmark $top/o", "/o: doesn't hide what layers below have in it"),
];

const HELPERS: &str = r#"
over() { touch -r "$1" time && cat >"$1" && touch -r time "$1"; }
attribute() { python3 -c 'import os, sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())' "$@"; }
unmark() { python3 -c '
import os, sys
for name in os.listxattr(sys.argv[1]):
    if name.endswith(".overlay.opaque"): os.removexattr(sys.argv[1], name)' "$@"; }
owner=$(stat -c %u:%g $base)
times=$(for path in $base $base/d $top $top/d; do echo "$(stat -c %.Y $path) $path"; done)
"#;

/// Only where the directory isn't what is damaged.
const TIMES_BACK: &str = r#"
while read -r time path; do touch -d @$time $path; done <<<"$times"
"#;

/// Puts the image into a layout and loads it; the directories of its layers, base first.
fn loaded(place: &Place) -> [String; 2] {
    place.host(TARS).succeeds();
    let read = |name: &str| std::fs::read(place.path(name)).expect("the script made it");
    let layout = Layout::new(place, "layout");
    let layers = [
        layout.blob(GZIP, &read("l1.tar.gz")),
        layout.blob(LAYER, &read("l2.tar")),
    ];
    let diff_ids = ["l1.tar", "l2.tar"].map(|name| digest(&read(name)));
    let config = layout.document(CONFIG, &config(&diff_ids));
    layout.index(&[named(&layout.manifest(&config, &layers), "app")]);
    place.wiac(["load", "-q", "-i", "layout", "-t", "app"]).succeeds();
    directories(place)
}

fn directories(place: &Place) -> [String; 2] {
    let chain = place.wiac(["layers", "-q", "app"]).succeeds();
    let (top, base) = chain.text().split_once(':').expect("two layers");
    [base.to_owned(), top.to_owned()]
}

/// The findings of a check, "what: problem; repaired", layers called base and top.
#[track_caller]
fn findings(place: &Place, options: &[&str], layers: &[String; 2]) -> Vec<String> {
    let check = place
        .wiac(["store", "check", "--deep", "--format", "json"])
        .args(options);
    let said = check.ends_with_any(&[0, 1]);
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{said:?}"));
    assert_eq!(report["Compared"], 2, "{report:#}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = |path: &str| path.rsplit('/').nth(1).expect("an id").to_owned();
    let line = |finding: &Value| {
        let line = format!(
            "{}: {}; {}",
            text(&finding["What"]),
            text(&finding["Problem"]),
            text(&finding["Repaired"])
        );
        line.replace(&id(&layers[0]), "base").replace(&id(&layers[1]), "top")
    };
    report["Findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(line)
        .collect()
}

as_users!(each_damage_is_found_and_mended: root, user, single);
fn each_damage_is_found_and_mended(place: &Place) {
    let layers = loaded(place);
    assert_whole(place, "data");
    for (damage, problem) in DAMAGES {
        let layer = if damage.contains("$top") { "top" } else { "base" };
        let [base, top] = &layers;
        place
            .host(&format!("base={base} top={top}\n{HELPERS}{damage}\n{TIMES_BACK}"))
            .succeeds();
        let found = findings(place, &[], &layers);
        let expected = format!("layer {layer}: {problem}");
        assert!(
            found.len() == 1 && found[0].starts_with(&expected),
            "{damage}: {found:#?}"
        );
        let mended = findings(place, &["--repair"], &layers);
        assert!(
            mended.len() == 1 && mended[0].contains("unpacked anew from its blob"),
            "{damage}: {mended:#?}"
        );
        assert_eq!(findings(place, &[], &layers), Vec::<String>::new(), "{damage}");
        assert_eq!(directories(place), layers, "the image has the layers that it had");
    }
    place.wiac(["prune", "-a", "-f"]).succeeds();
}

as_users!(exchanged_layers_are_found_and_mended: root, user, single);
fn exchanged_layers_are_found_and_mended(place: &Place) {
    let layers = loaded(place);
    let [base, top] = &layers;
    place
        .host(&format!("mv {base} x && mv {top} {base} && mv x {top}"))
        .succeeds();
    let said = place.wiac(["store", "check", "--deep"]).fails(1);
    said.mentions("/d/alone: is missing")
        .mentions("/d/alone: was added")
        .mentions("wiac store check --deep --repair mends layers from their blobs");
    let found = findings(place, &["--repair"], &layers);
    for layer in ["layer base: ", "layer top: "] {
        assert!(found.iter().any(|line| line.starts_with(layer)), "{layer}in {found:#?}");
    }
    assert!(found.iter().all(|line| line.contains("unpacked anew")), "{found:#?}");
    assert_eq!(findings(place, &[], &layers), Vec::<String>::new());
}

as_users!(what_a_deep_check_mends_is_left_to_it: root, user, single);
fn what_a_deep_check_mends_is_left_to_it(place: &Place) {
    let layers = loaded(place);
    let [base, _] = &layers;
    for damage in [
        "rm -r $base",
        "rm -r $base; ln -s /etc $base",
        "echo more >>$base/d/alone",
    ] {
        place.host(&format!("base={base}\n{damage}")).succeeds();
        for options in [&[][..], &["--repair"]] {
            let said = place.wiac(["store", "check"]).args(options).fails(1);
            said.mentions("wiac store check --deep --repair unpacks it anew")
                .mentions("1 finding\n");
        }
        assert_eq!(directories(place), layers, "the image is still here");
        let mended = place.wiac(["store", "check", "--deep", "--repair"]).succeeds();
        mended.mentions("unpacked anew from its blob");
        assert_eq!(findings(place, &[], &layers), Vec::<String>::new());
    }
    // Without its blob nothing but the image is there to be got again.
    place.host(&format!("rm -r {base}; rm data/blobs/sha256/*")).succeeds();
    place.wiac(["store", "check", "--repair"]).succeeds();
    place.wiac(["layers", "app"]).fails(1);
}

#[test]
fn a_layer_in_use_stays() {
    let place = Place::root();
    let layers = loaded(&place);
    let [base, _] = &layers;
    place.host(&format!("chmod 700 {base}/d")).succeeds();
    let id = format!("$(dirname {base})");
    let using = place.host(&format!("exec flock -s {id} sleep 100")).in_background();
    place
        .host(&format!("while flock -nx {id} true; do sleep 0.01; done"))
        .succeeds();
    let found = findings(&place, &["--repair"], &layers);
    assert!(
        found.len() == 1 && found[0].contains("not mended: it is in use"),
        "{found:#?}"
    );
    drop(using);
}

as_users!(odd_tars_are_no_damage: root, user, single);
fn odd_tars_are_no_damage(place: &Place) {
    // A file twice, each type in place of another one, whiteouts after and before what they delete, files without their
    // directories, through a symlink, hard links to what is replaced later, and everything once more.
    let script = r#"
        umask 022
        add() { tar --format=posix --no-recursion --numeric-owner -rf odd.tar "$@"; }
        cd "$(mktemp -d -p .)"
        echo one >a; add a; echo two >a; chmod 600 a; add a
        ln a b; add a b; rm a; mkdir -m 711 a; add a
        echo in >a/in; add a/in; rm -r a; ln -s c a; add a
        mkdir -p c/deep; echo x >c/deep/x; add c/deep/x; echo z >c/z; add a/z
        mv c real; ln -s real c; add c; rm c; mkdir c; echo y >c/y; add c/y
        mkfifo p; add p; rm p; echo file >p; add p
        : >.wh.b; add .wh.b; : >.wh.never; add .wh.never; echo never >never; add never
        mkdir -p w; : >w/.wh..wh..opq; echo w >w/w; add w/w w/.wh..wh..opq
        chmod 555 w; add w; chmod 755 w
        truncate -s 5M holes; echo end >>holes; tar --format=posix --sparse -rf odd.tar holes
        mv odd.tar ../odd.tar"#;
    place.host(script).succeeds();
    let tar = std::fs::read(place.path("odd.tar")).expect("the script made it");
    let layout = Layout::new(place, "layout");
    // Twice, on each other.
    let layer = layout.blob(LAYER, &tar);
    let config = layout.document(CONFIG, &config(&[digest(&tar), digest(&tar)]));
    layout.index(&[named(&layout.manifest(&config, &[layer.clone(), layer]), "odd")]);
    place.wiac(["load", "-q", "-i", "layout", "-t", "odd"]).succeeds();
    assert_whole(place, "data");
    let report = json(place.wiac(["store", "check", "--deep", "--format", "json"]));
    assert_eq!(report["Compared"], 2, "{report:#}");
}

#[test]
fn files_of_every_kind_are_no_damage() {
    let place = Place::root();
    rich::layout(&place, "rich");
    place.wiac(["load", "-q", "-i", "rich", "-t", "rich"]).succeeds();
    assert_whole(&place, "data");
    let report = json(place.wiac(["store", "check", "--deep", "--format", "json"]));
    assert_eq!(report["Compared"], 3, "{report:#}");
}
