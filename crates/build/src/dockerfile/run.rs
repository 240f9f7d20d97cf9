//! RUN: a container whose upper directory becomes a layer.

use super::base::platform_of;
use super::cached::Made;
use super::mounts::Wanted;
use super::output::Output;
use super::stage::{Stage, is_proxy};
use super::why::Inputs;
use super::worker::{Worker, lock};
use super::{Entitlement, Request, config};
use crate::cdi::Device;
use crate::container::{self, DefaultName, Wishes, Workspace};
use crate::error::{Error, IoExt, Result};
use crate::key::KeyMaker;
use crate::progress::Event;
use crate::stubs;
use std::path::Path;
use wiac_dockerfile::{Command, Network, Run, Script, Security};
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::OwnerPolicy;
use wiac_oci::convert::ProcessOverrides;
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::Platform;
use wiac_oci::runtime::RuntimeConfig;
use wiac_run::plan::SeccompChoice;
use wiac_run::{Container, Plan};
use wiac_store::layer::Draft;
use wiac_store::merge::MOST_LAYERS;
use wiac_store::{HeldLayer, LayerId};

/// Where a script of a heredoc is seen in the container while it runs.
const SCRIPT_PLACE: &str = "/run/wiac-script";

impl Worker<'_, '_> {
    /// Carries RUN out, or finds the layer that it made before; `true` for the latter.
    pub(super) fn run_command(&mut self, stage: &mut Stage, run: &Run) -> Result<bool> {
        self.check_allowed(run)?;
        if stage.layers.is_empty() {
            return Err(Error::wrong_with_hint(
                "RUN needs a root with a program in it, and this stage is still empty",
                "copy one in first, or start FROM bundle://sh",
            ));
        }
        let script = run.script();
        let said = said(stage, &script);
        let wanted = Self::wanted_mounts(stage, run)?;
        let devices = self.devices(run)?;
        let mut key = self.run_key(stage, run, &script, &wanted)?;
        let mut inputs = self.run_inputs(stage, run, &said, &wanted);
        for device in &devices {
            key.add(device.described());
            inputs.add(format!("the device {}", device.name), device.described());
        }
        let key = key.finish();
        self.note_inputs(inputs);
        self.cached_or(stage, &key, said, |build, stage, draft| {
            build.run_container(stage, run, (&script, &wanted, &devices), draft)?;
            Ok(Made::Whole)
        })
    }

    /// What needs `--allow`. The host's network does only where the build's own is another.
    fn check_allowed(&self, run: &Run) -> Result<()> {
        let network = run.network == Network::Host && self.shared.request.network != container::Network::Host;
        let asked = [
            (network, Entitlement::NetworkHost, "RUN --network=host", "network.host"),
            (
                run.security == Security::Insecure,
                Entitlement::SecurityInsecure,
                "RUN --security=insecure",
                "security.insecure",
            ),
        ];
        for (is_asked, entitlement, what, name) in asked {
            if is_asked && !self.shared.request.allow.contains(&entitlement) {
                return Err(Error::wrong_with_hint(
                    format!("{what} isn't allowed"),
                    format!("grant it by --allow {name}"),
                ));
            }
        }
        Ok(())
    }

    /// Everything the command can see: the layers below, itself, its environment and user.
    fn run_key(&mut self, stage: &Stage, run: &Run, script: &Script, wanted: &[Wanted]) -> Result<KeyMaker> {
        let mut key = stage.key("RUN");
        match script {
            Script::Exec(arguments) => {
                key.add("exec");
                key.add_all(arguments);
            }
            Script::Shell(text) => {
                key.add("shell");
                key.add_all(&stage.shell());
                key.add(text);
            }
            Script::File { name, content } => {
                key.add("file");
                key.add(name);
                key.add(content);
            }
        }
        let image = &stage.config.config;
        key.add_all(&image.env);
        key.add_all(&stage.visible_arguments());
        key.add(&image.user);
        key.add(&image.working_dir);
        key.add(format!(
            "{:?} {:?} {:?}",
            run.network, self.shared.request.network, run.security
        ));
        key.add(platform_of(&stage.config).to_string());
        let Request {
            hosts,
            shm_size,
            limits,
            ..
        } = self.shared.request;
        if !hosts.is_empty() || shm_size.is_some() || !limits.is_empty() {
            key.add(format!("{hosts:?} {shm_size:?} {limits:?}"));
        }
        self.add_mounts_to_key(wanted, &mut key)?;
        Ok(key)
    }

