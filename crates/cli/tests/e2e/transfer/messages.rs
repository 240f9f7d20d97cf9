//! What is asked for wrongly: each mistake gets a line that says what to do, and leaves nothing behind.

use crate::harness::Place;

#[test]
fn of_save() {
    let place = Place::root();
    place.image("app", "");
    place.write("file", "mine");
    place.write("directory/mine", "mine");
    let save = |arguments: &[&str]| place.wiac(["save", "app"]).args(arguments);
    save(&["-o", "missing/x.tar"])
        .fails(1)
        .complains(&["can't create missing/x.tar: No such file"]);
    save(&["-o", "directory"])
        .fails(1)
        .complains(&["directory with other things in it"]);
    save(&["-o", "file", "--format=oci-dir"])
        .fails(1)
        .complains(&["file: it is a file"]);
    save(&["--format=oci-dir"])
        .fails(125)
        .complains(&["name the directory with -o"]);
    let archive = ["-o", "x.tar", "--format=docker-archive", "--compression=zstd"];
    save(&archive).fails(125).complains(&["never compressed"]);
    let level = ["-o", "x.tar", "--compression=zstd", "--compression-level=20"];
    save(&level).fails(125).complains(&["zstd has 1 to 19"]);
    let level = ["-o", "x.tar", "--compression=none", "--compression-level=1"];
    save(&level).fails(125).complains(&["nothing is compressed here"]);
    save(&["-o", "x.tar"])
        .env("SOURCE_DATE_EPOCH", "today")
        .fails(125)
        .complains(&["SOURCE_DATE_EPOCH=today"]);
    place
        .wiac(["save", "-o", "x.tar", "ap"])
        .fails(1)
        .complains(&["did you mean app?"]);
    assert_eq!(place.read("file"), "mine");
    // As podman's users write it.
    save(&["-q", "-m", "-o", "x.tar"]).succeeds();
    std::fs::remove_file(place.path("x.tar")).expect("written");
    // A directory that isn't there yet is asked for by its slash.
    save(&["-o", "layout/"]).succeeds();
    assert!(place.has("layout/oci-layout"));
    let mut names: Vec<String> = place.tree("").into_iter().filter(|name| !name.contains('/')).collect();
    names.retain(|name| name != "data" && name != "app-context");
    assert_eq!(names, ["directory", "file", "layout"]);
}

#[test]
fn of_load_and_export() {
    let place = Place::root();
    place.image("app", "");
    place.wiac(["save", "-o", "app.tar", "app"]).succeeds();
    place
        .wiac(["load", "app.tar"])
        .succeeds()
        .says("Loaded image: app:latest");
    place
        .wiac(["load", "--platform=linux/s390x", "app.tar"])
        .fails(1)
        .complains(&["it is an image for linux/", "not for linux/s390x"]);
    place
        .wiac(["load"])
        .fails(1)
        .complains(&["standard input: there is nothing in it"]);
    place
        .wiac(["export", "ap", "-o", "x"])
        .fails(1)
        .complains(&["did you mean app?"]);
    place
        .wiac(["export", "./missing", "-o", "x"])
        .fails(1)
        .complains(&["there is no such container layer"]);
    place.mkdir("empty");
    place
        .wiac(["export", "./empty", "-o", "x"])
        .fails(1)
        .complains(&["no container.json in it"]);
    assert!(!place.has("x"));
}
