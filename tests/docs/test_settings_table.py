"""The table of settings in docs/operations.md is the settings."""

from pathlib import Path

from web.settings import Settings

PAGE = Path(__file__).parent.parent.parent / "docs" / "operations.md"
HEAD = "| setting | default | meaning |\n| --- | --- | --- |\n"
COMPUTED = {"max_renders": "the number of cores", "render_memory": "half of the memory"}


def default_of(name: str) -> str:
    default = Settings.model_fields[name].default
    match default:
        case bool():
            return f"`{int(default)}`"
        case float():
            return f"`{default:g}`"
        case None:
            return "none"
        case _:
            return COMPUTED.get(name) or f"`{default}`"


def expected_table() -> str:
    rows = [
        f"| `{name.upper()}` | {default_of(name)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    ]
    return HEAD + "".join(rows)


def test_the_table_of_settings_says_what_the_settings_are():
    page = PAGE.read_text("utf-8")

    start = page.index(HEAD)
    table = page[start : page.index("\n\n", start) + 1]

    assert table == expected_table()


def test_every_default_that_is_computed_is_described():
    computed = {
        name for name, field in Settings.model_fields.items() if field.default_factory is not None
    }

    assert computed == COMPUTED.keys()
