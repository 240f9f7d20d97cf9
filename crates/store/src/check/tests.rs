//! Each kind of damage is found, and mended.

use super::*;
use crate::image::{Export, ImageRecord};
use crate::layer::{Draft, HeldLayer, LayerInfo};
use crate::{Selection, Store};
use std::os::unix::fs::PermissionsExt;
use wiac_layer::Form;
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::image::ImageConfig;

mod lost;

const CHECK: CheckOptions = CheckOptions {
    quick: false,
    deep: true,
    repair: false,
    owners: OwnerPolicy::Set,
};

fn layer(store: &Store) -> HeldLayer {
    let info = LayerInfo {
        form: Form::Trusted,
        lineage: String::new(),
        created_by: String::new(),
        created: String::new(),
        unpacked_from: None,
        elsewhere: None,
    };
    let draft = Draft::new(store).expect("draft");
    fs::write(draft.diff().join("file"), "12345").expect("write");
    let layer = draft.commit(store, &info).expect("committed");
    store.layer_size(&layer).expect("counted");
    layer
}

/// A store with a named image of one layer, a cache entry, an export, a blob.
fn store() -> (tempfile::TempDir, Store, LocalId, LayerId) {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(&dir.path().join("data"), Form::Trusted).expect("store");
    let layer = layer(&store);
    let record = ImageRecord {
        layers: vec![layer.id.clone()],
        config: ImageConfig::default(),
        ..ImageRecord::default()
    };
    let image = store.add_image(&record).expect("added").id;
    store.name_image(&"app".parse().expect("name"), &image).expect("named");
    store.remember_step("abc", &layer.id).expect("remembered");
    let config = store.add_document(b"{}").expect("added").digest.clone();
    let export = Export {
        config,
        manifests: Vec::new(),
        are_lost: false,
    };
    store.add_export(&image, &export).expect("exported");
    (dir, store, image, layer.id.clone())
}

fn problems(store: &Store, options: CheckOptions) -> Vec<String> {
    let report = store.check(options).expect("checked");
    let lines = report.findings.iter().map(|finding| {
        let advice = finding.advice.clone().unwrap_or_default();
        format!("{}: {} ({advice})", finding.what, finding.problem)
    });
    lines.collect()
}

/// Damages a store, and wants it found in so many words, mended, and whole afterwards.
fn damaged(expected: &[&str], damage: impl FnOnce(&Store, &LocalId, &LayerId)) {
    let (_dir, store, image, layer) = store();
    assert_eq!(problems(&store, CHECK), Vec::<String>::new());
    damage(&store, &image, &layer);
    let found = problems(&store, CHECK).join("\n");
    for words in expected {
        assert!(found.contains(words), "expected {words:?} in\n{found}");
    }
    let repair = CheckOptions { repair: true, ..CHECK };
    problems(&store, repair);
    assert_eq!(problems(&store, CHECK), Vec::<String>::new());
}

fn pipe(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).expect("mkfifo");
}

#[test]
fn damage_is_found_and_mended() {
    damaged(
        &["image", "1 of its 1 layers", "load, pull or build app:latest again"],
        |store, _, layer| {
            fs::remove_dir_all(store.layer_directory(layer)).expect("deleted");
        },
    );
    damaged(&["layer.json can't be read"], |store, _, layer| {
        fs::remove_file(store.layer_directory(layer).join("layer.json")).expect("deleted");
    });
    damaged(&["layer.json is damaged"], |store, _, layer| {
        fs::write(store.layer_directory(layer).join("layer.json"), "{").expect("write");
    });
    damaged(&["its directory diff is missing"], |store, _, layer| {
        fs::remove_dir_all(store.layer_diff(layer)).expect("deleted");
    });
    damaged(&["its files have 3 bytes, and had 5"], |store, _, layer| {
        fs::write(store.layer_diff(layer).join("file"), "123").expect("write");
    });
    damaged(&["fingerprint: is damaged"], |store, _, layer| {
        fs::write(store.layer_directory(layer).join("fingerprint"), "sha256:12").expect("write");
    });
    damaged(&["layer", "than at an earlier check"], |store, _, layer| {
        fs::write(store.layer_diff(layer).join("file"), "54321").expect("write");
    });
    damaged(
        &["name docker.io/library/app:latest: points to image"],
        |store, image, _| {
            fs::remove_file(store.record_path(image)).expect("deleted");
        },
    );
    damaged(&["its contents don't have this id"], |store, image, _| {
        let path = store.record_path(image);
        let text = fs::read_to_string(&path)
            .expect("read")
            .replace("\"os\": \"\"", "\"os\": \"x\"");
        fs::write(&path, text).expect("write");
        fs::remove_file(store.export_path(image)).expect("deleted");
    });
    damaged(&["is damaged"], |store, _, _| {
        fs::write(store.path("images/names/x.json"), "{").expect("write");
    });
    damaged(&["its bytes have the digest", "is damaged"], |store, _, _| {
        fs::write(store.blob_path(&Digest::sha256("{}")), "[]").expect("write");
    });
    // Pipes that nobody writes to.
    for (place, words) in [("images/names/x.json", "is damaged"), ("diff-ids/x", "")] {
        damaged(&[words], |store, _, _| pipe(&store.path(place)));
    }
    damaged(&["its bytes have the digest", "is damaged"], |store, _, _| {
        let path = store.blob_path(&Digest::sha256("{}"));
        fs::remove_file(&path).expect("deleted");
        pipe(&path);
    });
    damaged(&["layer.json is damaged"], |store, _, layer| {
        let path = store.layer_directory(layer).join("layer.json");
        fs::remove_file(&path).expect("deleted");
        pipe(&path);
    });
    damaged(&["digests.json: is damaged"], |store, _, layer| {
        fs::write(store.layer_directory(layer).join("digests.json"), "[").expect("write");
    });
}

