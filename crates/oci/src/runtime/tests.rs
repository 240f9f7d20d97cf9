//! Tests of the runtime configuration's reading and writing, and of the default container.

use serde_json::{Value, json};

use super::*;

/// Every field of the specification once.
fn complete() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "terminal": true,
            "consoleSize": {"height": 24, "width": 80},
            "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3], "username": "x"},
            "args": ["sh"], "env": ["A=1"], "cwd": "/",
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"],
                             "permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 10, "soft": 5}],
            "noNewPrivileges": true, "apparmorProfile": "p", "oomScoreAdj": -5,
            "scheduler": {"policy": "SCHED_DEADLINE", "nice": 1, "priority": 0, "flags": ["SCHED_FLAG_RECLAIM"],
                          "runtime": 1, "deadline": 2, "period": 3},
            "selinuxLabel": "l", "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
            "execCPUAffinity": {"initial": "0", "final": "1-2"}
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "h", "domainname": "d",
        "mounts": [{"destination": "/x", "type": "bind", "source": "/y", "options": ["rbind", "idmap"],
                    "uidMappings": [{"containerID": 0, "hostID": 1, "size": 2}],
                    "gidMappings": [{"containerID": 0, "hostID": 1, "size": 2}]}],
        "hooks": {
            "prestart": [{"path": "/a", "args": ["a"], "env": ["B=1"], "timeout": 3}],
            "createRuntime": [{"path": "/b"}], "createContainer": [{"path": "/c"}],
            "startContainer": [{"path": "/d"}], "poststart": [{"path": "/e"}], "poststop": [{"path": "/f"}]
        },
        "annotations": {"k": "v"},
        "linux": {
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "resources": resources(),
            "cgroupsPath": "/c",
            "namespaces": [{"type": "pid"}, {"type": "network", "path": "/n"}, {"type": "mount"}, {"type": "ipc"},
                           {"type": "uts"}, {"type": "user"}, {"type": "cgroup"}, {"type": "time"}],
            "devices": [{"type": "c", "path": "/dev/f", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "listenerPath": "/l", "listenerMetadata": "m",
                "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "errnoRet": 38,
                              "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]}]
            },
            "rootfsPropagation": "slave",
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "mountLabel": "ml",
            "intelRdt": {"closID": "c", "l3CacheSchema": "L3", "memBwSchema": "MB", "enableCMT": true, "enableMBM": true},
            "personality": {"domain": "LINUX32"},
            "timeOffsets": {"boottime": {"secs": -1, "nanosecs": 5}}
        }
    })
}

fn resources() -> Value {
    json!({
        "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "r"}],
        "memory": {"limit": 1, "reservation": 2, "swap": -1, "kernel": 3, "kernelTCP": 4, "swappiness": 5,
                   "disableOOMKiller": true, "useHierarchy": true, "checkBeforeUpdate": true},
        "cpu": {"shares": 1, "quota": -1, "burst": 2, "period": 3, "realtimeRuntime": 4, "realtimePeriod": 5,
                "cpus": "0-1", "mems": "0", "idle": 1},
        "pids": {"limit": 9},
        "blockIO": {
            "weight": 10, "leafWeight": 20, "weightDevice": [{"major": 8, "minor": 0, "weight": 1, "leafWeight": 2}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
            "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2}],
            "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 4}]
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
        "network": {"classID": 1, "priorities": [{"name": "eth0", "priority": 2}]},
        "rdma": {"mlx": {"hcaHandles": 1, "hcaObjects": 2}},
        "unified": {"memory.high": "1"}
    })
}

/// Any field without a Rust name.
fn unknown(config: &RuntimeConfig) -> Vec<&String> {
    let process = config.process.as_ref().unwrap();
    let linux = config.linux.as_ref().unwrap();
    let resources = linux.resources.as_ref().unwrap();
    [
        &config.extra,
        &process.extra,
        &linux.extra,
        &resources.extra,
        &resources.memory.as_ref().unwrap().extra,
        &resources.cpu.as_ref().unwrap().extra,
        &linux.intel_rdt.as_ref().unwrap().extra,
        &config.mounts[0].extra,
        &config.hooks.as_ref().unwrap().extra,
    ]
    .into_iter()
    .flat_map(serde_json::Map::keys)
    .collect()
}

#[test]
fn every_field_is_known_and_written_back() {
    let config: RuntimeConfig = serde_json::from_value(complete()).unwrap();
    assert_eq!(unknown(&config), Vec::<&String>::new());
    assert_eq!(serde_json::to_value(&config).unwrap(), complete());
}

#[test]
fn unknown_fields_are_kept() {
    let text = json!({"ociVersion": "1.3.0", "vm": {"a": 1}, "linux": {"netDevices": {"eth0": {}}, "memoryPolicy": 1}});
    let config: RuntimeConfig = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&config).unwrap(), text);
}

#[test]
fn null_is_nothing() {
    let text = r#"{"ociVersion":"1.0.2","mounts":null,"annotations":null,"hooks":null,
        "process":{"cwd":"/","args":null,"user":{"uid":0,"gid":0,"additionalGids":null},"capabilities":null},
        "linux":{"devices":null,"namespaces":null,"seccomp":null,"resources":{"devices":null,"pids":null}}}"#;
    let config = RuntimeConfig::parse(text.as_bytes()).unwrap();
    assert_eq!(config.mounts, []);
    assert_eq!(config.process.unwrap().capabilities, None);
}

#[test]
fn what_is_required_is_asked_for() {
    let error = RuntimeConfig::parse(br#"{"process":{"cwd":"/"}}"#)
        .unwrap_err()
        .to_string();
    assert!(error.contains("ociVersion"), "{error}");
    let error = RuntimeConfig::parse(br#"{"ociVersion":"1","linux":{"namespaces":[{"type":"x"}]}}"#).unwrap_err();
    assert!(error.to_string().contains("unknown variant `x`"), "{error}");
}

#[test]
fn the_default_container_is_dockers() {
    let config = RuntimeConfig::default_container();
    let process = config.process.as_ref().unwrap();
    let capabilities = process.capabilities.as_ref().unwrap();
    assert_eq!(capabilities.bounding.len(), 14);
    assert_eq!(capabilities.inheritable, Vec::<String>::new());
    assert_eq!(process.rlimits, []);
    let destinations: Vec<_> = config.mounts.iter().map(|mount| mount.destination.as_str()).collect();
    let expected = [
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        "/sys/fs/cgroup",
        "/dev/mqueue",
        "/dev/shm",
    ];
    assert_eq!(destinations, expected);
    let linux = config.linux.as_ref().unwrap();
    assert!(linux.namespace(NamespaceType::Network).is_some());
    assert!(linux.namespace(NamespaceType::User).is_none());
    let text = serde_json::to_vec(&config).unwrap();
    assert_eq!(RuntimeConfig::parse(&text).unwrap(), config);
}

#[test]
fn the_hosts_network_takes_its_sysctls_along() {
    let linux = RuntimeConfig::default_container().with_host_network().linux.unwrap();
    assert!(linux.namespace(NamespaceType::Network).is_none());
    assert!(linux.sysctl.is_empty());
}
