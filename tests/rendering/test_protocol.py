"""Messages come whole and apart, with the files that belong to them."""

import os
import socket

import pytest

from actors.rendering.protocol import (
    MAX_FILES,
    Granted,
    Needs,
    contents,
    in_memory,
    receive,
    send,
)


@pytest.fixture
def line():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def test_messages_are_kept_apart(line):
    send(line[0], Needs(5))
    send(line[0], Granted())

    assert [receive(line[1])[0] for _ in range(2)] == [
        b'{"type":"Needs","memory":5}',
        b'{"type":"Granted"}',
    ]


def test_as_many_files_as_may_come_with_a_message_come_and_are_closed_here(line):
    files = [in_memory(b"%d" % number) for number in range(MAX_FILES)]

    send(line[0], Granted(), files)
    _, received = receive(line[1])

    assert all(file.closed for file in files)
    assert [contents(file) for file in received] == [b"%d" % each for each in range(MAX_FILES)]
    assert all(file.closed for file in received)


def test_files_are_closed_though_nobody_listens(line):
    file = in_memory(b"picture")
    line[1].close()

    with pytest.raises(ConnectionError):
        send(line[0], Granted(), [file])

    assert file.closed


def test_at_the_end_there_is_no_message(line):
    line[0].close()

    assert receive(line[1]) == (b"", [])


def test_what_is_no_file_is_refused_and_closed(line):
    reading, writing = os.pipe()
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with in_memory(b"fine") as file:
        socket.send_fds(line[0], [b"{}"], [file.fileno(), reading])

    with pytest.raises(OSError, match="no file"):
        receive(line[1])

    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    os.close(reading)
    os.close(writing)


def test_a_file_is_read_from_its_beginning_and_only_if_it_is_no_larger_than_it_may_be():
    assert contents(in_memory(b"picture"), 7) == b"picture"
    assert contents(in_memory(b"")) == b""
    with pytest.raises(ValueError, match="more than 6 bytes"):
        contents(in_memory(b"picture"), 6)
