"""A process that has imported the service, and of which services are forked.

To import it takes a second of a processor, and there are hundreds of services to start. What is
forked has its own directory, environment and log, and nothing has run in it but imports: there were
no threads, no loop and no settings. It ends as any process does.
"""

import os
import sys
from multiprocessing.connection import Connection

import web.commands.serve
import web.serve  # noqa: F401 - both are imported by the command when it is to serve
from tests.web.running import Service
from web.cli import main as calotype


def fork_services(channel: Connection) -> Service | None:
    """Answer each Service with its pid, and each pid with how it has ended, if it has.

    In the process of a service it returns the Service; in the template None, when nobody is left
    who could ask.
    """
    while True:
        try:
            request = channel.recv()
        except EOFError:
            return None
        if isinstance(request, Service):
            pid = os.fork()
            if not pid:
                channel.close()
                return request
            channel.send(pid)
        else:
            pid, status = os.waitpid(request, os.WNOHANG)
            channel.send(os.waitstatus_to_exitcode(status) if pid else None)


def become(service: Service) -> None:
    """Let this process be as if it had been started for this service."""
    os.chdir(service.directory)
    os.environ.clear()
    os.environ.update(service.environment)
    with service.log.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def main() -> None:
    """Be the template, whose channel is the file descriptor that is told; or one of its forks."""
    service = fork_services(Connection(int(sys.argv[1])))
    if service:
        become(service)
        sys.argv[1:] = ["serve"]
        calotype()
