//! A bundle for crun: a ready root, and a configuration like docker's (capabilities, seccomp, hidden paths), in the
//! five namespaces that wiac makes.

use crate::{Outcome, shell};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// docker's default profile, as the package containers-common brings it.
const SECCOMP: &str = "/usr/share/containers/seccomp.json";

/// docker's default capabilities.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Makes `bundle`, whose `rootfs` is there, into one that runs `program`.
pub(super) fn write(bundle: &Path, program: &str) -> Outcome {
    shell::finish(Command::new("crun").arg("spec").current_dir(bundle))?;
    let path = bundle.join("config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    config["root"] = json!({ "path": "rootfs", "readonly": false });
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!([program]);
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(CAPABILITIES);
    }
    // Raising limits needs a capability that some machines lack.
    config["process"]["rlimits"] = json!([]);
    let namespaces = ["mount", "pid", "ipc", "uts", "cgroup"].map(|kind| json!({ "type": kind }));
    config["linux"]["namespaces"] = json!(namespaces);
    let profile = std::fs::read_to_string(SECCOMP).map_err(|error| format!("{SECCOMP}: {error}"))?;
    config["linux"]["seccomp"] = seccomp(&serde_json::from_str(&profile)?);
    Ok(std::fs::write(path, serde_json::to_string_pretty(&config)?)?)
}

/// The profile in the form of the runtime: what depends on architecture and capabilities is decided.
fn seccomp(profile: &Value) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let calls = profile["syscalls"].as_array().into_iter().flatten().filter(|call| {
        let (includes, excludes) = (&call["includes"], &call["excludes"]);
        let has = |list: &Value, word: &str| list.as_array().is_some_and(|list| list.iter().any(|item| item == word));
        let any = |list: &Value| CAPABILITIES.iter().any(|name| has(list, name));
        let empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
        (empty(&includes["caps"]) || any(&includes["caps"]))
            && (empty(&includes["arches"]) || has(&includes["arches"], architecture))
            && !any(&excludes["caps"])
            && !has(&excludes["arches"], architecture)
    });
    let calls = calls.map(|call| {
        let mut kept = serde_json::Map::new();
        for key in ["names", "action", "args", "errnoRet"] {
            if let Some(value) = call.get(key).filter(|value| !value.is_null()) {
                kept.insert(key.to_owned(), value.clone());
            }
        }
        Value::Object(kept)
    });
    let native = format!("SCMP_ARCH_{}", std::env::consts::ARCH.to_uppercase());
    let map = profile["archMap"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|entry| entry["architecture"] == native);
    let below = map
        .and_then(|entry| entry["subArchitectures"].as_array())
        .into_iter()
        .flatten()
        .cloned();
    let architectures: Vec<Value> = std::iter::once(json!(native)).chain(below).collect();
    json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile.get("defaultErrnoRet").cloned().unwrap_or(json!(1)),
        "architectures": architectures,
        "syscalls": calls.collect::<Vec<_>>(),
    })
}