#[test]
fn what_came_of_one_finding_is_found_in_the_same_repair() {
    let (_dir, store, _, layer) = store();
    fs::write(store.layer_diff(&layer).join("file"), "123").expect("write");
    let found = problems(&store, CheckOptions { repair: true, ..CHECK }).join("\n");
    assert!(
        found.contains("its files have 3 bytes") && found.contains("1 of its 1 layers are missing"),
        "{found}"
    );
    assert_eq!(problems(&store, CHECK), Vec::<String>::new());
}

#[test]
fn directories_are_put_back() {
    for name in crate::data::DIRECTORIES {
        damaged(&[], |store, _, _| {
            fs::remove_dir_all(store.path(name)).expect("deleted");
            // As the command does.
            Store::open(store.root(), Form::Trusted).expect("opened");
        });
    }
    for name in [
        "blobs",
        "diff-ids",
        "images",
        "images/lists",
        "cache/steps",
        "failures",
        "blobs/sha256",
    ] {
        damaged(&["isn't a directory"], |store, _, _| {
            let _ = fs::remove_dir_all(store.path(name));
            fs::write(store.path(name), "x").expect("write");
        });
    }
}

#[test]
fn entries_that_are_no_files_lead_nowhere() {
    let (_dir, store, _, _) = store();
    for name in ["diff-ids/12ab", "cache/steps/12ab"] {
        fs::create_dir(store.path(name)).expect("mkdir");
        fs::write(store.path(name.trim_end_matches('b')), [0xff]).expect("write");
    }
    let notes = || store.check(CHECK).expect("checked").notes;
    assert!(notes()[0].starts_with("4 entries that lead nowhere"), "{:?}", notes());
    store.collect(&Selection::unreferenced()).expect("collected");
    assert!(!store.path("diff-ids/12ab").exists() && !store.path("diff-ids/12a").exists());
    problems(&store, CheckOptions { repair: true, ..CHECK });
    assert_eq!(notes(), Vec::<String>::new());
}

#[test]
fn small_files_are_read() {
    damaged(&["failures/12ab.json: is damaged"], |store, _, _| {
        fs::write(store.path("failures/12ab.json"), "{").expect("write");
    });
    damaged(&["which isn't there"], |store, _, _| {
        let failure = crate::FailureRecord {
            id: "12ab".to_owned(),
            layers: vec![LayerId::random().expect("id")],
            created: String::new(),
            details: serde_json::Value::Null,
        };
        store.add_failure(&failure).expect("added");
    });
    damaged(&["images/lists/x.json: is damaged"], |store, _, _| {
        fs::create_dir_all(store.path("images/lists")).expect("mkdir");
        fs::write(store.path("images/lists/x.json"), "{").expect("write");
    });
    damaged(&["cache/files/12ab: isn't a file"], |store, _, _| {
        fs::create_dir_all(store.path("cache/files/12ab/x")).expect("mkdir");
    });
    damaged(&["is a symlink that leads nowhere"], |store, _, _| {
        let path = store.blob_path(&Digest::sha256("x"));
        std::os::unix::fs::symlink("/nonexistent", path).expect("symlink");
    });
}

