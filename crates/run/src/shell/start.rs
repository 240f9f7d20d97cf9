//! The last command of the script: what it starts with, what it gives up, and what it becomes.

use super::{Text, quote};
use crate::plan::step::{Capabilities, Credentials, Exec, Step};
use std::fmt::Write as _;
use wiac_oci::capability;

/// prlimit(1)'s options in the order of the kernel's numbers (getrlimit(2)).
const LIMITS: [&str; 16] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

/// Variables that bash never gives up.
const KEPT_BY_BASH: [&str; 7] = ["BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID", "_"];

/// What bash puts into the environment itself, or would compute anew at each use unless it is unset first.
const UNSET_FIRST: &str = "PWD OLDPWD SHLVL _ BASHPID BASH_ARGV0 BASH_COMMAND BASH_SUBSHELL DIRSTACK EPOCHREALTIME \
                           EPOCHSECONDS FUNCNAME GROUPS HISTCMD LINENO RANDOM SECONDS SRANDOM";

/// Reads the last shell's commands from an open descriptor: as another user it could not open the file again.
const READ_LAST: &str = "'IFS= read -r -d \"\" -u 5 last; exec 5<&-; eval \"$last\"' 5<<'WITHOUT_PRIVILEGES'";

const CLOSE: &str = "\
for descriptor in /proc/self/fd/*; do
    case ${descriptor##*/} in
    [01289]) ;;
    *) eval \"exec ${descriptor##*/}>&-\" ;;
    esac
done
";

const WAIT: &str = "\
# All is ready: the helper changes the root now. If it can't, there is nothing to start.
echo ready >&9
read -r _ <&8 || exit 125
exec 8<&- 9>&-
";

/// The parts of the last command.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// In front of setpriv, and its options.
    before: Text,
    /// What the last shell does.
    last: Text,
    /// Environment entries that a shell can't name.
    unnamed: Vec<String>,
    session: bool,
}

impl Start {
    pub(super) fn add(&mut self, step: &Step) {
        match step {
            Step::NewSession => self.session = true,
            Step::ResourceLimit {
                resource,
                soft,
                hard,
                name,
            } => self.limit(*resource, *soft, *hard, name),
            Step::CloseDescriptors => {
                self.last
                    .note("Nothing of the host stays open but the three standard streams.");
                self.last.0.push_str(CLOSE);
            }
            Step::AwaitStart => self
                .before
                .note("Here wiac can wait between create and start; this script creates and starts in one go."),
            Step::NoNewPrivileges => self.before.step(
                "What set-user-id programs give ends here.",
                "privileges+=(--no-new-privs)",
            ),
            Step::Seccomp { program, .. } => self.before.note(&format!(
                "Left out, since no common tool can: wiac loads a seccomp filter of {} instructions here.",
                program.len()
            )),
            Step::BoundingSet(keep) => self.before.step(
                "Capabilities that the container can never have, whatever it starts.",
                &format!("privileges+=(--bounding-set={})", capability_list(*keep)),
            ),
            Step::Credentials(credentials) => self.credentials(credentials),
            Step::CapabilitySets(sets) => self.capabilities(sets),
            Step::Exec(exec) => self.exec(exec),
            _ => {}
        }
    }

    fn limit(&mut self, resource: u32, soft: u64, hard: u64, name: &str) {
        let option = usize::try_from(resource).ok().and_then(|index| LIMITS.get(index));
        let value = |limit: u64| match limit {
            u64::MAX => "unlimited".to_owned(),
            limit => limit.to_string(),
        };
        match option {
            Some(option) => self.before.step(
                &format!("The limit {name}."),
                &format!("command+=(prlimit --{option}={}:{})", value(soft), value(hard)),
            ),
            None => self.before.note(&format!("Left out: prlimit(1) doesn't know {name}.")),
        }
    }

    fn credentials(&mut self, credentials: &Credentials) {
        let groups = match &credentials.groups {
            None => "--keep-groups".to_owned(),
            Some(groups) if groups.is_empty() => "--clear-groups".to_owned(),
            Some(groups) => {
                let list: Vec<String> = groups.iter().map(u32::to_string).collect();
                format!("--groups={}", list.join(","))
            }
        };
        self.before.step(
            "The user and the groups of the program.",
            &format!(
                "privileges+=(--reuid={} --regid={} {groups})",
                credentials.uid, credentials.gid
            ),
        );
    }

    /// The effective and permitted sets follow from the others when the program is started.
    fn capabilities(&mut self, sets: &Capabilities) {
        self.before.step(
            "Capabilities that survive the start of a program beside those of the user root.",
            &format!(
                "privileges+=(--inh-caps={} --ambient-caps={})",
                capability_list(sets.inheritable),
                capability_list(sets.ambient)
            ),
        );
    }

