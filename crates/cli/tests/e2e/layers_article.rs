//! The second article, replayed: what a container sees, busybox, layers, whiteouts, a Dockerfile, podman's layers.

use crate::harness::{Place, as_users, tools};

/// What the three-layer container prints: its script's trace on standard error, its lines on standard output.
const TRACE: [&str; 4] = ["+ . /.env", "+ GREETING='Good day'", "+ echo 'Good day'", "+ echo . .."];

/// Three layers: a shell, a script, and what the script reads.
fn three_layers(place: &Place) {
    place.take(&tools::busybox(), "data1/base/bin/sh");
    place.write("data1/base/etc/passwd", "root:x:0:0:root:/:/bin/sh\n");
    place.script(
        "data1/app/hello.sh",
        "#!/bin/sh -x\necho .* *\n. /.env\necho \"$GREETING\"\n",
    );
    place.write(
        "data1/settings/etc/passwd",
        "root:x:0:0:root:/:/bin/sh\nann:x:1000:1000:ann:/:/bin/sh\n",
    );
    place.write("data1/settings/.env", "GREETING='Good day'\n");
}

const CHAIN: &str = "./data1/settings:./data1/app:./data1/base";

as_users!(process_1_has_the_containers_own_root: root, user, single);
fn process_1_has_the_containers_own_root(place: &Place) {
    place.wiac(["bundle", "bash", "ls", "target"]).succeeds();
    place.mkdir("target/only-here");
    let said = place
        .wiac([
            "run",
            "./target",
            "./layer",
            "bash",
            "-c",
            "ls /proc/1/cwd/ /proc/1/root/",
        ])
        .succeeds();
    said.mentions("only-here")
        .never_mentions("home")
        .never_mentions("boot")
        .never_mentions("root\n");
}

as_users!(busybox_needs_no_libraries: root, user, single);
fn busybox_needs_no_libraries(place: &Place) {
    place.take(&tools::busybox(), "container/bin/sh");
    place
        .wiac(["run", "./container", "./layer", "/bin/sh", "-c", "echo /*"])
        .succeeds()
        .says("/bin /dev /etc /proc /sys");
}

as_users!(three_layers_show_as_one_tree: root, user, single);
fn three_layers_show_as_one_tree(place: &Place) {
    three_layers(place);
    let said = place.wiac(["run", CHAIN, "./data1/container", "/hello.sh"]).succeeds();
    said.says(". .. .env bin dev etc hello.sh proc sys\nGood day")
        .complains(&TRACE);
    place
        .sh(
            CHAIN,
            "./data1/container",
            "while read -r line; do echo $line; done < /etc/passwd",
        )
        .succeeds()
        .mentions("ann:x:1000");
}

as_users!(changes_stay_in_the_container_layer_and_nowhere_else: root, user, single);
fn changes_stay_in_the_container_layer_and_nowhere_else(place: &Place) {
    place.busybox("base");
    place.write("base/etc/motd", "first\n");
    place
        .sh("./base", "./box", "echo second > /etc/motd; echo new > /root.txt")
        .succeeds();
    place
        .sh("./base", "./box", "cat /etc/motd /root.txt")
        .succeeds()
        .says("second\nnew");
    assert_eq!(place.read("base/etc/motd"), "first\n");
    assert_eq!(place.read("box/diff/root.txt"), "new\n");
    assert!(!place.has("base/root.txt") && !place.has("base/proc") && !place.has("base/dev"));
}

as_users!(deletions_stay_too: root, user, single);
fn deletions_stay_too(place: &Place) {
    place.busybox("base");
    place.write("base/srv/file", "below");
    place.write("base/srv/dir/inner", "below");
    place.write("base/srv/again/inner", "below");
    place.write("base/srv/kept", "below");
    place
        .sh(
            "./base",
            "./box",
            "cd /srv && rm file && rm -r dir again && mkdir again && echo above > again/other",
        )
        .succeeds();
    place
        .sh("./base", "./box", "cd /srv && echo * again/*")
        .succeeds()
        .says("again kept again/other");
    assert_eq!(place.read("base/srv/dir/inner"), "below");
    place
        .host("test -c box/diff/srv/file && test -c box/diff/srv/dir && test $(stat -c %t:%T box/diff/srv/file) = 0:0")
        .succeeds();
    // As a layer of another chain they delete as well.
    place
        .sh("./box/diff:./base", "./next", "cd /srv && echo * again/*")
        .succeeds()
        .says("again kept again/other");
}

as_users!(a_file_can_replace_a_directory_and_the_other_way_round: root, user, single);
fn a_file_can_replace_a_directory_and_the_other_way_round(place: &Place) {
    place.busybox("base");
    place.write("base/srv/dir/inner", "below");
    place.write("base/srv/file", "below");
    place
        .sh(
            "./base",
            "./box",
            "cd /srv && rm -r dir && echo now > dir && rm file && mkdir file && echo deep > file/inner",
        )
        .succeeds();
    place
        .sh("./base", "./box", "cd /srv && cat dir file/inner")
        .succeeds()
        .says("now\ndeep");
    place
        .sh("./box/diff:./base", "./next", "cd /srv && cat dir file/inner")
        .succeeds()
        .says("now\ndeep");
}

