import json
import re
import shutil
from dataclasses import replace
from operator import attrgetter
from pathlib import Path, PurePosixPath

import pytest

from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.params_file import load_params
from pipeline_lib.weights import report
from pipeline_lib.weights.catalogue import choose
from pipeline_lib.weights.demo_values import FITTED
from pipeline_lib.weights.fetch import fetch, require_consent
from pipeline_lib.weights.lockfile import BY_HAND, read_lock
from pipeline_lib.weights.place import FOLDER
from pipeline_lib.weights.status import missing, used
from pipeline_lib.weights.use import use
from pipeline_lib.weights.verify import fault, verify
from tests.weights.conftest import CONTENT, SHA256, item_of, there

ROOT = Path(__file__).parent.parent.parent
URL = "https://example.org/weights.pt"


def put(place, content=CONTENT, network="slowfast"):
    there(place, network).parent.mkdir(parents=True)
    there(place, network).write_bytes(content)


def test_a_flipped_bit_is_found(place):
    put(place)
    item = item_of(URL)
    assert [result.state for result in verify([item], place, named=True)] == ["verified"]
    flipped = bytearray(CONTENT)
    flipped[1_234_567] ^= 1
    there(place).write_bytes(flipped)
    error = fault(verify([item], place, named=False))
    assert f"{there(place)}: has sha256" in error.message
    assert SHA256 in error.message
    assert error.exit_code == 2


def test_what_is_not_there_is_missing_only_where_it_was_named(place):
    assert verify([item_of(URL)], place, named=False) == []
    assert "missing (slowfast:some)" in fault(verify([item_of(URL)], place, named=True)).message


def test_a_file_put_there_by_hand_is_recorded_once_and_held_to(place):
    put(place)
    item = item_of(URL, sha256=None)
    assert fault(verify([item], place, named=False)) is None
    assert read_lock(place.lock)[URL].origin == BY_HAND
    there(place).write_bytes(b"other")
    assert fault(verify([item], place, named=False)) is not None
    assert "known of it" in fetch([item], place).error().message


def test_consent_is_asked_for_before_anything_is_fetched(place):
    item = item_of(URL, network="mobileclip")
    with pytest.raises(WeightsError, match="Non-commercial research only") as caught:
        require_consent([item_of(URL), item], place)
    assert "--accept-licence mobileclip" in caught.value.hint
    asked = []
    with pytest.raises(WeightsError, match="Nothing has been fetched"):
        require_consent([item], place, ask=lambda terms: bool(asked.append(terms)))
    assert "Apple Machine Learning Research Model License" in asked[0]
    require_consent([item], place, ask=lambda terms: True)
    require_consent([item], place, accepted=["mobileclip"])
    with pytest.raises(ConfigError, match="there is no such network"):
        require_consent([item_of(URL)], place, accepted=["mobilclip"])
    put(place, network="mobileclip")  # accepted once, when it was put there
    require_consent([item], place)


def test_of_several_files_all_count(place):
    put(place, network="mobileclip")
    whole = item_of(URL, network="mobileclip")
    files = {**whole.files, PurePosixPath("mobileclip/other.pt"): whole.files[whole.weights]}
    item = replace(whole, files=files)
    with pytest.raises(WeightsError, match="Nothing has been fetched"):
        require_consent([item], place)
    results = verify([item], place, named=False)
    assert [result.state for result in results] == ["verified", "missing"]
    assert "other.pt: missing" in fault(results).message