    fn exec(&mut self, exec: &Exec) {
        self.last.note("The environment, and nothing of the shell's own.");
        self.last.line(&format!("unset -v {UNSET_FIRST}"));
        // exec counts SHLVL down; an array is never part of the environment.
        self.last.line("declare -a SHLVL");
        for entry in exec.environment.strings() {
            self.variable(entry.to_bytes());
        }
        let arguments = exec.arguments.strings();
        let by_path = arguments.first().is_some_and(|name| name.to_bytes().contains(&b'/'));
        let has_path = exec
            .environment
            .strings()
            .iter()
            .any(|entry| entry.to_bytes().starts_with(b"PATH="));
        self.last.note("The program.");
        if !by_path && !has_path {
            let directories: Vec<Vec<u8>> = exec.candidates.iter().map(|path| directory(path.to_bytes())).collect();
            self.last
                .line(&format!("PATH={} # not exported", quote(directories.join(&b':'))));
        }
        let words: Vec<String> = arguments.iter().map(|word| quote(word.to_bytes())).collect();
        self.last.line(&format!("exec -- {}", words.join(" ")));
    }

    fn variable(&mut self, entry: &[u8]) {
        let Some(equals) = entry.iter().position(|&byte| byte == b'=') else {
            self.last.note("Left out: an entry without a value.");
            return;
        };
        let (name, value) = (&entry[..equals], &entry[equals + 1..]);
        let name = String::from_utf8_lossy(name);
        if !is_identifier(&name) {
            self.unnamed.push(quote(entry));
        } else if KEPT_BY_BASH.contains(&name.as_ref()) {
            self.last.note(&format!("Left out: bash keeps {name} to itself."));
        } else if name == "SHLVL" {
            self.last.line("unset -v SHLVL");
            let level = std::str::from_utf8(value)
                .ok()
                .and_then(|value| value.parse::<u32>().ok());
            match level {
                Some(level) => self
                    .last
                    .line(&format!("export SHLVL={} # exec takes one off", u64::from(level) + 1)),
                None => self.last.line("# Left out: SHLVL is no number, and bash keeps one."),
            }
        } else {
            // bash complains about a locale that the container hasn't got.
            let quiet = if name.starts_with("LC_") || name == "LANG" {
                " 2>/dev/null"
            } else {
                ""
            };
            self.last.line(&format!("export {name}={}{quiet}", quote(value)));
        }
    }

    /// The commands by which the third shell becomes the fourth.
    pub(super) fn finish(self, terminal: bool) -> String {
        let mut text = String::new();
        let session = match (self.session, terminal) {
            (true, false) => {
                "\n# A session of its own: the signals of the caller's terminal are not for it.\ncommand+=(setsid)\n"
            }
            (true, true) => "\n# It stays in the session of the terminal that it uses.\n",
            (false, _) => "",
        };
        let mut unnamed = String::new();
        for entry in &self.unnamed {
            let _ = write!(unnamed, " {entry}");
        }
        let _ = write!(
            text,
            "\n# The command that starts the last shell, from here to the end put together.\n\
             command=() privileges=(--pdeathsig=KILL)\n{session}{}\n\
             # No variable and no ignored signal of this shell is left to the last one.\n\
             exec \"${{command[@]}}\" setpriv \"${{privileges[@]}}\" env -i --default-signal{unnamed} \"$BASH\" -c \
             {READ_LAST}\n",
            self.before.0,
        );
        // Descriptors are closed while the host's /proc can still list them; the rest comes after the change of root.
        let (before, after) = match self.last.0.split_once(CLOSE) {
            Some((comment, after)) => (format!("{}{CLOSE}", comment.trim_start()), after),
            None => (String::new(), self.last.0.as_str()),
        };
        let _ = write!(text, "{before}\n{WAIT}{after}WITHOUT_PRIVILEGES\n");
        text
    }
}

/// The directory that a candidate was made from.
fn directory(path: &[u8]) -> Vec<u8> {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) => b"/".to_vec(),
        Some(end) => path[..end].to_vec(),
        None => b".".to_vec(),
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Capabilities as setpriv(1) wants them: all dropped, then these.
fn capability_list(mask: u64) -> String {
    let mut list = "-all".to_owned();
    for number in (0..u64::BITS).filter(|number| mask & (1 << number) != 0) {
        let name = usize::try_from(number)
            .ok()
            .and_then(|index| capability::ALL.get(index));
        match name.and_then(|name| name.strip_prefix("CAP_")) {
            Some(name) => {
                let _ = write!(list, ",+{}", name.to_ascii_lowercase());
            }
            None => {
                let _ = write!(list, ",+cap_{number}");
            }
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_by_name() {
        assert_eq!(capability_list(0), "-all");
        assert_eq!(capability_list(0b101 | 1 << 50), "-all,+chown,+dac_read_search,+cap_50");
    }

    #[test]
    fn names_a_shell_takes() {
        assert!(is_identifier("PATH_2") && !is_identifier("2x") && !is_identifier("a.b") && !is_identifier(""));
    }
}
