//! Checks of what stands inside a stage.

use std::collections::{BTreeMap, BTreeSet};

use super::scope::Scope;
use super::{Context, Report, Rule};
use crate::instruction::{Arg, Command, Kind, Pair, Transfer};
use crate::model::{Dockerfile, Instruction, Word};
use crate::span::Span;
use crate::stages::{Globals, Source, StageGraph};
use wiac_suggest::nearest;

pub(super) fn check(dockerfile: &Dockerfile, context: &Context, report: &mut Report<'_>) {
    let lookup = |name: &str| context.build_args.get(name).cloned();
    let Ok(globals) = Globals::new(dockerfile, context.automatic.clone(), &lookup) else {
        return;
    };
    let images = globals.images(dockerfile).unwrap_or_default();
    let graph = StageGraph::new(dockerfile, &images).ok().filter(|_| !images.is_empty());
    let mut scopes: Vec<Scope> = Vec::new();
    for stage in &dockerfile.stages {
        let scope = match graph.as_ref().map(|graph| graph.base(stage.index)) {
            Some(Source::Stage(base)) => scopes[*base].clone(),
            Some(Source::Other(image)) => base_scope(image, context),
            None => Scope::default(),
        };
        let escape = dockerfile.directives.escape;
        let mut visit = Visit {
            scope,
            context,
            globals: &globals,
            escape,
            last: BTreeMap::new(),
            report,
        };
        for instruction in &stage.instructions {
            visit.instruction(instruction);
        }
        scopes.push(visit.scope);
    }
}

/// What a stage knows that starts from an image.
fn base_scope(image: &str, context: &Context) -> Scope {
    let found = context.base_environments.get(image);
    let known = found.is_some() || image == "scratch";
    let mut env = found.cloned().unwrap_or_default();
    // Every build has a PATH, set by the base or by default.
    env.entry("PATH".to_owned()).or_default();
    Scope {
        known,
        env,
        ..Scope::default()
    }
}

/// A walk through a stage.
struct Visit<'v, 'r> {
    scope: Scope,
    context: &'v Context,
    globals: &'v Globals,
    escape: char,
    /// Where instructions stand of which only the last counts.
    last: BTreeMap<&'static str, &'v Instruction>,
    report: &'v mut Report<'r>,
}

