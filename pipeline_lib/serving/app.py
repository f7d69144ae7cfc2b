"""The routes: a page, and an API that only reads."""

import logging
import mimetypes
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from pipeline_lib.errors import CliplineError
from pipeline_lib.serving.access import Access, Guard, json_refusal
from pipeline_lib.serving.media import media_response
from pipeline_lib.serving.refusal import RefusalError
from pipeline_lib.serving.site import MOST_MOMENTS, MOST_VIDEOS, Site

log = logging.getLogger(__name__)
_VIDEOS, _MOMENTS = 10, 5
_LONGEST_S = 1e7
_LARGEST = 2**31
_REVALIDATED = {"Cache-Control": "private, no-cache"}
Number = Annotated[int, InPath(ge=0, lt=_LARGEST)]


def build_app(site: Site, access: Access) -> ASGIApp:
    """The application.

    Args:
        site: Answers.
        access: Who may ask.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await site.close()

    # Their own pages load scripts from elsewhere; docs/search_page.md describes the API.
    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan
    )
    _answer_errors(app)
    _add_page(app, site)
    _add_api(app, site)
    # Around all of it: what goes wrong inside gets the headers, too.
    return Guard(app, access)


def _add_page(app: FastAPI, site: Site) -> None:
    for name, content in site.page.items():
        path = "/" if name == "index.html" else f"/static/{name}"
        app.api_route(path, methods=["GET", "HEAD"])(_page_file(name, content))


def _page_file(name: str, content: bytes) -> Callable[[Request], Any]:
    etag = f'"{sha256(content).hexdigest()[:32]}"'
    kind = mimetypes.guess_type(name)[0]

    async def page_file(request: Request) -> Response:
        return _tagged(request, content, kind, etag)

    return page_file


def _add_api(app: FastAPI, site: Site) -> None:
    both = ["GET", "HEAD"]

    @app.api_route("/api/info", methods=both)
    async def info() -> JSONResponse:
        return _fresh(site.info())

    @app.api_route("/api/search", methods=both)
    async def search(
        q: Annotated[str, Query()] = "",
        videos: Annotated[int, Query(ge=1, le=MOST_VIDEOS)] = _VIDEOS,
        moments: Annotated[int, Query(ge=1, le=MOST_MOMENTS)] = _MOMENTS,
    ) -> JSONResponse:
        return _fresh(await site.search(q, videos, moments))

    @app.api_route("/api/frame/{number}/{time}.jpg", methods=both)
    async def frame(
        request: Request,
        number: Number,
        time: Annotated[float, InPath(ge=0, le=_LONGEST_S, allow_inf_nan=False)],
    ) -> Response:
        content = await site.stills.jpeg(number, time)
        return _tagged(request, content, "image/jpeg", f'"{sha256(content).hexdigest()[:32]}"')

    @app.api_route("/media/{number}", methods=both)
    async def media(request: Request, number: Number) -> Response:
        original = await site.opened(number)
        return media_response(original, request.method, request.headers, site.files)


def _fresh(content: dict[str, Any]) -> JSONResponse:
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def _tagged(request: Request, content: bytes, kind: str | None, etag: str) -> Response:
    headers = {"ETag": etag, **_REVALIDATED}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(RefusalError)
    async def refused(_: Request, error: RefusalError) -> JSONResponse:
        return json_refusal(error)

    @app.exception_handler(CliplineError)
    async def failed(_: Request, error: CliplineError) -> JSONResponse:
        log.error("%s", error)
        return json_refusal(RefusalError(503, error.message, hint=error.hint, kind="folder"))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = str(first["loc"][-1])
        message = f"{where} = {str(first.get('input'))[:80]!r}: {first['msg'].lower()}."
        return json_refusal(RefusalError(422, message, kind=where))

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> JSONResponse:
        message = "There is nothing at this address." if error.status_code == 404 else error.detail
        return json_refusal(RefusalError(error.status_code, message, kind="address"))

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:
        del error  # the server logs it
        message = "This is a bug in Clipline; what it was stands in the terminal of the server."
        return json_refusal(RefusalError(500, message, kind="bug"))
