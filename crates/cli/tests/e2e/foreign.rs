//! podman's and docker's images, used where they lie: run, built on, copied; while their tools go on.

use crate::harness::call::Call;
use crate::harness::{Place, as_users, debian, tools};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A step that deletes, replaces a directory and copies up.
const DOCKERFILE: &str = "FROM localhost/base\n\
    RUN rm /etc/gone && rm -r /srv && mkdir /srv && echo new >/srv/new && chmod 700 /etc/kept\n\
    COPY hello /hello\n\
    CMD [\"cat\", \"/hello\"]\n";

/// What a container on it shows.
const LOOK: &str = "ls /srv; cat /srv/new /hello; test -e /etc/gone || echo deleted; stat -c %a /etc/kept";
const SEEN: &str = "new\nnew\nhello\ndeleted\n700";

/// podman as the place's user, on that user's own store: the home directory is the place.
fn podman(place: &Place) -> Call {
    let mut call = place
        .command(&tools::podman())
        .args(["--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=crun"])
        .env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
        .env("STORAGE_DRIVER", "overlay");
    if place.is_root() {
        call = call
            .arg("--root")
            .arg(place.path("store"))
            .arg("--runroot")
            .arg(place.path("run"));
    } else {
        place.mkdir("run");
        place.chmod("run", 0o700);
        call = call.env("XDG_RUNTIME_DIR", place.path("run"));
    }
    call
}

/// What stands before a name of that store.
fn prefix(place: &Place) -> String {
    if place.is_root() {
        format!("containers-storage:[overlay@{}]", place.shown("store"))
    } else {
        "containers-storage:".to_owned()
    }
}

/// A tree in a tar, and a directory to build on it.
fn sources(place: &Place) {
    place.busybox("tree");
    place.write("tree/etc/gone", "");
    place.write("tree/etc/kept", "");
    place.write("tree/srv/old", "");
    place.write("context/hello", "hello\n");
    place.write("context/Dockerfile", DOCKERFILE);
    place.host("tar -C tree -cf base.tar .").succeeds();
}

/// podman's image `localhost/built`; ends what podman leaves running when it goes.
fn built(place: &Place) -> Leftovers<'_> {
    sources(place);
    podman(place).args(["import", "base.tar", "localhost/base"]).succeeds();
    podman(place)
        .args([
            "build",
            "--network=none",
            "--layers",
            "--tag=localhost/built",
            "context",
        ])
        .succeeds();
    Leftovers(place)
}

/// podman keeps its directory mounted on itself and, for a user, a process in the user namespace.
struct Leftovers<'p>(&'p Place);

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        let script = "if test -e run/libpod/tmp/pause.pid; then kill $(cat run/libpod/tmp/pause.pid); fi\n\
            grep -o \" $PWD/[^ ]* \" /proc/mounts | xargs --no-run-if-empty umount --lazy";
        self.0.host(script).ends_with_any(&[0, 1]);
    }
}

as_users!(podmans_image_runs_where_it_lies: root, user);
fn podmans_image_runs_where_it_lies(place: &Place) {
    let _leftovers = built(place);
    let name = format!("{}built", prefix(place));
    place.wiac(["run", &name]).succeeds().says("hello");
    place.wiac(["run", &name, "sh", "-c", LOOK]).succeeds().says(SEEN);
    let layers = place.wiac(["layers", &name]).succeeds();
    assert_eq!(layers.text().matches("/overlay/").count(), 3, "{}", layers.text());
    // podman's own view is as before, and none of its files has moved.
    podman(place)
        .args(["run", "--rm", "--network=none", "localhost/built", "sh", "-c", LOOK])
        .succeeds()
        .says(SEEN);
    place
        .wiac(["run", &format!("{}biult", prefix(place))])
        .fails(125)
        .complains(&["no image \"biult\"", "did you mean localhost/built?"]);
}

as_users!(podmans_image_is_built_on_and_copied: root, user);
fn podmans_image_is_built_on_and_copied(place: &Place) {
    let leftovers = built(place);
    let name = format!("{}built", prefix(place));
    let dockerfile = format!("FROM {name}\nRUN rm /hello && echo more >/srv/more\n");
    place.build("ours", &dockerfile).args(["-t", "ours"]).succeeds();
    place
        .wiac(["run", "ours", "sh", "-c", "ls /srv; test -e /hello || echo deleted"])
        .succeeds()
        .says("more\nnew\ndeleted");
    let id = podman(place)
        .args(["image", "inspect", "--format={{.Id}}", "localhost/built"])
        .succeeds();
    place.wiac(["tag", &name, "copied"]).succeeds();
    place.wiac(["images"]).succeeds().mentions(&id.text()[..12]);
    podman(place).args(["rmi", "--all", "--force"]).succeeds();
    // The copy doesn't need podman's files.
    place.wiac(["run", "copied", "sh", "-c", LOOK]).succeeds().says(SEEN);
    drop(leftovers);
}

