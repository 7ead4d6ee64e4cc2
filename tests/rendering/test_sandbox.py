"""What a confined process tries is refused, by each means alone where that can."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PATIENCE

ROOT = Path(__file__).parent.parent.parent
# What it tries after it has confined itself; it tells the error that it met.
PROGRAM = """
import ctypes, errno, fcntl, mmap, os, resource, signal, socket, sys, threading
from actors.rendering import sandbox

without, threads, attempt = sys.argv[1].split(","), sys.argv[2] == "threads", sys.argv[3]
if "seccomp" in without:
    sandbox.CAN_FILTER = False
if "landlock" in without:
    sandbox.landlockpy.supported = lambda: False
libc = ctypes.CDLL(None, use_errno=True)
parent = os.getppid()

def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")

def bound_to(address, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as line:
        line.connect(address)

def have_killed(fd):
    fcntl.fcntl(fd, fcntl.F_SETOWN, parent)

there = socket.create_server(("127.0.0.1", 0))
ours, _ = socket.socketpair()
means = sandbox.confine(threads=threads)
try:
    exec(attempt)
except OSError as error:
    told = errno.errorcode[error.errno]
except RuntimeError as error:
    told = str(error)
else:
    told = "done"
os.write(1, f"{told} {' '.join(means)}".encode())
os._exit(0)
"""
READ = "open('/etc/hostname').close()"
WRITE = "open('/tmp/calotype-was-here', 'w').close()"
LIST = "os.listdir('/')"
TCP = "bound_to(there.getsockname())"
UDP = "bound_to(('127.0.0.1', 53), kind=socket.SOCK_DGRAM)"
UNIX = "bound_to('/nowhere', socket.AF_UNIX)"
PAIR = "socket.socketpair()"
FORK = "os.fork() or os._exit(0)"
EXEC = "os.execv('/bin/true', ['true'])"
THREAD = "threading.Thread(target=len, args=((),)).start()"
KILL = "os.kill(parent, signal.SIGUSR1)"
IGNORE = "signal.signal(signal.SIGIO, signal.SIG_IGN)"
BLOCK = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXCPU])"
TGKILL = "called(libc.syscall(234, parent, parent, signal.SIGUSR1))"
SIGNAL_BY_FILE = "have_killed(ours.fileno())"
PTRACE = "called(libc.ptrace(16, parent, None, None))"
BOUNDS_OF_PARENT = "resource.prlimit(parent, resource.RLIMIT_NOFILE, (50, 50))"
ITS_OWN_BOUNDS = "resource.prlimit(0, resource.RLIMIT_NOFILE)"
MEMORY = "os.close(os.memfd_create('x'))"


def attempt(what, *, without=(), threads=False):
    """Return what was told of an attempt, and the means that were there."""
    # The one that it could send a signal to lives in a process group of its own, and waits.
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, ",".join(without), "threads" if threads else "", what],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    ).stdout
    outcome, *means = told.split()
    return outcome, set(means)


def test_here_all_means_hold():
    """A machine where one does not hold is told of in `render_process_started`."""
    assert attempt(MEMORY) == ("done", {"limits", "landlock", "seccomp"})


REFUSED = {
    "read": READ,
    "write": WRITE,
    "list": LIST,
    "tcp": TCP,
    "udp": UDP,
    "unix": UNIX,
    "pair": PAIR,
    "fork": FORK,
    "exec": EXEC,
    "thread": THREAD,
    "kill": KILL,
    "ignore": IGNORE,
    "block": BLOCK,
    "tgkill": TGKILL,
    "signal by a file": SIGNAL_BY_FILE,
    "ptrace": PTRACE,
    "bounds of the parent": BOUNDS_OF_PARENT,
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_render_does_not_need_is_refused(what):
    outcome, means = attempt(REFUSED[what])

    assert "seccomp" in means
    assert outcome in {"EPERM", ["can't", "start", "new", "thread"][0]}


@pytest.mark.parametrize("what", ["fork", "exec", "kill", "tcp", "read", "ptrace"])
def test_where_there_are_threads_all_else_is_refused_as_well(what):
    assert attempt(REFUSED[what], threads=True)[0] == "EPERM"


@pytest.mark.parametrize("what", [THREAD, MEMORY, ITS_OWN_BOUNDS])
def test_what_a_render_needs_is_allowed(what):
    assert attempt(what, threads=True)[0] == "done"


@pytest.mark.parametrize("what", ["read", "write", "list", "exec", "tcp", "kill", "ptrace"])
def test_where_calls_cannot_be_filtered_landlock_refuses_most(what):
    outcome, means = attempt(REFUSED[what], without=["seccomp"])

    assert means == {"limits", "landlock"}
    assert outcome in {"EACCES", "EPERM"}


@pytest.mark.parametrize("what", ["read", "tcp", "udp", "unix", "fork", "kill", "ptrace"])
def test_where_there_is_no_landlock_the_filter_refuses_all(what):
    outcome, means = attempt(REFUSED[what], without=["landlock"])

    assert means == {"limits", "seccomp"}
    assert outcome == "EPERM"


def test_where_there_is_nothing_it_says_so():
    outcome, means = attempt(READ, without=["landlock", "seccomp"])

    assert (outcome, means) == ("done", {"limits"})
