//! The script of a plan, run by bash, makes the same container as the engine.

#![allow(clippy::expect_used, reason = "a test")]

#[path = "shell/fixture.rs"]
mod fixture;

use fixture::{Fixture, bash, compare, plan, probe, process, run_engine, run_script, sections};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use wiac_oci::capability;
use wiac_oci::runtime::{Capabilities, Mount, Rlimit, RuntimeConfig};
use wiac_run::plan::Rootfs;
use wiac_run::shell;

#[test]
fn an_ordinary_container() {
    let fixture = Fixture::new("layers");
    let found = compare(&fixture, &probe());
    assert!(found["root"].iter().any(|line| line.starts_with("/of ")), "{found:?}");
    assert_eq!(found["names"][1], "probe");
    assert!(
        !fs::read_to_string("/proc/self/mountinfo")
            .expect("read")
            .contains("merged")
    );
}

#[test]
fn a_writable_and_a_read_only_volume() {
    let fixture = Fixture::new("layers");
    let mut config = probe();
    for options in [&["ro"][..], &["ro", "noexec", "nosuid"], &[]] {
        config.mounts.push(Mount::bind(fixture.volume(), "/data", options));
        config
            .mounts
            .push(Mount::bind(fixture.volume() + "/file", "/etc/resolv.conf", &[]));
        let found = compare(&fixture, &config);
        assert_eq!(found["volume"].len(), if options.is_empty() { 2 } else { 3 });
        assert!(
            !Path::new("/run/inside").exists(),
            "a mount's target was made on the host"
        );
        config.mounts.truncate(config.mounts.len() - 2);
        fs::remove_dir_all(fixture.directory.path().join("engine")).expect("rm");
        fs::remove_dir_all(fixture.directory.path().join("script")).expect("rm");
    }
}

#[test]
fn a_volume_with_a_mount_below_it() {
    let fixture = Fixture::new("layers");
    let volume = fixture.directory.path().join("volume with: spaces");
    fs::create_dir_all(volume.join("below")).expect("mkdir");
    let below = volume.join("below");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "tmpfs"])
        .arg(&below)
        .status();
    assert!(mounted.expect("mount(8)").success());
    let mut config = probe();
    config.mounts.push(Mount::bind(&volume, "/data", &["ro", "nosuid"]));
    process(&mut config).args[2].push_str("\n$1 touch /data/below/x 2>&1 || :");
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| compare(&fixture, &config)));
    assert!(
        Command::new("umount")
            .arg(&below)
            .status()
            .expect("umount(8)")
            .success()
    );
    let mounts = &found.expect("the same")["mounts"];
    assert!(
        mounts.iter().any(|line| line.contains(" /data/below ro,nosuid")),
        "{mounts:?}"
    );
}

#[test]
fn a_read_only_root() {
    let fixture = Fixture::new("layers");
    let mut config = probe();
    config.root.as_mut().expect("the default has a root").readonly = true;
    let found = compare(&fixture, &config);
    assert!(
        found["changes"].iter().any(|line| line.contains("Read-only")),
        "{found:?}"
    );
}

#[test]
fn another_user_with_groups() {
    let fixture = Fixture::new("layers");
    let mut config = probe();
    let process = process(&mut config);
    (process.user.uid, process.user.gid) = (1000, 1000);
    process.user.additional_gids = vec![5, 2000];
    process.user.umask = Some(0o077);
    process.no_new_privileges = true;
    process.cwd = "/workdir/made".into();
    process.capabilities = Some(Capabilities::for_user(1000, &capability::DEFAULT.map(str::to_owned)));
    let found = compare(&fixture, &config);
    assert_eq!(found["user"], ["uid=1000 gid=1000 groups=5,2000"]);
    assert_eq!(found["directory"], ["/workdir/made"]);
}

#[test]
fn another_user_with_a_capability() {
    let fixture = Fixture::new("layers");
    let mut config = probe();
    let process = process(&mut config);
    process.user.uid = 1000;
    let names = vec!["CAP_NET_BIND_SERVICE".to_owned()];
    process.capabilities = Some(Capabilities {
        bounding: names.clone(),
        effective: names.clone(),
        permitted: names.clone(),
        inheritable: names.clone(),
        ambient: names,
    });
    let found = compare(&fixture, &config);
    assert!(
        found["privileges"].contains(&"CapEff:\t0000000000000400".to_owned()),
        "{found:?}"
    );
}

#[test]
fn no_capabilities_but_a_limit_and_a_network() {
    let fixture = Fixture::new("layers");
    let mut config = RuntimeConfig::default_container();
    config.domainname = Some("example.org".into());
    let wanted = process(&mut config);
    *wanted = process(&mut probe()).clone();
    wanted.capabilities = None;
    wanted.args[0] = "/bin/sh".into();
    wanted.oom_score_adj = Some(500);
    for kind in ["RLIMIT_NOFILE", "RLIMIT_CORE"] {
        wanted.rlimits.push(Rlimit {
            kind: kind.into(),
            soft: 200,
            hard: 1000,
        });
    }
    let found = compare(&fixture, &config);
    assert!(found["network"].contains(&"0x9".to_owned()), "{found:?}");
}

