//! Git repositories through the program `git`, which knows its user's keys, proxies and helpers.
//!
//! Which ref a name means, and what is fetched, is BuildKit's rule (source/git). What could be a password is never on a
//! command line: git reads the address from its environment.

use crate::error::Failure;
use rustix::fs::AtFlags;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::Builder;
use std::time::Duration;
use wiac_build::fetch::Surroundings;
use wiac_dockerfile::remote::GitSource;
use wiac_sys::times;

/// The name git knows the repository by.
const REMOTE: &str = "origin";

/// Variables that would make git work on another repository than the one meant.
const MISLEADING: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
];

/// Settings of every call: nothing of the repository is executed, and a server that falls silent is given up.
const SETTINGS: [(&str, &str); 7] = [
    ("core.hooksPath", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.fsmonitor", "false"),
    ("protocol.ext.allow", "never"),
    ("http.lowSpeedLimit", "100"),
    ("http.lowSpeedTime", "60"),
    ("advice.detachedHead", "false"),
];

/// The commit that a ref of the repository is at present; a whole commit is taken as it is.
///
/// # Errors
/// Where there is no such ref, the repository can't be reached, or there is no git.
pub(crate) fn resolve(git: &GitSource, around: &dyn Surroundings) -> Result<String, Failure> {
    let reference = git.reference.as_deref().unwrap_or("HEAD");
    if is_commit(reference) {
        return Ok(reference.to_ascii_lowercase());
    }
    let here = Path::new("/");
    let listed = call(
        git,
        here,
        &["ls-remote", "--", REMOTE, reference, &format!("{reference}^{{}}")],
        around,
    )?;
    let found = pick(&listed, reference).map(str::to_owned);
    found.filter(|commit| is_commit(commit)).ok_or_else(|| {
        Failure::new(format!(
            "{}: there is no ref {reference}; git ls-remote shows those that there are",
            git.shown()
        ))
    })
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The commit of a ref in the output of ls-remote: a whole ref first, then a branch, then a tag, as git checks out.
fn pick<'l>(listed: &'l str, reference: &str) -> Option<&'l str> {
    let of = |name: &str| {
        let line = listed.lines().filter_map(|line| line.split_once('\t'));
        line.filter(|(_, known)| *known == name)
            .map(|(commit, _)| commit)
            .next()
    };
    if reference == "HEAD" {
        return of("HEAD");
    }
    let below = |prefix: &str| format!("{prefix}{}", reference.strip_prefix(prefix).unwrap_or(reference));
    let tag = below("refs/tags/");
    // Of an annotated tag the commit that it is for.
    let peeled = |name: &str| of(&format!("{name}^{{}}")).or_else(|| of(name));
    peeled(&below("refs/"))
        .or_else(|| of(&below("refs/heads/")))
        .or_else(|| peeled(&tag))
}

/// Puts the files of a commit, and its submodules' where they are wanted, into the empty directory `into`.
///
/// # Errors
/// As [`resolve`]; a commit that the repository hasn't got.
pub(crate) fn checkout(
    git: &GitSource,
    commit: &str,
    keep_git_dir: bool,
    into: &Path,
    around: &dyn Surroundings,
) -> Result<(), Failure> {
    let call = |words: &[&str]| call(git, into, words, around);
    call(&["init", "--quiet", "."])?;
    fetch(git, commit, &call)?;
    call(&["checkout", "--quiet", "--force", "--detach", commit])?;
    if git.submodules && into.join(".gitmodules").is_file() {
        let update = ["submodule", "--quiet", "update", "--init", "--recursive"];
        // Not every server gives a part of the history.
        let shallow = [&update[..], &["--depth=1"]].concat();
        if call(&shallow).is_err() {
            call(&update)?;
        }
    }
    if keep_git_dir {
        note_remote(git, &call)?;
    }
    let time = git.commit_time.then(|| commit_time(git, commit, &call)).transpose()?;
    let is_kept = |name: &std::ffi::OsStr| keep_git_dir || name != ".git";
    settle(into, &is_kept)
        .and_then(|()| time.map_or(Ok(()), |seconds| set_times(into, seconds)))
        .map_err(|error| Failure::new(format!("{}: {}", into.display(), crate::error::words(&error))))
}

/// When a commit was made by its committer, in seconds since 1970.
fn commit_time(git: &GitSource, commit: &str, call: &Call<'_>) -> Result<i64, Failure> {
    let said = call(&["rev-list", "--no-walk", "--timestamp", commit])?;
    let seconds = said.split_whitespace().next().and_then(|word| word.parse().ok());
    seconds.ok_or_else(|| Failure::new(format!("{}: the commit {commit} has no time", git.shown())))
}

/// Gives everything in a directory, and itself, one time.
fn set_times(directory: &Path, seconds: i64) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            set_times(&entry.path(), seconds)?;
        } else {
            set_time(&entry.path(), seconds)?;
        }
    }
    // Last: what was done in it changed its time.
    set_time(directory, seconds)
}

