"""Fetching published weights: from the local cache where they are, and no long wait offline."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants

Fetched = TypeVar("Fetched")


def download(fetch: Callable[[], str]) -> Path:
    """:func:`cache_first` for what gives a file's path."""
    return Path(cache_first(fetch))


def cache_first(fetch: Callable[[], Fetched]) -> Fetched:
    """Run a download of open_clip or the hub's client, or what makes one.

    The cache is asked first, without any request. Only where it has nothing is the network used,
    and where the hub's name cannot even be resolved the attempt ends at once: the client itself
    would retry for a minute.

    Raises:
        OSError: The hub cannot be reached and the cache has nothing.
        Exception: Whatever ``fetch`` raises with the network at hand.
    """
    try:
        with cache_only():
            return fetch()
    except Exception:  # noqa: BLE001  # not cached, whatever way this client says so
        require_host(constants.ENDPOINT)
    return fetch()


@contextmanager
def cache_only() -> Iterator[None]:
    """Let the hub's client see nothing but its cache, so that it sends no request."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def require_host(url: str) -> None:
    """End at once where the host of ``url`` cannot even be resolved.

    Raises:
        OSError: It cannot; the cache is taken to have been asked before.
    """
    if getproxies():
        return  # the proxy resolves names, this machine need not
    host = urlsplit(url).hostname or url
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        raise OSError(
            f"{host} cannot be reached from this machine, and the cache is empty"
        ) from error
