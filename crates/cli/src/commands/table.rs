//! The commands: their names, what describes their arguments, what carries them out.

use super::{
    build, bundle, cache, commit, copy, debug, df, export, history, images, import, inspect, layers, load, login,
    manifest, prune, pull, push, referrers, rmi, run, save, squash, store, tag, tags, transfer, untag,
};
use crate::Global;
use crate::error::Failure;
use crate::exit::ExitCode;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use std::ffi::{OsStr, OsString};

/// A command.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    about: &'static str,
    /// Describes the command's arguments.
    describe: fn(Command) -> Command,
    /// Carries the command out with what was found of them.
    pub(crate) run: fn(&Global, &ArgMatches) -> Result<ExitCode, Failure>,
}

impl Entry {
    /// The command as clap knows it; its arguments are described only when they are needed.
    pub(crate) fn command(&self) -> Command {
        let command = Command::new(self.name).about(self.about).defer(self.describe);
        // docker's `run -h` is the host name.
        command.disable_help_flag(self.name == "run")
    }
}

/// Carries out a command that was given words alone, or next to that, as most are: describing all options to clap would
/// take a twentieth of the start of a container, and a tenth of a look at programs. `None` where clap has to look.
pub(crate) fn run_plain(name: &OsStr, words: &[OsString]) -> Option<Result<ExitCode, Failure>> {
    match name.to_str()? {
        "build" => build::Arguments::of_words(words).map(|arguments| build::run(&Global::default(), &arguments)),
        "bundle" => bundle::Arguments::of_words(words).map(bundle::run),
        "run" => run::Arguments::of_words(words).map(|arguments| run::run(&Global::default(), arguments)),
        _ => None,
    }
}

