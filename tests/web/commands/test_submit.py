"""The command `calotype submit`, as a user meets it."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import PATIENCE, draw, is_picture
from tests.web import faulty
from tests.web.running import COMMAND, environment, free_port, start_server
from web.commands.errands import errands_for
from web.commands.submit import submit
from web.sending import ImageUrl

THUMBNAIL = ("--operation", "thumbnail", "--width", "32", "--height", "32")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: bytes) -> Path:
    """The current directory, with a photo in it."""
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(photo)
    return tmp_path


@pytest.fixture
def run(server, here):
    """Run the command against the service."""

    def run(*arguments: object, url: str = server.url) -> Result:
        return invoke(*arguments, *THUMBNAIL, "--url", url)

    return run


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(submit, [*map(str, arguments)], catch_exceptions=False)


def names(directory: Path) -> set[str]:
    return {str(each.relative_to(directory)) for each in directory.rglob("*") if each.is_file()}


def test_a_photo_becomes_a_thumbnail_in_the_current_directory(run, here):
    result = run("photo.jpg")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "photo.thumbnail.jpg\n", "")
    assert is_picture((here / "photo.thumbnail.jpg").read_bytes(), (32, 24))
    assert names(here) == {"photo.jpg", "photo.thumbnail.jpg"}


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (("-o", "small.png"), b"\x89PNG"),
        (("-o", "small.jpg", "--format", "png"), b"\x89PNG"),
        (("-o", "small"), b"\xff\xd8"),
        (("-o", "small.avif"), b"\0\0\0 ftypavif"),
        (("-o", "small.tif"), b"II*\0"),
        (("-o", "small.txt", "--set", "output_format=json"), b'{"format"'),
    ],
)
def test_one_photo_goes_to_the_file_that_is_named(run, arguments, start):
    result = run("photo.jpg", *arguments)

    assert result.exit_code == 0
    assert Path(arguments[1]).read_bytes().startswith(start)


def test_the_quality_reaches_the_service(run, here):
    run("photo.jpg", "-o", "good.jpg", "--quality", 95)
    run("photo.jpg", "-o", "poor.jpg", "--quality", 5)

    assert Path("poor.jpg").stat().st_size < Path("good.jpg").stat().st_size


def test_any_operation_can_be_said(server, here):
    result = invoke(
        *("photo.jpg", "--url", server.url, "--operation", "rotate", "--set", "angle=90"),
        *("--set", "priority=high"),
    )

    assert (result.exit_code, result.stdout) == (0, "photo.rotate.jpg\n")
    assert is_picture(Path("photo.rotate.jpg").read_bytes(), (48, 64))


def test_facts_are_a_result_too(run):
    result = run("photo.jpg", "--set", "output_format=json")

    assert (result.exit_code, result.stdout) == (0, "photo.thumbnail.json\n")
    assert Path("photo.thumbnail.json").read_text().startswith('{"format":"jpeg"')


def test_what_the_service_refuses_is_said_with_its_place(server, here):
    result = invoke(*("photo.jpg", "--url", server.url, "--operation", "rotate"))

    assert result.exit_code == 1
    assert result.stderr == "calotype: photo.jpg: /angle: is missing (invalid)\n"


PRESETS = """
[avatar]
operations = [{op = "resize", width = 16, height = 16, fit = "cover"}]
output = {format = "webp"}

[gallery]
outputs = [{name = "large", format = "png"}, {name = "facts", format = "json"}]
"""


@pytest.fixture(scope="module")
def presets_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service that has presets."""
    directory = tmp_path_factory.mktemp("presets")
    (directory / "presets.toml").write_text(PRESETS)
    with start_server(directory, PRESETS="presets.toml") as server:
        yield server.url


def test_a_preset_says_all_there_is_to_be_said(presets_url, here):
    result = invoke("photo.jpg", "--preset", "avatar", "--url", presets_url)

    assert (result.exit_code, result.stdout) == (0, "photo.avatar.webp\n")
    assert is_picture(Path("photo.avatar.webp").read_bytes(), (16, 16))


@pytest.mark.parametrize(
    ("arguments", "stem"),
    [
        ((), "photo.gallery"),
        (("-o", "out"), "out/photo.gallery"),
        (("-o", "mine.xyz"), "mine"),
    ],
)
def test_each_of_several_results_has_its_own_file(presets_url, here, arguments, stem):
    Path("out").mkdir()

    result = invoke("photo.jpg", "--preset", "gallery", "--url", presets_url, *arguments)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{stem}.large.png\n{stem}.facts.json\n"
    assert is_picture(Path(f"{stem}.large.png").read_bytes(), (64, 48))


def test_none_of_several_results_overwrites_a_picture_that_is_sent(presets_url, here, photo):
    Path("mine.large.png").write_bytes(photo)
    Path("photo.jpg").unlink()

    result = invoke("mine.large.png", "--preset", "gallery", "--url", presets_url, "-o", "mine.jpg")

    assert result.stdout == "mine.large-2.png\nmine.facts.json\n"
    assert Path("mine.large.png").read_bytes() == photo


def test_a_preset_that_there_is_not_is_said_to_be_none(presets_url, here):
    result = invoke("photo.jpg", "--preset", "../a", "--url", presets_url)

    assert result.exit_code == 1
    assert "/preset: must be one of avatar, gallery" in result.stderr


def test_a_directory_keeps_its_tree(run, here, photo):
    for name in ("album/a.jpg", "album/deep/b.jpg", "album/.hidden.jpg", "album/notes.txt"):
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo)
    Path("album/deep/a.png").write_bytes(draw(kind="PNG"))

    result = run("album", "-o", "out", "--jobs", 2)

    assert result.exit_code == 0
    assert set(result.stdout.split()) == {f"out/{name}" for name in names(here / "out")}
    assert names(here / "out") == {
        "a.thumbnail.jpg",
        "deep/a.thumbnail.png",
        "deep/b.thumbnail.jpg",
    }


