"""What could not be shown: listed on the page, and told by whoever made it."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline_lib.errors import BatchError


@dataclass(frozen=True)
class Problem:
    """One thing that is missing from the page.

    Attributes:
        what: The thing: ``"Timeline of test/fall/a"``.
        why: What is wrong and where.
        remedy: What repairs it; may be empty.
    """

    what: str
    why: str
    remedy: str = ""


@dataclass
class Problems:
    """Collects what could not be shown while the page goes on without it.

    Attributes:
        found: In the order met.
    """

    found: list[Problem] = field(default_factory=list)

    def raise_found(self, page: Path) -> None:
        """Turn them into the error that a batch ends with, if there are some.

        Args:
            page: The page that lists them.

        Raises:
            BatchError: There are some.
        """
        if not self.found:
            return
        first = self.found[0]
        raise BatchError(
            f"{len(self.found)} of the things to show could not be shown, first: "
            f"{first.what}: {first.why}",
            hint=f"{page} shows the others and lists all of these under “Failures”.",
        )
