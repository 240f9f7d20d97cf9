//! The stores of real tools, read while the tools go on using them; what the tools say of them is the measure.
//!
//! Needs root, the user `wiac-test`, and Debian's packages busybox-static, buildah, containerd, crun, docker.io, podman,
//! python3 and uidmap (`cargo xtask test` sees to users and packages).

mod containerd;
mod docker;
mod podman;
mod podman_user;
mod tools;
