"""A served folder of numbered videos."""

from pathlib import Path

from starlette.testclient import TestClient

from pipeline_lib.retrieval.unified_config import UnifiedModelConfig
from pipeline_lib.serving.access import Access
from pipeline_lib.serving.app import build_app
from pipeline_lib.serving.site import Site, Source
from tests.retrieval.number_model import NumberModel
from tests.retrieval.test_embed import embed
from tests.support.video_files import constant_rate

BASE = "http://127.0.0.1:8765"
# In the order of their numbers.
NAMES = ("long.mp4", "middle.mp4", "short.mp4")


def embedded(place: Path) -> Path:
    """Three videos of 12, 60 and 160 frames, 25 a second, and their embeddings."""
    for name, frames in (("short", 12), ("middle", 60), ("long", 160)):
        constant_rate(place / "videos" / f"{name}.mp4", frames)
    embed(place / "videos", place / "out")
    return place / "out"


def opened(folder: Path, **options) -> Site:
    settings = options.pop("settings", UnifiedModelConfig())
    return Site(Source(folder, **options), NumberModel(), settings)


def client(site: Site, access: Access | None = None, **options) -> TestClient:
    """Asks a site; used as a context manager, whose end closes the site."""
    app = build_app(site, access or Access())
    return TestClient(app, base_url=BASE, follow_redirects=False, **options)
