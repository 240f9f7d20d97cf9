# Where a path of the container is, seen from the working directory, which is its future root: symlinks and ".." are
# followed as the container will follow them, never into the host.
inside() {
    local rest=$1/ at=. name links=0
    while [ -n "$rest" ]; do
        name=${rest%%/*} rest=${rest#*/}
        case $name in
        '' | .) ;;
        ..) [ "$at" = . ] || at=${at%/*} ;;
        *)
            if [ -L "$at/$name" ]; then
                [ $((links += 1)) -le 40 ] || { echo "$1: too many symlinks" >&2; return 1; }
                name=$(readlink "$at/$name")
                case $name in /*) at=. ;; esac
                rest=$name/$rest
            else
                at=$at/$name
            fi
            ;;
        esac
    done
    printf '%s\n' "$at"
}

# The same for something to mount on, which is made where it is missing.
directory() {
    local at
    at=$(inside "$1")
    mkdir -p -- "$at"
    printf '%s\n' "$at"
}

file() {
    local at
    at=$(inside "$1")
    mkdir -p -- "${at%/*}"
    [ -e "$at" ] || : >"$at"
    printf '%s\n' "$at"
}

# The same, but made in the root alone: a volume shows a directory of the host, in which nothing of this must stay.
file_on_root() {
    local at above
    at=$(inside "$1")
    above=$at
    until [ -e "$above" ]; do above=${above%/*}; done
    [ "$above" = "$at" ] || [ "$(stat --format=%m -- "$above")" = "$(stat --format=%m .)" ] || return 1
    file "$1"
}

# The places of the mounts at a path and below it, the outer ones first, in the array places. The kernel writes some
# characters in octal.
find_mounts() {
    local top mounts mount at
    top=$(realpath -- "$1")
    places=()
    mapfile -t mounts </proc/self/mountinfo
    for mount in "${mounts[@]}"; do
        read -r _ _ _ _ at _ <<<"$mount"
        printf -v at %b "${at//\\/\\0}"
        case $at/ in "$top"/*) places+=("$at") ;; esac
    done
}

# Changes the attributes of a mount and of all below it: before util-linux 2.39, mount(8) takes them one by one.
change_all() {
    local at
    find_mounts "$2"
    for at in "${places[@]}"; do mount -o "remount,bind,$1" -- "$at"; done
}

# Puts an empty directory or /dev/null over a path. What isn't there needs no hiding.
hide() {
    local at
    at=$(inside "$1")
    if [ -d "$at" ]; then
        mount -t tmpfs -o ro,nosuid,nodev,noexec,size=4096,mode=555 tmpfs "$at"
    elif [ -e "$at" ]; then
        mount --bind dev/null "$at"
    fi
}

# Makes what is below a path read-only, by a mount of it on itself.
protect() {
    local at
    at=$(inside "$1")
    if [ -e "$at" ]; then
        mount --rbind "$at" "$at"
        change_all ro "$at"
    fi
}
