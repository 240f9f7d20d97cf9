//! RUN in shell, with its mounts.

use super::super::mounts::Secret;
use super::super::stage::{Stage, is_proxy};
use super::super::tree;
use super::super::{Entitlement, config, prepared};
use super::copy::{From, choose};
use super::{Script, array, text};
use crate::container;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use wiac_dockerfile::expand::Expander;
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_dockerfile::{Command, Mount, Network, Run, Script as Words, Security, Word};
use wiac_run::shell::quote;

impl Script<'_, '_> {
    pub(super) fn run(&mut self, index: usize, stage: &Stage, run: &Run) -> Result<()> {
        if let Some(device) = run.devices.first() {
            self.leave_out(format!("RUN --device={}", device.name));
            return Ok(());
        }
        if run.security == Security::Insecure && !self.request.allow.contains(&Entitlement::SecurityInsecure) {
            return Err(Error::wrong_with_hint(
                "RUN --security=insecure isn't allowed",
                "grant it by --allow security.insecure",
            ));
        }
        if Self::is_foreign(stage) {
            self.text
                .remark("The stage is for another platform: this needs its interpreter in binfmt_misc.");
        }
        let array = array(index);
        // Images are brought in before the step begins: that takes steps of its own.
        for from in run.mounts.iter().filter_map(wiac_dockerfile::RunMount::from) {
            self.from(Some(&word(from)))?;
        }
        self.text.line(&format!("begin {array}"));
        let mut ready = Ready::default();
        let command = self.command(stage, run, &mut ready);
        self.mounts(stage, run, &mut ready)?;
        self.variables(stage, &ready);
        self.functions(&ready);
        let network = match run.network {
            Network::None => true,
            Network::Host => false,
            Network::Default => self.request.network == container::Network::None,
        };
        let how = if run.security == Security::Insecure {
            "insecure"
        } else {
            "confined"
        };
        let image = &stage.config.config;
        let line = format!(
            "run {} {} {} {how} {}",
            quote(&image.user),
            text::path(&stage.working_directory()),
            if network { "--net" } else { "''" },
            text::quoted_all(&command)
        );
        self.text.line(&line);
        self.text.line(&format!("finish {array}"));
        Ok(())
    }

    /// The words that are executed.
    fn command(&mut self, stage: &Stage, run: &Run, ready: &mut Ready) -> Vec<String> {
        match run.script() {
            Words::Exec(words) => words,
            Words::Shell(text) => config::arguments(stage, &Command::Shell(text)),
            Words::File { content, .. } => {
                let place = self.place();
                self.text.line(&format!("printf %s {} >{place}", quote(content)));
                self.text.line(&format!("chmod 755 {place}"));
                ready.bind("file", &place, Path::new("/run/wiac-script"), true);
                vec!["/run/wiac-script".to_owned()]
            }
        }
    }

    /// A new name for what is mounted.
    fn place(&mut self) -> String {
        self.mounts += 1;
        format!("\"$tmp\"/mount-{}", self.mounts)
    }

    /// The array of variables, and the further lines of /etc/hosts.
    fn variables(&mut self, stage: &Stage, ready: &Ready) {
        let mut environment = stage.config.config.env.clone();
        environment.extend(stage.visible_arguments());
        let given = &self.request.build_args;
        for (name, value) in given.iter().filter(|(name, _)| is_proxy(name)) {
            for spelling in [name.to_ascii_uppercase(), name.to_ascii_lowercase()] {
                let is_free = spelling == *name || !given.contains_key(&spelling);
                if is_free && stage.variable(&spelling).is_none() {
                    environment.push(format!("{spelling}={value}"));
                }
            }
        }
        let mut words = text::quoted_all(&environment);
        for word in &ready.environment {
            words.push(' ');
            words.push_str(word);
        }
        self.text.line(&format!("environment=({words})"));
        let line = |(name, address): &(String, String)| format!("{address}\t{name}\n");
        let hosts: Vec<String> = self.request.hosts.iter().map(line).collect();
        if !hosts.is_empty() {
            self.text.line(&format!("hosts={}", quote(hosts.concat())));
        }
    }

    fn functions(&mut self, ready: &Ready) {
        for (name, lines) in [("targets", &ready.targets), ("mounts", &ready.mounts)] {
            if lines.is_empty() {
                self.text.line(&format!("{name}() {{ :; }}"));
            } else {
                self.text
                    .line(&format!("{name}() {{\n    {}\n}}", lines.join("\n    ")));
            }
        }
    }

