//! tag, untag, rmi, prune, df: what goes, and what stays because somebody needs it.

use super::{assert_whole, json};
use crate::harness::{Place, as_users};

fn layers(place: &Place) -> usize {
    std::fs::read_dir(place.path("data/layers")).expect("layers").count()
}

as_users!(the_image_goes_with_its_last_name: root, user, single);
fn the_image_goes_with_its_last_name(place: &Place) {
    place.image("app", "");
    place.wiac(["tag", "app", "other:v1", "third"]).succeeds();
    let id = place.wiac(["images", "-q", "app"]).succeeds();
    place
        .wiac(["rmi", id.text()])
        .fails(1)
        .complains(&["several names", "app:latest", "-f"]);
    place.wiac(["untag", "third"]).succeeds().says("Untagged: third:latest");
    place.wiac(["rmi", "app"]).succeeds().says("Untagged: app:latest");
    place
        .wiac(["rmi", "other:v1"])
        .succeeds()
        .mentions("Untagged: other:v1\nDeleted: sha256:");
    place.wiac(["run", "app", "true"]).fails(125);
    place.wiac(["images", "-q", "-a"]).succeeds().says("");
    // The build cache keeps its layers until it is cleared.
    assert_ne!(layers(place), 0);
    place
        .wiac(["prune", "-f", "--cache"])
        .succeeds()
        .mentions("Total reclaimed space: ");
    assert_eq!(layers(place), 0);
    assert_whole(place);
}

#[test]
fn what_isnt_there_cant_be_taken_away() {
    let place = Place::root();
    place.image("app", "");
    let said = place.wiac(["rmi", "ap", "app"]).fails(1);
    said.complains(&["did you mean app?"]).mentions("Untagged: app:latest");
}

#[test]
fn other_tools_images_are_theirs_to_take_away() {
    let place = Place::root();
    place.image("app", "");
    for (arguments, words) in [
        (["rmi", "docker-storage:x:1"], "docker rmi x:1 deletes it"),
        (["rmi", "containers-storage:x"], "podman rmi x deletes it"),
        (["untag", "containers-storage:x"], "podman untag x takes the name away"),
        (["load", "containers-storage:x"], "wiac tag containers-storage:x NAME"),
        (["pull", "docker-storage:x"], "wiac tag docker-storage:x NAME"),
    ] {
        let said = place.wiac(arguments).fails(125);
        said.complains(&[arguments[1], words]);
    }
    for (to, words) in [
        ("containers-storage:x", "wiac save NAME | podman load"),
        ("oci-archive:x.tar", "wiac transfer app oci-archive:x.tar"),
        ("docker-daemon:x", "let docker load it"),
    ] {
        place.wiac(["push", "app", to]).fails(125).complains(&[to, words]);
    }
}

#[test]
fn names_that_cant_be() {
    let place = Place::root();
    place.image("app", "");
    place
        .wiac(["tag", "app", "Upper"])
        .fails(125)
        .complains(&["did you mean \"upper\"?"]);
    let digest = format!("x@sha256:{}", "a".repeat(64));
    place.wiac(["tag", "app", &digest]).fails(125).complains(&["digest"]);
    // They say where an image is, and would never be found again.
    for name in [
        "containers-storage:x",
        "docker-storage:x",
        "oci:x",
        "oci-archive:x.tar",
        "docker-daemon:x",
    ] {
        place.wiac(["tag", "app", name]).fails(125).complains(&[name]);
    }
    place.wiac(["tag", "app", "docker.io/library/oci:x"]).succeeds();
    place.wiac(["run", "oci:x", "echo", "here"]).succeeds().says("here");
    place
        .wiac(["tag", "ap", "x"])
        .fails(1)
        .complains(&["did you mean app?"]);
    place.wiac(["untag", "appp"]).fails(1).complains(&["did you mean app?"]);
    place
        .wiac(["inspect", "app", "nothing"])
        .fails(1)
        .mentions("\"RepoTags\"")
        .complains(&["nothing"]);
    for ignore in ["-f", "-i"] {
        place.wiac(["rmi", ignore, "nothing"]).succeeds();
    }
    // Taken from one image, given to the other.
    place
        .build("second", "FROM app\nENV X=1")
        .args(["-t", "second"])
        .succeeds();
    place.wiac(["tag", "second", "app"]).succeeds();
    place.wiac(["run", "app", "sh", "-c", "echo $X"]).succeeds().says("1");
}

as_users!(a_running_container_keeps_its_layers: root, user);
fn a_running_container_keeps_its_layers(place: &Place) {
    place.image("app", "RUN echo here > /file");
    let script = "touch /mnt/ready; while ! test -e /mnt/go; do sleep 0.05; done; cat /file > /mnt/seen";
    place.mkdir("mnt");
    let mut running = place
        .wiac(["run", "-v", "./mnt:/mnt", "app", "sh", "-c", script])
        .in_background();
    crate::harness::leftovers::wait_until("the container runs", || place.has("mnt/ready"));
    let df = json(place.wiac(["df", "--format", "json"]));
    assert_eq!((&df[0]["Active"], &df[4]["Active"]), (&1.into(), &1.into()), "{df:#}");
    place.wiac(["prune", "-a", "-f"]).succeeds().never_mentions("app");
    place.wiac(["rmi", "app"]).succeeds();
    place.wiac(["prune", "-a", "-f"]).succeeds();
    assert_ne!(layers(place), 0);
    place.write("mnt/go", "");
    assert_eq!(running.exit_code(), 0);
    assert_eq!(place.read("mnt/seen"), "here\n");
    place.wiac(["prune", "-a", "-f"]).succeeds();
    assert_eq!(layers(place), 0);
    assert_whole(place);
}

