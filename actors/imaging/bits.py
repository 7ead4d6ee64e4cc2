"""Numbers of so many bits, as the headers of coded pictures are made of."""

from actors.imaging.errors import NotAnImage
from actors.imaging.isobmff import TRUNCATED

# Of zeros in front of a number, which are as many as its bits, less one.
_MOST_ZEROS = 32


class Bits:
    """Reads one number after the other."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, number: int) -> int:
        """Return the next `number` bits.

        Raises:
          NotAnImage: if there are no more of them.
        """
        self._left -= number
        if self._left < 0:
            raise NotAnImage(TRUNCATED)
        return self._number >> self._left & (1 << number) - 1

    def take_variable_length(self) -> int:
        """Return a number that says itself how long it is: `uvlc` in AV1, `ue` in HEVC.

        Raises:
          NotAnImage: if it does not end, or is longer than any may be.
        """
        zeros = 0
        while not self.take(1):
            zeros += 1
        if zeros > _MOST_ZEROS:
            raise NotAnImage(TRUNCATED)
        return self.take(zeros) + (1 << zeros) - 1
