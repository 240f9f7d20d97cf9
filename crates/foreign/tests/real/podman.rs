//! Root's store of podman and buildah.

use crate::tools::{self, Place, json, merged_listing, open, opened, output, run};
use std::process::Command;
use std::time::{Duration, Instant};
use wiac_foreign::{Caller, Error, Kind, Location, Marks};
use wiac_layer::Form;

/// podman or buildah on a store of the test's own.
fn engine(place: &Place, name: &str, driver: &str) -> Command {
    let mut command = Command::new(name);
    command
        .arg("--root")
        .arg(place.path("store"))
        .arg("--runroot")
        .arg(place.path("run"));
    command.args(["--storage-driver", driver]);
    if name == "podman" {
        command.args(["--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=crun"]);
    }
    command
        .env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
        .env("BUILDAH_RUNTIME", "crun");
    command
}

fn podman(place: &Place) -> Command {
    engine(place, "podman", "overlay")
}

/// A place with the image `localhost/built:1`.
fn with_image() -> Place {
    let place = Place::new();
    run(podman(&place)
        .arg("import")
        .arg(place.path("base.tar"))
        .arg("localhost/base:latest"));
    let mut build = podman(&place);
    run(build
        .args(["build", "--network=none", "--layers", "--tag", "localhost/built:1"])
        .arg(place.path("context")));
    place
}

/// The reference of a name in the place's store.
fn reference(place: &Place, name: &str) -> String {
    format!("containers-storage:[overlay@{}]{name}", place.path("store").display())
}

fn location(place: &Place) -> Location {
    Location {
        root: Some(place.path("store")),
        ..Location::default()
    }
}

#[test]
fn what_podman_says_of_an_image() {
    let place = with_image();
    let image = opened(&reference(&place, "built:1"));
    let said = &json(podman(&place).args(["image", "inspect", "localhost/built:1"]))[0];
    assert_eq!(said["Id"], image.id.hex());
    assert_eq!(said["RepoTags"], serde_json::json!(image.names));
    let data = &said["GraphDriver"]["Data"];
    let dirs = format!(
        "{}:{}",
        data["UpperDir"].as_str().unwrap(),
        data["LowerDir"].as_str().unwrap()
    );
    assert_eq!(dirs, tools::lower(&image));
    let diff_ids: Vec<_> = image
        .layers
        .iter()
        .map(|layer| layer.diff_id.clone().unwrap().to_string())
        .collect();
    assert_eq!(said["RootFS"]["Layers"], serde_json::json!(diff_ids));
    assert!(
        image
            .layers
            .iter()
            .all(|layer| layer.tar_split.is_some() && layer.size.is_some())
    );
    let marks: Vec<_> = image.layers.iter().map(|layer| layer.marks).collect();
    assert_eq!(marks, [Marks::None, Marks::Of(Form::Trusted), Marks::None]);

    let mounted = run(podman(&place).args(["image", "mount", "localhost/built:1"]));
    let expected = tools::listing(mounted);
    run(podman(&place).args(["image", "unmount", "localhost/built:1"]));
    assert!(
        expected.contains("directory/new") && !expected.contains("directory/old"),
        "{expected}"
    );
    assert_eq!(merged_listing(&image), expected);

    let listed = wiac_foreign::list(Kind::Containers, &location(&place), &Caller::current()).unwrap();
    let said = json(podman(&place).args(["images", "--all", "--format=json"]));
    let mut ids: Vec<_> = said
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["Id"].as_str().unwrap())
        .collect();
    let mut ours: Vec<_> = listed.iter().map(|image| image.id.hex()).collect();
    ids.sort_unstable();
    ours.sort_unstable();
    assert_eq!(ids, ours);
}

#[test]
fn buildahs_image() {
    let place = with_image();
    let script = "RUN rm /hello && mkdir /directory/more\nCOPY hello /directory/more/\n";
    std::fs::write(
        place.path("context/Dockerfile"),
        format!("FROM localhost/built:1\n{script}"),
    )
    .unwrap();
    let mut build = engine(&place, "buildah", "overlay");
    let build = build.args([
        "bud",
        "--layers",
        "--isolation=chroot",
        "--network=host",
        "--tag",
        "localhost/more",
    ]);
    run(build.arg(place.path("context")));
    let image = opened(&reference(&place, "more"));
    assert_eq!(image.layers.len(), 5);
    let mounted = run(podman(&place).args(["image", "mount", "localhost/more"]));
    let expected = tools::listing(mounted);
    run(podman(&place).args(["image", "unmount", "localhost/more"]));
    assert_eq!(merged_listing(&image), expected);
}

