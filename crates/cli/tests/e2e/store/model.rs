//! Everything that changes the store, in random order, beside a model of what each image holds: whatever was built, loaded,
//! squashed, pruned or mended in between, an image has its own files and nothing else.

use super::assert_whole;
use super::killing::{Random, seed};
use crate::harness::{Place, as_users};
use std::collections::BTreeMap;

/// How many commands.
const STEPS: usize = 60;

/// Names for images.
const NAMES: u64 = 5;

/// What an image has in /m: of a file the text, of a symlink "-> " and its target, of a directory nothing.
type Files = BTreeMap<String, String>;

/// Prints them as [`shown`] does.
const SHOW: &str = r#"cd /m; find . | sort | while read path; do
    if test -L $path; then echo "$path -> $(readlink $path)"
    elif test -d $path; then echo "$path"
    else echo "$path $(cat $path)"
    fi; done"#;

as_users!(an_image_has_its_own_files_whatever_happens_to_others: root, user);
fn an_image_has_its_own_files_whatever_happens_to_others(place: &Place) {
    let seed = seed();
    let mut world = World {
        place,
        random: Random::new(seed),
        images: BTreeMap::new(),
        archives: Vec::new(),
    };
    place.image("base", "WORKDIR /m");
    world.images.insert("base".to_owned(), Files::new());
    for step in 0..STEPS {
        world.step(step);
        let name = world.name();
        assert_eq!(
            world.seen(&name),
            shown(&world.images[&name]),
            "seed {seed}, step {step}"
        );
    }
    for (name, files) in &world.images {
        assert_eq!(world.seen(name), shown(files), "seed {seed}");
    }
    for name in world.images.keys() {
        place.wiac(["rmi", name]).succeeds();
    }
    place.host("rm -rf layer*").succeeds();
    place.wiac(["prune", "-a", "-f"]).succeeds();
    assert_eq!(place.tree("data/layers"), Vec::<String>::new(), "seed {seed}");
    assert_eq!(place.tree("data/blobs/sha256"), Vec::<String>::new(), "seed {seed}");
    assert_whole(place);
}

struct World<'p> {
    place: &'p Place,
    random: Random,
    images: BTreeMap<String, Files>,
    /// What was saved: the archive, and the images in it.
    archives: Vec<(String, BTreeMap<String, Files>)>,
}

