//! What a layer's digests.json says is compared with what else is known, and written anew from there.

use super::*;
use crate::image::Export;
use wiac_oci::manifest::{Manifest, media_type};

/// An image that came in with layers that are blobs of their own tars.
fn arrived(store: &Store, name: &str, layers: &[(&LayerId, &[u8])]) -> LocalId {
    let mut record = ImageRecord {
        layers: layers.iter().map(|(id, _)| (*id).clone()).collect(),
        ..ImageRecord::default()
    };
    record.config.rootfs.diff_ids = layers.iter().map(|(_, tar)| DiffId(Digest::sha256(tar))).collect();
    let bytes = record.config.to_bytes();
    let config = store.add_document(&bytes).expect("added").digest.clone();
    let blob = |tar: &[u8]| Descriptor::new("x", Digest::sha256(tar), tar.len() as u64);
    let blobs = layers.iter().map(|(_, tar)| blob(tar)).collect();
    let manifest = crate::layer::to_json(&Manifest::new(blob(&bytes), blobs));
    store.add_document(&manifest).expect("added");
    let export = Export {
        config,
        manifests: vec![Descriptor::new(
            media_type::MANIFEST,
            Digest::sha256(&manifest),
            manifest.len() as u64,
        )],
        are_lost: false,
    };
    let id = store.add_imported(&record, &export, &[]).expect("added").id;
    store.name_image(&name.parse().expect("a name"), &id).expect("named");
    id
}

#[test]
fn what_is_said_of_a_layer_is_known_from_its_images() {
    let (_dir, store) = store();
    let tars = [tar(&[("file", "text")]), tar(&[("other", "text")])];
    let layers = tars.each_ref().map(|tar| layer(&store, tar, &[]));
    arrived(&store, "app", &[(&layers[0], &tars[0]), (&layers[1], &tars[1])]);
    let names = [(&layers[0], "L"), (&layers[1], "L")];
    assert_eq!(lines(&check(&store, DEEP), &names), Vec::<String>::new());
    for (number, id) in layers.iter().enumerate() {
        let path = store.layer_directory(id).join("digests.json");
        let known = store.layer_digests(id).expect("read");
        let size_alone = LayerDigests {
            size: known.size,
            ..LayerDigests::default()
        };
        let damages: [(Option<Vec<u8>>, &str); 3] = [
            (None, "is missing"),
            (Some(b"{".to_vec()), "is damaged"),
            (Some(crate::layer::to_json(&size_alone)), "doesn't have the tar sha256:"),
        ];
        for (damage, expected) in damages {
            match damage {
                None => fs::remove_file(&path).expect("deleted"),
                Some(bytes) => fs::write(&path, bytes).expect("write"),
            }
            // What it is now doesn't pass for what it was: the blob is known all the same.
            chmod(&store, id, ["file", "other"][number], 0o600);
            let found = lines(&check(&store, REPAIR), &names);
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(
                found[0].starts_with(&format!("layers/L/digests.json: {expected}")),
                "{found:?}"
            );
            assert!(found[0].ends_with("written anew"), "{found:?}");
            assert!(found[1].contains("mode is 0600 instead of 0755"), "{found:?}");
            assert_eq!(store.layer_digests(id).expect("read").tars, known.tars);
            assert_eq!(lines(&check(&store, DEEP), &names), Vec::<String>::new());
        }
    }
}

#[test]
fn a_blob_of_another_length_is_told_from_a_wrong_word_of_it() {
    let (_dir, store) = store();
    let bytes = tar(&[("file", "text")]);
    let id = layer(&store, &bytes, &[]);
    arrived(&store, "app", &[(&id, &bytes)]);
    let known = store.layer_digests(&id).expect("read");
    let plain = CheckOptions { deep: false, ..REPAIR };
    // The blob is right.
    store
        .update_digests(&id, |digests| digests.tars[0].blobs[0].size += 1)
        .expect("updated");
    let found = lines(&check(&store, plain), &[(&id, "L")]);
    assert!(
        found.len() == 1 && found[0].starts_with("layers/L/digests.json: says that blob sha256:"),
        "{found:?}"
    );
    assert_eq!(store.layer_digests(&id).expect("read"), known);
    // The blob is wrong.
    let path = store.blob_path(&Digest::sha256(&bytes));
    fs::write(&path, &bytes[..1024]).expect("write");
    let found = lines(&check(&store, plain), &[(&id, "L")]);
    assert!(found.len() == 1 && found[0].starts_with("blob sha256:"), "{found:?}");
    assert_eq!(store.layer_digests(&id).expect("read"), known);
    assert_eq!(lines(&check(&store, plain), &[]), Vec::<String>::new());
}

#[test]
fn what_is_said_of_a_layer_is_compared() {
    let (_dir, store) = store();
    let id = layer(&store, &tar(&[("file", "text")]), &[]);
    let other = layer(&store, &tar(&[("other", "another")]), &[]);
    image(&store, "app", &[&id, &other]);
    let names = [(&id, "L")];
    store
        .update_digests(&id, |digests| digests.size = Some(5))
        .expect("updated");
    let found = lines(&check(&store, REPAIR), &names);
    assert_eq!(
        found,
        ["layers/L/digests.json: says that the layer's files have 5 bytes, and they have 4; written anew"]
    );
    assert_eq!(lines(&check(&store, DEEP), &names), Vec::<String>::new());
    let theirs = store.layer_digests(&other).expect("read").tars[0].blobs.clone();
    store
        .update_digests(&id, |digests| digests.tars[0].blobs = theirs)
        .expect("updated");
    let found = lines(&check(&store, DEEP), &names);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("layers/L/digests.json: says that blob sha256:"),
        "{found:?}"
    );
    check(&store, REPAIR);
    assert_eq!(lines(&check(&store, DEEP), &names), Vec::<String>::new());
}