#[test]
fn names_as_podman_finds_them() {
    let place = with_image();
    for name in [
        "quay.io/team/tool:latest",
        "docker.io/library/other:2",
        "example.org/built:1",
        "localhost/x/y:3",
    ] {
        run(podman(&place).args(["tag", "localhost/built:1", name]));
    }
    run(podman(&place).args(["untag", "localhost/built:1", "localhost/built:1"]));
    let mut inspect = podman(&place);
    let said = &json(inspect.args(["image", "inspect", "quay.io/team/tool"]))[0];
    let (id, digest) = (said["Id"].as_str().unwrap(), said["Digest"].as_str().unwrap());
    let mut found = 0;
    for name in [
        id,
        &id[..12],
        &id[..3],
        &format!("sha256:{id}"),
        "quay.io/team/tool",
        "team/tool",
        "tool",
        "tool:1",
        "other:2",
        "docker.io/other:2",
        "other",
        "built:1",
        "localhost/built:1",
        "y:3",
        "x/y:3",
        "/y:3",
        "base",
        "localhost/base",
        "docker.io/base",
        &format!("tool@{digest}"),
        &format!("quay.io/team/tool@{digest}"),
        &format!("quay.io/team/tool:any@{digest}"),
        "sha256:00",
        "Upper",
        "eam/tool",
    ] {
        let theirs = output(podman(&place).args(["image", "inspect", "--format={{.Id}}", name]));
        let theirs = theirs
            .status
            .success()
            .then(|| String::from_utf8(theirs.stdout).unwrap().trim().to_owned());
        let ours = open(&reference(&place, name))
            .ok()
            .map(|image| image.id.hex().to_owned());
        assert_eq!(ours, theirs, "{name}");
        found += usize::from(ours.is_some());
    }
    assert!(found > 12, "only {found} names were found by both");
}

/// A process that holds podman's lock on the images as a writer until its input ends.
fn writer(place: &Place) -> std::process::Child {
    let script = "import fcntl, sys\nf = open(sys.argv[1], 'r+')\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint('held', flush=True)\nsys.stdin.read()";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .arg(place.path("store/overlay-images/images.lock"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3 is needed to hold a lock");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
    assert_eq!(line, "held\n");
    child
}

#[test]
fn waits_for_a_writer_and_is_waited_for() {
    let place = with_image();
    let mut writer = writer(&place);
    let name = reference(&place, "built:1");
    let reader = std::thread::spawn(move || open(&name).map(|image| image.layers.len()));
    std::thread::sleep(Duration::from_millis(300));
    assert!(!reader.is_finished(), "it must wait for the writer");
    drop(writer.stdin.take());
    writer.wait().unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), 3);

    let image = open(&reference(&place, "built:1")).unwrap();
    let mut remove = podman(&place);
    let mut remove = remove
        .args(["rmi", "localhost/built:1"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(
        remove.try_wait().unwrap().is_none(),
        "podman must wait as long as the image is open"
    );
    assert!(image.layers[2].diff.join("hello").exists());
    drop(image.guard);
    assert!(remove.wait().unwrap().success());
    let error = open(&reference(&place, "built:1")).unwrap_err();
    assert!(matches!(error, Error::NoSuchImage { .. }), "{error}");
}

#[test]
fn podman_goes_on_meanwhile() {
    let place = with_image();
    let reference = reference(&place, "built:1");
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            for round in 0..4 {
                let file = place.path(&format!("context/Dockerfile.{round}"));
                std::fs::write(&file, format!("FROM localhost/base\nRUN echo {round} >/{round}\n")).unwrap();
                let mut build = podman(&place);
                let build = build
                    .args(["build", "--network=none", "--tag=localhost/busy", "--file"])
                    .arg(&file);
                run(build.arg(place.path("context")));
                run(podman(&place).args(["rmi", "--force", "localhost/busy"]));
            }
        });
        let (begun, mut count) = (Instant::now(), 0);
        while !busy.is_finished() {
            open(&reference).unwrap();
            count += 1;
            // Readers that follow one another closely would keep a writer waiting.
            std::thread::sleep(Duration::from_millis(2));
        }
        busy.join().unwrap();
        assert!(count > 50, "only {count} times in {:?}", begun.elapsed());
    });
}

#[test]
fn additional_image_stores() {
    let first = with_image();
    let second = Place::new();
    let option = format!("overlay.imagestore={}", first.path("store").display());
    std::fs::write(
        second.path("context/Dockerfile"),
        "FROM localhost/built:1\nCOPY hello /again\n",
    )
    .unwrap();
    let mut build = podman(&second);
    let build = build.args([
        "--storage-opt",
        &option,
        "build",
        "--network=none",
        "--tag",
        "localhost/second",
    ]);
    run(build.arg(second.path("context")));
    let name = |name: &str| {
        format!(
            "containers-storage:[overlay@{}:{option}]{name}",
            second.path("store").display()
        )
    };
    let image = open(&name("second")).unwrap();
    let owners: Vec<_> = image
        .layers
        .iter()
        .map(|layer| layer.diff.starts_with(first.path("store")))
        .collect();
    assert_eq!(owners, [true, true, true, false]);
    assert!(merged_listing(&image).contains("again f"));
    assert!(open(&name("built:1")).unwrap().store.starts_with(first.path("store")));
}

#[test]
fn another_driver() {
    let place = Place::new();
    let mut import = engine(&place, "podman", "vfs");
    run(import.arg("import").arg(place.path("base.tar")).arg("localhost/base"));
    let name = format!("containers-storage:[{}]base", place.path("store").display());
    let message = open(&name).unwrap_err().to_string();
    assert!(message.contains("the driver vfs"), "{message}");
}