#[test]
fn a_layer_in_another_ones_place_is_found() {
    let (_dir, store, id, _) = came_in();
    let layer = store.image(&id).expect("record").layers[0].clone();
    let tar = |text: &str| crate::LayerTar {
        diff_id: DiffId(Digest::sha256(text)),
        clamp: None,
        blobs: Vec::new(),
    };
    let set = |text: &str| {
        store
            .update_digests(&layer, |digests| digests.tars = vec![tar(text)])
            .expect("updated");
    };
    let quick = CheckOptions {
        quick: true,
        ..CheckOptions::default()
    };
    set("tar");
    assert_eq!(problems(&store, quick), Vec::<String>::new());
    set("another");
    assert!(problems(&store, quick)[0].contains("isn't the one that its configuration says"));
    problems(&store, CheckOptions { repair: true, ..quick });
    assert_eq!(problems(&store, quick), Vec::<String>::new());
}

/// The configuration of an image in bytes that we wouldn't write.
fn as_others_write(record: &ImageRecord) -> Vec<u8> {
    [&record.config.to_bytes()[..], b"\n"].concat()
}

/// A store with an image that came in: its id is the digest of its configuration.
fn came_in() -> (tempfile::TempDir, Store, LocalId, Digest) {
    let (dir, store, _, layer) = store();
    let mut record = ImageRecord {
        layers: vec![layer],
        config: ImageConfig::default(),
        ..ImageRecord::default()
    };
    record.config.rootfs.diff_ids = vec![DiffId(Digest::sha256("tar"))];
    let config = store
        .add_document(&as_others_write(&record))
        .expect("added")
        .digest
        .clone();
    let manifest = store.add_document(b"{  }").expect("added").digest.clone();
    let export = Export {
        config: config.clone(),
        manifests: vec![wiac_oci::manifest::Descriptor::new("x", manifest.clone(), 4)],
        are_lost: false,
    };
    let id = store.add_imported(&record, &export, &[]).expect("added").id;
    store.name_image(&"came".parse().expect("name"), &id).expect("named");
    assert_eq!(problems(&store, CHECK), Vec::<String>::new());
    (dir, store, id, manifest)
}

#[test]
fn an_image_stays_where_its_configuration_proves_it() {
    let (_dir, store, id, manifest) = came_in();
    let repair = CheckOptions { repair: true, ..CHECK };
    let path = store.export_path(&id);
    let damages: [&dyn Fn(); 4] = [
        &|| fs::remove_file(&path).expect("deleted"),
        &|| fs::write(&path, "{").expect("write"),
        &|| {
            fs::remove_file(&path).expect("deleted");
            fs::create_dir(&path).expect("mkdir");
        },
        &|| {
            let config = Digest::sha256("another");
            let export = Export {
                config,
                manifests: Vec::new(),
                are_lost: false,
            };
            fs::write(&path, to_json(&export)).expect("write");
        },
    ];
    for damage in damages {
        damage();
        assert_eq!(problems(&store, CHECK).len(), 1);
        problems(&store, repair);
        assert_eq!(problems(&store, CHECK), Vec::<String>::new());
        assert!(store.image(&id).is_ok());
    }
    // So it does where only a manifest is lost.
    let (_dir, store, id, _) = came_in();
    fs::write(store.blob_path(&manifest), "?").expect("write");
    problems(&store, repair);
    assert_eq!(problems(&store, CHECK), Vec::<String>::new());
    let export = store.export(&id).expect("read").expect("an export");
    assert!(export.are_lost && export.manifests[0].digest == manifest, "{export:?}");
}

#[test]
fn what_is_foreign_is_left_alone() {
    let (_dir, store, _, _) = store();
    fs::write(store.path("layers/letter.txt"), "mine").expect("write");
    let found = problems(&store, CheckOptions { repair: true, ..CHECK });
    assert!(found[0].contains("isn't part of the store"), "{found:?}");
    assert!(store.path("layers/letter.txt").exists());
}

#[test]
fn a_layer_that_packs_to_something_else_was_changed() {
    let (_dir, store, _, layer) = store();
    let tar = crate::LayerTar {
        diff_id: DiffId(Digest::sha256("another tar")),
        clamp: None,
        blobs: Vec::new(),
    };
    store
        .update_digests(&layer, |digests| digests.add(tar))
        .expect("updated");
    assert!(problems(&store, CHECK)[0].contains("somebody changed its files"));
}

#[test]
fn a_layer_is_compared_with_what_it_was_at_its_first_check() {
    let (_dir, store, _, layer) = store();
    let first_seen = || store.check(CHECK).expect("checked").first_seen;
    let fingerprint = || fs::read_to_string(store.layer_directory(&layer).join("fingerprint")).expect("written down");
    assert_eq!((first_seen(), first_seen()), (1, 0));
    let before = fingerprint();
    fs::set_permissions(store.layer_diff(&layer).join("file"), fs::Permissions::from_mode(0o400)).expect("chmod");
    let found = problems(&store, CHECK);
    let digest = before.lines().next().expect("a line");
    assert!(found.len() == 1 && found[0].contains(digest), "{found:?}");
    assert_eq!(fingerprint(), before, "damage is no new beginning");
}