as_users!(a_container_layer_keeps_what_it_runs_on: root, user);
fn a_container_layer_keeps_what_it_runs_on(place: &Place) {
    place.image("app", "RUN echo here > /file");
    let chain = place.wiac(["layers", "-q", "app"]).succeeds();
    let run = || place.wiac(["run", chain.text(), "./layer", "cat", "/file"]);
    run().succeeds().says("here");
    place.wiac(["rmi", "app"]).succeeds();
    place.wiac(["prune", "-a", "-f"]).succeeds();
    run().succeeds().says("here");
    assert_whole(place);
    // Under another name it is leased again when it runs.
    std::fs::rename(place.path("layer"), place.path("moved")).expect("moved");
    place
        .wiac(["run", chain.text(), "./moved", "cat", "/file"])
        .succeeds()
        .says("here");
    place.wiac(["prune", "-a", "-f"]).succeeds();
    place
        .wiac(["run", chain.text(), "./moved", "cat", "/file"])
        .succeeds()
        .says("here");
    std::fs::remove_dir_all(place.path("moved")).expect("deleted");
    place.wiac(["prune", "-a", "-f"]).succeeds();
    assert_eq!(layers(place), 0);
    assert_eq!(place.tree("data/leases"), Vec::<String>::new());
}

#[test]
fn a_name_ends_with_its_container() {
    let place = Place::root();
    place.image("app", "");
    place.wiac(["run", "--name", "box", "app", "true"]).succeeds();
    assert_eq!(place.tree("data/containers"), Vec::<String>::new());
    let mut running = place
        .wiac(["run", "--name", "box", "app", "sleep", "100"])
        .in_background();
    crate::harness::leftovers::wait_until("the name is taken", || place.has("data/containers/box"));
    place
        .wiac(["run", "--name", "box", "app", "true"])
        .fails(125)
        .complains(&["has this name"]);
    running.gets(rustix::process::Signal::KILL);
    running.exit_code();
    crate::harness::leftovers::assert_nothing_within(std::time::Duration::from_secs(5), place.dir(), "no-such-word");
    place.wiac(["prune", "-f"]).succeeds();
    assert_eq!(place.tree("data/containers"), Vec::<String>::new());
}

#[test]
fn prune_takes_what_is_asked_for() {
    let place = Place::root();
    place.image("named", "RUN echo named > /x");
    place
        .build("nameless", "FROM named\nLABEL keep=yes\nRUN echo nameless > /y")
        .succeeds();
    let dry = place.wiac(["prune", "--dry-run"]).succeeds();
    dry.mentions("Would delete: image")
        .mentions("Space that would be reclaimed");
    place
        .wiac(["prune", "-f", "--filter", "label!=keep"])
        .succeeds()
        .never_mentions("image");
    place
        .wiac(["prune", "-f", "--filter", "until=24h"])
        .succeeds()
        .never_mentions("image");
    place
        .wiac(["prune", "-f", "--filter", "dangling=true"])
        .fails(125)
        .complains(&["until"]);
    let pruned = json(place.wiac(["prune", "-f", "--cache", "--format", "json"]));
    assert_eq!(pruned["Images"].as_array().map(Vec::len), Some(1), "{pruned:#}");
    assert_eq!(pruned["SpaceReclaimed"], "nameless\n".len());
    place.wiac(["run", "named", "cat", "/x"]).succeeds().says("named");
    place
        .wiac(["prune", "-a", "-f"])
        .succeeds()
        .mentions("Untagged: named:latest");
    assert_eq!(layers(&place), 0);
    assert_whole(&place);
}

#[test]
fn blobs_are_freed_and_made_again() {
    let place = Place::root();
    place.image("app", "RUN echo here > /file");
    place.wiac(["save", "-o", "app.tar", "app"]).succeeds();
    place.wiac(["rmi", "app"]).succeeds();
    place.wiac(["prune", "-a", "-f"]).succeeds();
    place.wiac(["load", "-i", "app.tar"]).succeeds();
    assert_whole(&place);
    let blobs = |place: &Place| place.tree("data/blobs/sha256").len();
    let before = blobs(&place);
    place
        .wiac(["prune", "-f", "--blobs"])
        .succeeds()
        .mentions("Deleted: blob sha256:");
    assert!(blobs(&place) < before);
    assert_whole(&place);
    place.wiac(["run", "app", "cat", "/file"]).succeeds().says("here");
    place.wiac(["save", "-o", "again.tar", "app"]).succeeds();
    place.wiac(["rmi", "app"]).succeeds();
    assert_eq!((layers(&place), blobs(&place)), (0, 0), "nothing of the image is left");
}
