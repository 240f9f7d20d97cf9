//! What is kept and what goes.

use super::*;
use crate::image::Export;
use crate::layer::{Draft, HeldLayer, LayerInfo};
use crate::{ImageRecord, LayerTar};
use wiac_layer::Form;
use wiac_oci::digest::DiffId;
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::Descriptor;

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
    draft.commit(store, &info).expect("committed")
}

fn image(layers: &[&HeldLayer]) -> ImageRecord {
    ImageRecord {
        layers: layers.iter().map(|layer| layer.id.clone()).collect(),
        config: ImageConfig::default(),
        ..ImageRecord::default()
    }
}

fn collect(store: &Store) -> Collected {
    store.collect(&Selection::unreferenced()).expect("collected")
}

#[test]
fn layers_go_when_nothing_refers_to_them() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path(), Form::Trusted).expect("store");
    let [named, cached, unused, held] = [0; 4].map(|_| layer(&store));
    let record = image(&[&named]);
    let id = store.add_image(&record).expect("added").id;
    store.name_image(&"app".parse().expect("name"), &id).expect("named");
    store.remember_step("abc", &cached.id).expect("remembered");
    store
        .remember_step("def", &LayerId::random().expect("id"))
        .expect("remembered");
    let ids = [&named, &cached, &unused, &held].map(|layer| layer.id.clone());
    drop((named, cached, unused));
    let collected = collect(&store);
    assert_eq!(collected.layers, [(ids[2].clone(), 5)]);
    assert_eq!((collected.reclaimed(), collected.dangling), (5, 1));
    drop(held);
    assert_eq!(collect(&store).layers.len(), 1);
    // Without its name the image goes, and the layer with it; the cache is cleared when that is asked for.
    let removed = store
        .remove_name("docker.io/library/app:latest", false)
        .expect("removed");
    assert!(removed.expect("there").1.deleted);
    assert_eq!(collect(&store).layers, [(ids[0].clone(), 5)]);
    let selection = Selection {
        cache: Some(SystemTime::now()),
        ..Selection::unreferenced()
    };
    let collected = store.collect(&selection).expect("collected");
    assert_eq!((collected.steps.len(), collected.layers.len()), (1, 1));
    assert_eq!(fs::read_dir(store.path("tmp")).expect("read").count(), 0);
    let left = fs::read_dir(store.path("unsynced")).expect("read").flatten();
    assert!(
        left.flat_map(|boot| fs::read_dir(boot.path()).expect("read"))
            .next()
            .is_none(),
        "no marks of what is gone"
    );
}

#[test]
fn an_image_that_is_about_to_be_named_stays() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path(), Form::Trusted).expect("store");
    let held = store.add_image(&image(&[&layer(&store)])).expect("added");
    let selection = Selection {
        images: &|_, _, named| !named,
        ..Selection::unreferenced()
    };
    assert!(store.collect(&selection).expect("collected").images.is_empty());
    let id = held.id.clone();
    drop(held);
    let dry = Selection {
        dry_run: true,
        ..selection
    };
    assert_eq!(store.collect(&dry).expect("looked").images, std::slice::from_ref(&id));
    assert!(store.image(&id).is_ok());
    let collected = store.collect(&Selection { dry_run: false, ..dry }).expect("collected");
    assert_eq!((collected.images.len(), collected.layers.len()), (1, 1));
}

#[test]
fn blobs_stay_with_their_layers_and_images() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path(), Form::Trusted).expect("store");
    let layer = layer(&store);
    let [config, blob, stray] = ["config", "blob", "stray"].map(|text| {
        let held = store.add_document(text.as_bytes()).expect("added");
        held.digest.clone()
    });
    let tar = LayerTar {
        diff_id: DiffId(Digest::sha256("tar")),
        clamp: None,
        blobs: vec![Descriptor::new("layer", blob.clone(), 4)],
    };
    store
        .update_digests(&layer.id, |digests| digests.add(tar))
        .expect("updated");
    let export = Export {
        config: config.clone(),
        manifests: Vec::new(),
        are_lost: false,
    };
    let image = store.add_imported(&image(&[&layer]), &export, &[]).expect("added");
    assert_eq!(collect(&store).blobs, [(stray, 5)]);
    let selection = Selection {
        layer_blobs: true,
        ..Selection::unreferenced()
    };
    assert_eq!(store.collect(&selection).expect("collected").blobs, [(blob, 4)]);
    drop(layer);
    let id = image.id.clone();
    drop(image);
    assert!(store.remove_image(&id).expect("removed").deleted);
    let collected = collect(&store);
    assert_eq!((collected.blobs, collected.layers.len()), (vec![(config, 6)], 1));
}

#[test]
fn a_mark_goes_when_its_maker_was_killed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path(), Form::Trusted).expect("store");
    let id = LayerId::random().expect("id");
    crate::sync::mark(&store, id.as_str()).expect("marked");
    let marks = || fs::read_dir(store.path("unsynced")).expect("read").count();
    let maker = Draft::new(&store).expect("draft");
    collect(&store);
    assert_eq!(marks(), 1, "somebody may be about to move it into place");
    drop(maker);
    collect(&store);
    assert_eq!(marks(), 0);
}

#[test]
fn a_download_that_goes_on_stays() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path(), Form::Trusted).expect("store");
    fs::create_dir_all(store.path("partial")).expect("mkdir");
    for name in ["idle", "busy"] {
        fs::write(store.path("partial").join(name), "12345").expect("write");
    }
    let _busy = Lock::exclusive(&store.path("partial/busy")).expect("locked");
    let selection = Selection {
        downloads: true,
        ..Selection::unreferenced()
    };
    let collected = store.collect(&selection).expect("collected");
    assert_eq!(collected.downloads, [("idle".to_owned(), 5)]);
    assert!(store.path("partial/busy").exists());
}
