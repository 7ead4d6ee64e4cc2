"""Files that are written in memory, without holding up other threads.

Pillow's JPEG and GIF encoders let other threads run only while they write to a real descriptor;
its PNG, WebP and AVIF encoders always do.
"""

import errno
import os
from collections.abc import Callable
from typing import BinaryIO

from actors.imaging.errors import NoRoom

# A file in memory counts against the limits on files and on memory.
_FULL = {errno.EFBIG, errno.ENOSPC, errno.ENOMEM}


def written(write: Callable[[BinaryIO], None]) -> bytes:
    """Return what `write` writes to a file.

    Raises:
      NoRoom: if the system has none for it.
    """
    try:
        with os.fdopen(os.memfd_create("image"), "w+b") as file:
            write(file)
            file.seek(0)
            return file.read()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoRoom("There was no room to write the result.") from error
