# A field of an account in the image: file, name or number, field.
account() {
    local at
    at=$(inside "/etc/$1")
    [ ! -e "$at" ] || awk -F: -v name="$2" -v field="$3" '$1 == name || $3 == name { print $field; exit }' "$at"
}

# The ids that --chown or USER names: user alone means the group of the same number to COPY ($2 empty), and the
# user's own to RUN.
ids() {
    local user=${1%%:*} group= uid gid
    case $1 in *:*) group=${1#*:} ;; esac
    uid=$user
    case $user in *[!0-9]*)
        uid=$(account passwd "$user" 3)
        [ "$user" != root ] || uid=${uid:-0}
        [ -n "$uid" ] || fail "there is no user $user in the image"
        ;;
    esac
    if [ -n "$group" ]; then
        gid=$group
        case $group in *[!0-9]*)
            gid=$(account group "$group" 3)
            [ "$group" != root ] || gid=${gid:-0}
            [ -n "$gid" ] || fail "there is no group $group in the image"
            ;;
        esac
    elif [ -z "${2-}" ]; then
        gid=$uid
    else
        gid=$(account passwd "$user" 4)
    fi
    printf '%s\n' "${uid:-0}:${gid:-0}"
}

# Something to mount on: a directory or file that is made where it is missing, and taken away after the step.
target() {
    local part path=. above at rest
    at=$(inside "$2")
    [ ! -e "$at" ] || return 0
    rest=$at/
    while [ -n "$rest" ]; do
        part=${rest%%/*} rest=${rest#*/}
        case $part in '' | .) continue ;; esac
        above=$path path=$path/$part
        [ ! -e "$path" ] || continue
        [ -n "${before[$above]-}" ] || before[$above]=$(stat -c %y -- "$above")
        if [ "$1" = file ] && [ "$path" = "$at" ]; then : >"$path"; else mkdir -m 755 -- "$path"; fi
        made=("$path" "${made[@]}")
        after[$above]=$(stat -c %y -- "$above")
    done
}

# Takes them away again, where they are as they were made; the directories above get their times back unless the step
# changed them.
take_away() {
    local path
    for path in "${!after[@]}"; do
        [ "$(stat -c %y -- "$path" 2>&1)" = "${after[$path]}" ] || unset "before[$path]"
    done
    for path in "${made[@]}"; do
        if [ -d "$path" ]; then rmdir -- "$path" 2>/dev/null || true; elif [ ! -s "$path" ]; then rm -f -- "$path"; fi
    done
    for path in "${!before[@]}"; do
        [ ! -e "$path" ] || touch -d "${before[$path]}" -- "$path"
    done
}

# Runs a command in the merged root: $1 the user, $2 the working directory, $3 further options of unshare(1), $4
# "confined" or "insecure". Its variables are in the array environment, its mounts in the functions targets and mounts.
run() {
    local user gid home directory=$2 options=$3 how=$4 host=buildkitsandbox # BuildKit's, too
    local -a made=() identity=() confine=()
    local -A before=() after=()
    user=$(ids "${1:-0}" own) gid=${user#*:} user=${user%:*}
    shift 4
    home=$(account passwd "$user" 6)
    case " ${environment[*]} " in *' HOME='*) ;; *) environment+=("HOME=${home:-/}") ;; esac
    [ "$user:$gid" = 0:0 ] || identity=(--setgid "$gid" --setuid "$user")
    # Capabilities as docker gives them, but for making devices.
    [ "$how" = insecure ] || confine=("$(command -v setpriv)" --bounding-set "-all,+chown,+dac_override,+fowner,+fsetid,\
+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+audit_write,+setfcap" --inh-caps=-all)
    for path in /proc /sys /dev "$directory"; do target directory "$path"; done
    for path in resolv.conf hosts hostname; do target file "/etc/$path"; done
    targets
    mkdir -p -- "$tmp/etc"
    cat /etc/resolv.conf >"$tmp/etc/resolv.conf" 2>/dev/null || : >"$tmp/etc/resolv.conf"
    { case $options in *--net*) printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$host" ;; *) cat /etc/hosts; printf '\n127.0.0.1\t%s\n' "$host" ;; esac
        printf '%s' "$hosts"; } >"$tmp/etc/hosts"
    echo "$host" >"$tmp/etc/hostname"
    local code=0
    # shellcheck disable=SC2086
    tmp=$tmp host=$host unshare --mount --pid --fork --kill-child --ipc --uts $options "$BASH" -euc \
        "$(declare -f inside fail mounts)"$'\n'"$IN_ITS_NAMESPACES" run "$(command -v env)" -i "${environment[@]}" \
        "${confine[@]}" "$(command -v unshare)" --root=. "--wd=$directory" "${identity[@]}" -- "$@" </dev/null || code=$?
    take_away
    [ "$code" = 0 ] || fail "the step failed with exit code $code"
}

# What is mounted before the command starts; all of it ends with the mount namespace.
IN_ITS_NAMESPACES=$(cat <<'MOUNTS'
mount --make-rprivate /
hostname "$host"
at=$(inside /proc) && mount -t proc -o nosuid,nodev,noexec proc "$at"
at=$(inside /sys) && { mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$at" 2>/dev/null || mount --rbind /sys "$at"; }
dev=$(inside /dev)
mount -t tmpfs -o nosuid,noexec,mode=755,size=64k tmpfs "$dev"
for name in null zero full random urandom tty; do : >"$dev/$name" && mount --bind "/dev/$name" "$dev/$name"; done
mkdir "$dev/pts" "$dev/shm" "$dev/mqueue"
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=666,mode=620 devpts "$dev/pts"
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=64m tmpfs "$dev/shm"
mount -t mqueue -o nosuid,nodev,noexec mqueue "$dev/mqueue"
ln -s /proc/self/fd "$dev/fd" && ln -s pts/ptmx "$dev/ptmx"
for name in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${name%:*}" "$dev/${name#*:}"; done
for name in resolv.conf hosts hostname; do at=$(inside "/etc/$name") && mount --bind "$tmp/etc/$name" "$at"; done
mounts
umask 022
exec "$@"
MOUNTS
)
