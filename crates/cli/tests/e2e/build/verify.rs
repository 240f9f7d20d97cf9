//! `build --verify`: what a second build makes in another way is shown with its step, and nothing of it stays.

use super::context;
use crate::harness::{Place, as_users};

fn layers(place: &Place) -> Vec<String> {
    place
        .tree("data/layers")
        .into_iter()
        .filter(|path| !path.contains('/'))
        .collect()
}

as_users!(a_date_and_random_bytes: root, user, single);
fn a_date_and_random_bytes(place: &Place) {
    context(place);
    let dockerfile = "FROM scratch AS made\nCOPY root /\nRUN mkdir /d && head -c 99 /dev/urandom > /d/random && echo fixed > /d/fixed\n\
        FROM made\nRUN cat /proc/sys/kernel/random/uuid > /now && chmod 600 /now\nRUN rm /d/fixed && touch /d/$(head -c 6 /dev/urandom | md5sum | cut -c1-8)\nCMD [\"sh\"]\n";
    place.build("context", dockerfile).args(["-t", "first"]).succeeds();
    let before = (layers(place), place.tree("data/cache/steps"));
    let said = place
        .build("context", dockerfile)
        .args(["--verify", "--reproducible"])
        .fails(1);
    said.complains(&[
        "mkdir /d && head -c 99",
        "    /d/random: content\n",
        "    /now: content\n",
        "only in the first",
        "only in the second",
        "3 of 4 layers differ, in 4 files",
    ])
    .never_complains("/d/fixed: ");
    // What the first build needed is found again, and of the second nothing is left.
    let again = place.build("context", dockerfile).args(["-t", "second"]).succeeds();
    assert!(again.stderr.matches("unchanged").count() >= 4, "{}", again.stderr);
    assert_eq!((layers(place), place.tree("data/cache/steps")), before);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    place.wiac(["store", "check"]).succeeds();
}

as_users!(the_same_each_time: root, user, single);
fn the_same_each_time(place: &Place) {
    context(place);
    let dockerfile = "FROM scratch\nCOPY root /\nWORKDIR /srv\nRUN echo fixed > file && ln file link && rm /bin/yes && mkdir -p /a/b\n\
        COPY --chmod=600 root/etc/passwd .\n";
    let said = place
        .build("context", dockerfile)
        .args(["--verify", "--reproducible"])
        .succeeds();
    said.complains(&["4 layers, ", " files: the same"]);
    let said = place.build("context", dockerfile).arg("--verify").fails(1);
    said.complains(&["more in their times alone (--reproducible fixes them)"]);
}
