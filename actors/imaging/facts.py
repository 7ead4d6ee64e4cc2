"""What is known of an image before a pixel is decoded, and how large an image may be."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

# What is written here; and what is read.
Written: TypeAlias = Literal["jpeg", "png", "webp", "gif", "avif", "tiff"]
Format: TypeAlias = Literal[Written, "heic"]
Size: TypeAlias = tuple[int, int]

# In bytes. Profiles come from strangers; what is larger than a printer's profile is left alone.
MAX_PROFILE: Final = 4_000_000

# TIFF is a language of its own, and what browsers do not show either; HEIC needs a decoder that is
# not installed unless it is asked for. An operator turns them on.
USUAL_FORMATS: Final[frozenset[Format]] = frozenset({"jpeg", "png", "webp", "gif", "avif"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Which images are read, and how large one may be.

    A chunk is one part of a file's structure: a segment in JPEG, a chunk in PNG and WebP, a block
    or an extension's sub-block in GIF, a box in AVIF and HEIC.
    A data chunk is a part that holds pixels, of which honest files have many more: `IDAT` in PNG,
    an image's sub-block in GIF, an entry of a table or a unit of coded data in AVIF and HEIC, a
    strip or a tile in TIFF. 20,000 of them, however small, cost a PNG 60 ms.
    `max_seconds` is what a render may take of a core, by its plan (`cost.cost_of`).
    """

    formats: frozenset[Format] = USUAL_FORMATS
    max_pixels: int = 25_000_000
    max_edge: int = 16_384
    max_frames: int = 100
    max_total_pixels: int = 100_000_000
    max_scans: int = 100
    max_chunks: int = 1_000
    max_data_chunks: int = 20_000
    max_seconds: int = 60


DEFAULT_LIMITS: Final = Limits()

# What was written here is read again whatever an operator allows strangers to send.
_ENOUGH = 2**62
NO_LIMITS: Final = Limits(
    formats=frozenset(get_args(Format)),
    max_pixels=_ENOUGH,
    max_edge=_ENOUGH,
    max_frames=_ENOUGH,
    max_total_pixels=_ENOUGH,
    max_scans=_ENOUGH,
    max_chunks=_ENOUGH,
    max_data_chunks=_ENOUGH,
    max_seconds=_ENOUGH,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the structure of an image says.

    `width` and `height` are as stored; `size_as_shown` is what a viewer sees.
    `orientation` is EXIF's, from 1 (upright) to 8.
    `scans` is more than 1 for a JPEG that is decoded in several passes, such as a progressive one.
    `depth` is the number of bits of a sample.
    `loops` is how often an animation plays in all; 0 is for ever.
    """

    format: Format
    width: int
    height: int
    frames: int = 1
    orientation: int = 1
    scans: int = 1
    depth: int = 8
    loops: int = 1

    @property
    def size_as_shown(self) -> Size:
        """Width and height after the orientation has been applied."""
        return as_turned((self.width, self.height), self.orientation)


def as_turned(size: Size, orientation: int) -> Size:
    """Return `size` as it is once the EXIF `orientation` has been applied, or taken back."""
    width, height = size
    return (height, width) if orientation >= 5 else size
