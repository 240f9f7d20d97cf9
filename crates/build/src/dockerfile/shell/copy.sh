# Makes a directory of the image and those above it, where they are missing, for the owner $2.
make_directory() {
    local part path=. rest
    rest=$(inside "$1")/
    while [ -n "$rest" ]; do
        part=${rest%%/*} rest=${rest#*/}
        case $part in '' | .) continue ;; esac
        path=$path/$part
        if [ ! -d "$path" ]; then
            mkdir -m 755 -- "$path"
            chown "$2" -- "$path"
        fi
    done
}

# An empty directory in which a step gathers one source before it goes to its place.
gather() {
    taken=$((taken + 1))
    files=$tmp/taken/$taken
    mkdir -p -- "$files"
}

# Takes the listed entries of the directory $1, each with its directories.
gather_these() {
    local from=$1
    shift
    [ $# = 0 ] ||
        printf '%s\0' "$@" |
        tar -C "$from" --xattrs --xattrs-include='*' --acls --null --no-recursion --verbatim-files-from --owner=0 --group=0 -T - -cf - |
        tar -C "$files" --xattrs --xattrs-include='*' --acls --same-owner --numeric-owner -xpf -
    touch --reference="$from" -- "$files"
}

# Leaves out what the pattern (an extended regular expression for the path from the directory on) matches.
leave_out() {
    (cd -- "$files" && find . -mindepth 1 -regextype posix-extended -regex "\./($1)" -prune -exec rm -rf -- {} +)
}

# Owner and mode of all that was gathered. An empty one means: as they are.
dress() {
    [ -z "$1" ] || find "$files" -mindepth 1 -exec chown -h "$1" -- {} +
    [ -z "$2" ] || find "$files" -mindepth 1 ! -type l -exec chmod "$2" -- {} +
}

# What was gathered goes into the directory $1, which keeps owner and mode where it is there.
put_contents() {
    local at owner mode
    make_directory "$1" "$2"
    at=$(inside "$1")
    owner=$(stat -c %u:%g -- "$at") mode=$(stat -c 0%a -- "$at")
    cp -a --remove-destination -T -- "$files" "$at"
    chown "$owner" -- "$at"
    chmod "$mode" -- "$at"
}

# The one file that was gathered goes into the directory $1, or to that name. A symlink in its place is replaced; one
# that the destination itself names is followed.
put_file() {
    local file at
    file=$(find "$files" -mindepth 1 -maxdepth 1 -print -quit)
    at=$(inside "$1")
    if [ "${1%/}" != "$1" ] || [ -d "$at" ]; then
        make_directory "$1" "$2"
        at=$(inside "$1")/${file##*/}
    else
        make_directory "/${at%/*}" "$2"
    fi
    [ ! -d "$at" ] || [ -L "$at" ] || fail "$at is a directory: a file can't take its place"
    cp -a --remove-destination -T -- "$file" "$at"
}

# One entry of another stage, found at $2 below the directory $1, to the destination $3; $4 is the owner of what is
# made, $5 and $6 owner and mode of what is copied, the others are patterns of what is left out.
take() {
    local root=$1 path=$2 destination=$3 made=$4 owner=$5 mode=$6 found pattern
    shift 6
    found=$root/$(cd -- "$root" && inside "$path")
    [ -e "$found" ] || [ -L "$found" ] || fail "$path: there is no such file or directory in the other stage"
    gather
    if [ -d "$found" ]; then
        cp -a -T -- "$found" "$files"
        for pattern in "$@"; do leave_out "$pattern"; done
        dress "$owner" "$mode"
        put_contents "$destination" "$made"
    else
        for pattern in "$@"; do [[ ! ${path##*/} =~ ^($pattern)$ ]] || return 0; done
        cp -a -- "$found" "$files/${path##*/}"
        dress "$owner" "$mode"
        put_file "$destination" "$made"
    fi
}

# The same for --parents: $2 is the directory before the pivot, $3 the path or pattern behind it.
take_parents() {
    local root=$1 base=$2 pattern=$3 destination=$4 made=$5 owner=$6 mode=$7 path found=
    shift 7
    base=$root/$(cd -- "$root" && inside "$base")
    gather
    while IFS= read -r -d '' path; do
        (cd -- "$base" && cp -a --parents -- "$path" "$files")
        found=yes
    done < <(matching "$base" "$pattern")
    case $pattern in *[*?[]*) ;; *) [ -n "$found" ] || fail "$pattern: there is no such file or directory" ;; esac
    touch --reference="$base" -- "$files"
    for pattern in "$@"; do leave_out "$pattern"; done
    dress "$owner" "$mode"
    put_contents "$destination" "$made"
}

# The paths below the directory $1 that the pattern $2 matches, in order.
matching() (
    cd -- "$1"
    shopt -s nullglob dotglob globstar
    IFS=
    for path in $2; do printf '%s\0' "$path"; done
)

# An archive into the directory $1. What it names takes the place of what is there.
unpack() {
    local at
    gather
    tar --xattrs --xattrs-include='*' --acls --same-owner --numeric-owner -C "$files" -xpf "$3"
    [ -z "$4" ] || dress "$4" ''
    make_directory "$1" "$2"
    at=$(inside "$1")
    (cd -- "$files" && find . -mindepth 1 -print0) |
        tar -C "$files" --xattrs --xattrs-include='*' --acls --null --no-recursion --verbatim-files-from -T - -cf - |
        tar -C "$at" --xattrs --xattrs-include='*' --acls --same-owner --numeric-owner -xpf -
}