/// In the order of the help.
pub(crate) static COMMANDS: [Entry; 31] = [
    Entry {
        name: "bundle",
        about: "Put programs and all they need to start into a directory",
        describe: bundle::Arguments::augment_args,
        run: |_, matches| bundle::run(parsed(matches)?),
    },
    Entry {
        name: "copy",
        about: "Copy files into a layer directory",
        describe: copy::Arguments::augment_args,
        run: |_, matches| copy::run(parsed(matches)?),
    },
    Entry {
        name: "build",
        about: "Build the Dockerfile of a directory",
        describe: build::Arguments::augment_args,
        run: |global, matches| build::run(global, &parsed(matches)?),
    },
    Entry {
        name: "run",
        about: "Run a command on layers or on an image",
        describe: run::Arguments::augment_args,
        run: |global, matches| run::run(global, parsed(matches)?),
    },
    Entry {
        name: "images",
        about: "List images",
        describe: images::Arguments::augment_args,
        run: |global, matches| images::run(global, &parsed(matches)?),
    },
    Entry {
        name: "tag",
        about: "Give an image further names",
        describe: tag::Arguments::augment_args,
        run: |global, matches| tag::run(global, &parsed(matches)?),
    },
    Entry {
        name: "untag",
        about: "Take names away; the images stay",
        describe: untag::Arguments::augment_args,
        run: |global, matches| untag::run(global, &parsed(matches)?),
    },
    Entry {
        name: "rmi",
        about: "Take names away, and images with their last name",
        describe: rmi::Arguments::augment_args,
        run: |global, matches| rmi::run(global, &parsed(matches)?),
    },
    Entry {
        name: "inspect",
        about: "Show everything about images",
        describe: inspect::Arguments::augment_args,
        run: |global, matches| inspect::run(global, &parsed(matches)?),
    },
    Entry {
        name: "history",
        about: "Show what made an image",
        describe: history::Arguments::augment_args,
        run: |global, matches| history::run(global, &parsed(matches)?),
    },
    Entry {
        name: "debug",
        about: "Open a shell where a build failed",
        describe: debug::Arguments::augment_args,
        run: |global, matches| debug::run(global, &parsed(matches)?),
    },
    Entry {
        name: "prune",
        about: "Free what nobody needs",
        describe: prune::Arguments::augment_args,
        run: |global, matches| prune::run(global, &parsed(matches)?),
    },
    Entry {
        name: "df",
        about: "Show what the space is used for",
        describe: df::Arguments::augment_args,
        run: |global, matches| df::run(global, &parsed(matches)?),
    },
    Entry {
        name: "store",
        about: "Check the data directory, and mend it",
        describe: store::Arguments::augment_args,
        run: |global, matches| store::run(global, &parsed(matches)?),
    },
    Entry {
        name: "layers",
        about: "Show the layers of an image and their directories",
        describe: layers::Arguments::augment_args,
        run: |global, matches| layers::run(global, &parsed(matches)?),
    },
    Entry {
        name: "import",
        about: "Make an image of a root filesystem",
        describe: import::Arguments::augment_args,
        run: |global, matches| import::run(global, &parsed(matches)?),
    },
    Entry {
        name: "save",
        about: "Write images to an image layout or an archive",
        describe: save::Arguments::augment_args,
        run: |global, matches| save::run(global, &parsed(matches)?),
    },
    Entry {
        name: "commit",
        about: "Make an image of a container layer's changes",
        describe: commit::Arguments::augment_args,
        run: |global, matches| commit::run(global, &parsed(matches)?),
    },
    Entry {
        name: "export",
        about: "Write a container's or an image's root as a tar",
        describe: export::Arguments::augment_args,
        run: |global, matches| export::run(global, &parsed(matches)?),
    },
    Entry {
        name: "squash",
        about: "Make one layer of an image's",
        describe: squash::Arguments::augment_args,
        run: |global, matches| squash::run(global, &parsed(matches)?),
    },
    Entry {
        name: "pull",
        about: "Fetch images from registries",
        describe: pull::Arguments::augment_args,
        run: |global, matches| pull::run(global, &parsed(matches)?),
    },
    Entry {
        name: "push",
        about: "Send an image to a registry",
        describe: push::Arguments::augment_args,
        run: |global, matches| push::run(global, &parsed(matches)?),
    },
    Entry {
        name: "login",
        about: "Store who you are to a registry",
        describe: login::Arguments::augment_args,
        run: |_, matches| login::run(&parsed(matches)?),
    },
    Entry {
        name: "logout",
        about: "Forget it again",
        describe: login::LogoutArguments::augment_args,
        run: |_, matches| login::logout(&parsed(matches)?),
    },
    Entry {
        name: "tags",
        about: "List a repository's tags",
        describe: tags::Arguments::augment_args,
        run: |_, matches| tags::run(&parsed(matches)?),
    },
    Entry {
        name: "search",
        about: "List a registry's repositories",
        describe: tags::SearchArguments::augment_args,
        run: |_, matches| tags::search(&parsed(matches)?),
    },
    Entry {
        name: "manifest",
        about: "Show manifests of registries; put indexes together",
        describe: manifest::Arguments::augment_args,
        run: |global, matches| manifest::run(global, &parsed(matches)?),
    },
    Entry {
        name: "referrers",
        about: "List what refers to an image in its registry",
        describe: referrers::Arguments::augment_args,
        run: |_, matches| referrers::run(&parsed(matches)?),
    },
    Entry {
        name: "transfer",
        about: "Copy an image from any place to another",
        describe: transfer::Arguments::augment_args,
        run: |global, matches| transfer::run(global, &parsed(matches)?),
    },
    Entry {
        name: "cache",
        about: "Show, export and free what builds keep",
        describe: cache::Arguments::augment_args,
        run: |global, matches| cache::run(global, &parsed(matches)?),
    },
    Entry {
        name: "load",
        about: "Take images from an image layout or an archive",
        describe: load::Arguments::augment_args,
        run: |global, matches| load::run(global, &parsed(matches)?),
    },
];

fn parsed<A: FromArgMatches>(matches: &ArgMatches) -> Result<A, Failure> {
    A::from_arg_matches(matches).map_err(|error| Failure::usage(error.to_string()))
}
