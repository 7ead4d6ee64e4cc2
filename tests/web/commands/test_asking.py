"""What commands say that ask a service, when it does not do what they ask."""

import pytest
from click.testing import CliRunner

from tests.web.faulty import problem, serve
from tests.web.running import free_port
from web.cli import main

COMMANDS = [
    ["queue", "status"],
    ["queue", "dead"],
    ["queue", "retry"],
    ["webhooks", "list", "a"],
    ["webhooks", "resend", "a"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_the_service_refuses_is_said_in_one_line(words):
    with serve(problem(403, "forbidden")) as server:
        result = CliRunner().invoke(main, [*words, "--url", server.url])

    assert result.exit_code == 1
    assert result.stderr.startswith("calotype: ")
    assert result.stderr.endswith("(forbidden)\n")
    assert result.stdout == ""
    assert len(server.asked) == 1


def test_where_nobody_listens_is_said_in_one_line():
    url = f"http://127.0.0.1:{free_port()}"

    result = CliRunner().invoke(main, ["queue", "pause", "--url", url])

    assert result.exit_code == 1
    assert result.stderr.startswith(f"calotype: {url} cannot be reached: ")
    assert result.stderr.count("\n") == 1
