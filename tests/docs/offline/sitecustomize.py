"""On the path of the commands under test: names other than this machine's are not resolved.

So what a command says without a network is the same on machines with and without one.
"""

import os
import socket

_resolve = socket.getaddrinfo
_HERE = {None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::", socket.gethostname()}


def _only_here(host, *args, **kwargs):  # type: ignore[no-untyped-def]
    name = os.fsdecode(host) if isinstance(host, bytes) else host
    if name not in _HERE:
        raise socket.gaierror(-2, "Name or service not known")
    return _resolve(host, *args, **kwargs)


socket.getaddrinfo = _only_here