#[test]
fn variables_of_every_kind() {
    let fixture = Fixture::new("layers");
    let mut config = probe();
    process(&mut config).env.extend(
        [
            "QUOTES=it's a \"quote\" and a `tick` and a $HOME \\",
            "LINES=one\n  two\nWITHOUT_PRIVILEGES\n\tthree\n",
            "EMPTY=",
            "LC_ALL=xx_XX.UTF-8",
            "LD_PRELOAD=/not/there.so",
            "BASH_ENV=/not/there",
            "IFS=:",
            "RANDOM=5",
            "SHLVL=7",
            "PWD=/elsewhere",
            "dotted.name=1",
            "GREEK=αβγ",
        ]
        .map(str::to_owned),
    );
    compare(&fixture, &config);
}

#[test]
fn no_search_path_in_the_environment() {
    let fixture = Fixture::new("layers");
    let mut config = probe();
    process(&mut config).env = vec!["A=1".into()];
    let found = compare(&fixture, &config);
    assert_eq!(found["environment"], ["A=1"]);
}

#[test]
fn layers_with_awkward_names() {
    for name in ["with:colon,and comma", r"back\slash\", "it's \"quoted\"", "new\nline"] {
        compare(&Fixture::new(name), &probe());
    }
}

#[test]
fn more_layers_than_their_names_leave_room_for() {
    let mut fixture = Fixture::new("layers");
    for number in 0..100 {
        let layer = fixture
            .directory
            .path()
            .join(format!("a layer with a long name, number {number}"));
        fs::create_dir_all(layer.join("of")).expect("mkdir");
        fs::write(layer.join("of").join(number.to_string()), "").expect("write");
        fixture.layers.insert(1, layer);
    }
    compare(&fixture, &probe());
}

#[test]
fn a_directory_as_the_root() {
    let fixture = Fixture::new("layers");
    let rootfs = Rootfs::Directory(fixture.layers[0].clone());
    let config = probe();
    let engine = sections(&run_engine(&config, &rootfs));
    fs::remove_file(fixture.layers[0].join("made")).expect("the probe makes it");
    let by_hand = sections(&run_script(&shell::script(&plan(&config, &rootfs), None)));
    for (name, lines) in &engine {
        assert_eq!(&by_hand[name], lines, "section {name}, first the script's");
    }
}

#[test]
fn missing_directories_are_made_and_the_exit_code_is_the_commands() {
    let fixture = Fixture::new("layers");
    fs::set_permissions(&fixture.layers[2], fs::Permissions::from_mode(0o711)).expect("chmod");
    let mut config = probe();
    process(&mut config).args = ["sh", "-c", "exit 42"].map(str::to_owned).to_vec();
    let script = shell::script(&plan(&config, &fixture.rootfs("script")), None);
    let own = fixture.directory.path().join("script");
    fs::remove_dir_all(&own).expect("rm");
    let output = bash(&script).output().expect("bash");
    assert_eq!(output.status.code(), Some(42), "{output:?}\n{script}");
    let mode = fs::metadata(own.join("upper")).expect("stat").permissions().mode();
    assert_eq!(mode & 0o7777, 0o711);
    // A volatile upper can be mounted again.
    assert_eq!(bash(&script).output().expect("bash").status.code(), Some(42));
}

#[test]
fn a_command_that_is_not_there_is_an_error() {
    let fixture = Fixture::new("layers");
    let mut config = probe();
    process(&mut config).args = vec!["missing".into()];
    let script = shell::script(&plan(&config, &fixture.rootfs("script")), None);
    let output = bash(&script).output().expect("bash");
    assert_eq!(output.status.code(), Some(127), "{output:?}");
}

#[test]
fn nothing_is_left_when_it_is_killed() {
    let fixture = Fixture::new("layers");
    let mut config = probe();
    let process = process(&mut config);
    process.user.uid = 1000;
    process.args = ["sh", "-c", "echo started; exec busybox sleep 1000"]
        .map(str::to_owned)
        .to_vec();
    let script = shell::script(&plan(&config, &fixture.rootfs("script")), None);
    let (mut output, inside) = std::io::pipe().expect("pipe");
    let mut command = bash(&script);
    let mut child = command.stdout(inside).spawn().expect("bash");
    drop(command);
    let mut started = [0; 8];
    output.read_exact(&mut started).expect("it starts");
    child.kill().expect("kill");
    child.wait().expect("it ends");
    // Ends when no process has the pipe any more.
    output.read_to_end(&mut Vec::new()).expect("read");
}

#[test]
fn files_of_the_caller_are_written_first() {
    let fixture = Fixture::new("layers");
    let hosts = fixture.directory.path().join("files/hosts");
    fs::create_dir(fixture.directory.path().join("files")).expect("mkdir");
    fs::write(&hosts, "").expect("write");
    let mut config = probe();
    config.mounts.push(Mount::bind(&hosts, "/etc/hosts", &[]));
    process(&mut config).args = ["busybox", "cat", "/etc/hosts"].map(str::to_owned).to_vec();
    let plan = plan(&config, &fixture.rootfs("script"));
    fs::remove_dir_all(fixture.directory.path().join("files")).expect("rm");
    let text = "127.0.0.1\tlocalhost it's\n";
    let script = shell::script_with_files(&plan, None, &[(hosts, text.into())], &[]);
    assert_eq!(run_script(&script), text);
}

#[test]
fn the_script_is_a_function_of_the_plan() {
    let fixture = Fixture::new("layers");
    let plan = plan(&probe(), &fixture.rootfs("script"));
    assert_eq!(shell::script(&plan, None), shell::script(&plan, None));
}
