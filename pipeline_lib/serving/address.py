"""Where the server listens: this machine alone, unless a token guards it."""

import errno
import ipaddress
import socket
from dataclasses import dataclass

from pipeline_lib.errors import ConfigError

_BACKLOG = 2048


@dataclass(frozen=True)
class Address:
    """A host and a port, resolved.

    Attributes:
        host: As the user named it.
        ip: What it resolves to.
        port: 0 takes a free one.
        loopback: Whether only this machine can reach it.
    """

    host: str
    ip: str
    port: int
    loopback: bool

    @property
    def wildcard(self) -> bool:
        """Whether it stands for all addresses of this machine."""
        return ipaddress.ip_address(self.ip).is_unspecified


def resolve(host: str, port: int) -> Address:
    """Look a host up.

    Raises:
        ConfigError: There is no such host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"--host {host}: not found ({error}).", hint="Use 127.0.0.1, or this machine's address."
        ) from None
    ips = [str(entry[4][0]) for entry in found]
    # A name may stand for several: it is safe only where all of them are.
    return Address(host, ips[0], port, all(ipaddress.ip_address(ip).is_loopback for ip in ips))


def listen(address: Address) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: The port is taken, not allowed, or the address is no one of this machine.
    """
    family = socket.AF_INET6 if ":" in address.ip else socket.AF_INET
    # The protocol by name: asyncio sends without delay only what it knows to be TCP, and small
    # answers would wait 40 ms for an acknowledgement.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address.ip, address.port))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        place = f"{address.host}:{address.port}"
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"--port {address.port}: another program listens on {place}.",
                hint="End it, or take another port; --port 0 takes a free one.",
            ) from None
        raise ConfigError(
            f"--host, --port: cannot listen on {place} ({error.strerror}).",
            hint="Take an address of this machine, and a port from 1024 on.",
        ) from None
    return made


def require_token(address: Address, token: str | None) -> None:
    """Refuse to be reached from elsewhere by everybody.

    Raises:
        ConfigError: The address is not this machine's loopback, and there is no token.
    """
    if token is None and not address.loopback:
        port = address.port or "PORT"
        raise ConfigError(
            f"--host {address.host}: other machines could look at all videos without a token.",
            hint="Add `--token auto`, or --token-file FILE. To reach it from another machine, "
            f"`ssh -L {port}:127.0.0.1:{port} THIS_MACHINE` is safe, too.",
        )


def url(address: Address, port: int, token: str | None) -> str:
    """What to open in a browser.

    Args:
        address: Of the server.
        port: That it got.
        token: Opens the page once; a cookie does so from then on.
    """
    host = socket.gethostname() if address.wildcard else address.host
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}/" + (f"?token={token}" if token else "")
