"""What the command ``serve`` does: opens a folder, listens, and ends with Ctrl-C."""

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from pipeline_lib.config import RuntimeConfig
from pipeline_lib.retrieval.command import Asked, as_embedded
from pipeline_lib.retrieval.models import open_model
from pipeline_lib.runtime.device import set_threads
from pipeline_lib.serving.access import Access, choose_token
from pipeline_lib.serving.address import Address, listen, require_token, resolve, url
from pipeline_lib.serving.app import build_app
from pipeline_lib.serving.site import Site, Source

_GRACE_S, _IDLE_S = 2, 30


@dataclass(frozen=True)
class Listening:
    """Where and for whom, as the command line says it.

    Attributes:
        host: A name or address.
        port: 0 takes a free one.
        token: ``auto`` draws one.
        token_file: Holds one instead.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    token_file: Path | None = None


def serve(
    source: Source,
    asked: Asked,
    runtime: RuntimeConfig,
    listening: Listening,
    say: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C.

    Args:
        source: What is served.
        asked: The model; the one that embedded the folder is the default.
        runtime: Of this machine.
        listening: Where.
        say: Gets the lines for the user.

    Raises:
        ConfigError: The address cannot be used, or needs a token.
        DataError: A folder is missing or damaged.
        WeightsError: Weights are missing, untrained, or of another model.
    """
    # What is wrong with the address shows at once, before a model is loaded.
    token = choose_token(listening.token, listening.token_file)
    address = resolve(listening.host, listening.port)
    require_token(address, token)
    choice = as_embedded(source.folder, asked).choice(runtime)
    with listen(address) as bound:
        set_threads(runtime.threads)
        site = Site(source, open_model(choice), choice.settings)
        app = build_app(site, access_rules(address, token))
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=_IDLE_S,
        )
        info = site.info()
        say(f"{info['videos']} videos of {info['source']}, {info['model']}, Ctrl-C ends:")
        say(url(address, bound.getsockname()[1], token))
        # The server has ended in order when it raises what interrupted it.
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[bound])
        say("ended")


def access_rules(address: Address, token: str | None) -> Access:
    """Who may ask a server there."""
    names = {address.host.lower(), address.ip}
    if address.wildcard:
        names = {socket.gethostname().lower(), socket.getfqdn().lower()}
    return Access(frozenset(names), any_address=address.wildcard, token=token)