as_users!(an_image_removed_before_the_start_is_an_error: root, user);
fn an_image_removed_before_the_start_is_an_error(place: &Place) {
    let _leftovers = built(place);
    let name = format!("{}built", prefix(place));
    place.wiac(["run", &name]).succeeds();
    podman(place).args(["rmi", "--force", "localhost/built"]).succeeds();
    place.wiac(["run", &name]).fails(125).complains(&["no image \"built\""]);
}

#[test]
fn podman_goes_on_while_its_image_runs() {
    let place = Place::root();
    let _leftovers = built(&place);
    let name = format!("{}built", prefix(&place));
    place.mkdir("shared");
    let mut running = place
        .wiac([
            "run",
            "-v",
            "./shared:/mnt",
            &name,
            "sh",
            "-c",
            "touch /mnt/started; sleep 30",
        ])
        .in_background();
    crate::harness::leftovers::wait_until("the container has started", || place.has("shared/started"));
    let begun = std::time::Instant::now();
    podman(&place)
        .args(["tag", "localhost/built", "localhost/again"])
        .succeeds();
    podman(&place)
        .args(["build", "--network=none", "--tag=localhost/other", "context"])
        .succeeds();
    podman(&place).args(["rmi", "--all", "--force"]).succeeds();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "podman waited for the container"
    );
    running.gets(rustix::process::Signal::KILL);
    assert_eq!(running.exit_code(), 137);
}

/// What a Debian container shows of itself: its packages, and every file with owner, mode, size, time and link.
const LOOK_AT_DEBIAN: &str = "cat /etc/built; dpkg-query -W | wc -l; \
    find /usr /var /root /opt -xdev -printf '%y %m %U %G %s %T@ %p %l\\n' | LC_ALL=C sort | sha256sum";

/// A step on it that deletes and copies up.
const DEBIAN_DOCKERFILE: &str = "FROM localhost/base\n\
    RUN rm -r /usr/share/doc && echo built >/etc/built && chmod 700 /var/mail && dpkg -l >/opt/list\n";

as_users!(a_debian_image_runs_where_podman_has_it: root, user);
fn a_debian_image_runs_where_podman_has_it(place: &Place) {
    let debian = debian::tar();
    let _leftovers = Leftovers(place);
    place.write("context/Dockerfile", DEBIAN_DOCKERFILE);
    podman(place)
        .args(["import", &debian.to_string_lossy(), "localhost/base"])
        .succeeds();
    podman(place)
        .args([
            "build",
            "--network=none",
            "--layers",
            "--tag=localhost/debian",
            "context",
        ])
        .succeeds();
    let name = format!("{}debian", prefix(place));
    let theirs = podman(place)
        .args([
            "run",
            "--rm",
            "--network=none",
            "localhost/debian",
            "sh",
            "-c",
            LOOK_AT_DEBIAN,
        ])
        .succeeds();
    let ours = place.wiac(["run", &name, "sh", "-c", LOOK_AT_DEBIAN]).succeeds();
    assert!(ours.text().starts_with("built\n"), "{}", ours.text());
    assert_eq!(ours.text(), theirs.text());
    // Going on under podman while wiac has it, and gone under wiac.
    podman(place).args(["rmi", "--force", "localhost/debian"]).succeeds();
    place.wiac(["run", &name, "true"]).fails(125).complains(&["debian"]);
}

#[test]
fn a_debian_image_runs_where_docker_has_it() {
    let place = Place::root();
    let debian = debian::tar();
    place.write("context/Dockerfile", DEBIAN_DOCKERFILE);
    place.write("look", LOOK_AT_DEBIAN);
    let wiac = wiac_on(&place, tools::wiac());
    let script = format!(
        "$docker import {debian} localhost/base >/dev/null
        $docker build --quiet --network=none --tag debian:1 context >/dev/null 2>&1
        {wiac} run 'docker-storage:['$PWD/docker']debian:1' sh -c \"$(cat look)\" >ours
        $docker run --rm --network=none debian:1 sh -c \"$(cat look)\" >theirs
        head -n 1 ours
        cmp ours theirs",
        debian = debian.display(),
    );
    with_docker(&place, &script).succeeds().says("built");
}

/// Runs a script while a dockerd of the place's own runs; `$docker` is its client.
fn with_docker(place: &Place, script: &str) -> Call {
    let program = |name: &str| -> PathBuf {
        tools::program(name).unwrap_or_else(|| panic!("{name} is needed (Debian: docker.io)"))
    };
    place.host(&format!(
        "echo '{{}}' >daemon.json
        {dockerd} --config-file=$PWD/daemon.json --iptables=false --ip6tables=false --bridge=none \
            --storage-driver=overlay2 --data-root=$PWD/docker --exec-root=$PWD/exec --pidfile=$PWD/docker.pid \
            --host=unix://$PWD/docker.sock >docker.log 2>&1 &
        trap 'kill %1; wait %1 || true; umount --lazy $PWD/docker 2>/dev/null || true' EXIT
        docker='{docker} --host=unix://'$PWD/docker.sock
        for try in $(seq 300); do $docker info >/dev/null 2>&1 && break; sleep 0.1; done
        export DOCKER_BUILDKIT=0
        {script}",
        dockerd = program("dockerd").display(),
        docker = program("docker").display(),
    ))
}

