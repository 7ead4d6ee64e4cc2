"""The priority of threads and processes that only calculate."""

import os
import threading
from contextlib import suppress

NICENESS = 10


def give_way() -> None:
    """Lower the priority of this thread, if it is not that low already.

    It stays so, since nobody may raise it again; and Trio lends the thread to calls of the Store.
    """
    thread = threading.get_native_id()
    if os.getpriority(os.PRIO_PROCESS, thread) < NICENESS:
        # A sandbox may forbid it.
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
