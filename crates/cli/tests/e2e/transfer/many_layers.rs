//! An image of more layers than a process has files open by default, and than the kernel's overlay takes.

use super::wiac_on;
use crate::harness::Place;

/// Layers that a COPY each makes.
const COPIES: usize = 300;

/// Fewer than layers; the hard limit is the machine's.
const LIMIT: &str = "ulimit -Sn 256";

#[test]
fn the_limit_is_raised_for_layers_and_not_for_containers() {
    let place = Place::root();
    place.write("context/f", "x");
    let copies: Vec<String> = (0..COPIES).map(|number| format!("COPY f /copies/{number}")).collect();
    let ask = "ulimit -Sn; ls /copies | wc -l";
    let dockerfile = format!("FROM bundle://sh,ls,wc\n{}\nRUN ({ask}) > /said\n", copies.join("\n"));
    place
        .build("context", &dockerfile)
        .args(["-t", "many"])
        .after(LIMIT)
        .succeeds();
    let said = format!("256\n{COPIES}");
    place
        .wiac([
            "run",
            "many",
            "sh",
            "-c",
            "while read -r line; do echo $line; done < /said",
        ])
        .succeeds()
        .says(&said);
    place.wiac(["save", "-o", "many.tar", "many"]).after(LIMIT).succeeds();
    wiac_on(&place, "other", ["load", "-i", "many.tar"])
        .after(LIMIT)
        .succeeds();
    wiac_on(&place, "other", ["run", "many", "sh", "-c", ask])
        .after(LIMIT)
        .succeeds()
        .says(&said);
    place.wiac(["squash", "many", "one"]).after(LIMIT).succeeds();
    place.wiac(["export", "-o", "root.tar", "many"]).after(LIMIT).succeeds();
    super::assert_whole(&place, "other");
}

#[test]
fn a_container_layer_may_lie_on_more_layers_than_the_kernel_takes() {
    let place = Place::root();
    place.write("context/f", "x");
    let copies: Vec<String> = (0..510).map(|number| format!("COPY f /copies/{number}")).collect();
    let dockerfile = format!("FROM bundle://sh,ls,wc,rm\n{}\n", copies.join("\n"));
    place.build("context", &dockerfile).args(["-t", "many"]).succeeds();
    let chain = place.wiac(["layers", "-q", "many"]).succeeds();
    let run = |script: &str| place.sh(chain.text(), "./box", script).succeeds();
    run("rm /copies/1 /copies/509; echo new > /copies/new");
    let count = "ls /copies | wc -l; ls /copies/1 /copies/new 2>/dev/null || true";
    run(count).says("509\n/copies/new");
    // What it lies on is what was said.
    place.wiac(["commit", "-q", "./box", "changed"]).succeeds();
    let layers = place.wiac(["layers", "-q", "changed"]).succeeds();
    assert!(layers.text().ends_with(chain.text()), "{layers:?}");
    place
        .wiac(["run", "changed", "sh", "-c", count])
        .succeeds()
        .says("509\n/copies/new");
    run("echo more > /copies/more; ls /copies | wc -l").says("510");
    // A directory that isn't the store's, below all, can't be merged with them.
    place.mkdir("other");
    let other = format!("{}:{}", chain.text(), place.shown("other"));
    place
        .wiac(["run", &other, "./box2", "sh"])
        .fails(125)
        .complains(&["512 layers", "squash"]);
    super::assert_whole(&place, "data");
}
