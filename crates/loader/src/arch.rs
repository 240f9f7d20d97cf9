//! Architectures by ELF header, and what each one's dynamic loader (ld.so(8)) takes for granted.

use object::elf;
use std::fmt;

/// For whom an ELF file is made: what two objects must share to live in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Architecture {
    /// `e_machine`.
    pub machine: u16,
    /// 64 bits, not 32.
    pub wide: bool,
    /// Little endian.
    pub little_endian: bool,
}

/// What is fixed per architecture.
#[derive(Debug)]
pub(crate) struct Traits {
    /// As users know it.
    pub name: &'static str,
    /// Debian's names of the directory below /lib and /usr/lib.
    pub triplets: &'static [&'static str],
    /// Other names of a library directory, below / and /usr.
    pub directories: &'static [&'static str],
    /// Flags of the entries in ld.so.cache that this loader takes; empty takes all.
    pub cache_flags: &'static [u32],
    /// What `$PLATFORM` may stand for, the kernel's word first.
    pub platforms: &'static [&'static str],
    /// Subdirectories of glibc-hwcaps, best first.
    pub hwcaps: &'static [&'static str],
    /// Subdirectories that loaders before glibc 2.37 searched as well, in any combination.
    pub legacy: &'static [&'static str],
}

const X86_64: Traits = Traits {
    name: "x86-64",
    triplets: &["x86_64-linux-gnu"],
    directories: &["lib64", "lib"],
    cache_flags: &[0x303],
    platforms: &["x86_64", "haswell", "xeon_phi"],
    hwcaps: &["x86-64-v4", "x86-64-v3", "x86-64-v2"],
    legacy: &["tls", "haswell", "xeon_phi", "avx512_1", "x86_64"],
};

const X32: Traits = Traits {
    name: "x32",
    triplets: &["x86_64-linux-gnux32"],
    directories: &["libx32", "lib"],
    cache_flags: &[0x803],
    ..X86_64
};

const I386: Traits = Traits {
    name: "i386",
    triplets: &["i386-linux-gnu", "i686-linux-gnu", "i486-linux-gnu"],
    directories: &["lib32", "lib"],
    cache_flags: &[0x003],
    platforms: &["i686", "i586", "i486", "i386"],
    hwcaps: &[],
    legacy: &["tls", "i686", "i586", "sse2", "cmov", "nosegneg"],
};

const AARCH64: Traits = Traits {
    name: "aarch64",
    triplets: &["aarch64-linux-gnu"],
    directories: &["lib64", "lib"],
    cache_flags: &[0xa03],
    platforms: &["aarch64"],
    hwcaps: &[],
    legacy: &["tls", "atomics", "aarch64"],
};

const ARM: Traits = Traits {
    name: "arm",
    triplets: &["arm-linux-gnueabihf", "arm-linux-gnueabi"],
    directories: &["lib"],
    cache_flags: &[0x903, 0xb03, 0x003],
    platforms: &["v8l", "v7l", "v6l", "v5l"],
    hwcaps: &[],
    legacy: &["tls", "neon", "vfp", "v8l", "v7l", "v6l"],
};

const RISCV64: Traits = Traits {
    name: "riscv64",
    triplets: &["riscv64-linux-gnu"],
    directories: &["lib64/lp64d", "lib64", "lib"],
    cache_flags: &[0x1003],
    platforms: &[],
    hwcaps: &[],
    legacy: &["tls"],
};

const PPC64LE: Traits = Traits {
    name: "ppc64le",
    triplets: &["powerpc64le-linux-gnu"],
    directories: &["lib64", "lib"],
    cache_flags: &[0x503],
    platforms: &["power8", "power9", "power10"],
    hwcaps: &["power10", "power9"],
    legacy: &["tls", "power9", "power8"],
};

const S390X: Traits = Traits {
    name: "s390x",
    triplets: &["s390x-linux-gnu"],
    directories: &["lib64", "lib"],
    cache_flags: &[0x403],
    platforms: &["z900", "z13", "z14", "z15", "z16"],
    hwcaps: &["z16", "z15", "z14", "z13"],
    legacy: &["tls", "z13", "z14", "z15"],
};

