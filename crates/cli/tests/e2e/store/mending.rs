//! `wiac store check --deep --repair` killed at any moment: the layers it exchanges are there at every one of them, and the
//! next one finishes.

use super::assert_whole;
use super::killing::{Random, killed, seed};
use crate::harness::{Place, as_users};
use std::time::{Duration, Instant};

/// How many repairs are killed as root. A user's spend much of their time on the way into the namespace.
const KILLS: usize = 80;

const REPAIR: [&str; 4] = ["store", "check", "--deep", "--repair"];

/// Damages every layer, in a way of its own: one loses its directory, the others get a mode, a file, a text.
const DAMAGE: &str = "
    number=0
    for diff in data/layers/*/diff; do
        number=$((number + 1))
        case $(((number + ROUND) % 4)) in
            0) rm -r $diff ;;
            1) chmod 700 $diff/*/ ;;
            2) echo junk > $diff/junk ;;
            *) for file in $diff/only*; do echo other > $file; done ;;
        esac
    done";

as_users!(a_repair_that_is_killed_leaves_a_store_that_the_next_one_mends: root, user);
fn a_repair_that_is_killed_leaves_a_store_that_the_next_one_mends(place: &Place) {
    let seed = seed();
    let mut random = Random::new(seed);
    let steps: Vec<String> = (0..4)
        .map(|step| format!("RUN mkdir -p /shared; echo {step} > /shared/{step}; echo {step} > /only{step}"))
        .collect();
    place.image("app", &steps.join("\n"));
    place.wiac(["save", "-o", "app.tar", "app"]).succeeds();
    place.wiac(["prune", "-a", "-f"]).succeeds();
    place.wiac(["rmi", "app"]).ends_with_any(&[0, 1]);
    place.wiac(["load", "-i", "app.tar"]).succeeds();
    let layers = ids(place);
    place.write("log", "");
    let longest = damaged(place, 0, |place| {
        let started = Instant::now();
        place.wiac(REPAIR).succeeds();
        started.elapsed()
    });
    let wanted = if place.is_root() { KILLS } else { KILLS / 4 };
    let mut kills = 0;
    for round in 1..=4 * wanted {
        let moment = random.below(u64::try_from(longest.as_micros()).expect("a short time"));
        let words = REPAIR.map(str::to_owned);
        let was_killed = damaged(place, round, |place| {
            killed(place, &words, Duration::from_micros(moment))
        });
        kills += usize::from(was_killed);
        assert_eq!(ids(place), layers, "seed {seed}, round {round}");
        let said = place.wiac(REPAIR).succeeds();
        assert!(
            !said.stdout.contains("not mended"),
            "seed {seed}, round {round}: {said:?}"
        );
        runs(place, seed, round);
        if kills == wanted {
            break;
        }
    }
    assert_eq!(kills, wanted, "repairs end before they are killed");
    let log = place.read("log");
    assert!(!log.contains("panicked"), "seed {seed}: {log}");
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new(), "seed {seed}");
    place.wiac(["store", "check", "--deep"]).succeeds();
    place.wiac(["prune", "-a", "-f"]).succeeds();
    assert!(place.tree("data/quarantine").is_empty(), "seed {seed}");
    assert_whole(place);
}

/// What happens in a store whose every layer is damaged.
fn damaged<T>(place: &Place, round: usize, happens: impl Fn(&Place) -> T) -> T {
    place.host(&format!("ROUND={round}{DAMAGE}")).succeeds();
    happens(place)
}

/// The layers that are there.
fn ids(place: &Place) -> Vec<String> {
    let all = place.tree("data/layers").into_iter();
    all.filter(|path| !path.contains('/')).collect()
}

/// Every layer has again what it should have.
fn runs(place: &Place, seed: u64, round: usize) {
    let script = "cat /shared/* /only*; stat -c %a /shared; ls / | grep junk";
    let said = place.wiac(["run", "app", "sh", "-c", script]).ends_with_any(&[1]);
    let text = "0 1 2 3 0 1 2 3 755";
    let words: Vec<&str> = said.stdout.split_whitespace().collect();
    assert_eq!(words.join(" "), text, "seed {seed}, round {round}");
}
