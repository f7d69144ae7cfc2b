"""What the page and its API answer instead of what was asked for: one sentence and a remedy."""

from collections.abc import Mapping
from typing import Any


class RefusalError(Exception):
    """A request that gets no more than a message.

    Args:
        status: HTTP status.
        message: What is wrong.
        hint: What repairs it.
        kind: A short stable word for programs, such as ``missing``.
        headers: Further ones of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str | None = None,
        kind: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.kind = status, message, hint, kind
        self.headers = dict(headers or {})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"error": self.message, "hint": self.hint, "kind": self.kind}
