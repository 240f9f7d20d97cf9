//! The times that utimensat(2) and futimens(3) set, from what callers have.

use rustix::fs::{Stat, Timespec, Timestamps, UTIME_OMIT};

/// Read and changed at the same moment: seconds since 1970, and nanoseconds.
pub fn at(seconds: i64, nanoseconds: u32) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Changed when the file of `stat` was; when it was read stays as it is. Child-safe.
pub fn modified_as(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, fstat, futimens, memfd_create};

    #[test]
    fn times_of_another_file_but_not_when_it_was_read() {
        let file = || memfd_create("times", MemfdFlags::CLOEXEC).expect("file");
        let (one, other) = (file(), file());
        futimens(&one, &at(-1, 7)).expect("set");
        futimens(&other, &at(1000, 0)).expect("set");
        futimens(&other, &modified_as(&fstat(&one).expect("stat"))).expect("set");
        let stat = fstat(&other).expect("stat");
        assert_eq!((stat.st_mtime, stat.st_mtime_nsec, stat.st_atime), (-1, 7, 1000));
    }
}
