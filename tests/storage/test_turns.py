"""Only one process at a time, and none that has died."""

import fcntl
import multiprocessing
import os
import signal
import time

import pytest

from pipeline_lib.storage.turns import taking_turns


def _hold(folder, started, seconds):
    with taking_turns(folder):
        started.set()
        time.sleep(seconds)


def test_others_wait(tmp_path):
    fork = multiprocessing.get_context("fork")
    started = fork.Event()
    holder = fork.Process(target=_hold, args=(tmp_path / "new", started, 0.3))
    holder.start()
    assert started.wait(20)
    begun = time.monotonic()
    with taking_turns(tmp_path / "new") as alone:
        assert alone
        assert time.monotonic() - begun > 0.1
    holder.join()


def test_a_killed_process_leaves(tmp_path):
    fork = multiprocessing.get_context("fork")
    started = fork.Event()
    holder = fork.Process(target=_hold, args=(tmp_path, started, 60))
    holder.start()
    assert started.wait(20)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with taking_turns(tmp_path) as alone:
        assert alone


def test_without_locks_nobody_is_alone(tmp_path, monkeypatch):
    def refuse(handle, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with taking_turns(tmp_path) as alone:
        assert not alone


def test_an_error_gives_the_turn_back(tmp_path):
    with pytest.raises(KeyError), taking_turns(tmp_path):
        raise KeyError
    with taking_turns(tmp_path) as alone:
        assert alone
