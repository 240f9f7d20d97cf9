//! Many processes that load the same image at once, while others prune.

use super::assert_whole;
use super::rich;
use crate::harness::{Place, as_users};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const LOADERS: usize = 6;
const ROUNDS: usize = 3;

// Owners of the image are beyond the ids of a user who has some.
as_users!(everybody_gets_the_image: root, single);
fn everybody_gets_the_image(place: &Place) {
    let made = rich::layout(place, "rich");
    // A user of the place reads what root has written.
    place.host("chmod -R a+rX rich").succeeds();
    let (done, pruned) = (AtomicBool::new(false), AtomicUsize::new(0));
    for round in 0..ROUNDS {
        done.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    place.wiac(["prune", "-f", "--cache", "--blobs"]).succeeds();
                    pruned.fetch_add(1, Ordering::Relaxed);
                }
            });
            let loaders: Vec<_> = (0..LOADERS)
                .map(|number| {
                    let name = format!("name{number}");
                    scope.spawn(move || place.wiac(["load", "-q", "-i", "rich", "-t", &name]).command().output())
                })
                .collect();
            let ended: Vec<_> = loaders
                .into_iter()
                .map(|loader| loader.join().expect("no panic"))
                .collect();
            done.store(true, Ordering::Relaxed);
            for output in ended {
                let output = output.expect("it ran");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                assert_eq!(
                    format!("sha256:{}", String::from_utf8_lossy(&output.stdout).trim()),
                    made.id
                );
            }
        });
        for number in 0..LOADERS {
            let name = format!("name{number}");
            place.wiac(["run", &name]).succeeds().mentions("ann:x:1000");
            if round + 1 < ROUNDS {
                place.wiac(["rmi", &name]).succeeds();
            }
        }
    }
    assert!(pruned.into_inner() >= ROUNDS, "prune never ran beside");
    let layers = place.wiac(["layers", "-q", "name0"]).succeeds();
    place.wiac(["prune", "-f"]).succeeds();
    assert_eq!(
        layers.text().split(':').count(),
        place.path("data/layers").read_dir().expect("there").count()
    );
    assert_whole(place, "data");
}
