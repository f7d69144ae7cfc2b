"""The three verbs of the command ``weights``."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.params_file import load_params
from pipeline_lib.weights import report
from pipeline_lib.weights.catalogue import Item, catalogue, choose
from pipeline_lib.weights.fetch import Outcome, fetch, require_consent
from pipeline_lib.weights.place import Place
from pipeline_lib.weights.report import Report
from pipeline_lib.weights.use import use
from pipeline_lib.weights.verify import verify

__all__ = ["Consent", "Place", "fetch_weights", "list_weights", "verify_weights"]


@dataclass(frozen=True)
class Consent:
    """How a user agrees to a licence that restricts use.

    Attributes:
        accepted: Networks whose licence is accepted.
        ask: Shows the terms and asks; ``None`` where nobody is there to answer.
    """

    accepted: Collection[str] = ()
    ask: Callable[[str], bool] | None = None


def list_weights(place: Place, cache: Path | None) -> Report:
    """What there is; ``cache`` remembers hashes of files."""
    return report.listing(catalogue(), place, cache)


def fetch_weights(
    names: Sequence[str], place: Place, consent: Consent, params: Path | None
) -> Report:
    """Fetch weights, and write their paths into ``params`` where that is given.

    Raises:
        ConfigError: A name is unknown, or the parameter file cannot be used; nothing was fetched.
        WeightsError: A licence was not accepted; nothing was fetched.
    """
    items = choose(names)
    if params is not None:
        load_params(params)
    require_consent(items, place, consent.accepted, consent.ask)
    outcome = fetch(items, place)
    switched = None
    if params is not None:
        switched = use(_whole(items, outcome, place), place.folder, params)
    return report.fetched(outcome, switched, place)


def verify_weights(names: Sequence[str], place: Place) -> Report:
    """Verify weights, all that are there where none is named.

    Raises:
        ConfigError: A name is unknown.
    """
    items = choose(names) if names else list(catalogue().values())
    return report.verified(verify(items, place, named=bool(names)))


def _whole(items: Sequence[Item], outcome: Outcome, place: Place) -> list[Item]:
    return [
        item
        for item in items
        if not any(place.folder / path in outcome.failures for path in item.files)
    ]