#[test]
fn a_layer_that_no_tar_can_express_is_no_damage() {
    let (_dir, store, _, layer) = store();
    fs::write(store.layer_diff(&layer).join(".wh.name"), "").expect("write");
    let report = store.check(CheckOptions { repair: true, ..CHECK }).expect("checked");
    assert_eq!((report.findings.len(), report.first_seen), (0, 0), "{report:?}");
    assert!(report.notes[0].contains("can't be packed: .wh.name"), "{report:?}");
    // Where it could be packed before, somebody changed it.
    let file = store.layer_diff(&layer).join(".wh.name");
    fs::remove_file(&file).expect("removed");
    assert_eq!(store.check(CHECK).expect("checked").first_seen, 1);
    fs::write(&file, "").expect("write");
    assert!(problems(&store, CHECK)[0].contains("has a name that starts with .wh."));
}

#[test]
fn entries_that_lead_nowhere_are_no_damage() {
    let (_dir, store, _, layer) = store();
    store
        .remember_step("def", &LayerId::random().expect("id"))
        .expect("remembered");
    store
        .remember_diff_id(&DiffId(Digest::sha256("x")), None, &layer)
        .expect("remembered");
    fs::create_dir(store.path("containers/box")).expect("mkdir");
    let notes = || store.check(CHECK).expect("checked").notes;
    assert!(notes()[0].starts_with("3 entries that lead nowhere"), "{:?}", notes());
    assert_eq!(
        problems(&store, CheckOptions { repair: true, ..CHECK }),
        Vec::<String>::new()
    );
    assert_eq!(notes(), Vec::<String>::new());
}

#[test]
fn what_nothing_refers_to_is_a_note() {
    let (_dir, store, _, _) = store();
    let unused = layer(&store);
    assert!(store.check(CHECK).expect("checked").notes.is_empty(), "it is in use");
    drop(unused);
    let report = store.check(CHECK).expect("checked");
    assert_eq!((report.findings.len(), report.notes.len()), (0, 1));
    store.collect(&Selection::unreferenced()).expect("collected");
    assert!(store.check(CHECK).expect("checked").notes.is_empty());
}

#[test]
fn a_layer_of_another_tool_is_whole_as_long_as_that_tool_keeps_it() {
    let (dir, store, image, _) = store();
    let theirs = dir.path().join("theirs");
    fs::create_dir(&theirs).expect("mkdir");
    fs::write(theirs.join("file"), "123").expect("write");
    let info = LayerInfo {
        form: Form::Trusted,
        lineage: String::new(),
        created_by: String::new(),
        created: String::new(),
        unpacked_from: None,
        elsewhere: Some(crate::layer::Elsewhere {
            directory: theirs.clone(),
            store: "containers-storage".into(),
            tar_split: None,
            blob: None,
        }),
    };
    let layer = Draft::elsewhere(&store, &theirs)
        .expect("draft")
        .commit(&store, &info)
        .expect("layer");
    assert_eq!(store.layer_size(&layer).expect("counted"), 3);
    let record = ImageRecord {
        layers: vec![layer.id.clone()],
        config: store.image(&image).expect("record").config,
        ..ImageRecord::default()
    };
    drop(layer);
    let other = store.add_image(&record).expect("added").id;
    store
        .name_image(&"other".parse().expect("name"), &other)
        .expect("named");
    assert_eq!(problems(&store, CHECK), Vec::<String>::new());
    let layers = store.usage().expect("counted").layers;
    assert_eq!((layers.total, layers.size), (2, 5), "theirs takes no space of ours");
    fs::remove_dir_all(&theirs).expect("deleted");
    let found = problems(&store, CHECK).join("\n");
    assert!(
        found.contains("it lay in containers-storage") && found.contains("build other:latest again"),
        "{found}"
    );
    assert!(store.remove_image(&other).expect("removed").deleted);
    let report = store.check(CHECK).expect("checked");
    assert_eq!(report.findings, [], "nothing of ours needs it any more");
    assert!(
        report.notes[0].starts_with("1 layers that nothing refers to"),
        "{:?}",
        report.notes
    );
    let collected = store.collect(&Selection::unreferenced()).expect("collected");
    assert_eq!((collected.layers.len(), collected.reclaimed()), (1, 0));
}
