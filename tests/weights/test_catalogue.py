import re
from pathlib import PurePosixPath

import pytest

from pipeline_lib.backbones import BACKBONES
from pipeline_lib.config import ClipConfig, DinoV2Config, ExtractConfig, MobileClipConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.paths import path_fault
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.weights.catalogue import catalogue, choose
from pipeline_lib.weights.licences import LICENCES

ITEMS = catalogue()


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
def test_every_entry_is_one_its_loader_knows(item):
    assert item.network in BACKBONES
    section = {"clip": ClipConfig, "dinov2": DinoV2Config, "mobileclip": MobileClipConfig}
    if item.network in section:
        config = section[item.network](weights="x", **item.settings)
        assert ExtractConfig(**{item.network: config})
    if item.network == "clip":
        assert item.settings["model"] in import_open_clip().list_models()
    for path, file in item.files.items():
        assert file.url.startswith("https://")
        assert file.license == item.licence.name or item.licence.name in file.license
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert path_fault(str(path)) is None
        assert path.parts[0] == item.network
        assert item.weights in (path, path.parent)


def test_no_two_files_share_a_place():
    paths = [path for item in ITEMS.values() for path in item.files]
    assert len(paths) == len(set(paths))
    networks = {item.network for item in ITEMS.values()}
    assert networks == set(LICENCES)
    assert all(licence.source.startswith("https://") for licence in LICENCES.values())


def test_hashes_of_openais_files_are_those_of_their_addresses():
    for item in ITEMS.values():
        if item.network == "clip":
            (file,) = item.files.values()
            assert f"/{file.sha256}/" in file.url


def test_a_network_alone_means_its_usual_weights():
    chosen = choose(["clip", "dinov2:small", "clip:ViT-B-32-quickgelu", "videomamba"])
    assert [item.name for item in chosen] == [
        "clip:ViT-B-32-quickgelu",
        "dinov2:small",
        "videomamba:k400-middle",
    ]
    assert choose(["mobileclip"])[0].weights == PurePosixPath("mobileclip/mobileclip_s0.pt")


@pytest.mark.parametrize(
    "name", ["../clip", "clip/../../x", "/etc/passwd", "clip:..", "clip\0", "", "dinov2:../base"]
)
def test_names_are_words_of_the_catalogue_and_never_paths(name):
    with pytest.raises(ConfigError, match="There are no published weights"):
        choose([name])


def test_only_apples_weights_need_consent():
    assert [name for name, licence in LICENCES.items() if licence.needs_consent] == ["mobileclip"]