    fn mounts(&mut self, stage: &Stage, run: &Run, ready: &mut Ready) -> Result<()> {
        let lookup = |name: &str| stage.variable(name);
        let expander = Expander::new(stage.escape, &lookup);
        let mut resolved = Vec::new();
        for written in &run.mounts {
            let mount = written.resolve(&expander)?;
            let target = target_of(&mount).map(|target| prepared::clean(&stage.working_directory().join(target)));
            resolved.push((target, mount));
        }
        resolved.sort_by_key(|(target, _)| target.as_ref().map_or(0, |target| target.components().count()));
        for (target, mount) in resolved {
            self.mount(&mount, target.as_deref(), ready)?;
        }
        Ok(())
    }

    fn mount(&mut self, mount: &Mount, target: Option<&Path>, ready: &mut Ready) -> Result<()> {
        let at = target.unwrap_or(Path::new("/"));
        match mount {
            Mount::Bind {
                from,
                source,
                read_only,
                ..
            } => self.bind(from.as_deref(), source, at, *read_only, ready),
            Mount::Cache { read_only, .. } => {
                let place = self.cache(mount, at)?;
                ready.bind("directory", &self.linked(&place), at, *read_only);
                Ok(())
            }
            Mount::Tmpfs { size, .. } => {
                ready.target("directory", at);
                let options = if *size == 0 {
                    "nosuid".to_owned()
                } else {
                    format!("nosuid,size={size}")
                };
                ready.mounts.push(format!(
                    "mount -t tmpfs -o {options} tmpfs \"$(inside {})\"",
                    text::path(at)
                ));
                Ok(())
            }
            Mount::Secret { .. } => self.secret(mount, target, ready),
            Mount::Ssh { id, .. } => {
                let Some(agent) = self.request.ssh.get(id).cloned() else {
                    return Ok(());
                };
                let at = target.map_or_else(|| PathBuf::from("/run/buildkit/ssh_agent.0"), Path::to_owned);
                let place = self.linked(&text::path(&agent));
                ready.bind("file", &place, &at, false);
                ready.environment.push(quote(format!("SSH_AUTH_SOCK={}", at.display())));
                Ok(())
            }
        }
    }

    /// A symlink with a name that the inner shell knows.
    fn linked(&mut self, what: &str) -> String {
        let place = self.place();
        self.text.line(&format!("ln -sfn -- {what} {place}"));
        place
    }

    /// The directory of a cache mount, which stays between runs of the script. One that begins with other files is another.
    fn cache(&mut self, mount: &Mount, at: &Path) -> Result<String> {
        let Mount::Cache {
            id,
            mode,
            uid,
            gid,
            from,
            source,
            ..
        } = mount
        else {
            return Ok(String::new());
        };
        let mut name = id.clone().unwrap_or_else(|| at.to_string_lossy().into_owned());
        let first = match from {
            Some(from) => {
                name = format!("{name} from {from} {source}");
                Some(self.found(Some(from), source)?.0)
            }
            None => None,
        };
        let place = format!("\"$to\"/cache/{}", quote(name.replace('/', "+")));
        let mut made = match &first {
            Some(first) => format!("mkdir -p -- \"$to\"/cache && cp -a -T -- \"$(realpath -- {first})\" {place}"),
            None => format!("mkdir -p -- {place}"),
        };
        if first.is_none() || uid.or(*gid).or(*mode).is_some() {
            let (mode, uid, gid) = (mode.unwrap_or(0o755), uid.unwrap_or(0), gid.unwrap_or(0));
            made = format!("{made} && chmod 0{mode:04o} -- {place} && chown {uid}:{gid} -- {place}");
        }
        self.text.line(&format!("[ -d {place} ] || {{ {made}; }}"));
        Ok(place)
    }

    /// Where the script finds what a mount shows, and whether that is a file or a directory.
    fn found(&mut self, from: Option<&str>, source: &str) -> Result<(String, String)> {
        let word = from.map(word);
        match self.from(word.as_ref())? {
            From::View(view) => {
                let found = format!("{view}/\"$(cd -- {view} && inside {})\"", quote(source));
                let place = self.linked(&found);
                let kind = format!("\"$([ -d {place}/. ] && echo directory || echo file)\"");
                Ok((place, kind))
            }
            From::Local(name) => self.bind_local(name.as_deref(), source),
        }
    }

