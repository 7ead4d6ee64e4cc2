"""What can go wrong with an address that a client has named.

A message is for that client: it tells nothing of the network that the service stands in.
"""


class OutsideError(Exception):
    """The base of the errors below."""


class SourceForbidden(OutsideError):
    """The address is none that this service asks; trying again is of no use."""


class SourceTooLarge(OutsideError):
    """There are more bytes than may be taken."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"It has more than {max_bytes} bytes.")


class SourceUnreachable(OutsideError):
    """No good answer came. Trying again may help if it `may_pass`, after `retry_after` seconds."""

    def __init__(
        self,
        reason: str,
        *,
        may_pass: bool = True,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.may_pass = may_pass
        self.status = status
        self.retry_after = retry_after
