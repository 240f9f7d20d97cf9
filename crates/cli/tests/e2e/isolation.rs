//! What separates a container from its host.

use crate::harness::{Place, as_users, programs, tools};
use std::fs;

/// Capabilities of docker's default container, without the one for making device nodes: chown, dac_override, fowner,
/// fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, audit_write, setfcap.
const CAPABILITIES: [u32; 13] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31];

fn mask(numbers: &[u32]) -> String {
    format!("{:016x}", numbers.iter().fold(0u64, |mask, number| mask | 1 << number))
}

/// A field of /proc/PID/status.
fn field<'t>(status: &'t str, name: &str) -> &'t str {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} in\n{status}")).trim()
}

as_users!(namespaces_are_the_containers_own: root, user, single);
fn namespaces_are_the_containers_own(place: &Place) {
    let said = place
        .inside("for ns in mnt pid ipc uts cgroup; do readlink /proc/self/ns/$ns; done; echo $$; hostname inside 2>&1")
        .fails(1);
    for (line, name) in said.lines().iter().zip(["mnt", "pid", "ipc", "uts", "cgroup"]) {
        let host = fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
        assert!(line.starts_with(&format!("{name}:[")), "{line}");
        assert_ne!(*line, host.to_str().expect("text"), "{name}");
    }
    assert_eq!(said.lines()[5], "1", "the command is process 1");
}

as_users!(capabilities_are_dockers: root, user, single);
fn capabilities_are_dockers(place: &Place) {
    let said = place.inside("cat /proc/self/status").succeeds();
    let all = mask(&CAPABILITIES);
    assert_eq!(field(&said.stdout, "CapBnd"), all);
    assert_eq!(field(&said.stdout, "CapEff"), all);
    assert_eq!(field(&said.stdout, "CapPrm"), all);
    assert_eq!(field(&said.stdout, "CapInh"), mask(&[]));
    assert_eq!(field(&said.stdout, "CapAmb"), mask(&[]));
}

#[test]
fn what_the_caller_lacks_the_container_goes_without() {
    let place = Place::root();
    place.busybox("base");
    let lacking = "set -- setpriv --bounding-set=-net_raw,-audit_write,-setfcap -- \"$@\"";
    let said = place.inside("cat /proc/self/status").after(lacking).succeeds();
    let wanted = mask(&[0, 1, 3, 4, 5, 6, 7, 8, 10, 18]);
    assert_eq!(field(&said.stdout, "CapPrm"), wanted);
    assert_eq!(field(&said.stdout, "CapEff"), wanted);
}

as_users!(a_host_name_that_nobody_asked_for_is_done_without: root, single);
fn a_host_name_that_nobody_asked_for_is_done_without(place: &Place) {
    place.busybox("base");
    let filter = place.write("forbidding.py", include_str!("forbidding.py"));
    let forbidding = format!("set -- /usr/bin/python3 {} \"$@\"", filter.display());
    let run = |more: &[&str]| {
        let words = ["run", "--network=none"].iter().chain(more);
        let call = place.wiac(words.chain(["./base", "./layer", "sh", "-c", "hostname; cat /etc/hostname"].iter()));
        call.after(&forbidding)
    };
    let said = run(&[]).succeeds();
    let own = place.host("hostname").succeeds();
    assert_eq!(said.lines()[0], own.text(), "the machine's");
    let warnings = said.stderr.lines().filter(|line| line.contains("wiac: warning:"));
    assert_eq!(warnings.count(), 1, "{said:?}");
    said.complains(&[
        "can't set the host name",
        "Operation not permitted",
        "going on without it",
    ]);
    // What is asked for is given, or nothing.
    run(&["--hostname=asked"]).fails(125).complains(&[
        "can't set the host name asked",
        "Operation not permitted",
        "leave --hostname out",
    ]);
    // With the machine's network it has the machine's name in any case; builds have nothing to say of it.
    place
        .wiac(["run", "--network=host", "./base", "./other", "hostname"])
        .after(&forbidding)
        .succeeds()
        .never_complains("warning")
        .says(own.text());
    place.image("app", "");
    place
        .build("context", "FROM app\nRUN --network=none hostname >/name\n")
        .after(&forbidding)
        .succeeds();
}

as_users!(another_user_has_no_capabilities: root, user);
fn another_user_has_no_capabilities(place: &Place) {
    place.busybox("base");
    let said = place
        .wiac([
            "run",
            "-u",
            "1000:1000",
            "./base",
            "./layer",
            "cat",
            "/proc/self/status",
        ])
        .succeeds();
    assert_eq!(field(&said.stdout, "CapEff"), mask(&[]));
    assert_eq!(field(&said.stdout, "CapPrm"), mask(&[]));
    assert_eq!(field(&said.stdout, "CapBnd"), mask(&CAPABILITIES));
    // The group is among the supplementary ones too, as in docker since CVE-2022-36109.
    assert_eq!(field(&said.stdout, "Groups"), "1000");
}