const LOONGARCH64: Traits = Traits {
    name: "loongarch64",
    triplets: &["loongarch64-linux-gnu"],
    directories: &["lib64", "lib"],
    cache_flags: &[0x1203, 0x1103],
    platforms: &["loongarch"],
    hwcaps: &[],
    legacy: &[],
};

const MIPS64: Traits = Traits {
    name: "mips64",
    triplets: &["mips64el-linux-gnuabi64", "mips64-linux-gnuabi64"],
    directories: &["lib64", "lib"],
    cache_flags: &[0x703, 0xe03],
    platforms: &[],
    hwcaps: &[],
    legacy: &["tls"],
};

const OTHER: Traits = Traits {
    name: "unknown",
    triplets: &[],
    directories: &["lib64", "lib"],
    cache_flags: &[],
    platforms: &[],
    hwcaps: &[],
    legacy: &[],
};

impl Architecture {
    /// The machine that this program runs on; `None` where it isn't known.
    pub fn host() -> Option<Self> {
        let machine = match std::env::consts::ARCH {
            "x86_64" => elf::EM_X86_64,
            "x86" => elf::EM_386,
            "aarch64" => elf::EM_AARCH64,
            "arm" => elf::EM_ARM,
            "riscv64" => elf::EM_RISCV,
            "powerpc64" => elf::EM_PPC64,
            "s390x" => elf::EM_S390,
            "loongarch64" => elf::EM_LOONGARCH,
            _ => return None,
        };
        Some(Self {
            machine,
            wide: cfg!(target_pointer_width = "64"),
            little_endian: cfg!(target_endian = "little"),
        })
    }

    /// Whether a kernel of this architecture usually starts programs made for `other`, as an x86-64 one does i386's.
    pub fn runs(self, other: Self) -> bool {
        let older = match self.machine {
            elf::EM_X86_64 => elf::EM_386,
            elf::EM_AARCH64 => elf::EM_ARM,
            machine => machine,
        };
        self.little_endian == other.little_endian
            && (other.machine == self.machine || (other.machine == older && !other.wide))
            && (self.wide || !other.wide)
    }

    pub(crate) fn traits(self) -> &'static Traits {
        match (self.machine, self.wide, self.little_endian) {
            (elf::EM_X86_64, true, true) => &X86_64,
            (elf::EM_X86_64, false, true) => &X32,
            (elf::EM_386, false, true) => &I386,
            (elf::EM_AARCH64, true, true) => &AARCH64,
            (elf::EM_ARM, false, true) => &ARM,
            (elf::EM_RISCV, true, true) => &RISCV64,
            (elf::EM_PPC64, true, true) => &PPC64LE,
            (elf::EM_S390, true, false) => &S390X,
            (elf::EM_LOONGARCH, true, true) => &LOONGARCH64,
            (elf::EM_MIPS, true, _) => &MIPS64,
            _ => &OTHER,
        }
    }

    /// The directories that its loader searches last, as far as it doesn't say itself (see `loader_constants`).
    pub(crate) fn default_directories(self) -> Vec<String> {
        let traits = self.traits();
        let mut directories = Vec::new();
        for triplet in traits.triplets {
            directories.push(format!("/lib/{triplet}"));
            directories.push(format!("/usr/lib/{triplet}"));
        }
        for name in traits.directories {
            directories.push(format!("/{name}"));
            directories.push(format!("/usr/{name}"));
        }
        directories
    }

    /// What `$LIB` may stand for: Debian's words first, then everyone else's.
    pub(crate) fn lib_names(self) -> Vec<String> {
        let traits = self.traits();
        let multiarch = traits.triplets.iter().map(|triplet| format!("lib/{triplet}"));
        multiarch
            .chain(traits.directories.iter().map(|name| (*name).to_owned()))
            .collect()
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let traits = self.traits();
        if traits.name == OTHER.name {
            let bits = if self.wide { 64 } else { 32 };
            let order = if self.little_endian { "little" } else { "big" };
            write!(f, "ELF machine {}, {bits} bits, {order} endian", self.machine)
        } else {
            f.write_str(traits.name)
        }
    }
}
