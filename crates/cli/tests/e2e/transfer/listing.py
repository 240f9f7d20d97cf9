"""Prints a file tree, a line a file: all that an image carries of it."""
import hashlib
import os
import stat
import sys

top = os.fsencode(sys.argv[1])
first_names = {}


def contents(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def particular(path, shown, meta):
    if stat.S_ISLNK(meta.st_mode):
        return repr(os.readlink(path))
    if stat.S_ISBLK(meta.st_mode) or stat.S_ISCHR(meta.st_mode):
        return f"{os.major(meta.st_rdev)}:{os.minor(meta.st_rdev)}"
    if not stat.S_ISREG(meta.st_mode):
        return "-"
    first = first_names.setdefault((meta.st_dev, meta.st_ino), shown)
    link = f" ={first}" if first != shown else ""
    return f"{meta.st_size} {contents(path)}{link}"


def attributes(path):
    names = os.listxattr(path, follow_symlinks=False)
    kept = sorted(name for name in names if ".overlay." not in name and name != "security.selinux")
    return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in kept}


def line(path, shown):
    meta = os.lstat(path)
    kind = stat.filemode(meta.st_mode)
    # The root's time is the mount's or the unpacking's with some tools.
    time = "-" if shown == "." else f"{meta.st_mtime_ns}"
    print(shown, kind, f"{meta.st_uid}:{meta.st_gid}", time, particular(path, shown, meta), attributes(path))
    if stat.S_ISDIR(meta.st_mode):
        for name in sorted(os.listdir(path)):
            line(os.path.join(path, name), repr(os.path.join(path, name)[len(top) + 1 :])[1:])


line(top, ".")
