import dataclasses
import json

import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.storage.features import Manifest, VideoEntry, read_manifest, write_manifest

ENTRY = VideoEntry(
    sha256="d" * 64, rows=6, clips=2, duration_s=5.5, decode_errors=0, bytes={".npy": 1664}
)
MANIFEST = Manifest("clip", "f" * 16, "ViT", "e" * 64, True, 64, 1.0, {"train/fall/a": ENTRY})
# As manifests were written before rows could start at another time than their video.
BYTES = """{
 "backbone": "clip",
 "fingerprint": "ffffffffffffffff",
 "weights_id": "ViT",
 "weights_sha256": "%s",
 "trained": true,
 "dim": 64,
 "every_s": 1.0,
 "videos": {
  "train/fall/a": {
   "sha256": "%s",
   "rows": 6,
   "clips": 2,
   "duration_s": 5.5,
   "decode_errors": 0,
   "bytes": {
    ".npy": 1664
   }
  }
 }
}
""" % ("e" * 64, "d" * 64)  # noqa: UP031  # full of braces


def test_the_manifest_of_rows_that_start_with_their_video_keeps_its_bytes(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    assert (tmp_path / "manifest.json").read_text() == BYTES
    assert read_manifest(tmp_path) == MANIFEST
    assert read_manifest(tmp_path).offset_s == 0.0


@pytest.mark.parametrize("offset_s", [-1.0, 0.5])
def test_an_offset_is_written_and_read(tmp_path, offset_s):
    shifted = dataclasses.replace(MANIFEST, offset_s=offset_s)
    write_manifest(tmp_path, shifted)
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content.pop("offset_s") == offset_s
    assert content == json.loads(BYTES)
    assert read_manifest(tmp_path) == shifted


def test_a_manifest_of_another_version_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text(BYTES.replace('"dim": 64', '"dim": 64, "shift": 1'))
    with pytest.raises(DataError, match=r"not a feature manifest .*shift"):
        read_manifest(tmp_path)