@pytest.fixture
def params(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    return tmp_path / "params.yaml"


def test_params_are_switched_and_every_other_byte_stays(params):
    before = params.read_text().splitlines()
    items = choose(["clip", "mobileclip", "slowfast", "dinov2:small", "videomamba"])
    switched = use(items, FOLDER, params)
    extract = load_params(params).extract
    assert extract.clip.model == extract.clip_untrained.model == "ViT-B-32-quickgelu"
    assert extract.clip.weights == "data/weights/published/clip/ViT-B-32.pt"
    assert extract.clip_untrained.weights == "untrained"
    assert extract.dinov2.model == "small"
    assert extract.dinov2.weights == "data/weights/published/dinov2/small"
    assert extract.mobileclip.weights == "data/weights/published/mobileclip/mobileclip_s0.pt"
    assert extract.slowfast.weights == "data/weights/published/slowfast/SLOWFAST_8x8_R50.pyth"
    assert extract.videomamba.weights.endswith("videomamba_m16_k400_f16_res224.pth")
    assert extract.backbones == (*load_params(ROOT / "params.yaml").extract.backbones, "mobileclip",
                                 "slowfast", "dinov2", "videomamba")  # fmt: skip
    after = params.read_text().splitlines()
    assert len(after) == len(before)
    other = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    keys = [re.match(r" *(\w+):", new)[1] for _, new in other]
    assert keys == ["backbones", "model", "weights", "model", "weights", "weights", "model",
                    "weights", "weights"]  # fmt: skip
    assert [re.sub(r"^[^#]*", "", old) for old, _ in other] == [
        re.sub(r"^[^#]*", "", new) for _, new in other
    ]
    assert len(switched.changed) == len(keys)
    assert "extract.slowfast.weights: data/weights/published/slowfast/SLOWFAST_8x8_R50.pyth" in (
        switched.changed
    )


def test_switching_twice_changes_nothing_more(params):
    use(choose(["clip"]), FOLDER, params)
    once = params.read_bytes()
    assert use(choose(["clip"]), FOLDER, params).changed == []
    assert params.read_bytes() == once


def test_what_was_chosen_for_the_demo_is_told(params):
    advice = "\n".join(use(choose(["clip", "dinov2"]), FOLDER, params).advice)
    assert "mine.threshold is 0.85" in advice
    assert "train.pos_neg.lr is 0.0003" in advice
    for key, (fitted, _) in FITTED.items():  # of the file that the project ships
        assert attrgetter(key)(load_params(ROOT / "params.yaml")) == fitted
    assert "usual for Sim-m is dinov2" in advice
    text = params.read_text().replace("threshold: 0.85", "threshold: 0.95")
    params.write_text(text.replace("lr: 0.0003", "lr: 0.00001"))
    advice = "\n".join(use(choose(["clip"]), FOLDER, params).advice)
    assert "mine.threshold" not in advice
    assert "pos_neg" not in advice


def test_two_weights_of_one_network_cannot_both_be_used(params):
    before = params.read_bytes()
    with pytest.raises(ConfigError, match="Several weights of clip"):
        use(choose(["clip", "clip:ViT-L-14-quickgelu"]), FOLDER, params)
    assert params.read_bytes() == before


def test_the_listing_tells_what_is_here(place, tmp_path):
    put(place)
    item, absent = item_of(URL), item_of(URL, network="mobileclip")
    told = report.listing({"a": item, "b": absent}, place, tmp_path / "hashes.json")
    assert [row["state"] for row in told.records] == ["verified", "missing"]
    text = told.text(as_json=False)
    assert "Fetch with --accept-licence mobileclip" in text
    assert json.loads(told.text(as_json=True))[0]["allows"]
    there(place).write_bytes(b"other")
    (row, _) = report.listing({"a": item, "b": absent}, place, None).records
    assert row["state"] == "differs"


def test_the_demo_misses_nothing(monkeypatch):
    monkeypatch.chdir(ROOT)
    params = load_params(ROOT / "params.yaml")
    assert [entry.backbone for entry in missing(params)] == []
    assert set(used(params)) == {"clip", "clip_untrained", "clip_vit"}


def test_what_is_named_and_not_there_is_told_with_the_way_to_it(params, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    use(choose(["clip", "slowfast"]), FOLDER, params)
    told = {entry.backbone: entry for entry in missing(load_params(params))}
    assert set(told) == {"clip", "slowfast", "clip_vit"}
    assert "clipline weights fetch clip --use" in told["clip"].remedy
    assert "git checkout" in told["clip_vit"].remedy
    path = tmp_path / told["slowfast"].weights
    path.parent.mkdir(parents=True)
    path.write_bytes(b"there")
    assert "slowfast" not in {entry.backbone for entry in missing(load_params(params))}


def test_published_names_are_looked_for_in_the_caches(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    params = load_params(ROOT / "params.yaml")
    names = ("clip", "mobileclip", "slowfast", "dinov2")
    clip = replace(params.extract.clip, model="ViT-B-32-quickgelu", weights="openai")
    extract = replace(params.extract, backbones=names, clip=clip)
    told = {entry.backbone for entry in missing(replace(params, extract=extract))}
    assert {"mobileclip", "slowfast"} <= told
    cached = tmp_path / "hub/checkpoints/mobileclip_s0.pt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"there")
    told = {entry.backbone for entry in missing(replace(params, extract=extract))}
    assert "mobileclip" not in told
