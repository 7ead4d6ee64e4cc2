"""Operations of every kind, for what must hold for all of them."""

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
from actors.imaging.recipe import Operation
from actors.imaging.step import FocalPoint

# One of each at least, in shares where that may be.
EXAMPLES: tuple[Operation, ...] = (
    *(Resize("50%"), Resize(300, 100, "cover", FocalPoint(0.3, 1)), Resize(99, 99, "contain")),
    *(Resize(99, 99, "cover", "smart"), Resize(99, 99, "inside"), Resize(99, 99, "outside")),
    *(Thumbnail("20%", 300), Scale(0.3), Crop("10%", "10%", "33%", "50%"), Crop(aspect="16:9")),
    *(Crop(width=30, height="40%", gravity="northwest"), Trim(), Pad("5%", 3, left=9)),
    *(
        Pad(width=500, gravity="east"),
        Rotate(33.3),
        Rotate(90),
        Autorotate(),
        Flip(),
        Flop(),
        Blur(3),
    ),
    *(Sharpen(), Pixelate("3%"), Grayscale(), Sepia(), Invert(), Autocontrast(), Equalize()),
    *(Brightness(2), Contrast(2), Saturation(2), Hue(90), Gamma(2), Tint("red"), Posterize(2)),
    *(Duotone("navy", "white"), Opacity(0.5), Round("50%"), Border("2%"), Background("navy")),
    *(Redact("10%", "10%", "5%", "5%"), Watermark(text="x", dx="5%"), Watermark(image="logo")),
)