impl<'v> Visit<'v, '_> {
    fn instruction(&mut self, instruction: &'v Instruction) {
        match &instruction.kind {
            Kind::Maintainer(_) => {
                let message = "MAINTAINER is deprecated; use a label".to_owned();
                self.add(Rule::MaintainerDeprecated, instruction, instruction.span, message);
            }
            Kind::Cmd(command) | Kind::Entrypoint(command) => {
                self.json_recommended(instruction, command);
                self.once(instruction);
            }
            Kind::HealthCheck(_) => self.once(instruction),
            Kind::Shell(_) => self.scope.shell = true,
            Kind::Workdir(path) => self.workdir(instruction, path),
            Kind::Env(env) => self.pairs(instruction, &env.pairs, true),
            Kind::Label(label) => self.pairs(instruction, &label.pairs, false),
            Kind::Arg(arg) => self.arg(instruction, arg),
            Kind::Expose(ports) => ports.iter().for_each(|port| self.port(instruction, port)),
            Kind::User(word) | Kind::StopSignal(word) => self.words(instruction, [word]),
            Kind::Volume(words) => self.words(instruction, words),
            Kind::Copy(copy) => self.transfer(instruction, &copy.transfer, None),
            Kind::Add(add) => self.transfer(instruction, &add.transfer, add.checksum.as_ref()),
            Kind::Run(run) => {
                for mount in &run.mounts {
                    let values = mount.fields.iter().filter(|field| field.key != "from");
                    for value in values.filter_map(|field| field.value.as_deref()) {
                        self.variables(instruction, value, mount.span);
                    }
                }
            }
            Kind::OnBuild(_) => {}
        }
    }

    fn add(&mut self, rule: Rule, instruction: &Instruction, span: Span, message: String) {
        self.report.add(rule, &instruction.skip_checks, span, message);
    }

    /// Reports the undefined variables of a text; its expansion, if there is one.
    fn variables(&mut self, instruction: &Instruction, text: &str, span: Span) -> Option<String> {
        let expanded = self.scope.expand(text, self.escape)?;
        self.undefined(instruction, &expanded.undefined, span);
        Some(expanded.text)
    }

    fn undefined(&mut self, instruction: &Instruction, names: &BTreeSet<String>, span: Span) {
        for name in self.scope.undeclared(names) {
            let suggestion = nearest(name, self.scope.names()).map(|name| format!(" (did you mean ${name}?)"));
            let message = format!("the variable ${name} is not defined{}", suggestion.unwrap_or_default());
            self.report
                .add(Rule::UndefinedVar, &instruction.skip_checks, span, message);
        }
    }

    fn words<'w>(&mut self, instruction: &Instruction, words: impl IntoIterator<Item = &'w Word>) {
        for word in words {
            self.variables(instruction, &word.text, word.span);
        }
    }

    fn transfer(&mut self, instruction: &Instruction, transfer: &Transfer, checksum: Option<&Word>) {
        let flags = [transfer.chown.as_ref(), transfer.chmod.as_ref(), checksum];
        self.words(instruction, flags.into_iter().flatten());
        self.words(instruction, transfer.paths());
        self.words(instruction, [&transfer.destination]);
        for heredoc in transfer.heredocs() {
            if let Some(expanded) = self.scope.heredoc(heredoc, self.escape) {
                self.undefined(instruction, &expanded.undefined, heredoc.span);
            }
        }
    }

    fn json_recommended(&mut self, instruction: &Instruction, command: &Command) {
        if matches!(command, Command::Shell(_)) && !self.scope.shell {
            let name = instruction.kind.name();
            let message = format!("{name} should be a JSON array, so that signals reach the program");
            self.add(Rule::JSONArgsRecommended, instruction, instruction.span, message);
        }
    }

    /// An earlier one of the same kind has no effect: that is the one reported.
    fn once(&mut self, instruction: &'v Instruction) {
        let name = instruction.kind.name();
        if let Some(earlier) = self.last.insert(name, instruction) {
            let message = format!("this {name} has no effect: only the stage's last one counts");
            self.report.add(
                Rule::MultipleInstructionsDisallowed,
                &instruction.skip_checks,
                earlier.span,
                message,
            );
        }
    }

    fn workdir(&mut self, instruction: &Instruction, path: &Word) {
        let expanded = self.variables(instruction, &path.text, path.span);
        let relative = expanded.is_some_and(|path| !path.starts_with('/'));
        if relative && !self.scope.workdir {
            let message = format!(
                "the relative path {:?} depends on the base image's working directory",
                path.text
            );
            self.add(Rule::WorkdirRelativePath, instruction, path.span, message);
        }
        self.scope.workdir = true;
    }

    fn pairs(&mut self, instruction: &Instruction, pairs: &[Pair], is_env: bool) {
        let name = instruction.kind.name();
        let mut set = Vec::new();
        for pair in pairs {
            if pair.legacy {
                let message = format!("write {name} key=value instead of {name} key value");
                self.add(Rule::LegacyKeyValueFormat, instruction, instruction.span, message);
            }
            if is_env {
                self.secret(instruction, &pair.key);
            }
            let key = self.variables(instruction, &pair.key.text, pair.key.span);
            let value = self.variables(instruction, &pair.value.text, pair.value.span);
            set.extend(key.zip(value));
        }
        if is_env {
            self.scope.env.extend(set);
        }
    }

    fn arg(&mut self, instruction: &Instruction, arg: &Arg) {
        for definition in &arg.definitions {
            self.secret(instruction, &definition.name);
            let overridden = self.context.build_args.contains_key(&definition.name.text);
            if let Some(default) = definition.default.as_ref().filter(|_| !overridden) {
                self.variables(instruction, &default.text, default.span);
            }
            let (context, globals) = (self.context, self.globals);
            let outer = |name: &str| match context.build_args.get(name) {
                Some(value) => Some((value.clone(), true)),
                None => globals.get(name).map(|value| (value.to_owned(), false)),
            };
            let one = Arg {
                definitions: vec![definition.clone()],
            };
            self.scope.declare(&one, self.escape, outer);
        }
    }

    fn secret(&mut self, instruction: &Instruction, name: &Word) {
        if is_secret(&name.text) {
            let message = format!("{} should not hold a secret ({:?})", instruction.kind.name(), name.text);
            self.add(Rule::SecretsUsedInArgOrEnv, instruction, name.span, message);
        }
    }

    fn port(&mut self, instruction: &Instruction, word: &Word) {
        let Some(expanded) = self.scope.expand(&word.text, self.escape) else {
            return;
        };
        for port in &expanded.words {
            let protocol = port.split_once('/').map_or("", |(_, protocol)| protocol);
            if protocol.chars().any(char::is_uppercase) {
                let message = format!("the protocol of {port:?} should be in lower case");
                self.add(Rule::ExposeProtoCasing, instruction, word.span, message);
            }
            if port.contains(':') {
                let message = format!("{port:?} names an address or a port of the host, which EXPOSE does not take");
                self.add(Rule::ExposeInvalidFormat, instruction, word.span, message);
            }
        }
    }
}

/// Whether a variable's name says that it holds a secret: by one of its parts between underscores.
fn is_secret(name: &str) -> bool {
    const SECRET: [&str; 10] = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    const HARMLESS: [&str; 3] = ["public", "file", "version"];
    let lower = name.to_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
    has(&SECRET) && !has(&HARMLESS)
}
