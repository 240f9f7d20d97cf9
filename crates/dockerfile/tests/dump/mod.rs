//! A compact text of a parsed Dockerfile, one line for each part.

use std::fmt::Write as _;

use wiac_dockerfile::{
    Command, CopySource, Dockerfile, HealthCheck, Heredoc, Instruction, Kind, Pair, Span, Transfer, Word,
};

/// The text of a whole file.
pub fn dump(dockerfile: &Dockerfile) -> String {
    let mut text = format!("escape {:?}\n", dockerfile.directives.escape);
    if let Some(syntax) = &dockerfile.directives.syntax {
        let _ = writeln!(text, "syntax {:?}", syntax.text);
    }
    for warning in &dockerfile.warnings {
        let _ = writeln!(text, "warning {:?} {}", warning.kind, place(warning.span));
    }
    for arg in &dockerfile.global_args {
        let _ = writeln!(
            text,
            "global ARG{} {}",
            definitions(&arg.kind.definitions),
            place(arg.span)
        );
    }
    for stage in &dockerfile.stages {
        let _ = write!(text, "stage {} {:?}", stage.index, stage.from.image.text);
        let _ = write!(
            text,
            "{}{}",
            named("as", stage.name.as_ref()),
            option("platform", stage.from.platform.as_ref())
        );
        let _ = writeln!(text, "{} {}", named("doc", stage.doc.as_ref()), place(stage.span));
        for instruction in &stage.instructions {
            line(&mut text, instruction);
        }
    }
    text
}

fn line(text: &mut String, instruction: &Instruction) {
    let skip = &instruction.skip_checks.names;
    let skip = if skip.is_empty() {
        String::new()
    } else {
        format!(" skip={skip:?}")
    };
    let _ = writeln!(
        text,
        "  {}{}{skip} {}",
        instruction.kind.name(),
        kind(&instruction.kind),
        place(instruction.span)
    );
    for heredoc in heredocs(&instruction.kind) {
        let _ = writeln!(
            text,
            "    <<{:?} fd={:?} expand={} strip={} {:?} {}",
            heredoc.name,
            heredoc.fd,
            heredoc.expand,
            heredoc.strip_tabs,
            heredoc.content,
            place(heredoc.span)
        );
    }
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Run(run) => {
            let mut text = command(&run.command);
            for mount in &run.mounts {
                let _ = write!(text, " mount={:?}", mount.raw);
            }
            let _ = write!(text, " {:?} {:?}", run.network, run.security);
            for device in &run.devices {
                let _ = write!(text, " device={:?} {}", device.name.text, device.required);
            }
            text
        }
        Kind::Copy(copy) => {
            format!(
                "{}{} parents={}",
                transfer(&copy.transfer),
                option("from", copy.from.as_ref()),
                copy.parents
            )
        }
        Kind::Add(add) => format!(
            "{}{} git={:?} unpack={:?}",
            transfer(&add.transfer),
            option("checksum", add.checksum.as_ref()),
            add.keep_git_dir,
            add.unpack
        ),
        Kind::Env(env) => pairs(&env.pairs),
        Kind::Label(label) => pairs(&label.pairs),
        Kind::Arg(arg) => definitions(&arg.definitions),
        Kind::Workdir(word) | Kind::User(word) | Kind::StopSignal(word) | Kind::Maintainer(word) => {
            format!(" {:?}", word.text)
        }
        Kind::Cmd(line) | Kind::Entrypoint(line) => command(line),
        Kind::Shell(words) => format!(" {words:?}"),
        Kind::Expose(list) | Kind::Volume(list) => words(list),
        Kind::HealthCheck(HealthCheck::None) => " none".to_owned(),
        Kind::HealthCheck(HealthCheck::Check(check)) => format!(
            "{} interval={:?} timeout={:?} start={:?}/{:?} retries={:?}",
            command(&check.command),
            check.interval,
            check.timeout,
            check.start_period,
            check.start_interval,
            check.retries
        ),
        Kind::OnBuild(on_build) => {
            let inner = &on_build.instruction.kind;
            format!(" {:?} = {}{}", on_build.text, inner.name(), self::kind(inner))
        }
    }
}

fn transfer(transfer: &Transfer) -> String {
    let mut text = String::new();
    for source in &transfer.sources {
        let _ = match source {
            CopySource::Path(word) => write!(text, " {:?}", word.text),
            CopySource::Heredoc(heredoc) => write!(text, " <<{}", heredoc.name),
        };
    }
    let _ = write!(text, " -> {:?}", transfer.destination.text);
    let _ = write!(text, "{}", option("chown", transfer.chown.as_ref()));
    let _ = write!(text, "{}", option("chmod", transfer.chmod.as_ref()));
    if transfer.link {
        text.push_str(" link");
    }
    for pattern in &transfer.exclude {
        let _ = write!(text, " exclude={:?}", pattern.text);
    }
    text
}

fn heredocs(kind: &Kind) -> Vec<&Heredoc> {
    match kind {
        Kind::Run(run) => run.heredocs.iter().collect(),
        Kind::Copy(copy) => copy.transfer.heredocs().collect(),
        Kind::Add(add) => add.transfer.heredocs().collect(),
        _ => Vec::new(),
    }
}

fn command(command: &Command) -> String {
    match command {
        Command::Shell(text) => format!(" shell {text:?}"),
        Command::Exec(args) => format!(" exec {args:?}"),
    }
}

fn pairs(pairs: &[Pair]) -> String {
    let pair = |pair: &Pair| {
        let sign = if pair.legacy { " " } else { "=" };
        format!(" {}{sign}{:?}", pair.key, pair.value.text)
    };
    pairs.iter().map(pair).collect()
}

fn definitions(definitions: &[wiac_dockerfile::ArgDefinition]) -> String {
    let one = |definition: &wiac_dockerfile::ArgDefinition| {
        let default = definition
            .default
            .as_ref()
            .map(|word| format!("={:?}", word.text))
            .unwrap_or_default();
        format!(" {}{default}{}", definition.name, named("doc", definition.doc.as_ref()))
    };
    definitions.iter().map(one).collect()
}

fn words(words: &[Word]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{:?}", word.text)).collect();
    format!(" {}", words.join(" "))
}

fn option(name: &str, word: Option<&Word>) -> String {
    named(name, word.map(|word| &word.text))
}

fn named(name: &str, value: Option<&String>) -> String {
    value.map(|value| format!(" {name}={value:?}")).unwrap_or_default()
}

fn place(span: Span) -> String {
    format!("@{}:{}-{}", span.first_line, span.column, span.last_line)
}
