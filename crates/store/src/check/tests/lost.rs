//! What is lost and can be had again, or done without.

use super::*;
use wiac_oci::manifest::{Descriptor, Manifest, media_type};

#[test]
fn an_image_stays_where_what_it_came_with_is_lost() {
    let repair = CheckOptions { repair: true, ..CHECK };
    let (_dir, store, id, manifest) = came_in();
    fs::remove_dir_all(store.path("blobs")).expect("deleted");
    fs::create_dir(store.path("blobs")).expect("mkdir");
    let found = problems(&store, CHECK).join("\n");
    assert!(found.contains("build came:latest again"), "{found}");
    problems(&store, repair);
    assert_eq!(problems(&store, CHECK), Vec::<String>::new());
    let notes = store.check(CHECK).expect("checked").notes.join("\n");
    assert!(
        notes.contains("would go out as another one: load, pull or build came:latest again"),
        "{notes}"
    );
    let record = store.find_image("came").expect("found").1;
    let export = store.export(&id).expect("read").expect("an export");
    assert_eq!(export.manifests[0].digest, manifest, "where it came from is known");
    // It comes by again.
    store.add_document(&as_others_write(&record)).expect("added");
    let arrived = Export {
        manifests: Vec::new(),
        are_lost: false,
        ..export
    };
    store.add_imported(&record, &arrived, &[]).expect("added");
    assert_eq!(store.export(&id).expect("read"), Some(arrived));
    let report = store.check(CHECK).expect("checked");
    assert_eq!((report.findings, report.notes), (Vec::new(), Vec::new()));
}

#[test]
fn a_configuration_that_we_would_write_so_is_written_anew() {
    let (_dir, store, _, layer) = store();
    let mut record = ImageRecord {
        layers: vec![layer],
        ..ImageRecord::default()
    };
    record.config.rootfs.diff_ids = vec![DiffId(Digest::sha256("tar"))];
    let config = store
        .add_document(&record.config.to_bytes())
        .expect("added")
        .digest
        .clone();
    let export = Export {
        config: config.clone(),
        manifests: Vec::new(),
        are_lost: false,
    };
    let id = store.add_imported(&record, &export, &[]).expect("added").id;
    store.name_image(&"came".parse().expect("name"), &id).expect("named");
    fs::remove_file(store.blob_path(&config)).expect("deleted");
    problems(&store, CheckOptions { repair: true, ..CHECK });
    assert_eq!(problems(&store, CHECK), Vec::<String>::new());
    assert_eq!(store.document(&config).expect("written anew"), record.config.to_bytes());
}

#[test]
fn what_is_known_from_elsewhere_is_written_anew() {
    let repair = CheckOptions { repair: true, ..CHECK };
    let (_dir, store, image, layer) = store();
    let (name, record) = store.find_image("app").expect("found");
    assert_eq!(name, image);
    let description = store.layer_directory(&layer).join("layer.json");
    let damages: [&dyn Fn(); 3] = [
        &|| fs::remove_file(&description).expect("deleted"),
        &|| fs::write(&description, "{").expect("write"),
        &|| {
            fs::remove_file(&description).expect("deleted");
            fs::create_dir(&description).expect("mkdir");
        },
    ];
    for damage in damages {
        damage();
        assert_eq!(problems(&store, CHECK).len(), 1);
        problems(&store, repair);
        assert_eq!(problems(&store, CHECK), Vec::<String>::new());
        assert_eq!(store.find_image("app").expect("found").1, record);
        assert_eq!(store.layer_info(&layer).expect("described").form, Form::Trusted);
    }
}

