"""Errors, registry, fingerprints, paths and seeds."""

import json
import unicodedata

import numpy as np
import pytest

from pipeline_lib.errors import ConfigError, DataError, did_you_mean, nearest
from pipeline_lib.fingerprint import fingerprint, sha256_file
from pipeline_lib.paths import nfc, under
from pipeline_lib.registry import Registry
from pipeline_lib.runtime.seeding import numpy_stream, torch_stream


def test_nearest_name_or_all_names():
    assert nearest("evaluat", ["evaluate", "extract"]) == "evaluate"
    assert "Did you mean 'clip'?" in did_you_mean("cilp", ["clip", "dinov2"])
    assert did_you_mean("zzz", ["clip", "dinov2"]) == "Known: clip, dinov2."


def test_registry_imports_only_what_is_asked_for():
    registry: Registry[object] = Registry("thing", {"loads": "json:loads", "gone": "no.such:x"})
    assert registry.get("loads") is json.loads
    assert list(registry) == ["gone", "loads"]
    with pytest.raises(ConfigError, match=r"Unknown thing 'laods'\.") as caught:
        registry.get("laods")
    assert "'loads'" in caught.value.hint


def test_fingerprint_ignores_key_order_and_sees_values():
    assert fingerprint({"a": 1, "b": [1.5, None]}) == fingerprint({"b": [1.5, None], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_file_hash_is_the_well_known_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", "a\0b"])
def test_paths_from_data_cannot_leave_the_root(tmp_path, path):
    with pytest.raises(DataError, match="leaves its folder"):
        under(tmp_path, path)


def test_a_link_out_of_the_root_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    with pytest.raises(DataError, match="through a link"):
        under(tmp_path / "root", "out/x.mp4")
    assert under(tmp_path / "root", "a/b.mp4") == tmp_path / "root" / "a" / "b.mp4"


def test_names_compare_in_nfc():
    assert nfc(unicodedata.normalize("NFD", "쓰러짐")) == "쓰러짐"


def test_streams_depend_on_their_name_alone():
    first = numpy_stream(1, "mine", "a").random(3)
    numpy_stream(1, "mine", "b").random(100)
    np.testing.assert_array_equal(first, numpy_stream(1, "mine", "a").random(3))
    assert not np.array_equal(first, numpy_stream(2, "mine", "a").random(3))
    assert torch_stream(1, "x").initial_seed() == torch_stream(1, "x").initial_seed()
