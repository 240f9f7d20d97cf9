//! Layers that came in are compared with their blobs, and mended from them.

use crate::check::{CheckOptions, CheckReport};
use crate::image::{ImageRecord, LocalId};
use crate::layer::{Draft, LayerId, LayerInfo};
use crate::{LayerDigests, LayerTar, Store};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use wiac_layer::Form;
use wiac_layer::merged::LayerStack;
use wiac_layer::tar::{Entry, Kind, Writer};
use wiac_layer::unpack::{Limits, OwnerPolicy, UnpackOptions, unpack};
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::Descriptor;

mod said;

const DEEP: CheckOptions = CheckOptions {
    quick: false,
    deep: true,
    repair: false,
    owners: OwnerPolicy::Set,
};
const REPAIR: CheckOptions = CheckOptions { repair: true, ..DEEP };

/// A tar of files ("name", "text"); where the text is "-> x" a hard link to x, and where the name ends with a slash a
/// directory.
fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    for (name, text) in files {
        let target = text.strip_prefix("-> ");
        let kind = match target {
            Some(_) => Kind::HardLink,
            None if name.ends_with('/') => Kind::Directory,
            None => Kind::File,
        };
        let data = if kind == Kind::File { *text } else { "" };
        let entry = Entry {
            path: name.as_bytes().to_vec(),
            kind,
            link: target.unwrap_or_default().as_bytes().to_vec(),
            mode: 0o755,
            size: data.len() as u64,
            ..Entry::default()
        };
        writer.header(&entry).expect("header");
        writer.data(data.as_bytes()).expect("data");
        writer.pad().expect("padding");
    }
    writer.finish().expect("an end");
    bytes
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(&dir.path().join("data"), Form::Trusted).expect("store");
    (dir, store)
}

/// Puts a layer into the store as if it had come in, on others.
fn layer(store: &Store, tar: &[u8], below: &[&LayerId]) -> LayerId {
    let blob = store.add_document(tar).expect("a blob").digest.clone();
    let diff_id = DiffId(blob.clone());
    let draft = Draft::new(store).expect("draft");
    let diff = File::open(draft.diff()).expect("open");
    let directories: Vec<_> = below.iter().map(|id| store.layer_diff(id)).collect();
    let options = UnpackOptions {
        form: Form::Trusted,
        owners: OwnerPolicy::Set,
        lower: &|| Ok(LayerStack::new(directories.clone())),
        limits: Limits::default(),
    };
    let unpacked = unpack(tar, &diff, &options).expect("unpacked");
    let digests = LayerDigests {
        size: Some(unpacked.size),
        depends_on_lower: unpacked.depends_on_lower,
        tars: vec![LayerTar {
            diff_id: diff_id.clone(),
            clamp: None,
            blobs: vec![Descriptor::new("x", blob, tar.len() as u64)],
        }],
    };
    draft.set_digests(&digests).expect("digests");
    let info = LayerInfo {
        form: Form::Trusted,
        lineage: String::new(),
        created_by: String::new(),
        created: String::new(),
        unpacked_from: Some(diff_id),
        elsewhere: None,
    };
    draft.commit(store, &info).expect("committed").id.clone()
}

fn image(store: &Store, name: &str, layers: &[&LayerId]) -> LocalId {
    let record = ImageRecord {
        layers: layers.iter().map(|id| (*id).clone()).collect(),
        config: ImageConfig::default(),
        ..ImageRecord::default()
    };
    let image = store.add_image(&record).expect("added").id;
    store.name_image(&name.parse().expect("a name"), &image).expect("named");
    image
}

/// As if nobody knew of a layer's blobs.
fn forget(store: &Store, id: &LayerId) {
    let change = |digests: &mut LayerDigests| {
        digests.size = None;
        digests.tars[0].blobs.clear();
    };
    store.update_digests(id, change).expect("updated");
}

fn check(store: &Store, options: CheckOptions) -> CheckReport {
    store.check(options).expect("checked")
}

/// "what: problem; repaired" of each finding, the layers' ids replaced by their names.
fn lines(report: &CheckReport, names: &[(&LayerId, &str)]) -> Vec<String> {
    let line = |finding: &crate::check::Finding| {
        let repaired = finding.repaired.clone().map(|done| format!("; {done}"));
        let line = format!("{}: {}{}", finding.what, finding.problem, repaired.unwrap_or_default());
        names
            .iter()
            .fold(line, |line, (id, name)| line.replace(id.as_str(), name))
    };
    report.findings.iter().map(line).collect()
}

fn chmod(store: &Store, id: &LayerId, path: &str, mode: u32) {
    fs::set_permissions(store.layer_diff(id).join(path), Permissions::from_mode(mode)).expect("chmod");
}

