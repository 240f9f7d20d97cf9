//! The kernel of a Debian that is installed everywhere (6.1 of Debian 12), and a machine with cgroup v2 alone: overlays
//! take one option string there, tmpfs has no user attributes, /sys/fs/cgroup is the container's own.

use crate::harness::{Place, machine};

/// An image whose steps delete what lower layers have.
const DOCKERFILE: &str = "FROM scratch
COPY bin /bin
RUN [\"/bin/sh\", \"-c\", \"echo one > /one; mkdir /d /e; touch /d/x /e/x\"]
RUN [\"/bin/sh\", \"-c\", \"rm /one && rm -r /d /e && mkdir /d && touch /d/y\"]
ENTRYPOINT [\"/bin/sh\", \"-c\"]
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
su user -c 'mkdir /tmp/mine; WIAC_DATA=/tmp/mine/data wiac build -q /home/context; echo "ended with $?"'
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

#[test]
fn debians_own_kernel_runs_everything() {
    let place = Place::root();
    let script = format!("cat > /dockerfile <<'END'\n{DOCKERFILE}END\n{SCRIPT}");
    let said = machine::runs(place.dir(), &script);
    assert!(
        part(&said, "kernel").contains("memory"),
        "cgroup v2 has no controllers: {said}"
    );
    let files = |text: &str| {
        let (gone, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains("No such file"));
        assert_eq!(gone.len(), 2, "what was deleted is back: {text}");
        rest.join("\n")
    };
    assert_eq!(
        files(part(&said, "root")),
        "/d/y\n1\n0::/\ncgroup /sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime 0 0\n\
        mkdir: can't create directory '/sys/fs/cgroup/x': Read-only file system\nended with 7"
    );
    assert_eq!(part(&said, "layers"), "60");
    assert_eq!(part(&said, "directories"), "kept\n400");
    assert_eq!(files(part(&said, "user")), "/d/y\n0\n0::/");
    let refused = part(&said, "user on tmpfs");
    assert!(refused.contains("keeps no user attributes"), "{refused}");
    assert!(refused.ends_with("ended with 1"), "{refused}");
    for hint in [
        "max_*_namespaces",
        "modprobe overlay",
        "unmask=ALL",
        "unprivileged_userns_clone is 0",
    ] {
        assert!(part(&said, "limits").contains(hint), "{hint}: {said}");
    }
    let left = part(&said, "left");
    assert_eq!(left.lines().next(), Some("0"), "mounts are left: {left}");
    assert_eq!(left.matches("nothing is wrong").count(), 2, "{left}");
    assert_eq!(left.lines().count(), 6, "something is left in tmp: {left}");
}
