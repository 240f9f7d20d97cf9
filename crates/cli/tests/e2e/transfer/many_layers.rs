//! An image of more layers than a process has files open by default.

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
