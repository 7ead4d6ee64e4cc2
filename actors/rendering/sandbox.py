"""A process gives up its rights, as many as it can without having any to begin with.

What holds depends on the kernel: `confine` says which means it has found.
"""

from __future__ import annotations

import errno
import fcntl
import os
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
    *("read", "pread64", "readv", "write", "pwrite64", "writev", "lseek", "close", "dup"),
    *("fstat", "newfstatat", "statx", "ftruncate", "memfd_create"),
    # The line to the service.
    *("recvmsg", "sendmsg", "poll", "ppoll"),
    # Time, chance, locks and signals, and the end.
    *("clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep", "getrandom", "futex"),
    *("sched_yield", "sched_getaffinity", "restart_syscall"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    *("getpid", "gettid", "getrusage", "setrlimit", "getrlimit"),
    *("exit", "exit_group", "rseq", "set_robust_list"),
)
# With others it could have a signal sent to whom it likes.
COMMANDS = (fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_DUPFD_CLOEXEC)


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
    # A kernel may have no filters.
    with suppress(OSError):
        if CAN_FILTER:
            _filter_calls()
            means.append("seccomp")
    return tuple(means)


def _filter_calls() -> None:
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    allowed: list[tuple[str, tuple[pyseccomp.Arg, ...]]] = [(call, ()) for call in CALLS]
    # What these do depends on the argument of this number: to whom it is done, or what is done.
    for call, number, value in (
        ("prlimit64", 0, 0),
        ("tgkill", 0, os.getpid()),
        *(("fcntl", 1, command) for command in COMMANDS),
    ):
        allowed.append((call, (pyseccomp.Arg(number, pyseccomp.EQ, value),)))
    for call, arguments in allowed:
        # Each machine has its own.
        with suppress(OSError, ValueError):
            rules.add_rule(pyseccomp.ALLOW, call, *arguments)
    with suppress(OSError):  # An older library cannot, and is a little slower.
        rules.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
    rules.load()