    /// The same for whoever asks later what changed.
    fn run_inputs(&self, stage: &Stage, run: &Run, said: &str, wanted: &[Wanted]) -> Inputs {
        let mut inputs = Inputs::new("RUN", stage);
        let shell = format!("RUN {} ", stage.shell().join(" "));
        let text = said.strip_prefix(&shell).or_else(|| said.strip_prefix("RUN "));
        inputs.add("text", text.unwrap_or(said));
        inputs.add("SHELL", stage.shell().join(" "));
        let image = &stage.config.config;
        inputs.add_variables("ENV", &image.env);
        inputs.add_variables("ARG", &stage.visible_arguments());
        inputs.add("USER", &image.user);
        inputs.add("WORKDIR", &image.working_dir);
        let Request {
            hosts,
            shm_size,
            limits,
            network,
            ..
        } = self.shared.request;
        inputs.add("the network", format!("{:?} of {network:?}", run.network));
        inputs.add("--security", format!("{:?}", run.security));
        inputs.add("the platform", platform_of(&stage.config).to_string());
        inputs.add(
            "--add-host, --shm-size and --ulimit",
            format!("{hosts:?} {shm_size:?} {limits:?}"),
        );
        for mount in wanted {
            let (name, what) = mount.described();
            inputs.add(name, what);
        }
        inputs
    }

    /// The stage's directories as the kernel takes them: of more layers than it does, the lowest are merged, and held as
    /// long as the result lives.
    fn mountable(&self, stage: &Stage) -> Result<(LayerStack, Vec<HeldLayer>)> {
        let store = self.shared.store;
        if stage.layers.len() <= MOST_LAYERS {
            return Ok((stage.stack(self.shared)?, Vec::new()));
        }
        let ids = stage.layers.iter().map(|layer| self.shared.layer(layer));
        let ids = ids.collect::<Result<Vec<LayerId>>>()?;
        let owners = match self.shared.user_namespace {
            Some(namespace) if namespace.is_single() => OwnerPolicy::Record,
            _ => OwnerPolicy::Set,
        };
        let held = store.fit(store.hold_layers(&ids)?, owners)?;
        let directories = held.iter().map(|layer| store.layer_diff(&layer.id)).collect();
        Ok((LayerStack::new(directories), held))
    }

    fn run_container(
        &mut self,
        stage: &Stage,
        run: &Run,
        (script, wanted, devices): (&Script, &[Wanted], &[Device]),
        draft: &Draft,
    ) -> Result<()> {
        let store = self.shared.store;
        let (stack, _merged) = self.mountable(stage)?;
        let room = draft.room();
        let files = room.create_dir("files")?;
        let ready = self.ready_mounts(wanted, room.path())?;
        let mut wishes = self.wishes(stage, run, script, &files)?;
        for device in devices {
            wishes.mounts.extend(device.mounts()?);
            wishes.process.env.extend(device.environment().cloned());
        }
        wishes.mounts.extend(ready.mounts.iter().cloned());
        wishes.process.env.extend(ready.environment.iter().cloned());
        // The container's command alone counts here, not what the image starts later.
        let mut image = ImageConfig::default();
        image.config.env.clone_from(&stage.config.config.env);
        image.config.user.clone_from(&stage.config.config.user);
        image.config.working_dir.clone_from(&stage.config.config.working_dir);
        let runtime = container::configure(&stack, &image, &wishes, &files)?;
        let workspace = Workspace {
            upper: draft.diff(),
            work: room.create_dir("work")?,
            merged: room.create_dir("merged")?,
            // The layer is synced with all others when the image is named.
            volatile: true,
        };
        container::prepare_upper(&stack, &workspace.upper)?;
        let rootfs = container::overlay(&stack, workspace, store.form());
        let mut settings = container::settings(self.shared.user_namespace);
        if wishes.insecure {
            settings.seccomp = SeccompChoice::FromConfig;
        }
        let seen = stack.with_upper(&draft.diff());
        let plan = Plan::new(&runtime, &rootfs, &settings)?;
        let result = self
            .execute(&seen, &runtime, plan)
            .map(|container| self.ending = Some(container));
        if let Err(error) = &result {
            self.note_failure(stage, error, &wishes, (wanted, &ready.mounts), room.path());
        }
        let cleaned = stubs::remove(&stack, &draft.diff(), &container::mount_targets(&runtime));
        result.map_err(|error| explain_platform(error, &platform_of(&stage.config)))?;
        cleaned
    }

    /// What RUN sees beside the image's own variables: the arguments in effect, and the proxies that were given,
    /// which count even where no ARG declares them, by both names programs look for.
    fn environment(&self, stage: &Stage) -> Vec<String> {
        let mut environment = stage.visible_arguments();
        let given = &self.shared.request.build_args;
        for (name, value) in given.iter().filter(|(name, _)| is_proxy(name)) {
            for spelling in [name.to_ascii_uppercase(), name.to_ascii_lowercase()] {
                let is_free = spelling == *name || !given.contains_key(&spelling);
                if is_free && stage.variable(&spelling).is_none() {
                    environment.push(format!("{spelling}={value}"));
                }
            }
        }
        environment
    }