#[test]
fn a_damaged_layer_is_found_and_mended() {
    let (_dir, store) = store();
    let id = layer(&store, &tar(&[("d/", ""), ("d/file", "text")]), &[]);
    image(&store, "app", &[&id]);
    let names = [(&id, "L")];
    let clean = check(&store, DEEP);
    assert_eq!((lines(&clean, &names), clean.compared), (Vec::new(), 1));
    for copy in ["L-1", "L-2"] {
        chmod(&store, &id, "d/file", 0o644);
        let quick = CheckOptions { deep: false, ..DEEP };
        assert_eq!(lines(&check(&store, quick), &names), Vec::<String>::new());
        let problem = "layer L: /d/file: mode is 0644 instead of 0755";
        assert_eq!(lines(&check(&store, DEEP), &names), [problem]);
        let held = store.hold_layer(id.clone()).expect("looked").expect("there");
        assert_eq!(
            lines(&check(&store, REPAIR), &names),
            [format!(
                "{problem}; not mended: it is in use; check again when nothing runs"
            )]
        );
        drop(held);
        assert_eq!(
            lines(&check(&store, REPAIR), &names),
            [format!(
                "{problem}; unpacked anew from its blob; what was there is now quarantine/{copy}"
            )]
        );
        assert_eq!(lines(&check(&store, DEEP), &names), Vec::<String>::new());
        let text = fs::read_to_string(store.layer_diff(&id).join("d/file")).expect("there");
        assert_eq!(text, "text");
    }
    assert_eq!(fs::read_dir(store.path("tmp")).expect("read").count(), 0);
    assert_eq!(fs::read_dir(store.path("quarantine")).expect("read").count(), 2);
}

#[test]
fn a_layer_without_its_directory_is_mended() {
    let (_dir, store) = store();
    let bytes = tar(&[("file", "text")]);
    let id = layer(&store, &bytes, &[]);
    image(&store, "app", &[&id]);
    let names = [(&id, "L")];
    let diff = store.layer_diff(&id);
    let damages: [(&dyn Fn(), &str); 2] = [
        (&|| (), "its directory diff is missing"),
        (
            &|| fs::write(&diff, "a file").expect("write"),
            "its diff isn't a directory",
        ),
    ];
    for (damage, problem) in damages {
        fs::remove_dir_all(&diff).expect("deleted");
        damage();
        assert_eq!(lines(&check(&store, DEEP), &names), [format!("layer L: {problem}")]);
        let mended = lines(&check(&store, REPAIR), &names);
        assert!(mended.len() == 1 && mended[0].contains("unpacked anew"), "{mended:?}");
        assert_eq!(lines(&check(&store, DEEP), &names), Vec::<String>::new());
    }
    // Where nobody asks so much it is left as it is, and its images with it; without its blob it isn't.
    fs::remove_dir_all(&diff).expect("deleted");
    for options in [DEEP, REPAIR] {
        let quick = CheckOptions { deep: false, ..options };
        assert_eq!(
            lines(&check(&store, quick), &names),
            ["layer L: its directory diff is missing"]
        );
    }
    fs::write(store.blob_path(&Digest::sha256(&bytes)), "another").expect("write");
    let found = lines(&check(&store, REPAIR), &names).join("\n");
    assert!(
        found.contains("its directory diff is missing; moved to quarantine/L"),
        "{found}"
    );
    assert_eq!(lines(&check(&store, DEEP), &names), Vec::<String>::new());
}

#[test]
fn what_no_image_has_is_compared_too() {
    let (_dir, store) = store();
    let id = layer(&store, &tar(&[("file", "text")]), &[]);
    chmod(&store, &id, "file", 0o700);
    assert_eq!(
        lines(&check(&store, DEEP), &[(&id, "L")]),
        ["layer L: /file: mode is 0700 instead of 0755"]
    );
}

#[test]
fn exchanged_directories_are_found() {
    let (_dir, store) = store();
    let one = layer(&store, &tar(&[("one", "1")]), &[]);
    let other = layer(&store, &tar(&[("other", "2")]), &[]);
    image(&store, "app", &[&one, &other]);
    let aside = store.path("tmp").join("aside");
    fs::rename(store.layer_diff(&one), &aside).expect("moved");
    fs::rename(store.layer_diff(&other), store.layer_diff(&one)).expect("moved");
    fs::rename(&aside, store.layer_diff(&other)).expect("moved");
    let names = [(&one, "ONE"), (&other, "OTHER")];
    let mut found = lines(&check(&store, DEEP), &names);
    found.sort();
    let expected = [
        "layer ONE: /one: is missing",
        "layer ONE: /other: was added",
        "layer OTHER: /one: was added",
        "layer OTHER: /other: is missing",
    ];
    assert_eq!(found, expected);
    check(&store, REPAIR);
    assert_eq!(lines(&check(&store, DEEP), &names), Vec::<String>::new());
    assert!(store.layer_diff(&one).join("one").exists());
}

