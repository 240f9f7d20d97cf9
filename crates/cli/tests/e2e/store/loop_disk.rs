//! A file system of a test's own, in a file, so that it can be full or lose its power.

use crate::harness::Place;
use crate::harness::call::Call;
use crate::harness::tools;

/// A loop-mounted file system at `disk` in a place, with wiac's data directory in it.
pub struct LoopDisk<'p> {
    place: &'p Place,
    mount: &'static str,
}

impl<'p> LoopDisk<'p> {
    /// Makes and mounts one. `kind`: `ext4` or `xfs`, the smallest of which has 300 MB; the file is sparse.
    pub fn new(place: &'p Place, kind: &str, megabytes: u32) -> Self {
        let (tool, package, options) = match kind {
            "ext4" => ("mkfs.ext4", "e2fsprogs", "-q -m 0"),
            _ => ("mkfs.xfs", "xfsprogs", "-q"),
        };
        assert!(
            tools::program(tool).is_some(),
            "this test needs {tool}: apt-get install {package}, or run `cargo xtask test`"
        );
        place
            .host(&format!(
                "truncate -s {megabytes}M disk.img; {tool} {options} disk.img; mkdir disk"
            ))
            .succeeds();
        // The copy has the same UUID as the file system that it is of, which may still be mounted somewhere.
        let mount = match kind {
            "xfs" => "mount -o loop,nouuid disk.img disk",
            _ => "mount -o loop disk.img disk",
        };
        let disk = Self { place, mount };
        disk.mount();
        disk
    }

    fn mount(&self) {
        self.place.host(self.mount).succeeds();
    }

    /// Its power fails: nothing that isn't on it gets there any more, its log included.
    pub fn lose_power(&self) {
        assert!(
            tools::program("xfs_io").is_some(),
            "this test needs xfs_io: apt-get install xfsprogs, or run `cargo xtask test`"
        );
        self.place.host("xfs_io -x -c shutdown disk").succeeds();
    }

    /// Mounts what is on the disk, when nothing writes there any more. It is a copy: what the kernel still keeps of the
    /// old one in its memory is lost too, and other tests' mount namespaces may hold that for a while.
    pub fn get_power_back(&self) {
        let script = "umount -l disk; cp --sparse=always disk.img next.img; mv next.img disk.img";
        self.place.host(script).succeeds();
        self.mount();
    }

    /// Fills it up to `free` bytes.
    pub fn fill(&self, free: u64) {
        let script = format!(
            "sync -f disk; a=$(($(stat -f -c '%a*%S' disk) - {free})); \
             if test $a -gt 0; then fallocate -l $a disk/filler || dd if=/dev/zero of=disk/filler bs=4k status=none || true; fi"
        );
        self.place.host(&script).succeeds();
    }

    /// Takes away what it was filled with.
    pub fn empty(&self) {
        self.place.host("rm -f disk/filler").succeeds();
    }

    /// wiac with its data on the disk.
    pub fn wiac<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        self.place
            .wiac(arguments)
            .env("WIAC_DATA", self.place.path("disk/data"))
    }

    /// The same, as if the machine had been started with this boot id.
    pub fn wiac_of_boot<'a>(&self, boot_id: &str, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        self.of_boot(boot_id).arg(tools::wiac()).args(arguments)
    }

    /// A command that sees another boot id: what follows is the program and its arguments.
    pub fn of_boot(&self, boot_id: &str) -> Call {
        self.place.write("boot-id", format!("{boot_id}\n"));
        let script = "mount --bind boot-id /proc/sys/kernel/random/boot_id; exec \"$@\"";
        self.place
            .command(&tools::unshare())
            .args(["--mount", "--propagation", "private", "bash", "-euc", script, "bash"])
            .env("WIAC_DATA", self.place.path("disk/data"))
    }
}

impl Drop for LoopDisk<'_> {
    fn drop(&mut self) {
        // The place can't be deleted with it mounted.
        let directory = self.place.path("disk");
        let _ = std::process::Command::new("umount").arg("-l").arg(directory).output();
    }
}