fn set_time(path: &Path, seconds: i64) -> std::io::Result<()> {
    Ok(rustix::fs::utimensat(
        rustix::fs::CWD,
        path,
        &times::at(seconds, 0),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// The commit alone; where the server doesn't give that, the ref alone; else everything.
fn fetch(git: &GitSource, commit: &str, call: &Call<'_>) -> Result<(), Failure> {
    let has_commit = || call(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).is_ok();
    let named = git
        .reference
        .as_deref()
        .filter(|name| !is_commit(name))
        .unwrap_or("HEAD");
    for (wanted, depth) in [(commit, Some("--depth=1")), (named, Some("--depth=1")), (named, None)] {
        let mut words = vec!["fetch", "--quiet", "--no-tags", "--no-recurse-submodules"];
        words.extend(depth);
        words.extend(["--", REMOTE, wanted]);
        if call(&words).is_ok() && has_commit() {
            return Ok(());
        }
    }
    let all = [
        "fetch",
        "--quiet",
        "--tags",
        "--force",
        "--no-recurse-submodules",
        "--",
        REMOTE,
    ];
    call(&[&all[..], &["+refs/heads/*:refs/remotes/origin/*"]].concat())?;
    if has_commit() {
        return Ok(());
    }
    Err(Failure::new(format!("{}: it has no commit {commit}", git.shown())))
}

/// Writes down where the repository came from, without a password.
fn note_remote(git: &GitSource, call: &Call<'_>) -> Result<(), Failure> {
    let key = format!("remote.{REMOTE}.url");
    call(&["config", "--file", ".git/config", &key, &git.shown()]).map(drop)
}

/// Modes as they are in every checkout, whatever the umask; takes away what isn't kept.
fn settle(directory: &Path, is_kept: &dyn Fn(&std::ffi::OsStr) -> bool) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if !is_kept(&entry.file_name()) {
            if kind.is_dir() {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        } else if kind.is_dir() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            settle(&path, is_kept)?;
        } else if kind.is_file() {
            let is_program = entry.metadata()?.permissions().mode() & 0o100 != 0;
            let mode = if is_program { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

/// Runs git in the directory of the checkout.
type Call<'c> = dyn Fn(&[&str]) -> Result<String, Failure> + 'c;

/// How soon it is looked whether git has ended, or is to.
const PAUSE: Duration = Duration::from_millis(5);

/// Runs git in a directory, and gives what it prints.
fn call(git: &GitSource, directory: &Path, words: &[&str], around: &dyn Surroundings) -> Result<String, Failure> {
    let mut command = Command::new("git");
    for name in MISLEADING {
        command.env_remove(name);
    }
    let address = (format!("remote.{REMOTE}.url"), git.remote.as_str());
    let settings = SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), *value));
    let all: Vec<_> = settings.chain([address]).collect();
    command.env("GIT_CONFIG_COUNT", all.len().to_string());
    for (number, (key, value)) in all.iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{number}"), key);
        command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    command
        .args(words)
        .current_dir(directory)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = output(&mut command, around).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(format!(
            "{}: there is no program git on this machine, which fetches repositories; install it (Debian: apt-get \
             install git)",
            git.shown()
        )),
        _ => Failure::new(format!("git can't be run: {}", crate::error::words(&error))),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).replace(&git.remote, &git.shown());
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    let verb = words.first().copied().unwrap_or_default();
    Err(Failure::new(format!(
        "{}: git {verb} fails: {}",
        git.shown(),
        last.join(" / ")
    )))
}

/// Runs a program to its end, or as long as it is wanted.
fn output(command: &mut Command, around: &dyn Surroundings) -> std::io::Result<Output> {
    let mut started = None;
    around.start(&mut || started = Some(command.spawn()));
    let mut child = started.unwrap_or_else(|| Err(std::io::Error::other("it was not started")))?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let stdout = Builder::new().spawn_scoped(scope, move || read_all(out.as_mut()));
        let stderr = Builder::new().spawn_scoped(scope, move || read_all(err.as_mut()));
        let (stdout, stderr) = match (stdout, stderr) {
            (Ok(stdout), Ok(stderr)) => (stdout, stderr),
            (Err(error), _) | (_, Err(error)) => {
                child.kill()?;
                child.wait()?;
                let text = format!("no thread can be started beside it: {}", crate::error::words(&error));
                return Err(std::io::Error::new(error.kind(), text));
            }
        };
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if around.is_ending() {
                child.kill()?;
            }
            std::thread::sleep(PAUSE);
        };
        let joined = |thread: std::thread::ScopedJoinHandle<'_, Vec<u8>>| thread.join().unwrap_or_default();
        Ok(Output {
            status,
            stdout: joined(stdout),
            stderr: joined(stderr),
        })
    })
}

/// What comes until it breaks off.
fn read_all(from: Option<&mut impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let _ = from.read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_comes_before_a_tag() {
        let listed =
            "1\trefs/heads/v1\n2\trefs/tags/v1\n3\trefs/tags/v1^{}\n4\trefs/tags/v2\n5\trefs/tags/v2^{}\n6\tHEAD\n";
        assert_eq!(pick(listed, "v1"), Some("1"));
        assert_eq!(pick(listed, "refs/tags/v1"), Some("3"));
        assert_eq!(pick(listed, "tags/v2"), Some("5"));
        assert_eq!(pick(listed, "v2"), Some("5"));
        assert_eq!(pick(listed, "HEAD"), Some("6"));
        assert_eq!(pick(listed, "v3"), None);
    }
}