impl World<'_> {
    /// A name of an image that is there.
    fn name(&mut self) -> String {
        let number = self.below(self.images.len());
        self.images.keys().nth(number).expect("fewer than there are").clone()
    }

    /// A name that may be another image's so far.
    fn new_name(&mut self) -> String {
        format!("name{}", self.random.below(NAMES))
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit as u64)).expect("a small number")
    }

    fn step(&mut self, step: usize) {
        let name = self.name();
        let new = self.new_name();
        match self.below(16) {
            0..=3 => self.build(&name, new),
            4 => self.commit(step, &name, new),
            5 => self.save(step, &[name, new]),
            6 | 7 => self.load(),
            8 => self.copies(&["tag", &name, &new], &name, &new),
            9 => self.copies(&["squash", &name, &new], &name, &new),
            10 => {
                self.wiac(&["export", &name, "-o", "flat.tar"]);
                self.copies(&["import", "flat.tar", &new], &name, &new);
            }
            11 if name != "base" => {
                self.wiac(&["rmi", &name]);
                self.images.remove(&name);
            }
            12 => self.wiac(&["prune", "-f"]),
            13 => self.wiac(&["prune", "-f", "--blobs", "--cache"]),
            14 => self.wiac(&["store", "check"]),
            _ => self.wiac(&["store", "check", "--deep", "--repair"]),
        }
    }

    fn wiac(&self, words: &[&str]) {
        self.place.wiac(words).succeeds();
    }

    /// A command after which `to` is what `from` is.
    fn copies(&mut self, words: &[&str], from: &str, to: &str) {
        self.wiac(words);
        self.images.insert(to.to_owned(), self.images[from].clone());
    }

    fn build(&mut self, from: &str, to: String) {
        let mut files = self.images[from].clone();
        let changes = (0..=self.below(3)).map(|_| format!("RUN {}\n", self.change(&mut files)));
        let dockerfile = format!("FROM {from}\n{}", changes.collect::<String>());
        self.place
            .build("context", &dockerfile)
            .args(["-q", "-t", &to])
            .succeeds();
        self.images.insert(to, files);
    }

    fn commit(&mut self, step: usize, from: &str, to: String) {
        let chain = self.place.wiac(["layers", "-q", from]).succeeds();
        let mut files = self.images[from].clone();
        let script = self.change(&mut files);
        let layer = format!("./layer{step}");
        self.place.sh(chain.text(), &layer, &script).succeeds();
        self.wiac(&["commit", "-q", &layer, &to]);
        self.images.insert(to, files);
    }

    fn save(&mut self, step: usize, names: &[String; 2]) {
        let format = ["oci-archive", "docker-archive", "oci-dir"][self.below(3)];
        let archive = format!("archive{step}");
        let there = |name: &String| Some((name.clone(), self.images.get(name)?.clone()));
        let saved: BTreeMap<String, Files> = names.iter().filter_map(there).collect();
        let words = ["save", "--format", format, "-o", &archive];
        self.place.wiac(words).args(saved.keys()).succeeds();
        self.archives.push((archive, saved));
    }

    fn load(&mut self) {
        if !self.archives.is_empty() {
            let number = self.below(self.archives.len());
            let (archive, images) = self.archives[number].clone();
            self.wiac(&["load", "-q", "-i", &archive]);
            self.images.extend(images);
        }
    }

    /// A script that changes /m, and what comes of it.
    fn change(&mut self, files: &mut Files) -> String {
        format!("cd /m; {}", self.change_here(files))
    }

    fn change_here(&mut self, files: &mut Files) -> String {
        let directory = ["d", "e", "d/s"][self.below(3)];
        let file = format!("{directory}/{}", ["a", "b"][self.below(2)]);
        match self.below(6) {
            0..=2 => {
                let text = self.random.below(1 << 32).to_string();
                let made = make(files, directory);
                files.insert(file.clone(), text.clone());
                format!("{made} rm -rf {file}; echo {text} > {file}")
            }
            3 => {
                let made = make(files, directory);
                files.insert(file.clone(), "-> ../x".to_owned());
                format!("{made} rm -rf {file}; ln -s ../x {file}")
            }
            4 => {
                remove(files, directory);
                format!("rm -rf {directory}")
            }
            _ => {
                remove(files, "e");
                files.insert("e".to_owned(), "no directory".to_owned());
                "rm -rf e; echo no directory > e".to_owned()
            }
        }
    }

    fn seen(&self, name: &str) -> String {
        let said = self.place.wiac(["run", "--rm", name, "sh", "-c", SHOW]).succeeds();
        said.text().to_owned()
    }
}

/// Makes a directory and those above it, where something else may stand.
fn make(files: &mut Files, directory: &str) -> String {
    let ends = directory.match_indices('/').map(|(at, _)| at).chain([directory.len()]);
    let script = ends.map(|end| {
        let path = &directory[..end];
        files.insert(path.to_owned(), String::new());
        format!("test -d {path} || {{ rm -rf {path}; mkdir {path}; }}; ")
    });
    script.collect()
}

fn remove(files: &mut Files, path: &str) {
    let below = format!("{path}/");
    files.retain(|known, _| known != path && !known.starts_with(&below));
}

fn shown(files: &Files) -> String {
    let lines = files.iter().map(|(path, text)| format!("./{path} {text}"));
    let mut lines: Vec<String> = lines.map(|line| line.trim().to_owned()).collect();
    lines.push(".".to_owned());
    // As sort does, which sees whole paths.
    lines.sort_by(|one, other| one.split(' ').next().cmp(&other.split(' ').next()));
    lines.join("\n")
}
