//! What the kernel and the dynamic loader need to start a program, inside any root.
