"""Pictures for the documentation: `python -m tests.imaging.gallery DIRECTORY` writes them.

For now there is one, gravity.jpg.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from actors.imaging.attention import most_striking
from actors.imaging.facts import Size
from actors.imaging.geometry import fit_inside, scale
from actors.imaging.step import place
from tests.service.photographs import directory

# All of them are free of rights: by NASA and the US Navy, or given to the public by those who took
# them. With each goes the part to keep, as shares of the width and of the height.
SUBJECTS = (
    ("astronaut.png", (1, 0.4)),
    ("astronaut.png", (0.3, 1)),
    ("camera.png", (1, 0.4)),
    ("camera.png", (0.3, 1)),
    ("coffee.png", (1, 0.5)),
    ("coffee.png", (0.25, 1)),
    ("grace_hopper.jpg", (1, 0.4)),
    ("grace_hopper.jpg", (0.35, 0.35)),
    ("rocket.jpg", (0.6, 0.6)),
    ("chelsea.png", (1, 0.45)),
)
COLUMNS = 2
CELL, GAP, HEADING = (150, 120), 8, 22
PAPER, INK = "white", (70, 70, 70)


def photograph(name: str) -> Image.Image:
    """Return a photograph of scikit-image's, or the one that comes with matplotlib."""
    path = directory() / name
    if not path.exists():
        found = find_spec("matplotlib")
        assert found
        assert found.origin
        path = Path(found.origin).parent / "mpl-data" / "sample_data" / name
    with Image.open(path) as file:
        return file.convert("RGB")


def gravity() -> Image.Image:
    """Return a sheet of photographs, each with the parts that two gravities keep."""
    rows = -(-len(SUBJECTS) // COLUMNS)
    across, down = CELL[0] + GAP, CELL[1] + GAP
    width, height = COLUMNS * (3 * across + GAP), HEADING + rows * down
    sheet = Image.new("RGB", (width + GAP, height), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (name, shape) in enumerate(SUBJECTS):
        left = GAP + number % COLUMNS * (3 * across + GAP)
        top = HEADING + number // COLUMNS * down
        image = photograph(name)
        size = round(image.width * shape[0]), round(image.height * shape[1])
        parts = {
            "picture": image,
            "center": part(image, place(size, image.size, "center"), size),
            "smart": part(image, most_striking(image, size), size),
        }
        for column, (heading, shown) in enumerate(parts.items()):
            x = left + column * across
            pen.text((x + CELL[0] // 2, HEADING // 2), heading, INK, font, anchor="mm")
            small = scale(shown, fit_inside(shown.size, CELL, enlarge=True))
            off = place(small.size, CELL, "center")
            sheet.paste(small, (x + off[0], top + off[1]))
    return sheet


def part(image: Image.Image, at: tuple[int, int], size: Size) -> Image.Image:
    """Return the part of this `size` that is there."""
    return image.crop((*at, at[0] + size[0], at[1] + size[1]))


def main(out: Path) -> None:
    """Write every picture into the directory `out`."""
    out.mkdir(parents=True, exist_ok=True)
    gravity().save(out / "gravity.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
