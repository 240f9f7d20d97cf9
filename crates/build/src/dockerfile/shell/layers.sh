# Starts a step: the layers of the stage merged, and a new directory on top that takes what is changed. All that
# follows is relative to the merged root.
begin() {
    declare -n layers=$1
    local lower=empty layer
    rm -rf -- "$tmp/upper" "$tmp/work" "$tmp/taken"
    mkdir -- "$tmp/upper" "$tmp/work"
    for layer in "${layers[@]}"; do lower=$layer:$lower; done
    if [ "${#layers[@]}" != 0 ]; then
        # The root directory of a layer hides that of the layers below, and must look like it.
        lower=${lower%:empty}
        chown --reference="$to/layers/${lower%%:*}/" -- "$tmp/upper"
        chmod --reference="$to/layers/${lower%%:*}/" -- "$tmp/upper"
        touch --reference="$to/layers/${lower%%:*}/" -- "$tmp/upper"
    fi
    # Short names, seen from here: mount(2) takes one page of options, and overlayfs has its own mind about some characters.
    cd -- "$to/layers"
    mount -t overlay -o "$options,lowerdir=$lower,upperdir=../tmp/upper,workdir=../tmp/work" overlay "$merged"
    cd -- "$merged"
    taken=0
}

# Ends it: by a rename, what is on top becomes a layer of the stage.
finish() {
    declare -n layers=$1
    abandon
    number=$((number + 1))
    mv -T -- "$tmp/upper" "$to/layers/$number"
    layers+=("$number")
}

# Ends it without a layer.
abandon() {
    cd -- "$to"
    umount -- "$merged"
}

# Adds a directory that is a layer already.
add_layer() {
    declare -n layers=$1
    number=$((number + 1))
    ln -sfn -- "$2" "$to/layers/$number"
    layers+=("$number")
}

# The merged tree of a stage to look at, as the directory $2.
look() {
    declare -n layers=$1
    local lower=empty layer
    mountpoint -q -- "$2" && return
    for layer in "${layers[@]}"; do lower=$layer:$lower; done
    mkdir -p -- "$2"
    (cd -- "$to/layers" && mount -t overlay -o "$view_options,lowerdir=$lower" overlay "$2")
}

fail() {
    echo "$*" >&2
    exit 1
}