#[test]
fn dockers_image_runs_where_it_lies() {
    let place = Place::root();
    sources(&place);
    let wiac = wiac_on(&place, tools::wiac());
    let name = "docker-storage:[$PWD/docker]built:1";
    let script = format!(
        "$docker import base.tar localhost/base >/dev/null
        $docker build --quiet --network=none --tag built:1 context >/dev/null 2>&1
        {wiac} run {name} sh -c '{LOOK}'
        {wiac} layers {name} | grep --count /overlay2/
        {wiac} tag {name} copied
        $docker rmi --force built:1 >/dev/null
        ! {wiac} run {name}
        {wiac} run copied"
    );
    let said = with_docker(&place, &script).succeeds();
    let said = said.complains(&["no image \"built:1\""]);
    assert_eq!(said.text(), format!("{SEEN}\n3\nhello"));
}

#[test]
fn docker_goes_on_while_its_image_runs() {
    let place = Place::root();
    sources(&place);
    place.mkdir("shared");
    let wiac = wiac_on(&place, tools::wiac());
    // What a process has open stays; docker doesn't wait, and the container ends as it would have.
    let script = format!(
        "$docker import base.tar localhost/base >/dev/null
        $docker build --quiet --network=none --tag built:1 context >/dev/null 2>&1
        {wiac} run -v ./shared:/mnt docker-storage:[$PWD/docker]built:1 \
            sh -c 'exec 3</hello; touch /mnt/started; while ! test -e /mnt/removed; do sleep 0.1; done; cat <&3; exit 7' >said &
        container=$!
        for try in $(seq 300); do test -e shared/started && break; sleep 0.1; done
        $docker tag built:1 again:1
        $docker run --rm --network=none again:1
        $docker rmi --force built:1 again:1 >/dev/null
        touch shared/removed
        code=0; wait $container || code=$?
        cat said
        echo $code
        ! {wiac} run docker-storage:[$PWD/docker]built:1"
    );
    let said = with_docker(&place, &script).succeeds();
    let said = said.complains(&["no image \"built:1\""]);
    assert_eq!(said.text(), "hello\nhello\n7");
}

fn wiac_on(place: &Place, program: &Path) -> String {
    format!("env WIAC_DATA={} {}", place.data().display(), program.display())
}

#[test]
fn an_additional_store_of_roots_is_copied_from() {
    let (root, user) = (Place::root(), Place::user());
    sources(&root);
    podman(&root).args(["import", "base.tar", "localhost/base"]).succeeds();
    let _leftovers = Leftovers(&root);
    for (name, dockerfile) in [
        (
            "shared",
            "FROM localhost/base\nRUN rm /etc/gone && rm -r /srv && mkdir /srv && echo new >/srv/new\n",
        ),
        (
            "private",
            "FROM localhost/shared\nRUN echo mine >/etc/kept && chmod 700 /etc/kept\n",
        ),
    ] {
        root.write("context/Dockerfile", dockerfile);
        let build = ["build", "--network=none", "--layers", "-t"].map(str::to_owned);
        podman(&root)
            .args(build)
            .args([&format!("localhost/{name}"), "context"])
            .succeeds();
    }
    root.host("chmod a+rx . && find store -path '*/diff/*' -prune -o -exec chmod a+rX {} +")
        .succeeds();
    let name = |image: &str| format!("containers-storage:[overlay@{}]localhost/{image}", root.shown("store"));
    let look = "ls /srv; cat /srv/new; test -e /etc/gone || echo deleted; stat -c %u /srv";
    for _ in 0..2 {
        let said = user.wiac(["run", &name("shared"), "sh", "-c", look]).succeeds();
        said.says("new\nnew\ndeleted\n0");
    }
    user.wiac(["tag", &name("shared"), "mine"]).succeeds();
    user.build("on", &format!("FROM {}\nRUN ls /srv > /said\n", name("shared")))
        .args(["-t", "on"])
        .succeeds();
    let images = user.wiac(["images", "-q"]).succeeds();
    assert_eq!(images.lines().len(), 2, "{images:?}");
    user.wiac(["run", &name("private"), "true"]).fails(125).complains(&[
        "belongs to another user",
        "podman save localhost/private | wiac load",
        "etc/kept",
    ]);
    user.wiac(["store", "check", "--deep"]).succeeds();
}
