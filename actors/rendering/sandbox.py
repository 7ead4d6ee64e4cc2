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
    # Time, chance, locks and the end. Not what to do about signals: by ignoring them it would
    # outlive the service, or its time.
    *("clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep", "getrandom", "futex"),
    *("sched_yield", "sched_getaffinity", "restart_syscall"),
    *("rt_sigreturn", "sigaltstack"),
    *("getpid", "gettid", "getrusage", "setrlimit", "getrlimit"),
    *("exit", "exit_group", "rseq", "set_robust_list"),
)
# With others it could have a signal sent to whom it likes.
COMMANDS = (fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_DUPFD_CLOEXEC)


# The flag of a clone that is a thread and no process.
CLONE_THREAD = 0x10000


def confine(*, threads: bool) -> tuple[str, ...]:
    """Give up all rights that a render does not need, for ever; return the means that there were.

    Afterwards no file can be opened and no process begun, whoever says so: not even a module can be
    imported. `landlock` forbids files, and the network as far as its version knows it; `seccomp`
    every other call to the kernel besides those that are named here; `limits` hold everywhere.

    Args:
      threads: whether codecs begin some, which the limits cannot tell from processes.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not threads:
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
            _filter_calls(threads=threads)
            means.append("seccomp")
    return tuple(means)


def _filter_calls(*, threads: bool) -> None:
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    for call in CALLS:
        _allow(rules, call)
    # What these do depends on an argument: to whom it is done, or what is done.
    _allow(rules, "prlimit64", pyseccomp.Arg(0, pyseccomp.EQ, 0))
    _allow(rules, "tgkill", pyseccomp.Arg(0, pyseccomp.EQ, os.getpid()))
    for command in COMMANDS:
        _allow(rules, "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, command))
    if threads:
        _allow(rules, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, CLONE_THREAD, CLONE_THREAD))
        # What it is to do is where no filter can look. Whoever cannot have it takes the other.
        with suppress(OSError, ValueError):
            rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    with suppress(OSError):  # An older library cannot, and is a little slower.
        rules.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
    rules.load()


def _allow(rules: pyseccomp.SyscallFilter, call: str, *arguments: pyseccomp.Arg) -> None:
    # Each machine has its own.
    with suppress(OSError, ValueError):
        rules.add_rule(pyseccomp.ALLOW, call, *arguments)
