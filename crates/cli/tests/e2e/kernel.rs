//! Debian's kernels, which are installed everywhere, from the oldest that wiac runs on, and a machine with cgroup v2
//! alone, whose /sys/fs/cgroup is the container's own.

use crate::harness::Place;
use crate::harness::machine::{self, Kernel};

/// An image whose steps delete what lower layers have.
const DOCKERFILE: &str = "FROM scratch
COPY bin /bin
RUN [\"/bin/sh\", \"-c\", \"echo one > /one; mkdir /d /e; touch /d/x /e/x\"]
RUN [\"/bin/sh\", \"-c\", \"rm /one && rm -r /d /e && mkdir /d && touch /d/y\"]
ENTRYPOINT [\"/bin/sh\", \"-c\"]
";

/// Stages that are seen as a whole: copied from and mounted.
const STAGES: &str = "FROM image AS many
FROM image AS mounts
RUN --mount=from=many,target=/m [\"/bin/sh\", \"-c\", \"ls -d /m/d/* && ! touch /m/x\"]
RUN --mount=from=many,target=/m,rw [\"/bin/sh\", \"-c\", \"echo new > /m/x && cp /m/x /new\"]
FROM image
COPY --from=many / /seen
COPY --from=mounts /new /new
";

/// Every part begins with a line `== NAME`.
const SCRIPT: &str = r#"
mkdir -p /context/bin
cp /bin/busybox /context/bin/sh
cp /dockerfile /context/Dockerfile
echo '== kernel'
uname -r
cat /sys/fs/cgroup/cgroup.controllers
echo '== root'
wiac build -q -t image /context >/dev/null
wiac run image 'ls -d /one /d/* /e; grep -c overlay /proc/mounts; cat /proc/self/cgroup'
wiac run image 'grep " /sys/fs/cgroup " /proc/mounts; mkdir /sys/fs/cgroup/x'
wiac run image 'exit 7'; echo "ended with $?"
echo '== stages'
wiac build -q -t stages -f /stages /context >/dev/null
wiac run stages 'ls -d /seen/one /seen/d/* /seen/e; cat /new'
echo '== mounts'
mkdir /shared
wiac run -v /shared:/read:ro -v /shared:/write image 'echo x > /proc/sys/kernel/hostname; touch /read/x; touch /write/x && ls /write/*'
wiac run --read-only image 'touch /x'
echo '== layers'
(echo FROM image; for number in $(seq 60); do echo "RUN [\"/bin/sh\", \"-c\", \"echo $number > /number\"]"; done) > /many
wiac build -q -t many -f /many /context >/dev/null
wiac run many 'cat /number'
echo '== directories'
mkdir -p /lower/bin /layer
cp /bin/busybox /lower/bin/sh
wiac run /lower /layer /bin/sh -c 'echo kept > /file'
cat /layer/diff/file
for number in $(seq 400); do mkdir /below$number; echo $number > /below$number/number; chain=/below$number:$chain; done
wiac run $chain/lower /layer2 /bin/sh -c 'cat /number'
echo '== user'
cp -r /context /home/context
chown -R user:user /home/context
su user -c 'wiac build -q -t image /home/context >/dev/null; wiac run image "ls -d /one /d/* /e; id -u; cat /proc/self/cgroup"'
echo '== user on tmpfs'
su user -c 'mkdir /tmp/mine; WIAC_DATA=/tmp/mine/data wiac build -q /home/context; echo "ended with $?"; ls /tmp/mine/data'
echo '== limits'
echo 0 > /proc/sys/user/max_pid_namespaces
wiac run image true
echo 1000 > /proc/sys/user/max_pid_namespaces
rmmod overlay
wiac run image true
insmod /modules/overlay.ko
mount -t tmpfs none /proc/acpi
su user -c 'wiac run image true'
umount /proc/acpi
echo 0 > /proc/sys/kernel/unprivileged_userns_clone
su user -c 'wiac run image true'
echo '== left'
grep -c wiac /proc/mounts
ls /var/lib/wiac/tmp /home/.local/share/wiac/tmp
wiac store check
echo 1 > /proc/sys/kernel/unprivileged_userns_clone
su user -c 'wiac store check'
"#;

fn part<'s>(said: &'s str, name: &str) -> &'s str {
    let start = format!("== {name}\n");
    let rest = said
        .split(&start)
        .nth(1)
        .unwrap_or_else(|| panic!("no part {name}: {said}"));
    rest.split("\n== ").next().unwrap_or(rest).trim()
}

/// Boots `kernel` and runs the script; checks what is the same for all.
fn said_by(kernel: Kernel) -> String {
    let place = Place::root();
    let script = format!("cat > /dockerfile <<'END'\n{DOCKERFILE}END\ncat > /stages <<'END'\n{STAGES}END\n{SCRIPT}");
    let said = machine::runs(kernel, place.dir(), &script);
    assert!(
        part(&said, "kernel").contains("memory"),
        "cgroup v2 has no controllers: {said}"
    );
    assert_eq!(
        files(part(&said, "root")),
        "/d/y\n1\n0::/\ncgroup /sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime 0 0\n\
        mkdir: can't create directory '/sys/fs/cgroup/x': Read-only file system\nended with 7"
    );
    assert_eq!(files(part(&said, "stages")), "/seen/d/y\nnew");
    assert_eq!(
        part(&said, "mounts"),
        "/bin/sh: can't create /proc/sys/kernel/hostname: Read-only file system\ntouch: /read/x: Read-only file system\n/write/x\n\
        touch: /x: Read-only file system"
    );
    assert_eq!(part(&said, "layers"), "60");
    assert_eq!(part(&said, "directories"), "kept\n400");
    for hint in ["max_*_namespaces", "modprobe overlay", "unprivileged_userns_clone is 0"] {
        assert!(part(&said, "limits").contains(hint), "{hint}: {said}");
    }
    let left = part(&said, "left");
    assert_eq!(left.lines().next(), Some("0"), "mounts are left: {left}");
    assert_eq!(left.matches("nothing is wrong").count(), 2, "{left}");
    assert_eq!(left.lines().count(), 6, "something is left in tmp: {left}");
    said
}

/// The lines of `text` without those of the two that were deleted.
fn files(text: &str) -> String {
    let (gone, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains("No such file"));
    assert_eq!(gone.len(), 2, "what was deleted is back: {text}");
    rest.join("\n")
}

#[test]
fn debian_11s_kernel_runs_everything_as_root() {
    let said = said_by(Kernel::Bullseye);
    assert!(part(&said, "kernel").starts_with("5.10."), "{said}");
    let refused = part(&said, "user");
    assert!(
        refused.contains("before Linux 5.11 only the machine's root"),
        "{refused}"
    );
}

#[test]
fn debian_12s_kernel_runs_everything() {
    let said = said_by(Kernel::Bookworm);
    assert!(part(&said, "kernel").starts_with("6.1."), "{said}");
    assert_eq!(files(part(&said, "user")), "/d/y\n0\n0::/");
    let refused = part(&said, "user on tmpfs");
    assert!(refused.contains("keeps no user attributes"), "{refused}");
    assert!(refused.ends_with("ended with 1"), "{refused}");
    assert!(part(&said, "limits").contains("unmask=ALL"), "{said}");
}

#[test]
fn debian_13s_kernel_runs_everything() {
    let said = said_by(Kernel::Backports);
    assert!(part(&said, "kernel").starts_with("6.12."), "{said}");
    assert_eq!(files(part(&said, "user")), "/d/y\n0\n0::/");
    assert!(part(&said, "user on tmpfs").contains("ended with 0"), "{said}");
    assert!(part(&said, "limits").contains("unmask=ALL"), "{said}");
}