as_users!(system_calls_are_filtered: root, user, single);
fn system_calls_are_filtered(place: &Place) {
    let said = place.inside("cat /proc/self/status").succeeds();
    assert_eq!(field(&said.stdout, "Seccomp"), "2");
    assert_eq!(field(&said.stdout, "NoNewPrivs"), "0");
    place.compile(programs::CALLS, "base/calls");
    let said = place.inside("/calls").succeeds();
    // EPERM where a capability would open it; the filter's ENOSYS for calls that programs probe for.
    for name in [
        "unshare",
        "setns",
        "mount",
        "umount2",
        "pivot_root",
        "keyctl",
        "add_key",
        "bpf",
        "kexec_load",
        "init_module",
        "reboot",
        "swapon",
        "settimeofday",
        "open_by_handle_at",
        "perf_event_open",
        "userfaultfd",
        "fsopen",
        "move_mount",
        "io_uring_setup",
    ] {
        let expected = format!("{name}=1\n");
        assert!(
            said.stdout.contains(&expected),
            "{name} is to fail with EPERM:\n{}",
            said.stdout
        );
    }
    said.mentions("clone3=38\n")
        .mentions("getpid=0\n")
        .mentions("userns=1\n");
}

as_users!(set_user_id_programs_work: root, user, single);
fn set_user_id_programs_work(place: &Place) {
    // As in docker, no_new_privs is off: a set-user-id program of the image raises its user.
    if place.account() != Place::single().account() {
        place.busybox("base");
        place.compile(programs::USER, "base/who");
        place.chmod("base/who", 0o4755);
        place
            .wiac(["run", "-u", "1000", "./base", "./layer", "/who"])
            .succeeds()
            .says("1000 as 0");
    }
    place
        .inside("grep NoNewPrivs /proc/self/status")
        .succeeds()
        .mentions("0");
}

