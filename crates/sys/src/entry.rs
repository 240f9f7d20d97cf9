//! The start of a program without what Rust's runtime does before `main`: it looks for the stack's guard page in
//! /proc/self/maps and installs handlers that word a stack overflow, 0.06 ms of a start of 1 ms.
//!
//! What of it is needed is done here: open standard descriptors, the end by [`std::process::exit`] (which writes out what
//! is left of standard output), and a panic's exit code. Arguments and environment are std's own, which glibc hands over
//! without it. Without a handler a stack overflow ends the program by SIGSEGV, as in C.

/// Makes a function, `fn() -> u8` (the exit code), the start of the program: in place of Rust's own, so the crate says
/// `#![no_main]`. Once, in a binary.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        const _: () = {
            // SAFETY: the name is the C library's for the start of a program (C standard, 5.1.2.2.1); with `no_main`
            // nothing else has it.
            #[unsafe(export_name = "main")]
            extern "C" fn start() -> ::core::ffi::c_int {
                $crate::entry::run($main)
            }
        };
    };
}

/// What Rust's runtime ends with after a panic.
const PANICKED: u8 = 101;

/// Runs a program's `main` and ends the process with its exit code; for [`entry!`](crate::entry!).
pub fn run(main: fn() -> u8) -> ! {
    open_standard_descriptors();
    let code = std::panic::catch_unwind(main).unwrap_or(PANICKED);
    std::process::exit(code.into())
}

/// Opens /dev/null in place of standard descriptors that the caller closed: else a file of ours would be the next one's
/// standard output.
fn open_standard_descriptors() {
    for descriptor in 0..=2 {
        // SAFETY: F_GETFD takes no argument, and any number may be asked about (fcntl(2)).
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } >= 0 {
            continue;
        }
        // SAFETY: the path is a C string. The lowest free number is taken, which is this one.
        let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        if opened != descriptor {
            std::process::abort();
        }
    }
}
