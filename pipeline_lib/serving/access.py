"""Who may ask, and what every answer says to browsers.

Bound to this machine's loopback, any web page that is open in a browser here can still send
requests, and a name that its owner points to 127.0.0.1 makes their answers readable (DNS
rebinding). So requests are answered only under names that nobody else can own, and no other origin
may read or show an answer. Elsewhere a token is needed, too.
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline_lib.errors import ConfigError
from pipeline_lib.serving.refusal import RefusalError

SHORTEST_TOKEN = 16
AUTO = "auto"
_METHODS = ("GET", "HEAD")
_COOKIE_DAYS = 30
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?", re.ASCII)
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Access:
    """The rules.

    Attributes:
        names: Host names that requests may be sent to, beside this machine's loopback.
        any_address: Whether they may be sent to any IP address: a server on all of them cannot
            know its own, and an address is no name that could be pointed elsewhere.
        token: What a request has to bring; ``None`` asks for nothing.
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False
    token: str | None = field(default=None, repr=False)

    def knows(self, host: str) -> bool:
        """Whether a ``Host`` header names this server."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        if name == "localhost" or name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self.any_address


def choose_token(token: str | None, file: Path | None) -> str | None:
    """The token that the command line names; ``auto`` draws a fresh one.

    Raises:
        ConfigError: Two are named, the file cannot be read, or the token is too short or no plain
            text.
    """
    if token is not None and file is not None:
        raise ConfigError("--token and --token-file name two tokens.", hint="Give one of them.")
    if token == AUTO:
        return secrets.token_urlsafe(24)
    source = "--token"
    if file is not None:
        source = str(file)
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--token-file {file}: not readable ({error}).") from None
    if token is None:
        return None
    if len(token) < SHORTEST_TOKEN or not re.fullmatch(r"[!-~]+", token):
        raise ConfigError(
            f"{source}: a token has at least {SHORTEST_TOKEN} characters, of printable ASCII "
            "without spaces.",
            hint=f"`--token {AUTO}` draws one.",
        )
    return token


class Guard:
    """Lets through what the rules allow, and puts the headers on every answer.

    Args:
        app: What is guarded.
        access: The rules.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        secret = (access.token or "").encode()
        self._token = hashlib.sha256(secret).digest()
        # Cookies reach every port of a host: a derived value does not tell the token, and a name
        # of its own lets two servers stand side by side.
        self._cookie = hmac.new(secret, b"clipline cookie", "sha256").hexdigest()
        self._name = "clipline_" + hmac.new(secret, b"clipline name", "sha256").hexdigest()[:8]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._refused(scope) or self._app
        await answer(scope, receive, send_with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._access.knows(hosts[0]):
            return json_refusal(
                RefusalError(
                    403,
                    "The request names another host than this server.",
                    hint="Open the address that `clipline serve` printed.",
                    kind="host",
                )
            )
        if self._access.token is not None:
            answer = self._unlocked(scope, headers)
            if answer is not None:
                return answer
        if scope["method"] not in _METHODS:
            return json_refusal(
                RefusalError(
                    405,
                    "This server only answers: nothing can be sent to it.",
                    kind="method",
                    headers={"Allow": ", ".join(_METHODS)},
                )
            )
        return None

    def _unlocked(self, scope: Scope, headers: Headers) -> Response | None:
        """``None`` for a request with the token; else the answer it gets."""
        fields = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in fields if name == "token"]
        if given:
            if len(given) == 1 and self._is_token(given[0]) and scope["method"] in _METHODS:
                return self._without_token(scope, fields)
            return self._locked(headers)
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(value.strip()):
            return None
        if any(hmac.compare_digest(c.encode(), self._cookie.encode()) for c in self._sent(headers)):
            return None
        return self._locked(headers)

    def _is_token(self, value: str) -> bool:
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
        return hmac.compare_digest(digest, self._token)

    def _sent(self, headers: Headers) -> Iterable[str]:
        try:
            cookies = SimpleCookie("; ".join(headers.getlist("cookie")))
        except CookieError:
            return []
        return [cookies[self._name].value] if self._name in cookies else []

    def _without_token(self, scope: Scope, fields: list[tuple[str, str]]) -> Response:
        # The token leaves the address, history and screenshots; a cookie takes its place. One
        # slash only: two would name another host.
        rest = urlencode([(name, value) for name, value in fields if name != "token"])
        place = "/" + quote(scope["path"].lstrip("/"), safe="/")
        answer = RedirectResponse(place + (f"?{rest}" if rest else ""), status_code=303)
        answer.set_cookie(
            self._name,
            self._cookie,
            max_age=_COOKIE_DAYS * 24 * 3600,
            httponly=True,
            samesite="strict",
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def _locked(self, headers: Headers) -> Response:
        extra = {"WWW-Authenticate": 'Bearer realm="clipline"', "Cache-Control": "no-store"}
        if "text/html" in headers.get("accept", ""):
            page = files("pipeline_lib.serving").joinpath("page/locked.html").read_text("utf-8")
            return HTMLResponse(page, 401, extra)
        return json_refusal(
            RefusalError(
                401,
                "This server needs its token.",
                hint="Send `Authorization: Bearer TOKEN`, or open the address that "
                "`clipline serve` printed.",
                kind="token",
                headers=extra,
            )
        )


def json_refusal(refusal: RefusalError) -> JSONResponse:
    """A refusal as an answer."""
    return JSONResponse(refusal.as_dict(), refusal.status, refusal.headers)