    fn wishes(&self, stage: &Stage, run: &Run, script: &Script, files: &Path) -> Result<Wishes> {
        let mut mounts = Vec::new();
        let command = match script {
            Script::Exec(arguments) => arguments.clone(),
            Script::Shell(text) => config::arguments(stage, &Command::Shell(text.clone())),
            Script::File { content, .. } => {
                let path = files.join("script");
                std::fs::write(&path, content).on("write", &path)?;
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                std::fs::set_permissions(&path, mode).on("protect", &path)?;
                mounts.push(wiac_oci::runtime::Mount::bind(&path, SCRIPT_PLACE, &["ro"]));
                vec![SCRIPT_PLACE.to_owned()]
            }
        };
        let network = match run.network {
            Network::None => container::Network::None,
            Network::Host => container::Network::Host,
            Network::Default => self.shared.request.network,
        };
        let insecure = run.security == Security::Insecure;
        let process = ProcessOverrides {
            cap_add: if insecure { own_capabilities() } else { Vec::new() },
            entrypoint: Some(Vec::new()),
            command,
            env: self.environment(stage),
            ..ProcessOverrides::default()
        };
        Ok(Wishes {
            process,
            network,
            mounts,
            hosts: self.shared.request.hosts.clone(),
            shm_size: self.shared.request.shm_size,
            limits: self.shared.request.limits.clone(),
            insecure,
            default_name: DefaultName::Step,
            ..Wishes::default()
        })
    }

    /// Runs the container to its end, which is the end of its processes.
    fn execute(&mut self, stack: &LayerStack, runtime: &RuntimeConfig, plan: Plan) -> Result<Container> {
        let shared = self.shared;
        let (mut output, mut container) = match self.start(plan)? {
            (output, Ok(container)) => (output, container),
            (_, Err(wiac_run::Error::Exec { errno, root })) => {
                let why = container::explain_start(runtime, errno, root.as_ref());
                return Err(Error::Failed {
                    code: why.code,
                    reason: Some(why.message),
                    said: String::new(),
                });
            }
            (_, Err(error)) => return Err(error.into()),
        };
        let number = self.number();
        let ended = output.until_end(&mut container, &shared.stop, |stream, bytes| {
            shared.tell(Event::Output { number, stream, bytes });
        })?;
        match ended.exit_code() {
            0 => Ok(container),
            code => Err(Error::Failed {
                code,
                reason: container::explain_end(stack, shared.store.form(), runtime, code),
                said: output.last(),
            }),
        }
    }

    /// Starts the container and the reading of what it says.
    ///
    /// One container of the process starts at a time. Between its clone and its exec a container's first process shares
    /// the memory of this one, and has copies of its descriptors: the writing ends of another one's pipes would be among
    /// them, and the change to another user makes the memory undumpable for all.
    fn start(&mut self, plan: Plan) -> Result<(Output, std::result::Result<Container, wiac_run::Error>)> {
        // The layer it made is mounted below this one.
        self.ending = None;
        let _alone = lock(&self.shared.starting);
        let (output, io) = Output::new(self.shared.request.separate_streams)?;
        Ok((output, Container::run(plan, io)))
    }
}

/// A program for another platform needs an interpreter that the kernel knows.
fn explain_platform(error: Error, platform: &Platform) -> Error {
    let Error::Failed { code, reason, said } = error else {
        return error;
    };
    if Platform::host().takes(platform) || !matches!(code, 126 | 127) {
        return Error::Failed { code, reason, said };
    }
    let hint = format!(
        "the stage is for {platform} and this machine is {}: RUN needs an interpreter in binfmt_misc for it \
         (on Debian: apt-get install qemu-user-static)",
        Platform::host()
    );
    let reason = reason.map_or(hint.clone(), |reason| format!("{reason}\n{hint}"));
    Error::Failed {
        code,
        reason: Some(reason),
        said,
    }
}

/// Every capability that this process may give: proc_pid_status(5).
fn own_capabilities() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("CapPrm:"));
    let bits = bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    let is_held = |number: usize| bits.is_none_or(|bits| bits >> number & 1 == 1);
    let names = wiac_oci::capability::ALL.iter().enumerate();
    names
        .filter(|(number, _)| is_held(*number))
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

fn said(stage: &Stage, script: &Script) -> String {
    match script {
        Script::Exec(arguments) => format!("RUN {}", serde_json::to_string(arguments).unwrap_or_default()),
        Script::Shell(text) => format!("RUN {} {text}", stage.shell().join(" ")),
        Script::File { content, .. } => format!("RUN {content}"),
    }
}
