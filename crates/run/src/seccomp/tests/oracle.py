"""libseccomp as an oracle: one profile a line in, one filter a line out.

In:  {"native": "x86_64", "arches": [...], "default": verdict,
      "rules": [{"name": ..., "verdict": ..., "args": [[index, operator, value, value_two], ...]}, ...]}
Out: {"unknown": [names that libseccomp has no number for], "failed": [names of rules it refused], "bpf": hex}

Needs python3 and libseccomp.so.2, no development package.
"""

import ctypes
import json
import sys
import tempfile


class Comparison(ctypes.Structure):
    _fields_ = [("index", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


lib = ctypes.CDLL("libseccomp.so.2")
lib.seccomp_init.restype = ctypes.c_void_p
lib.seccomp_init.argtypes = [ctypes.c_uint32]
lib.seccomp_release.argtypes = [ctypes.c_void_p]
lib.seccomp_arch_resolve_name.restype = ctypes.c_uint32
lib.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
lib.seccomp_arch_remove.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
lib.seccomp_arch_native.restype = ctypes.c_uint32
lib.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
lib.seccomp_rule_add_array.argtypes = [
    ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)]

UNKNOWN = -1


def export(profile):
    context = lib.seccomp_init(profile["default"])
    if not context:
        sys.exit("seccomp_init failed")
    for name in profile["arches"]:
        lib.seccomp_arch_add(context, lib.seccomp_arch_resolve_name(name.encode()))
    if profile["native"] not in profile["arches"]:
        sys.exit("the native architecture must be listed")
    native = lib.seccomp_arch_native()
    if native not in [lib.seccomp_arch_resolve_name(name.encode()) for name in profile["arches"]]:
        lib.seccomp_arch_remove(context, native)
    unknown, failed = [], []
    for rule in profile["rules"]:
        # By the name alone, as runc does: calls that only other architectures have get a negative number.
        number = lib.seccomp_syscall_resolve_name(rule["name"].encode())
        if number == UNKNOWN:
            unknown.append(rule["name"])
            continue
        args = (Comparison * len(rule["args"]))(*[Comparison(*arg) for arg in rule["args"]])
        if lib.seccomp_rule_add_array(context, rule["verdict"], number, len(args), args) != 0:
            failed.append(rule["name"])
    with tempfile.TemporaryFile() as file:
        if lib.seccomp_export_bpf(context, file.fileno()) != 0:
            sys.exit("seccomp_export_bpf failed")
        file.seek(0)
        program = file.read()
    lib.seccomp_release(context)
    return {"unknown": unknown, "failed": failed, "bpf": program.hex()}


for line in sys.stdin:
    print(json.dumps(export(json.loads(line))), flush=True)
