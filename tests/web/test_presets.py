"""The operator's presets: what a file may say, and how a bad one is refused."""

import pytest
from structlog.testing import capture_logs

from actors.imaging.operations.scaling import Resize
from actors.imaging.operations.turning import Flip
from actors.imaging.recipe import Output, Recipe
from actors.imaging.step import FocalPoint
from web.members import MAX_DEPTH, MAX_MEMBERS, MAX_NAME
from web.presets import MAX_FILE, MAX_PRESETS, BadPresets, Presets

GOOD = """
# Every way to say a recipe.
[avatar]
operations = [{op = "resize", width = 128, height = "50%", fit = "cover", gravity = "smart"}]
output = {format = "webp"}

[short]
operation = "flip"
output_format = "jpg"
autorotate = false

[gallery]
outputs = [
    {name = "large", format = "auto"},
    {name = "thumb", operations = [{op = "resize", width = 9, gravity = {x = 0.5, y = 1}}]},
]
"""
LARGE = Output(name="large", format="auto")
THUMB = Output(name="thumb", operations=(Resize(9, gravity=FocalPoint(0.5, 1)),))
RECIPES = {
    "avatar": Recipe((Output(operations=(Resize(128, "50%", "cover", "smart"),), format="webp"),)),
    "short": Recipe((Output(operations=(Flip(),), format="jpeg"),), autorotate=False),
    "gallery": Recipe((LARGE, THUMB)),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "presets.toml"


def refusal(path, text: str | bytes) -> str:
    """What is said about a file with this in it."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadPresets) as refused:
        Presets(path)
    reason = str(refused.value)
    assert str(path) in reason
    assert "\n" not in reason
    return reason.removeprefix(str(path)).removeprefix(": ")


def test_a_good_file_gives_recipes_by_their_names(path):
    path.write_text(GOOD)

    assert Presets(path).recipes == RECIPES


def test_without_a_file_there_are_no_presets():
    presets = Presets(None)
    presets.reload()

    assert presets.recipes == {}


def test_an_empty_file_has_no_presets(path):
    path.write_text("")

    assert Presets(path).recipes == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a]\noperation = 'melt'", "[a] /operation: must be one of "),
        ("[a]\noperation = 'flip'\nwidth = 1", "[a] /width: is no parameter here"),
        ("[a]\noperation = 'flip'\npriority = 'high'", "[a] /priority: is no parameter here"),
        ("[a]\npreset = 'b'\n[b]\noperation = 'flip'", "[a] /preset: must be one of none"),
        ("[a]\nquality = 0\nx = 1", "[a] /operation: must be one of "),
        ("[a]\noperations = [{op = 'resize', width = 0}]", "[a] /operations/0/width: must be "),
        ("[a]\noperations = []\noutput = {format = 1}", "[a] /output/format: must be one of "),
        ("[[a]]\noperation = 'flip'", "a is no table"),
        ("a = 1", "a is no table"),
        ("[A]\noperation = 'flip'", "'A' is no name for a preset"),
        ("['a b']\noperation = 'flip'", "'a b' is no name for a preset"),
        ('["a\\n"]\noperation = "flip"', "'a\\n' is no name for a preset"),
        (f"[{'a' * 33}]\noperation = 'flip'", f"'{'a' * 33}' is no name for a preset"),
        ("[a", "Expected ']' at the end of a table declaration"),
        ("[a]\n[a]", "Cannot declare ('a',) twice"),
        (b"[a]\noperation = '\xff'", "'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(path, text, reason):
    assert refusal(path, text).startswith(reason)


@pytest.mark.parametrize(
    "value",
    [
        *("inf", "-inf", "nan", "1e400", "9" * 30, "9" * 5000, "-1", "0x7fffffff", "true"),
        *("2026-01-01", "2026-01-01T00:00:00Z", "12:00:00", "[1]", "{x = 1}", "''"),
    ],
)
@pytest.mark.parametrize("said", ["'resize'\nwidth", "'blur'\nsigma", "'flip'\nquality"])
def test_what_toml_knows_and_json_does_not_is_refused_too(path, said, value):
    assert refusal(path, f"[a]\noperation = {said} = {value}")


def test_all_faults_are_told_at_once(path):
    text = "[a]\noperations = [{op = 'flip', x = 1}, {op = 'blur'}]\noutput = {quality = 0}"

    assert refusal(path, text) == (
        "[a] /operations/0/x: is no parameter of this operation; "
        "/operations/1/sigma: is missing; /output/quality: must be a whole number from 1 to 100"
    )


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"[a]\nx = {deep(MAX_DEPTH + 1)}", "[a] It is nested more than"),
        (f"[a]\nx = {deep(100_000)}", ""),
        ("[a]\n" + "".join(f"x{n} = 1\n" for n in range(MAX_MEMBERS + 1)), "[a] There are more"),
        (f"[a]\nx.{'y' * (MAX_NAME + 1)} = 1", "[a] A parameter's name has more than"),
        ("#" * (MAX_FILE + 1), f" has more than {MAX_FILE} bytes"),
        (
            "".join(f"[p{number}]\noperation = 'flip'\n" for number in range(MAX_PRESETS + 1)),
            f" has more than {MAX_PRESETS} presets",
        ),
    ],
    ids=["nesting", "recursion", "members", "names", "size", "presets"],
)
def test_a_file_is_bounded(path, text, reason):
    assert refusal(path, text).startswith(reason)


def test_a_file_at_the_bounds_is_taken(path):
    text = "".join(f"[p{number}]\noperation = 'flip'\n" for number in range(MAX_PRESETS))
    path.write_text(text.ljust(MAX_FILE, "#"))

    assert len(Presets(path).recipes) == MAX_PRESETS


def test_a_file_that_is_not_there_is_refused(path):
    with pytest.raises(BadPresets, match="No such file"):
        Presets(path)
    with pytest.raises(BadPresets, match="Is a directory"):
        Presets(path.parent)


# --- Reading it again -----------------------------------------------------------------------------


def test_a_file_that_has_changed_counts_as_soon_as_it_is_read_again(path):
    path.write_text(GOOD)
    presets = Presets(path)
    path.write_text("[b]\noperation = 'flip'\n[a]\noperation = 'flip'")
    before = presets.recipes

    with capture_logs() as logs:
        presets.reload()

    assert before == RECIPES
    assert presets.recipes == dict.fromkeys("ab", Recipe((Output(operations=(Flip(),)),)))
    assert [(each["event"], each["presets"]) for each in logs] == [("presets_read", ["a", "b"])]


@pytest.mark.parametrize("text", ["[a", "[a]\noperation = 'melt'", None, "#" * (MAX_FILE + 1)])
def test_a_file_that_has_become_bad_changes_nothing(path, text):
    path.write_text(GOOD)
    presets = Presets(path)
    path.unlink()
    if text is not None:
        path.write_text(text)

    with capture_logs() as logs:
        presets.reload()

    assert presets.recipes == RECIPES
    assert [(each["event"], each["log_level"]) for each in logs] == [("presets_refused", "error")]
    assert str(path) in logs[0]["why"]
