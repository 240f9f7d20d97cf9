//! Neither the umask nor what the file system adds to new files has a say. In a process of its own: the umask is the
//! whole process's.

mod archive;
mod common;

use archive::{Archive, Header};
use common::{node, scratch, shell, unpack_into};

#[test]
fn a_umask_and_a_default_list_have_no_say() {
    let dir = scratch();
    shell("mkdir layer; chmod 2700 layer; chown 9:9 layer", dir.path());
    let list = "0x0200000001000700ffffffff02000700e803000004000500ffffffff10000700ffffffff20000500ffffffff";
    shell(
        &format!("setfattr -n system.posix_acl_default -v {list} layer"),
        dir.path(),
    );
    let tar = Archive::new()
        .directory("d", 0o777)
        .entry(Header::new("f", b'0').mode(0o666), b"")
        .end();
    let layer = dir.path().join("layer");
    let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let result = unpack_into(&tar, &layer);
    rustix::process::umask(old);
    result.expect("unpacked");
    for (path, mode) in [("", 0o755), ("d", 0o777), ("f", 0o666)] {
        let found = node(&layer.join(path));
        assert_eq!(
            (found.mode, found.owner, found.xattrs),
            (mode, (0, 0), vec![]),
            "{path}"
        );
    }
}