    fn bind(&mut self, from: Option<&str>, source: &str, at: &Path, read_only: bool, ready: &mut Ready) -> Result<()> {
        let (mut place, kind) = self.found(from, source)?;
        if !read_only {
            let copy = self.place();
            self.text.remark("What is written to it is thrown away.");
            self.text
                .line(&format!("cp -a -T -- \"$(realpath -- {place})\" {copy}"));
            place = copy;
        }
        ready.bind(&kind, &place, at, read_only);
        Ok(())
    }

    fn bind_local(&mut self, name: Option<&str>, source: &str) -> Result<(String, String)> {
        let local = self.local(name)?;
        let one = tree::pick_literal(local, source)?;
        let path = text::path(&local.place.join(&one.path));
        if !one.is_directory || local.ignore.is_empty() {
            let kind = if one.is_directory { "directory" } else { "file" };
            return Ok((self.linked(&path), kind.to_owned()));
        }
        let exclude = IgnorePatterns::default();
        let mut chosen = Vec::new();
        let directory = tree::open_directory(local, &one.path)?;
        choose(&one.selection(local, &exclude), &directory, Path::new(""), &mut chosen)?;
        let names: Vec<&std::ffi::OsStr> = chosen.iter().map(|path| path.as_os_str()).collect();
        let line = format!("gather && gather_these {path} {}", text::quoted_all(&names));
        self.text.line(&line);
        Ok((self.linked("\"$files\""), "directory".to_owned()))
    }

    fn secret(&mut self, mount: &Mount, target: Option<&Path>, ready: &mut Ready) -> Result<()> {
        let Mount::Secret {
            id,
            env,
            required,
            mode,
            uid,
            gid,
            ..
        } = mount
        else {
            return Ok(());
        };
        let value = match self.request.secrets.get(id) {
            Some(Secret::File(path)) => {
                let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                format!("cat -- {}", text::path(&path))
            }
            Some(Secret::Variable(name)) => format!("printf %s \"${{{name}?}}\""),
            None if *required => return Err(Error::wrong(format!("the secret {id} is required, and none was given"))),
            None => return Ok(()),
        };
        if let Some(name) = env {
            ready
                .environment
                .push(format!("{}\"$({value})\"", quote(format!("{name}="))));
        }
        if let Some(at) = target {
            self.mounts += 1;
            ready.target("file", at);
            let memory = format!("\"$tmp\"/secret-{}", self.mounts);
            self.text.line(&format!("mkdir -p -- {memory}"));
            ready.mounts.extend([
                "# In memory alone.".to_owned(),
                format!("mount -t tmpfs -o mode=700 tmpfs {memory}"),
                format!("{value} >{memory}/secret"),
                format!("chown {uid}:{gid} {memory}/secret && chmod {mode:04o} {memory}/secret"),
                format!("mount --bind -- {memory}/secret \"$(inside {})\"", text::path(at)),
            ]);
        }
        Ok(())
    }
}

/// What a RUN needs beside its words.
#[derive(Default)]
struct Ready {
    targets: Vec<String>,
    mounts: Vec<String>,
    /// Words of the shell.
    environment: Vec<String>,
}

impl Ready {
    fn target(&mut self, kind: &str, at: &Path) {
        self.targets.push(format!("target {kind} {}", text::path(at)));
    }

    fn bind(&mut self, kind: &str, place: &str, at: &Path, read_only: bool) {
        self.target(kind, at);
        let at = format!("\"$(inside {})\"", text::path(at));
        self.mounts
            .push(format!("mount --bind -- \"$(realpath -- {place})\" {at}"));
        if read_only {
            self.mounts.push(format!("mount -o remount,bind,ro -- {at}"));
        }
    }
}

fn word(text: &str) -> Word {
    Word {
        text: text.to_owned(),
        span: wiac_dockerfile::Span::default(),
    }
}

fn target_of(mount: &Mount) -> Option<&str> {
    match mount {
        Mount::Bind { target, .. } | Mount::Cache { target, .. } | Mount::Tmpfs { target, .. } => Some(target),
        Mount::Secret { target, .. } | Mount::Ssh { target, .. } => target.as_deref(),
    }
}