as_users!(copy_makes_layers: root, user, single);
fn copy_makes_layers(place: &Place) {
    place.busybox("src");
    place.write("greeting", "hello\n");
    place.wiac(["copy", "layer1", "src/bin", "/"]).succeeds();
    place.wiac(["copy", "layer2", "greeting", "/srv/"]).succeeds();
    assert_eq!(place.read("layer2/diff/srv/greeting"), "hello\n");
    place
        .sh("./layer2/diff:./layer1/diff", "./box", "cat /srv/greeting")
        .succeeds()
        .says("hello");
}

as_users!(a_build_prints_the_chain_that_run_takes: root, user, single);
fn a_build_prints_the_chain_that_run_takes(place: &Place) {
    place.take(&tools::busybox(), "src/bin/sh");
    place.write("src/etc/passwd", "root:x:0:0:root:/:/bin/sh\n");
    let dockerfile = "FROM scratch\n\
        COPY . /\n\
        RUN printf '#!/bin/sh -x\\necho .* *\\n. ./.env\\necho $GREETING\\n' >./hello.sh && \\\n    \
        chmod +x ./hello.sh\n\
        RUN echo \"ann:x:1000:1000:ann:/:/bin/sh\" >>/etc/passwd && \\\n    \
        echo 'GREETING=\"Good day\"' >/.env\n";
    let said = place.build("src", dockerfile).succeeds();
    let chain = said.text();
    let layers: Vec<&str> = chain.split(':').collect();
    assert_eq!(layers.len(), 3, "{chain}");
    assert!(
        layers
            .iter()
            .all(|layer| layer.starts_with(place.data().to_str().expect("text")) && layer.ends_with("/diff"))
    );
    // Topmost first: what the second RUN did.
    assert_eq!(place.tree(layers[0]), [".env", "etc", "etc/passwd"]);
    assert_eq!(place.tree(layers[1]), ["hello.sh"]);
    let said = place.wiac(["run", chain, "./upperlayer", "/hello.sh"]).succeeds();
    said.says(". .. .env Dockerfile bin dev etc hello.sh proc sys\nGood day")
        .complains(&["+ . ./.env", "+ GREETING='Good day'", "+ echo Good day"]);
    place
        .sh(
            chain,
            "./upperlayer",
            "while read -r line; do echo $line; done < /etc/passwd",
        )
        .succeeds()
        .mentions("ann:x:1000");
}

/// podman with a store of its own below the place.
fn podman(place: &Place, arguments: &str) -> crate::harness::call::Call {
    let podman = tools::podman();
    place.host(&format!(
        "exec {} --root {dir}/podman --runroot {dir}/podman-run --storage-driver overlay --cgroup-manager cgroupfs --events-backend file {arguments}",
        podman.display(),
        dir = place.dir().display()
    ))
}

#[test]
fn podmans_layers_run_by_their_directories() {
    let place = Place::root();
    place.busybox("src/root");
    place.write("src/root/etc/motd", "of the lowest layer\n");
    place.write("src/second/etc/motd", "of the second layer\n");
    place.write("src/second/srv/kept", "");
    place.write("src/third/srv/above", "");
    place.write(
        "src/Containerfile",
        "FROM scratch\nCOPY root /\nCOPY second /\nCOPY third /\n",
    );
    podman(&place, "build -q --layers -t localhost/app src").succeeds();
    let said = podman(
        &place,
        "image inspect --format '{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}' localhost/app",
    )
    .succeeds();
    let chain = said.text().to_owned();
    assert_eq!(chain.matches("/podman/overlay/").count(), 3, "{chain}");
    place
        .sh(&chain, "./box", "cat /etc/motd; ls /srv; rm /srv/above; echo /srv/*")
        .succeeds()
        .says("of the second layer\nabove\nkept\n/srv/kept");
    // podman's own files are as before.
    let top = chain.split(':').next().expect("a layer");
    place.host(&format!("test -f {top}/srv/above")).succeeds();
    podman(&place, "rmi -f localhost/app").succeeds();
}

#[test]
fn podmans_short_names_of_layers_serve_too() {
    let place = Place::root();
    place.busybox("src");
    place.host("tar -C src -cf root.tar .").succeeds();
    podman(&place, "import -q root.tar localhost/base").succeeds();
    // As podman itself mounts them: symlinks in a directory called l.
    let link = place.host("echo podman/overlay/l/*").succeeds();
    place
        .sh(&format!("./{}", link.text()), "./box", "echo by the short name")
        .succeeds()
        .says("by the short name");
}
