# The helper that changes the root, when told so. pivot_root(2) gives the new root to every process that has the old
# one: to the shell that will start the program too, which has given up its privileges and waits. From then on
# programs of the host can't be started any more. So the old root, which "." twice puts on top of the new one, is
# detached by a shell that has the host's root of descriptor 7 and stands in the container's.
coproc helper {
    { read -r _ && pivot_root . . && echo changed; } |
        nsenter --root=/proc/self/fd/7 "$BASH" -c 'read -r _ && umount --lazy --no-canonicalize . && echo detached'
}
# The two ends of the helper's pipes, opened anew since bash closes its own on exec.
exec 8</dev/fd/"${helper[0]}" 9>/dev/fd/"${helper[1]}" 7<&-
