"""What the gallery shows: of every operation and every kind of output a few."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from actors.imaging.operations.covering import Background, Border, Redact, Round
from actors.imaging.operations.cropping import Crop, Trim
from actors.imaging.operations.filters import Blur, Pixelate, Sharpen
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize, Scale, Thumbnail
from actors.imaging.operations.tones import (
    Autocontrast,
    Brightness,
    Contrast,
    Duotone,
    Equalize,
    Gamma,
    Grayscale,
    Hue,
    Invert,
    Opacity,
    Posterize,
    Saturation,
    Sepia,
    Tint,
)
from actors.imaging.operations.turning import Autorotate, Flip, Flop, Rotate
from actors.imaging.operations.watermark import Watermark
from actors.imaging.receipt import as_said
from actors.imaging.recipe import Output
from actors.imaging.step import FocalPoint

# By which a mark names the image that it is.
OTHERS = {"logo": "logo.png", "photo": "chelsea.png"}

ROCKET, FACE, CUP, CAT = "rocket.jpg", "astronaut.jpg", "coffee.png", "chelsea.png"
MAN, PAGE, SCAN = "camera.png", "page.png", "scan.jpg"
LOGO, GREY_LOGO, BARS, TARGET = "logo.png", "grey-logo.png", "bars.png", "target.png"
KINDS = ("jpeg", "png", "webp", "avif", "gif", "tiff", "json")


@dataclass(frozen=True)
class Exhibit:
    """An original, and what is made of it."""

    original: str
    output: Output
    autorotate: bool = True


Sections: TypeAlias = Iterator[tuple[str, Iterable[Exhibit]]]


def exhibits() -> dict[str, list[Exhibit]]:
    """Everything, under its heading."""
    sections = (_scaling, _framing, _filters, _tones, _covering, _watermark, _outputs, _originals)
    return {heading: list(each) for section in sections for heading, each in section()}


def shown(original, *operations, autorotate=True, **encoding) -> Exhibit:
    """The operations one after the other."""
    return Exhibit(original, Output(operations=operations, **encoding), autorotate)


def each(original, *operations) -> Iterator[Exhibit]:
    """The operations one by one."""
    return (shown(original, operation) for operation in operations)


def _scaling() -> Sections:
    yield (
        "resize",
        [
            *each(ROCKET, Resize(200, 200), Resize(200, 200, "cover"), Resize(200, 200, "contain")),
            *each(ROCKET, Resize(200, 200, "inside"), Resize(200, 200, "outside")),
            *each(FACE, Resize(150), Resize(height=100), Resize("50%"), Resize(600, 300, "cover")),
            *each(CUP, Resize(250, 100, "cover", "north"), Resize(250, 100, "cover", "south")),
            *each(CUP, Resize(250, 100, "cover", "smart")),
            *each(CUP, Resize(100, 250, "cover", FocalPoint(0.9, 0.5))),
            *each(TARGET, Resize(100, 75), Resize(402, 302), Resize(150, 100, "contain", "west")),
            *each(LOGO, Resize(80, 53), Resize(500, 333), Resize(200, 200, "contain", "north")),
            *each(LOGO, Resize(200, 200, "contain", background="#336699")),
            *each(PAGE, Resize(200), Resize(90)),
            *each("palette.png", Resize(150), Resize(450)),
            shown(TARGET, Resize(40), Resize(160)),
        ],
    )
    yield "thumbnail", each(ROCKET, Thumbnail(120, 120), Thumbnail(900, 300))
    yield "scale", each(TARGET, Scale(0.3), Scale(1.5), Scale(3))


def _framing() -> Sections:
    yield (
        "crop",
        [
            *each(TARGET, Crop(0, 0, 101, 76), Crop(100, 75, 101, 76), Crop(1, 1, 199, 149)),
            *each(FACE, Crop(aspect="16:9", gravity="smart"), Crop(aspect="1:2", gravity="smart")),
            *each(ROCKET, Crop("25%", "25%", "50%", "50%"), Crop(width=200, height=200)),
            shown(TARGET, Crop(10, 10, 181, 131), Resize(300), Crop(0, 0, 150, 100)),
            shown(LOGO, Crop(20, 20, 160, 160), Resize(300)),
        ],
    )
    yield (
        "trim",
        [
            *each(SCAN, Trim(), Trim(threshold=3), Trim(threshold=60)),
            *each(LOGO, Trim(), Trim(threshold=100)),
            *each(TARGET, Trim(threshold=0), Trim(background="red")),
        ],
    )
    yield (
        "pad",
        [
            *each(CUP, Pad("10%", "10%", "10%", "10%"), Pad(left=40, background="tomato")),
            *each(LOGO, Pad(width=350, height=350, background="#ffcc0080")),
            *each(MAN, Pad(width=400, gravity="east", background="#336699")),
        ],
    )
    yield (
        "rotate",
        [
            *each(TARGET, Rotate(90), Rotate(180), Rotate(270), Rotate(-90)),
            *each(TARGET, Rotate(10), Rotate(45)),
            *each(CUP, Rotate(7), Rotate(-30, "white"), Rotate(30, "#33669980")),
            *each(LOGO, Rotate(30), Rotate(30, "white"), Rotate(90)),
            *each(GREY_LOGO, Rotate(-20), Rotate(-20, "gold")),
        ],
    )
    yield "flip", each(FACE, Flip())
    yield "autorotate", each(FACE, Autorotate())
    yield "flop", each(FACE, Flop())


def _filters() -> Sections:
    yield (
        "blur",
        [
            *each(CAT, Blur(1), Blur(4), Blur(15), Blur(100)),
            *each(LOGO, Blur(3), Blur(20)),
            *each(TARGET, Blur(1.5)),
        ],
    )
    yield (
        "sharpen",
        [
            *each(CAT, Sharpen(), Sharpen(2, 2), Sharpen(1, 3, 20), Sharpen(20, 0.5)),
            *each(LOGO, Sharpen(2, 3)),
            *each(PAGE, Sharpen()),
        ],
    )
    yield (
        "pixelate",
        [*each(FACE, Pixelate(4), Pixelate("8%"), Pixelate(70)), *each(LOGO, Pixelate(20))],
    )


def _tones() -> Sections:
    for step in (Grayscale(), Sepia(), Invert(), Autocontrast(), Equalize()):
        yield str(as_said(step)["op"]), (shown(name, step) for name in (CUP, BARS, LOGO))
    yield "brightness", each(CUP, Brightness(0.5), Brightness(1.5), Brightness(4))
    yield "contrast", each(CUP, Contrast(0.5), Contrast(1.5), Contrast(4), Contrast(0))
    yield "saturation", each(CUP, Saturation(0), Saturation(0.5), Saturation(2), Saturation(6))
    yield "hue", [*each(BARS, Hue(60), Hue(180)), *each(CUP, Hue(-30), Hue(120))]
    yield "gamma", each(ROCKET, Gamma(0.5), Gamma(2.2))
    yield (
        "tint",
        [
            *each(CAT, Tint("#336699"), Tint("#336699", 0.5), Tint("gold"), Tint("black")),
            *each(BARS, Tint("tomato")),
            *each(GREY_LOGO, Tint("seagreen")),
        ],
    )
    yield (
        "duotone",
        [
            *each(FACE, Duotone("navy", "ivory"), Duotone("#1b0a3c", "#ff6f61")),
            *each(MAN, Duotone("darkred", "gold")),
        ],
    )
    yield "posterize", [*each(CAT, Posterize(1), Posterize(3)), *each(BARS, Posterize(2))]
    yield "opacity", [*each(CUP, Opacity(0.5)), *each(LOGO, Opacity(0.5))]


def _covering() -> Sections:
    yield (
        "round",
        [
            *each(CUP, Round(30), Round("50%"), Round(30, "white"), Round(30, "#33669980")),
            *each(LOGO, Round(60, "gold")),
            shown(FACE, Resize(200, 200, "cover"), Round("50%")),
            *each(TARGET, Round(1)),
        ],
    )
    yield (
        "border",
        [
            *each(CUP, Border(10), Border("10%", "#ffffff80"), Border(1, "red")),
            *each(LOGO, Border(8, "seagreen")),
            shown(FACE, Border(12, "gold"), Round(40)),
        ],
    )
    yield (
        "background",
        [
            *each(LOGO, Background(), Background("#336699"), Background("#33669980")),
            *each(GREY_LOGO, Background("gold")),
        ],
    )
    face = "35%", "5%", "25%", "35%"
    yield (
        "redact",
        [
            *each(FACE, Redact(*face), Redact(*face, "blur"), Redact(*face, "fill")),
            *each(PAGE, Redact(40, 40, 200, 60), Redact(40, 40, 200, 60, "blur")),
            *each(LOGO, Redact(60, 60, 120, 80), Redact(60, 60, 120, 80, "blur")),
        ],
    )


def _watermark() -> Sections:
    # Two scripts that are written from right to left, and what letters there are besides.
    greetings, letters = "مرحبا بالعالم\nשלום עולם", "Ünïcödé Ωμέγα Привет 漢字"  # noqa: RUF001
    yield (
        "watermark",
        [
            *each(
                ROCKET,
                Watermark(text="© Calotype"),
                Watermark(text="© Calotype", gravity="southeast", dx=10, dy=10, opacity=0.6),
                Watermark(text="SAMPLE", tile=True, angle=-30, opacity=0.3, dx=40, dy=40),
                Watermark(text=greetings, scale=0.6, color="gold"),
                Watermark(text=letters, gravity="north", dy="5%"),
                Watermark(text="left\naligned lines", gravity="west", dx=10, font_size=40),
                Watermark(image="logo", scale=0.3, gravity="northwest", dx="3%", dy="3%"),
                Watermark(image="logo", tile=True, scale=0.15, opacity=0.5, dx=20, dy=20, angle=20),
                Watermark(image="photo", scale=0.4, angle=15),
            ),
            *each(LOGO, Watermark(text="DRAFT", angle=45, color="#00000080", scale=0.8)),
            *each(MAN, Watermark(text="grey", color="black"), Watermark(text="red", color="red")),
        ],
    )


def _outputs() -> Sections:
    shrink = Resize(240)
    yield (
        "format",
        [
            *(shown(CUP, shrink, format=kind) for kind in KINDS),
            *(shown(LOGO, shrink, format=kind) for kind in KINDS[:-1]),
            *(shown(LOGO, format=kind, background="gold") for kind in ("jpeg", "gif")),
            *(shown(BARS, format=kind) for kind in ("jpeg", "webp", "avif", "gif")),
        ],
    )
    lossy = ("jpeg", "webp", "avif")
    yield (
        "quality, lossless, subsampling",
        [
            *(shown(CAT, format=kind, quality=q) for kind in lossy for q in (5, 30, 75)),
            shown(CAT, format="webp", lossless=True),
            *(shown(BARS, format="jpeg", subsampling=each) for each in ("4:4:4", "4:2:0")),
            shown(CAT, format="jpeg", progressive=True, effort=9),
        ],
    )
    yield (
        "max_bytes, min_ssim",
        [
            *(shown(CAT, format="jpeg", max_bytes=most) for most in (3_000, 6_000, 20_000)),
            *(shown(CAT, format=kind, min_ssim=0.95) for kind in lossy),
            shown(CAT, format="jpeg", min_ssim=0.99),
        ],
    )
    yield (
        "colors",
        [
            *(shown(CAT, format="png", colors=number) for number in (2, 8, 32, 256)),
            *(shown(LOGO, format="png", colors=number) for number in (4, 16, 256)),
            *(shown(BARS, format="gif", colors=number) for number in (16, 256)),
        ],
    )
    yield "profile", (shown("wide.png", profile=which) for which in ("srgb", "keep", "strip"))


def _originals() -> Sections:
    names = "inks.jpg", "sixteen.png", "bits.png", "turned.jpg", "palette.png", "wide.png"
    yield (
        "what comes in",
        [
            *(shown(name, Resize(240)) for name in (*names, GREY_LOGO, MAN)),
            shown("turned.jpg", Resize(240), autorotate=False),
        ],
    )
    yield (
        "animation",
        [
            *(shown("ball.gif", format=kind) for kind in ("gif", "webp", "avif", "png")),
            *(shown("ball.webp", format=kind) for kind in ("gif", "webp", "avif", "jpeg")),
            shown("ball.gif", Resize(240), Border(4, "teal")),
            *each("ball.gif", Rotate(20), Crop(aspect="2:1", gravity="south"), Grayscale()),
            shown("ball.webp", Watermark(text="ball", color="black"), format="gif"),
            shown("ball.webp", animation="first"),
        ],
    )
