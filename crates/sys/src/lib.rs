//! Thin safe calls into the Linux kernel that rustix lacks; the only unsafe code of wiac.
