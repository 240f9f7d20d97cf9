//! SIGKILL at any moment of everything that changes the store, many at once: nothing that was there is lost, and one
//! sweep leaves nothing behind.

use super::assert_whole;
use crate::harness::{Place, as_users, leftovers};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How many commands are killed.
const KILLS: usize = 500;

/// Commands at work at the same time.
const WORKERS: u64 = 4;

/// How long one is left alone at most, in microseconds: the longest take about as long.
const LONGEST: u64 = 90_000;

/// Random numbers that come again with the same seed (xorshift64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// `WIAC_TEST_SEED`, or another one each time.
pub fn seed() -> u64 {
    let given = std::env::var("WIAC_TEST_SEED").ok();
    let given = given.map(|text| text.parse().expect("WIAC_TEST_SEED is a number"));
    let clock = || {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("a clock")
    };
    let seed = given.unwrap_or_else(|| u64::from(clock().subsec_nanos()));
    eprintln!("WIAC_TEST_SEED={seed} does this again");
    seed
}

/// The command that a number stands for, by the worker of this number. Names are shared by all of them.
fn words(number: u64, worker: u64, random: &mut Random) -> Vec<String> {
    let name = format!("name{}", random.below(3));
    let text = match number {
        // What is built differs, or the cache would answer.
        0 | 1 => {
            let step = random.below(1 << 32);
            format!("build -q --build-arg STEP={step} -t {name} context")
        }
        2 => "build -q --no-cache context".to_owned(),
        3 => format!("run {name} sh -c echo"),
        4 => "run kept cat /file".to_owned(),
        5 => "load -q -i archive.tar".to_owned(),
        6 => format!("commit -q ./container{worker} {name}"),
        7 => format!("rmi {name}"),
        8 => "rmi -f packed".to_owned(),
        9 => "prune -f".to_owned(),
        10 => "prune -f --cache --blobs".to_owned(),
        11 => format!("tag kept {name}"),
        12 => format!("save -o out{worker}.tar {name}"),
        _ => format!("run --name box{worker} kept true"),
    };
    text.split(' ').map(str::to_owned).collect()
}

/// Starts a command and kills it after `moment`, if it still runs then: whether it did.
pub fn killed(place: &Place, words: &[String], moment: Duration) -> bool {
    let mut command = place.wiac(words).command();
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(place.path("log"))
        .expect("a log");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let started = Instant::now();
    let mut child = command.spawn().expect("wiac starts");
    while started.elapsed() < moment {
        if child.try_wait().expect("it can be waited for").is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    kill_process(Pid::from_child(&child), Signal::KILL).expect("it is there");
    let status = child.wait().expect("it ends");
    std::os::unix::process::ExitStatusExt::signal(&status).is_some()
}

/// A place with an image that stays, one in an archive, a container layer for each worker.
fn prepare(place: &Place) {
    place.image("kept", "RUN echo kept > /file");
    let dockerfile = "FROM kept\nARG STEP\nRUN echo $STEP > /one; cp /bin/busybox /copy\nRUN echo two > /two\n";
    place.write("context/Dockerfile", dockerfile);
    place
        .build("packed-context", "FROM kept\nRUN cp /bin/busybox /packed\n")
        .args(["-t", "packed"])
        .succeeds();
    place.wiac(["save", "-o", "archive.tar", "packed"]).succeeds();
    let chain = place.wiac(["layers", "-q", "kept"]).succeeds();
    for worker in 0..WORKERS {
        let script = format!("echo {worker} > /mine");
        let layer = format!("./container{worker}");
        place
            .wiac(["run", chain.text(), &layer, "sh", "-c", &script])
            .succeeds();
    }
}

as_users!(killed_at_any_moment_the_store_is_whole: root, user);
fn killed_at_any_moment_the_store_is_whole(place: &Place) {
    let seed = seed();
    prepare(place);
    place.write("log", "");
    // A user's commands spend most of their time on the way into the namespace.
    let wanted = if place.is_root() { KILLS } else { KILLS / 4 };
    let kills = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let kills = &kills;
            scope.spawn(move || {
                let mut random = Random::new(seed + worker);
                while kills.load(Ordering::Relaxed) < wanted {
                    let words = words(random.below(14), worker, &mut random);
                    let moment = Duration::from_micros(random.below(LONGEST));
                    if killed(place, &words, moment) {
                        kills.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    leftovers::assert_nothing_within(Duration::from_secs(10), place.dir(), "no-such-word");
    let log = place.read("log");
    for word in ["panicked", "damaged", "layer.json", "digest mismatch"] {
        assert!(!log.contains(word), "seed {seed}: {word} in\n{log}");
    }
    nothing_is_lost(place, seed);
    nothing_is_left(place, seed);
}

fn nothing_is_lost(place: &Place, seed: u64) {
    let report = super::json_of(
        &place
            .wiac(["store", "check", "--deep", "--format", "json"])
            .ends_with_any(&[0, 1]),
    );
    assert_eq!(report["Findings"], serde_json::json!([]), "seed {seed}: {report:#}");
    place.wiac(["run", "kept", "cat", "/file"]).succeeds().says("kept");
    // What containers wrote is in their layers or in those committed of them.
    for worker in 0..WORKERS {
        let layer = format!("./container{worker}");
        let record = place.read(&format!("container{worker}/container.json"));
        let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
        let lowers = record["lowerdirs"].as_array().expect("a list");
        let chain: Vec<&str> = lowers.iter().map(|path| path.as_str().expect("a path")).collect();
        let run = place.wiac(["run", &chain.join(":"), &layer, "cat", "/mine"]);
        run.succeeds().says(&worker.to_string());
    }
    // Every name leads to an image that runs.
    let names = place
        .wiac(["images", "--format", "{{range .Names}}{{println .}}{{end}}"])
        .succeeds();
    for name in names.stdout.split_whitespace() {
        place.wiac(["run", name, "cat", "/file"]).succeeds().says("kept");
    }
}

fn nothing_is_left(place: &Place, seed: u64) {
    place.wiac(["prune", "-f"]).succeeds();
    eprintln!("seed {seed}: after one sweep");
    assert_whole(place);
    // A layer that the build cache keeps may still have to be synced; what isn't there doesn't.
    for mark in place
        .tree("data/unsynced")
        .iter()
        .filter_map(|path| path.split_once('/'))
    {
        let blob = format!("data/blobs/{}", mark.1.replacen('-', "/", 1));
        let is_there = place.has(&format!("data/layers/{}", mark.1)) || place.has(&blob);
        assert!(is_there, "seed {seed}: a mark of nothing: {}", mark.1);
    }
    assert_eq!(place.tree("data/containers"), Vec::<String>::new(), "seed {seed}");
    for worker in 0..WORKERS {
        std::fs::remove_dir_all(place.path(&format!("container{worker}"))).expect("deleted");
    }
    place.wiac(["prune", "-a", "-f"]).succeeds();
    for directory in [
        "layers",
        "blobs/sha256",
        "diff-ids",
        "leases",
        "images/exports",
        "cache/steps",
    ] {
        assert_eq!(
            place.tree(format!("data/{directory}")),
            Vec::<String>::new(),
            "seed {seed}"
        );
    }
}
