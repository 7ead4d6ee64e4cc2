"""A process gives up its rights, as many as it can without having any to begin with.

What holds depends on the kernel: `confine` says which means it has found.
"""

from __future__ import annotations

import errno
import resource
from contextlib import suppress

import landlockpy

# Without the library that it speaks for, it cannot be imported.
try:
    import pyseccomp
except (ImportError, RuntimeError):
    CAN_FILTER = False
else:
    CAN_FILTER = True

# What a process can do that has only to read open files, to calculate and to write others.
CALLS = (
    # Memory.
    *("brk", "mmap", "munmap", "mremap", "mprotect", "madvise"),
    # Files that are open, and new ones in memory.
    *("read", "pread64", "readv", "write", "pwrite64", "writev", "lseek", "close", "dup", "fcntl"),
    *("fstat", "newfstatat", "statx", "ftruncate", "memfd_create", "ioctl"),
    # The line to the service.
    *("recvmsg", "sendmsg", "poll", "ppoll"),
    # Time, chance, locks and signals, and the end.
    *("clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep", "getrandom", "futex"),
    *("sched_yield", "sched_getaffinity", "restart_syscall"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill"),
    *("getpid", "gettid", "getrusage", "prlimit64", "setrlimit", "getrlimit"),
    *("exit", "exit_group", "rseq", "set_robust_list"),
)


def confine() -> tuple[str, ...]:
    """Give up all rights that a render does not need, for ever; return the means that there were.

    Afterwards no file can be opened and no process begun, whoever says so: not even a module can be
    imported. `landlock` forbids files, and the network as far as its version knows it; `seccomp`
    every other call to the kernel besides `CALLS`; `limits` hold everywhere.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    means = ["limits"]
    if landlockpy.supported():
        everything = landlockpy.Scope.SIGNAL | landlockpy.Scope.ABSTRACT_UNIX_SOCKET
        with landlockpy.Ruleset(scoped=everything) as nothing:
            nothing.restrict()
        means.append("landlock")
    if CAN_FILTER:
        _filter_calls()
        means.append("seccomp")
    return tuple(means)


def _filter_calls() -> None:
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    for call in CALLS:
        # Each machine has its own.
        with suppress(OSError, ValueError):
            rules.add_rule(pyseccomp.ALLOW, call)
    rules.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
    rules.load()