as_users!(what_tells_of_the_host_is_hidden: root, user, single);
fn what_tells_of_the_host_is_hidden(place: &Place) {
    place.inside("for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts /proc/sched_debug /proc/latency_stats; do
        [ ! -e $f ] || { test -z \"$(head -c 1 $f)\" || echo seen $f; }; done
        for d in /proc/acpi /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do [ ! -e $d ] || [ -z \"$(ls -A $d)\" ] || echo seen $d; done
        echo looked").succeeds().says("looked");
}

as_users!(the_kernels_switches_can_not_be_thrown: root, user, single);
fn the_kernels_switches_can_not_be_thrown(place: &Place) {
    place.inside("for f in /proc/sys/kernel/domainname /proc/sysrq-trigger /proc/irq/0/smp_affinity /proc/sys/vm/drop_caches /sys/kernel/uevent_helper; do
        if [ -e $f ] && (echo 1 > $f) 2>/dev/null; then echo written $f; fi; done
        mkdir /sys/fs/x 2>/dev/null && echo made
        echo tried").succeeds().says("tried");
    place.inside("grep -E ' /sys ' /proc/mounts").succeeds().mentions("ro,");
    place
        .inside("grep -E ' /proc/sys ' /proc/mounts")
        .succeeds()
        .mentions("ro,");
    place
        .inside("mount -o remount,rw /sys || mount -t tmpfs none /mnt || umount /proc/sys || echo denied")
        .succeeds()
        .says("denied");
}

as_users!(devices_are_the_harmless_ones: root, user, single);
fn devices_are_the_harmless_ones(place: &Place) {
    let said = place.inside("ls -A /dev; ls /dev/pts").succeeds();
    said.says("core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\nptmx");
    place
        .inside(
            "echo gone > /dev/null; test $(head -c 4 /dev/zero | wc -c) = 4; test $(head -c 4 /dev/urandom | wc -c) = 4
        echo full > /dev/full",
        )
        .fails(1)
        .complains(&["No space left"]);
    place
        .inside("echo shared > /dev/shm/x && cat /dev/shm/x && test ! -e /dev/shm/wiac* && stat -c %a /dev/shm")
        .succeeds()
        .says("shared\n1777");
    place
        .inside("for f in fd stdin stdout stderr ptmx; do readlink /dev/$f; done")
        .succeeds()
        .says("/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx");
    // The pipes have to be the user's own, as a shell's are.
    let call = place.inside("echo out > /dev/stdout; echo err > /dev/stderr");
    call.after("\"$@\" 2>&1 | cat; exit").succeeds().says("out\nerr");
    place
        .inside("mknod /x c 1 3")
        .fails(1)
        .complains(&["Operation not permitted"]);
}

#[test]
fn devices_are_the_containers_own() {
    let place = Place::root();
    place.busybox("base");
    let host = place.host("stat -c '%a %U %X %Y' /dev/null /dev/tty").succeeds();
    place
        .inside("chmod 600 /dev/null; touch -d @1 /dev/tty; chown 7 /dev/full; stat -c '%F %t:%T' /dev/null /dev/tty /dev/urandom")
        .succeeds()
        .says("character special file 1:3\ncharacter special file 5:0\ncharacter special file 1:9");
    let after = place.host("stat -c '%a %U %X %Y' /dev/null /dev/tty").succeeds();
    assert_eq!(host.stdout, after.stdout, "a container changed the host's devices");
    // Inside another runtime's container no node may be made.
    let call = place.inside("echo x > /dev/null && stat -c '%F %t:%T' /dev/null && grep -c ' /dev/null ' /proc/mounts");
    call.after("set -- setpriv --bounding-set=-mknod -- \"$@\"")
        .succeeds()
        .says("character special file 1:3\n1");
    // Nodes count in that /dev, so nobody may be able to make others.
    place
        .inside("mknod /dev/memory c 1 1")
        .fails(1)
        .complains(&["Operation not permitted"]);
}

as_users!(only_the_streams_are_open: root, user, single);
fn only_the_streams_are_open(place: &Place) {
    place.busybox("base");
    place.compile(programs::DESCRIPTORS, "base/descriptors");
    let call = place.wiac(["run", "./base", "./layer", "/descriptors"]);
    call.after("exec 7</etc/passwd 9</ 123<>/dev/null")
        .succeeds()
        .says("looked");
}

as_users!(umask_and_signals_are_a_programs_usual_ones: root, user, single);
fn umask_and_signals_are_a_programs_usual_ones(place: &Place) {
    place.busybox("base");
    place.compile(programs::SIGNALS, "base/signals");
    let call = place.wiac(["run", "./base", "./layer", "/signals"]);
    call.after("trap '' INT PIPE TERM HUP QUIT USR1 WINCH")
        .succeeds()
        .says("looked");
    let call = place.inside("umask; touch /made; mkdir /made-dir; stat -c %a /made /made-dir");
    call.after("umask 077").succeeds().says("0022\n644\n755");
}

as_users!(a_caller_that_ignores_its_children_does_no_harm: root, user, single);
fn a_caller_that_ignores_its_children_does_no_harm(place: &Place) {
    place
        .inside("echo fine; exit 6")
        .after("trap '' CHLD")
        .fails(6)
        .says("fine");
}

as_users!(wiacs_own_binary_stays_out_of_reach: root, user, single);
fn wiacs_own_binary_stays_out_of_reach(place: &Place) {
    let before = fs::read(tools::wiac()).expect("the binary").len();
    place.busybox("base");
    for own in ["/proc/self/exe", "/proc/1/exe"] {
        place
            .wiac(["run", "./base", "./layer", own, "--version"])
            .fails(126)
            .complains(&["wiac's own binary"]);
    }
    place.script("base/by-shebang", "#!/proc/self/exe\n");
    place
        .wiac(["run", "./base", "./layer", "/by-shebang"])
        .fails(126)
        .complains(&["wiac's own binary"]);
    place.symlink("/proc/self/exe", "base/by-link");
    place
        .wiac(["run", "./base", "./layer", "/by-link"])
        .fails(126)
        .complains(&["wiac's own binary"]);
    // From inside there is no process of wiac's left to find it by.
    let said = place
        .inside("readlink /proc/[0-9]*/exe; chmod 777 /proc/1/exe; echo x >> /proc/1/exe")
        .fails(1);
    said.mentions("/bin/busybox").never_mentions("wiac");
    assert_eq!(fs::read(tools::wiac()).expect("the binary").len(), before);
}

as_users!(names_resolve_by_the_hosts_servers: root, user, single);
fn names_resolve_by_the_hosts_servers(place: &Place) {
    let servers = fs::read_to_string("/etc/resolv.conf").expect("the host's servers");
    assert!(servers.contains("nameserver"), "this machine has none to compare with");
    let said = place
        .inside("cat /etc/resolv.conf; cat /etc/hosts; cat /etc/hostname")
        .succeeds();
    for server in servers.lines().filter(|line| line.starts_with("nameserver")) {
        assert!(said.stdout.contains(server), "{server} in\n{}", said.stdout);
    }
    said.mentions("127.0.0.1").mentions("localhost");
    place
        .inside("ping -c 1 -W 1 localhost > /dev/null; cat /etc/hostname; hostname")
        .succeeds();
    // They are files of the container's own: neither the host's nor the layer's change.
    let host = fs::read_to_string("/etc/hosts").expect("the host's names");
    place
        .inside("echo 10.9.8.7 mine >> /etc/hosts && grep -c mine /etc/hosts")
        .succeeds()
        .says("1");
    assert_eq!(fs::read_to_string("/etc/hosts").expect("the host's names"), host);
    place.inside("grep -c mine /etc/hosts").fails(1).says("0");
}

as_users!(nothing_of_the_host_is_mounted: root, user, single);
fn nothing_of_the_host_is_mounted(place: &Place) {
    let said = place.inside("cat /proc/self/mountinfo").succeeds();
    let targets: Vec<&str> = said.stdout.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    let trees = ["/proc", "/dev", "/sys"].map(std::path::Path::new);
    let single = ["/", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];
    for target in &targets {
        let is_below = |tree: &std::path::Path| std::path::Path::new(target).starts_with(tree);
        assert!(
            single.contains(target) || trees.into_iter().any(is_below),
            "{target} in\n{}",
            said.stdout
        );
    }
    assert_eq!(
        targets.iter().filter(|target| **target == "/").count(),
        1,
        "{}",
        said.stdout
    );
    place.inside("cd / && cd .. && cd ../.. && ls -d home 2>&1").fails(1);
}

#[test]
fn device_nodes_of_a_layer_can_not_be_opened() {
    let place = Place::root();
    place.busybox("base");
    place
        .host("mknod base/null c 1 3; mknod base/memory c 1 1; chmod 666 base/null base/memory")
        .succeeds();
    place
        .inside("echo x > /null")
        .fails(1)
        .complains(&["Permission denied"]);
    place
        .inside("head -c 1 /memory")
        .fails(1)
        .complains(&["Permission denied"]);
    place.inside("grep ' / ' /proc/mounts").succeeds().mentions("nodev");
}

#[test]
fn the_session_keyring_is_the_containers_own() {
    let place = Place::root();
    place.busybox("base");
    // The only command that may ask for its keyring: a filter forbids the call everywhere else.
    place.compile(programs::KEYRING, "context/keyring");
    place.host("cp -r base context/base").succeeds();
    place.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY base keyring /\nRUN --security=insecure /keyring > /said\n",
    );
    let build = place.wiac(["build", "--allow", "security.insecure", "-t", "keys", "context"]);
    build.succeeds();
    let inside = place.wiac(["run", "keys", "cat", "/said"]).succeeds();
    let outside = place.host("./context/keyring").succeeds();
    assert!(outside.text().parse::<u32>().is_ok(), "{outside:?}");
    assert!(inside.text().parse::<u32>().is_ok(), "{inside:?}");
    assert_ne!(inside.text(), outside.text(), "the container has its caller's keys");
}

#[test]
fn a_working_directory_can_not_lead_out() {
    let place = Place::root();
    place.busybox("base");
    for descriptor in 3..12 {
        let path = format!("/proc/self/fd/{descriptor}");
        let call = place.wiac([
            "run",
            "-w",
            &path,
            "./base",
            "./layer",
            "sh",
            "-c",
            "ls -d home boot 2>/dev/null",
        ]);
        assert!(!call.ends_with_any(&[1, 125, 126, 127]).stdout.contains("home"));
    }
    place.symlink("/proc/self/fd/7", "base/sneaky");
    place
        .wiac(["run", "-w", "/sneaky", "./base", "./layer", "pwd"])
        .fails(125);
    // Neither can a layer's symlinks in place of what is mounted over. Whether such a layer starts is another matter.
    for (number, (name, text)) in [
        ("dev", "../../../../../tmp/wiac-e2e-escape"),
        ("proc", "/../../tmp/wiac-e2e-escape"),
        ("etc", "/../../tmp/wiac-e2e-escape"),
    ]
    .into_iter()
    .enumerate()
    {
        place.symlink(text, &format!("evil{number}/{name}"));
        place
            .sh(&format!("./evil{number}:./base"), &format!("./other{number}"), "true")
            .ends_with_any(&[0, 125]);
        assert!(!std::path::Path::new("/tmp/wiac-e2e-escape").exists(), "{name}");
    }
}

as_users!(users_of_a_container_resolve_names_whatever_the_callers_umask: root, user);
fn users_of_a_container_resolve_names_whatever_the_callers_umask(place: &Place) {
    place.busybox("base");
    let read = "cat /etc/resolv.conf /etc/hosts /etc/hostname >/dev/null && umask";
    place
        .wiac(["run", "-u", "1000:1000", "./base", "./layer", "sh", "-c", read])
        .after("umask 077")
        .succeeds()
        .says("0022");
}
