//! Architectures that a filter can tell apart, and the one this binary was built for.

use wiac_oci::runtime::SeccompArch;

/// A calling convention: x86_64 and x32 share an audit architecture and differ in a bit of the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abi {
    /// 64-bit x86.
    X86_64,
    /// 32-bit pointers on 64-bit x86.
    X32,
    /// 32-bit x86.
    X86,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM, EABI.
    Arm,
}

/// The bit that tells an x32 call.
pub const X32_BIT: u32 = 1 << 30;

impl Abi {
    /// Every one, in the order of the table's columns.
    #[cfg(test)]
    pub const ALL: [Self; 5] = [Self::X86_64, Self::X32, Self::X86, Self::Aarch64, Self::Arm];

    /// The specification's architecture, where there is a table for it.
    pub fn from_oci(arch: SeccompArch) -> Option<Self> {
        match arch {
            SeccompArch::X86_64 => Some(Self::X86_64),
            SeccompArch::X32 => Some(Self::X32),
            SeccompArch::X86 => Some(Self::X86),
            SeccompArch::Aarch64 => Some(Self::Aarch64),
            SeccompArch::Arm => Some(Self::Arm),
            _ => None,
        }
    }

    /// The name in the specification.
    pub fn to_oci(self) -> SeccompArch {
        match self {
            Self::X86_64 => SeccompArch::X86_64,
            Self::X32 => SeccompArch::X32,
            Self::X86 => SeccompArch::X86,
            Self::Aarch64 => SeccompArch::Aarch64,
            Self::Arm => SeccompArch::Arm,
        }
    }

    /// What the kernel reports in `seccomp_data.arch` (`AUDIT_ARCH_*`, linux/audit.h).
    pub fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// The number that the calls are counted from.
    pub fn first_number(self) -> u32 {
        if self == Self::X32 { X32_BIT } else { 0 }
    }

    /// True if arguments have 64 bits; else only the lower half of an argument and of a profile's value is compared,
    /// as libseccomp does.
    pub fn is_wide(self) -> bool {
        matches!(self, Self::X86_64 | Self::Aarch64)
    }

    /// The one this binary was built for; `None` where there is no table.
    pub fn native() -> Option<Self> {
        if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "x86") {
            Some(Self::X86)
        } else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
            Some(Self::Aarch64)
        } else if cfg!(all(target_arch = "arm", target_endian = "little")) {
            Some(Self::Arm)
        } else {
            None
        }
    }

    /// Those that programs on this machine may use as well, and docker's default profile is for.
    pub fn companions(self) -> &'static [Self] {
        match self {
            Self::X86_64 => &[Self::X86, Self::X32],
            Self::Aarch64 => &[Self::Arm],
            _ => &[],
        }
    }
}
