"""One picture or many, as the writers of the formats take them: one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from actors.imaging.errors import RenderStopped
from actors.imaging.modes import coloured


@dataclass(frozen=True, slots=True)
class Timing:
    """For how many milliseconds each frame is shown, and how often they all are; 0 is for ever."""

    durations: tuple[int, ...]
    loops: int = 0


class Film:
    """The frames of what is written, one or more, of one size and one mode.

    Each is asked for when it is due and let go of after that, in every attempt at writing anew.

    Args:
      fit: makes of a frame what the format can hold.
      stopped: asked before each frame; when it returns True, the work is given up.
    """

    def __init__(
        self,
        frames: Sequence[Image.Image],
        fit: Callable[[Image.Image], Image.Image],
        stopped: Callable[[], bool],
    ) -> None:
        self._frames = frames
        self._fit = fit
        self._stopped = stopped

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Image.Image]:
        return map(self.frame, range(len(self)))

    def frame(self, number: int) -> Image.Image:
        """Return a frame, counted from 0.

        Raises:
          RenderStopped: if the work is to stop.
        """
        if self._stopped():
            raise RenderStopped
        return self._fit(self._frames[number])

    def colours(self, number: int = 0) -> Image.Image:
        """Return a frame as RGB or RGBA."""
        return coloured(self.frame(number))


class Reel(Image.Image):
    """A film as Pillow's own writers of animations want it: one picture that can be sought through.

    Unlike a list of pictures it holds one frame at a time.
    """

    is_animated = True

    def __init__(self, frame: Callable[[int], Image.Image], frames: int) -> None:
        super().__init__()
        self.n_frames = frames
        self._frame = frame
        self._at = 0
        self._show(frame(0))

    def seek(self, frame: int) -> None:
        """Show this frame, counted from 0."""
        if frame >= self.n_frames:
            raise EOFError
        if frame != self._at:
            self._at = frame
            self._show(self._frame(frame))

    def tell(self) -> int:
        """Return the number of the frame that is shown."""
        return self._at

    def _show(self, image: Image.Image) -> None:
        self.im = image.im
        self._mode = image.mode
        self._size = image.size
