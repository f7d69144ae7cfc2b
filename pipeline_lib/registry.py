"""Names to classes, imported only when asked for.

A registry holds ``"package.module:Name"`` strings, so listing names (for ``--help``, for
validation) imports nothing heavy, and adding an item is one new file and one line.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar, cast

from pipeline_lib.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """A fixed table of lazily imported objects.

    Args:
        kind: What the items are, for messages: ``"backbone"``.
        targets: Name to ``"module:attribute"``.
    """

    def __init__(self, kind: str, targets: Mapping[str, str]) -> None:
        self.kind = kind
        self._targets = dict(targets)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets))

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def get(self, name: str) -> T:
        """Import and return the item called ``name``.

        Raises:
            ConfigError: No item has that name; the message names the nearest one.
        """
        if name not in self._targets:
            raise ConfigError(
                f"Unknown {self.kind} {name!r}.", hint=did_you_mean(name, self._targets)
            )
        module, attribute = self._targets[name].split(":")
        return cast(T, getattr(import_module(module), attribute))
