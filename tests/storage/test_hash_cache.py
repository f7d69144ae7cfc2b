"""Hashes that are remembered while a file stays as it is."""

import hashlib
import os

import pytest

from pipeline_lib.storage import hash_cache
from pipeline_lib.storage.hash_cache import HashCache

OLD_NS = 10**18


def test_a_file_is_read_again_only_when_it_changed(tmp_path, monkeypatch):
    read = []

    def counting(path):
        read.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(hash_cache, "sha256_file", counting)
    file, store = tmp_path / "a", tmp_path / "hashes.json"
    file.write_bytes(b"one")
    os.utime(file, ns=(OLD_NS, OLD_NS))  # long settled
    first = HashCache(store)
    assert first.sha256(file) == first.sha256(file) == hashlib.sha256(b"one").hexdigest()
    first.save()
    assert HashCache(store).sha256(file) == first.sha256(file)
    assert len(read) == 1
    file.write_bytes(b"two")  # as long, but at another time
    assert HashCache(store).sha256(file) == hashlib.sha256(b"two").hexdigest()
    assert len(read) == 2


def test_a_file_that_is_gone(tmp_path):
    with pytest.raises(FileNotFoundError):
        HashCache(None).sha256(tmp_path / "gone")