#[test]
fn the_record_of_an_image_that_came_in_is_made_of_its_configuration() {
    let repair = CheckOptions { repair: true, ..CHECK };
    let (_dir, store, _, layer) = store();
    let diff_id = DiffId(Digest::sha256("tar"));
    let other = super::layer(&store);
    for (layer, tar) in [(&layer, "tar"), (&other.id, "another")] {
        let tar = crate::LayerTar {
            diff_id: DiffId(Digest::sha256(tar)),
            clamp: Some(0),
            blobs: Vec::new(),
        };
        store
            .update_digests(layer, |digests| digests.add(tar))
            .expect("updated");
    }
    store.remember_diff_id(&diff_id, None, &layer).expect("remembered");
    let mut record = ImageRecord {
        layers: vec![layer],
        ..ImageRecord::default()
    };
    record.config.rootfs.diff_ids = vec![diff_id];
    let config = store
        .add_document(&record.config.to_bytes())
        .expect("added")
        .digest
        .clone();
    let export = Export {
        config,
        manifests: Vec::new(),
        are_lost: false,
    };
    let id = store.add_imported(&record, &export, &[]).expect("added").id;
    store.name_image(&"came".parse().expect("name"), &id).expect("named");
    let quick = CheckOptions { deep: false, ..CHECK };
    let repair = CheckOptions { deep: false, ..repair };
    let path = store.record_path(&id);
    let changed = |change: &dyn Fn(&mut ImageRecord)| {
        let mut changed = record.clone();
        change(&mut changed);
        fs::write(&path, to_json(&changed)).expect("write");
    };
    let damages: [&dyn Fn(); 5] = [
        &|| fs::write(&path, "{").expect("write"),
        &|| fs::remove_file(&path).expect("deleted"),
        &|| changed(&|record| record.layers = vec![LayerId::random().expect("random")]),
        &|| changed(&|record| record.layers = vec![other.id.clone()]),
        &|| changed(&|record| record.config.os = "minix".to_owned()),
    ];
    for damage in damages {
        damage();
        assert_eq!(problems(&store, quick).len(), 1);
        problems(&store, repair);
        assert_eq!(problems(&store, quick), Vec::<String>::new());
        assert_eq!(store.find_image("came").expect("found"), (id.clone(), record.clone()));
    }
}

#[test]
fn what_an_export_says_is_known_from_the_manifests() {
    let repair = CheckOptions { repair: true, ..CHECK };
    let (_dir, store, id, _) = came_in();
    let config = store.export(&id).expect("read").expect("an export").config;
    let descriptor = Descriptor::new(media_type::CONFIG, config.clone(), 1);
    let manifest = Manifest::new(descriptor, Vec::new());
    let bytes = serde_json::to_vec(&manifest).expect("JSON");
    let document = store.add_document(&bytes).expect("added").digest.clone();
    let meant = Descriptor::new(media_type::MANIFEST, document, bytes.len() as u64);
    let export = Export {
        config,
        manifests: vec![meant.clone()],
        are_lost: false,
    };
    let path = store.export_path(&id);
    fs::write(&path, to_json(&export)).expect("write");
    assert_eq!(problems(&store, CHECK), Vec::<String>::new());
    let said = |change: &dyn Fn(&mut Descriptor)| {
        let mut said = export.clone();
        change(&mut said.manifests[0]);
        fs::write(&path, to_json(&said)).expect("write");
    };
    let text = String::from_utf8(to_json(&export)).expect("JSON");
    let damages: [&dyn Fn(); 6] = [
        &|| fs::remove_file(&path).expect("deleted"),
        &|| fs::write(&path, "{").expect("write"),
        &|| fs::write(&path, text.replace("manifests", "manifesTs")).expect("write"),
        &|| said(&|manifest| manifest.size += 1),
        &|| said(&|manifest| manifest.media_type.insert(0, 'x')),
        &|| said(&|manifest| manifest.digest = Digest::sha256("another")),
    ];
    for damage in damages {
        damage();
        assert_eq!(problems(&store, CHECK).len(), 1);
        problems(&store, repair);
        assert_eq!(problems(&store, CHECK), Vec::<String>::new());
        assert_eq!(store.export(&id).expect("read"), Some(export.clone()));
    }
}

#[test]
fn a_description_that_names_another_tar_than_all_others_is_wrong() {
    let (_dir, store, id, _) = came_in();
    let layer = store.image(&id).expect("record").layers[0].clone();
    let tar = crate::LayerTar {
        diff_id: DiffId(Digest::sha256("tar")),
        clamp: None,
        blobs: Vec::new(),
    };
    store
        .update_digests(&layer, |digests| digests.add(tar.clone()))
        .expect("updated");
    let quick = CheckOptions {
        quick: true,
        deep: false,
        ..CHECK
    };
    let info = store.layer_info(&layer).expect("described");
    let described = |diff_id: &str| {
        let info = LayerInfo {
            unpacked_from: Some(DiffId(Digest::sha256(diff_id))),
            ..info.clone()
        };
        fs::write(store.layer_directory(&layer).join("layer.json"), to_json(&info)).expect("write");
    };
    described("tar");
    assert_eq!(problems(&store, quick), Vec::<String>::new());
    let digests = store.layer_digests(&layer).expect("read");
    described("another");
    assert!(problems(&store, quick)[0].contains("was unpacked from the tar sha256:"));
    problems(&store, CheckOptions { repair: true, ..quick });
    assert_eq!(problems(&store, quick), Vec::<String>::new());
    assert_eq!(store.layer_digests(&layer).expect("read"), digests);
    let mended = store.layer_info(&layer).expect("described").unpacked_from;
    assert_eq!(mended, Some(tar.diff_id));
}
