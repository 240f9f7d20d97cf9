//! An image with files of every kind and deletions of every kind, and how file trees are compared.

use super::layout::{CONFIG, GZIP, Layout, config, digest, named};
use crate::harness::call::Call;
use crate::harness::{Place, tools};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const SCRIPT: &str = include_str!("rich.sh");
const LISTING: &str = include_str!("listing.py");

/// What the image is.
pub(super) struct Rich {
    /// The digest of its configuration: its id everywhere.
    pub(super) id: String,
    /// The digest of its manifest in the layout.
    pub(super) manifest: String,
    /// Base first.
    pub(super) diff_ids: Vec<String>,
}

/// The tars of its layers, base first. Made once: the same for every test.
pub(super) fn tars() -> &'static [Vec<u8>] {
    static TARS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let place = Place::root();
        let script = place.command(Path::new("/bin/bash")).args(["-euc", SCRIPT]);
        script.env("BUSYBOX", tools::busybox()).succeeds();
        let read = |layer| std::fs::read(place.path(&format!("l{layer}.tar"))).expect("the script made it");
        [1, 2, 3].map(read).to_vec()
    });
    &TARS
}

/// Puts it into a new layout, compressed with gzip, under the tag `rich`.
pub(super) fn layout(place: &Place, name: &str) -> Rich {
    let layout = Layout::new(place, name);
    let mut layers = Vec::new();
    let mut diff_ids = Vec::new();
    for (number, tar) in tars().iter().enumerate() {
        diff_ids.push(digest(tar));
        place.write(&format!("{name}-{number}.tar"), tar);
        place.host(&format!("gzip -1nf {name}-{number}.tar")).succeeds();
        let compressed = std::fs::read(place.path(&format!("{name}-{number}.tar.gz"))).expect("compressed");
        layers.push(layout.blob(GZIP, &compressed));
    }
    let config = layout.document(CONFIG, &config(&diff_ids));
    let manifest = layout.manifest(&config, &layers);
    layout.index(&[named(&manifest, "rich")]);
    let text = |value: &Value| value["digest"].as_str().expect("a digest").to_owned();
    Rich {
        id: text(&config),
        manifest: text(&manifest),
        diff_ids,
    }
}

/// What a directory holds: a line a file.
pub(super) fn listing(place: &Place, directory: &Path) -> String {
    let call = Call::new(&super::peers::tool("python3", "python3"), place.dir());
    call.args(["-c", LISTING]).arg(directory).succeeds().stdout
}

/// What layer directories (topmost first) show when root's overlay merges them.
pub(super) fn merged(place: &Place, directories: &[PathBuf]) -> String {
    if let [only] = directories {
        return listing(place, only);
    }
    let lower: Vec<&str> = directories.iter().map(|path| path.to_str().expect("text")).collect();
    place.mkdir("mnt");
    let script = format!(
        "mount -t overlay none mnt -o ro,metacopy=off,redirect_dir=nofollow,index=off,lowerdir={}
        python3 -c \"$LISTING\" mnt",
        lower.join(":")
    );
    let call = place
        .command(&tools::unshare())
        .args(["--mount", "bash", "-euc", &script]);
    call.account(None).env("LISTING", LISTING).succeeds().stdout
}

/// What root's wiac shows of an image.
pub(super) fn shown(place: &Place, data: &str, image: &str) -> String {
    let said = place
        .wiac(["layers", "-q", image])
        .env("WIAC_DATA", place.path(data))
        .succeeds();
    let directories: Vec<PathBuf> = said.text().split(':').map(PathBuf::from).collect();
    merged(place, &directories)
}

/// A listing without the root: podman and buildah give every image's root the mode 0555.
pub(super) fn below_root(listing: &str) -> String {
    listing.split_once('\n').map_or("", |(_, below)| below).to_owned()
}

/// Two file trees are the same.
#[track_caller]
pub(super) fn assert_same(what: &str, theirs: &str, ours: &str) {
    let (theirs, ours): (Vec<&str>, Vec<&str>) = (theirs.lines().collect(), ours.lines().collect());
    let missing: Vec<&&str> = theirs.iter().filter(|line| !ours.contains(line)).collect();
    let surplus: Vec<&&str> = ours.iter().filter(|line| !theirs.contains(line)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty() && !ours.is_empty(),
        "{what}: expected\n{missing:#?}\nfound\n{surplus:#?}"
    );
}