#[test]
fn only_the_damaged_one_of_two_is_found() {
    for repair in [false, true] {
        let (_dir, store) = store();
        let base = layer(&store, &tar(&[("d/", ""), ("d/file", "text")]), &[]);
        // Takes the directory's mode from below, and a file.
        let top = layer(&store, &tar(&[("d/new", "x"), ("d/linked", "-> d/file")]), &[&base]);
        image(&store, "app", &[&base, &top]);
        assert_eq!(check(&store, DEEP).compared, 2);
        chmod(&store, &base, "d", 0o700);
        chmod(&store, &base, "d/file", 0o600);
        let names = [(&base, "BASE"), (&top, "TOP")];
        let found = lines(&check(&store, CheckOptions { repair, ..DEEP }), &names);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|line| line.starts_with("layer BASE: ")), "{found:?}");
        check(&store, REPAIR);
        assert_eq!(lines(&check(&store, DEEP), &names), Vec::<String>::new());
    }
}

#[test]
fn nothing_is_mended_on_what_may_be_damaged() {
    let (_dir, store) = store();
    let below = tar(&[("d/", "")]);
    let base = layer(&store, &below, &[]);
    let top = layer(&store, &tar(&[("d/new", "x")]), &[&base]);
    image(&store, "app", &[&base, &top]);
    fs::remove_file(store.blob_path(&Digest::sha256(&below))).expect("deleted");
    chmod(&store, &base, "d", 0o700);
    let names = [(&base, "BASE"), (&top, "TOP")];
    let problem = "layer TOP: /d: mode is 0755 instead of 0700";
    assert_eq!(
        lines(&check(&store, REPAIR), &names),
        [format!(
            "{problem}; not mended: it takes something from layer BASE, which isn't known to be right"
        )]
    );
}

#[test]
fn a_layer_is_right_if_it_is_so_on_one_of_its_stacks() {
    let (_dir, store) = store();
    let below = tar(&[("d/", "")]);
    let [one, other] = [(), ()].map(|()| layer(&store, &below, &[]));
    let top = layer(&store, &tar(&[("d/new", "x")]), &[&other]);
    for id in [&one, &other] {
        forget(&store, id);
    }
    chmod(&store, &one, "d", 0o700);
    let image_of_one = image(&store, "one", &[&one, &top]);
    let names = [(&one, "ONE"), (&top, "TOP")];
    assert_eq!(
        lines(&check(&store, DEEP), &names),
        ["layer TOP: /d: mode is 0755 instead of 0700"]
    );
    let image_of_other = image(&store, "other", &[&other, &top]);
    assert_eq!(lines(&check(&store, DEEP), &names), Vec::<String>::new());
    // Where no image has it, nobody knows on what it was unpacked.
    let _held = store.hold_layer(top.clone()).expect("looked");
    for image in [image_of_one, image_of_other] {
        store.remove_image(&image).expect("removed");
    }
    let report = check(&store, DEEP);
    assert_eq!(lines(&report, &names), Vec::<String>::new());
}

#[test]
fn a_damaged_blob_proves_nothing() {
    let (_dir, store) = store();
    let bytes = tar(&[("file", "text")]);
    let id = layer(&store, &bytes, &[]);
    image(&store, "app", &[&id]);
    let path = store.blob_path(&Digest::sha256(&bytes));
    let mut changed = bytes.clone();
    changed[600] ^= 1;
    fs::write(&path, changed).expect("write");
    let report = check(&store, DEEP);
    assert_eq!((report.findings.len(), report.compared), (1, 0));
    assert!(report.findings[0].what.starts_with("blob sha256:"));
    // As without a blob: what is damaged is set aside.
    fs::write(store.layer_diff(&id).join("file"), "other text").expect("write");
    let found = lines(&check(&store, REPAIR), &[(&id, "L")]).join("\n");
    assert!(
        found.contains("somebody changed them; moved to quarantine/L"),
        "{found}"
    );
    assert!(check(&store, DEEP).findings.is_empty());
}

#[test]
fn what_keeps_a_layer_from_being_compared_is_a_note() {
    let (_dir, store) = store();
    let base = layer(&store, &tar(&[("file", "text")]), &[]);
    let top = layer(&store, &tar(&[("linked", "-> file")]), &[&base]);
    image(&store, "app", &[&base, &top]);
    forget(&store, &base);
    fs::remove_file(store.layer_diff(&base).join("file")).expect("deleted");
    let report = check(&store, DEEP);
    assert_eq!(lines(&report, &[]), Vec::<String>::new());
    let note = report.notes.iter().find(|note| note.contains("couldn't be compared"));
    let note = note.unwrap_or_else(|| panic!("{:?}", report.notes));
    assert!(
        note.starts_with("1 layers couldn't be compared with their blobs, first layer "),
        "{note}"
    );
    assert!(note.contains("is a hard link to \"file\""), "{note}");
}
