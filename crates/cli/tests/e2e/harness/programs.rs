//! Small C programs, compiled for a test.

use super::{Place, tools};
use std::path::{Path, PathBuf};

/// Says a line: the first program that anybody puts into an empty root.
pub const GREETER: &str = r#"#include <stdio.h>
int main(void) { puts("greetings from a small root"); return 0; }
"#;

/// Ignores every signal that can be ignored, clears its death signal, has a child that does the same, and stays.
/// Makes the file that is its argument when it is ready.
pub const STUBBORN: &str = r"#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int n = 1; n < 65; n++) signal(n, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, 0);
    if (fork() == 0) { setsid(); prctl(PR_SET_PDEATHSIG, 0); for (;;) sleep(1000); }
    if (argc > 1) close(open(argv[1], O_CREAT | O_WRONLY, 0644));
    for (;;) sleep(1000);
}
";

/// Prints which signals it starts with ignored or blocked.
pub const SIGNALS: &str = r#"#include <signal.h>
#include <stdio.h>
int main(void) {
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, 0, &blocked);
    for (int n = 1; n < 65; n++) {
        struct sigaction action;
        if (n == 32 || n == 33 || sigaction(n, 0, &action)) continue;
        if (action.sa_handler == SIG_IGN) printf("ignored %d\n", n);
        if (sigismember(&blocked, n)) printf("blocked %d\n", n);
    }
    puts("looked");
    return 0;
}
"#;

/// Makes system calls by number and prints the error number of each: `NAME=ERRNO`.
pub const CALLS: &str = r#"#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#define TRY(name, ...) do { errno = 0; long r = syscall(SYS_##name, __VA_ARGS__); \
    printf(#name "=%d\n", r < 0 ? errno : 0); } while (0)
int main(void) {
    TRY(unshare, CLONE_NEWNS);
    TRY(setns, 0, 0);
    TRY(mount, "none", "/dev/shm", "tmpfs", 0, 0);
    TRY(umount2, "/dev/shm", 0);
    TRY(pivot_root, "/", "/");
    TRY(keyctl, 0, -3, 0);
    TRY(add_key, "user", "k", "v", 1, -3);
    TRY(bpf, 0, 0, 0);
    TRY(kexec_load, 0, 0, 0, 0);
    TRY(init_module, 0, 0, "");
    TRY(reboot, 0, 0, 0, 0);
    TRY(swapon, "/x", 0);
    TRY(settimeofday, 0, 0);
    TRY(open_by_handle_at, -1, 0, 0);
    TRY(perf_event_open, 0, 0, 0, 0, 0);
    TRY(userfaultfd, 0);
    TRY(fsopen, "tmpfs", 0);
    TRY(move_mount, -1, "", -1, "", 0);
    TRY(io_uring_setup, 0, 0);
    TRY(clone3, 0, 0);
    TRY(getpid, 0);
    printf("userns=%d\n", unshare(CLONE_NEWUSER) ? errno : 0);
    return 0;
}
"#;

/// Prints the number of its session keyring (`KEYCTL_GET_KEYRING_ID` of `KEY_SPEC_SESSION_KEYRING`).
pub const KEYRING: &str = r#"#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) { printf("%ld\n", syscall(SYS_keyctl, 0, -3, 0)); return 0; }
"#;

/// Prints its real and its effective user.
pub const USER: &str = r#"#include <stdio.h>
#include <unistd.h>
int main(void) { printf("%d as %d\n", getuid(), geteuid()); return 0; }
"#;

/// Prints its open descriptors above 2.
pub const DESCRIPTORS: &str = r#"#include <fcntl.h>
#include <stdio.h>
int main(void) {
    for (int n = 3; n < 4096; n++) if (fcntl(n, F_GETFD) >= 0) printf("open %d\n", n);
    puts("looked");
    return 0;
}
"#;

/// Exits with its first argument as the code, or ends itself by its second as a signal.
pub const ENDS: &str = r"#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    if (argc > 2) { signal(atoi(argv[2]), SIG_DFL); if (!fork()) { kill(getpid(), atoi(argv[2])); pause(); } pause(); }
    return argc > 1 ? atoi(argv[1]) : 0;
}
";

impl Place {
    /// Compiles `source` into a static program.
    pub fn compile(&self, source: &str, relative: &str) -> PathBuf {
        self.compile_with(&["-static", "-O1"], source, relative)
    }

    /// Compiles `source` with these options of gcc.
    pub fn compile_with(&self, options: &[&str], source: &str, relative: &str) -> PathBuf {
        let source_file = self.write(&format!("{relative}.c"), source);
        let path = self.path(relative);
        let call = super::call::Call::new(&tools::gcc(), self.dir())
            .args([Path::new("-o"), &path, &source_file])
            .args(options);
        call.succeeds();
        std::fs::remove_file(source_file).expect("the source goes");
        self.own(&path);
        path
    }
}