def test_pictures_in_a_directory_are_known_by_their_names(tmp_path):
    for name in ("a.jpg", "b.HEIC", "c.heif", "d.avif", "e.txt", ".f.heic"):
        (tmp_path / name).touch()

    assert [errand.base.name for errand in errands_for([tmp_path])] == ["a", "b", "c", "d"]


def test_results_of_the_same_name_do_not_overwrite_each_other(here):
    for name in ("x/photo.jpg", "y/photo.jpg", "photo-2.jpg"):
        Path(name).parent.mkdir(exist_ok=True)

    errands = errands_for([Path("x/photo.jpg"), Path("y/photo.jpg"), Path("photo-2.jpg")])

    assert [str(errand.base) for errand in errands] == ["photo", "photo-2", "photo-2-2"]


def test_no_picture_that_is_sent_is_overwritten(run, here, photo):
    # By its own name, by that of another result, and by another name for the same file.
    Path("photo.thumbnail.jpg").write_bytes(photo)
    Path("link.jpg").hardlink_to("photo.jpg")

    named = run("photo.jpg", "-o", "link.jpg")
    both = run("photo.jpg", "photo.thumbnail.jpg")

    assert named.exit_code == 2
    assert both.exit_code == 0
    assert set(both.stdout.split()) == {
        "photo.thumbnail-2.jpg",
        "photo.thumbnail.thumbnail.jpg",
    }
    assert Path("photo.jpg").read_bytes() == Path("photo.thumbnail.jpg").read_bytes() == photo


def test_one_failure_does_not_stop_the_others(run, here):
    Path("letter.jpg").write_text("Dear photographer")

    result = run("letter.jpg", "photo.jpg", "--jobs", 1)

    assert result.exit_code == 1
    assert result.stdout == "photo.thumbnail.jpg\n"
    assert result.stderr.startswith("calotype: letter.jpg: ")
    assert result.stderr.endswith("(not_an_image)\n")
    assert names(here) == {"letter.jpg", "photo.jpg", "photo.thumbnail.jpg"}


def test_a_result_that_cannot_be_written_is_a_failure(run, here):
    Path("out").write_text("a file where a directory should be")

    result = run("photo.jpg", "photo.jpg", "-o", "out", "--jobs", 1)

    assert result.exit_code == 1
    assert result.stderr == 2 * "calotype: photo.jpg: File exists: out\n"


def test_a_service_that_is_not_there_is_one_clear_sentence(run):
    url = f"http://127.0.0.1:{free_port()}"

    result = run("photo.jpg", "photo.jpg", url=url)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"calotype: There is no connection to {url}: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing.jpg",),
        (),
        ("photo.jpg", "--width", "0"),
        ("photo.jpg", "--format", "bmp"),
        ("photo.jpg", "-o", "small.bmp"),
        ("photo.jpg", "--url", "ftp://127.0.0.1"),
        ("http://[::1/photo.jpg",),
        ("https://",),
        ("photo.jpg", "--url", "http://[::1"),
        ("photo.jpg", "--operation", "melt"),
        ("photo.jpg", "--preset", "avatar"),
        ("photo.jpg", "--set", "angle"),
        ("photo.jpg", "--set", "=90"),
        ("photo.jpg", "--set", "angle=90", "--set", "angle=80"),
        ("photo.jpg", "--set", "width=90"),
        ("empty",),
    ],
)
def test_a_wrong_use_is_said_to_be_one(here, arguments):
    Path("empty").mkdir()

    # The last of an option counts.
    result = CliRunner().invoke(submit, [*THUMBNAIL, *arguments], catch_exceptions=False)

    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_without_an_operation_or_a_preset_there_is_nothing_to_do(here):
    result = invoke("photo.jpg", "--width", 5)

    assert result.exit_code == 2
    assert "Name an --operation or a --preset." in result.stderr


def test_ctrl_c_ends_it_cleanly(here):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [*COMMAND, "submit", "photo.jpg", *THUMBNAIL, "--url", url],
            cwd=here,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert (output, errors) == ("", "calotype: Interrupted.\n")
    assert names(here) == {"photo.jpg"}


def test_a_picture_can_be_an_address(here, photo, tmp_path):
    with faulty.serve(faulty.answer(200, photo)) as source:
        host = source.url.removeprefix("http://")
        with start_server(tmp_path / "server", FETCH_ALLOW=host) as server:
            result = invoke(
                f"{source.url}/album/my%20cat.jpg?token=1", *THUMBNAIL, "--url", server.url
            )

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "my_cat.thumbnail.jpg\n"
    assert is_picture(Path("my_cat.thumbnail.jpg").read_bytes(), (32, 24))


def test_an_address_that_gives_nothing_is_said_without_its_query(run):
    result = run("http://127.0.0.1/photo.jpg?token=1")

    assert result.exit_code == 1
    assert result.stderr.startswith("calotype: http://127.0.0.1/photo.jpg: ")
    assert "token" not in result.stderr


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://example.org/a/photo.jpg", "photo"),
        ("https://example.org", "example.org"),
        ("https://example.org/%2e%2e/..%2f..%2fetc", "etc"),
        ("https://example.org/..", "image"),
        ("https://example.org/.hidden.jpg", "hidden"),
        ("https://example.org/a%00b\u00e9?c", "a_b\u00e9"),
        ("https://example.org/" + 300 * "a", 50 * "a"),
    ],
)
def test_a_result_is_named_after_the_end_of_an_address(url, base):
    (errand,) = errands_for([ImageUrl(url)])

    assert str(errand.base) == base
