//! wiac store check: damage is found, named and set aside; a whole store is whole while others use it.

use super::assert_whole;
use crate::harness::{Place, as_users};

as_users!(damage_is_told_and_mended: root, user, single);
fn damage_is_told_and_mended(place: &Place) {
    place.image("app", "RUN echo here > /file");
    place.image("well", "RUN echo other > /file");
    assert_whole(place);
    // Count what is in each layer, so that a change shows.
    place.wiac(["images"]).succeeds();
    let chain = place.wiac(["layers", "-q", "app"]).succeeds();
    let topmost = chain.text().split(':').next().expect("a layer").to_owned();
    place.host(&format!("echo changed >> {topmost}/file")).succeeds();
    let said = place.wiac(["store", "check"]).fails(1);
    assert!(
        said.stdout.contains("somebody changed them") && said.stdout.contains("build app:latest again"),
        "{}",
        said.stdout
    );
    place.wiac(["store", "check", "--quick"]).succeeds();
    place
        .wiac(["store", "check", "--repair"])
        .succeeds()
        .mentions("moved to quarantine/")
        .mentions("getting an image again fetches only the rest")
        // And the image that needed the layer.
        .mentions("layers are missing");
    let said = place.wiac(["store", "check"]).succeeds();
    said.mentions("nothing is wrong").mentions("quarantine");
    place.wiac(["run", "app", "true"]).fails(125);
    place.wiac(["run", "well", "cat", "/file"]).succeeds().says("other");
    place.wiac(["build", "-t", "app", "app-context"]).succeeds();
    place.wiac(["run", "app", "cat", "/file"]).succeeds().says("here");
    place.wiac(["df"]).succeeds().mentions("Quarantine");
    place.wiac(["prune", "-a", "-f"]).succeeds().mentions("quarantined");
    assert_whole(place);
}

#[test]
fn a_check_that_can_open_no_more_files_takes_nothing_for_damaged() {
    let place = Place::root();
    place.image("app", "RUN mkdir -p /a/b/c/d/e/f && echo here > /a/b/c/d/e/f/g");
    // Count what is in each layer, so that a check looks through them.
    place.wiac(["images"]).succeeds();
    let mut refused = 0;
    for limit in 4..30 {
        for closely in [&[][..], &["--deep"]] {
            let check = place.wiac(["store", "check", "--repair"]).args(closely);
            let said = check.after(&format!("ulimit -n {limit}")).ends_with_any(&[0, 1]);
            refused += usize::from(said.stderr.contains("too many open files"));
            assert!(!said.stdout.contains("quarantine"), "{}", said.stdout);
        }
    }
    assert!(refused > 0, "a limit of 4 files is no hindrance");
    assert_whole(&place);
    place
        .wiac(["run", "app", "cat", "/a/b/c/d/e/f/g"])
        .succeeds()
        .says("here");
}

#[test]
fn what_looks_while_others_work_finds_nothing_wrong() {
    let place = Place::root();
    place.image("app", "RUN echo here > /file");
    place.image("loaded", "RUN echo loaded > /file");
    place.wiac(["save", "-o", "loaded.tar", "loaded"]).succeeds();
    let chain = place.wiac(["layers", "-q", "app"]).succeeds().text().to_owned();
    std::thread::scope(|scope| {
        let work = |name: &'static str| {
            let (place, chain) = (&place, &chain);
            scope.spawn(move || {
                let layer = format!("./container-{name}");
                for number in 0..12 {
                    let dockerfile = format!("FROM app\nRUN echo {name}{number} > /new\n");
                    place.write(&format!("{name}/Dockerfile"), dockerfile);
                    place.wiac(["build", "-q", "-t", name, name]).succeeds();
                    place
                        .wiac(["run", name, "cat", "/new"])
                        .succeeds()
                        .says(&format!("{name}{number}"));
                    place.wiac(["rmi", "-q", name]).succeeds();
                    place.wiac(["load", "-q", "-i", "loaded.tar"]).succeeds();
                    for _ in 0..4 {
                        place.wiac(["run", chain, &layer, "true"]).succeeds();
                    }
                    place.wiac(["commit", "-q", &layer, name]).succeeds();
                    std::fs::remove_dir_all(place.path(&layer)).expect("deleted");
                    place.wiac(["prune", "-f", "--cache"]).succeeds();
                }
            })
        };
        let workers = [work("one"), work("two")];
        while !workers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let said = place.wiac(["store", "check"]).ends_with_any(&[0, 1]);
            assert!(said.stdout.contains("nothing is wrong"), "{}", said.stdout);
            for others in [&["df"][..], &["df", "-v"], &["images"], &["images", "--format", "json"]] {
                let said = place.wiac(others).succeeds();
                assert_eq!(said.stderr, "", "{others:?}");
            }
        }
    });
    place.wiac(["prune", "-f", "--cache"]).succeeds();
    assert_whole(&place);
}
