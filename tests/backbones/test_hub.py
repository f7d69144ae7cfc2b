import socket
import time

import pytest
from huggingface_hub import constants

from pipeline_lib.backbones.hub import cache_only, download
from pipeline_lib.backbones.open_clip_weights import load_open_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import WeightsError


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_cached_needs_no_network(no_network, tmp_path):
    offline = []

    def cached():
        offline.append(constants.HF_HUB_OFFLINE)
        return str(tmp_path)

    assert download(cached) == tmp_path
    assert offline == [True]


def test_the_network_is_used_when_the_cache_is_empty(monkeypatch, tmp_path):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: [])

    def fetch():
        if constants.HF_HUB_OFFLINE:
            raise FileNotFoundError
        return str(tmp_path)

    assert download(fetch) == tmp_path


def test_offline_ends_at_once_and_says_what_to_do(no_network, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(
        WeightsError, match=r"Cannot fetch the weights laion2b_s34b_b79k of"
    ) as caught:
        load_open_clip(ClipConfig(model="ViT-B-32", weights="laion2b_s34b_b79k"))
    assert time.monotonic() - start < 10
    assert "data/weights/" in caught.value.hint


def test_the_switch_is_put_back():
    before = constants.HF_HUB_OFFLINE
    with pytest.raises(ZeroDivisionError), cache_only():
        _ = 1 / 0
    assert before == constants.HF_HUB_OFFLINE
