"""`python -m tests.gallery DIRECTORY` writes a page with everything before and after.

It is for a person to look at: open index.html.
"""

import html
import sys
from pathlib import Path

from msgspec import json, structs

from actors.imaging.made import Made
from actors.imaging.receipt import as_said, suffix
from actors.imaging.recipe import Encoding, Recipe
from actors.imaging.render import render
from tests.gallery.exhibits import OTHERS, Exhibit, exhibits
from tests.gallery.originals import original

HEAD = """<!doctype html>
<meta charset="utf-8">
<title>Calotype: every operation, before and after</title>
<style>
body { font: 14px/1.4 sans-serif; margin: 2em; color: #222; background: #eee }
section { display: flex; flex-wrap: wrap; gap: 12px; margin-bottom: 3em }
figure { margin: 0; padding: 8px; background: #fff; max-width: 640px }
figcaption { font: 12px/1.3 monospace; overflow-wrap: anywhere; margin-bottom: 6px }
img { max-width: 300px; vertical-align: top;
      background: repeating-conic-gradient(#ccc 0 25%, #fff 0 50%) 0 0 / 16px 16px }
pre { font-size: 11px; white-space: pre-wrap; overflow-wrap: anywhere; max-width: 300px }
</style>
<h1>Every operation, before and after</h1>
"""


def make(exhibit: Exhibit) -> Made:
    """What is made of an exhibit's original."""
    recipe = Recipe((exhibit.output,), exhibit.autorotate)
    others = {name: original(file) for name, file in OTHERS.items()}
    (made,) = render(original(exhibit.original), recipe, others=others)
    return made


def caption(exhibit: Exhibit) -> str:
    """What was asked for, as a client says it."""
    encoding = {
        field.name: getattr(exhibit.output, field.name)
        for field in structs.fields(Encoding)
        if getattr(exhibit.output, field.name) != field.default
    }
    said = [as_said(step) for step in exhibit.output.operations]
    return " ".join(json.encode(each).decode() for each in (*said, encoding) if each)


def figure(exhibit: Exhibit, number: int, out: Path) -> str:
    """Write what is made of it, and return how it is shown."""
    made = make(exhibit)
    name = f"{number:03}{suffix(made)}"
    (out / name).write_bytes(made.data)
    told = f"{made.width} x {made.height}, {len(made.data):,} bytes"
    told += f", quality {made.quality}" if made.quality is not None else ""
    told += f", SSIM {made.ssim:.4f}" if made.ssim is not None else ""
    if made.format == "json":
        after = f"<pre>{html.escape(json.format(made.data).decode())}</pre>"
    elif made.format == "tiff":
        after = f'<a href="{name}">{name}</a>'
    else:
        after = f'<img src="{name}" alt="after">'
    return (
        f"<figure><figcaption>{html.escape(caption(exhibit))}<br>{told}</figcaption>"
        f'<img src="{exhibit.original}" alt="before"> {after}</figure>\n'
    )


def main(out: Path) -> None:
    """Write the page and its pictures into the directory `out`."""
    out.mkdir(parents=True, exist_ok=True)
    page, number = HEAD, 0
    for heading, rows in exhibits().items():
        page += f"<h2>{heading}</h2>\n<section>\n"
        for exhibit in rows:
            number += 1
            (out / exhibit.original).write_bytes(original(exhibit.original))
            page += figure(exhibit, number, out)
        page += "</section>\n"
    (out / "index.html").write_text(page, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
