"""`import open_clip` works beside a CPU torch, and nothing changes where torchvision is whole."""

import subprocess
import sys
import textwrap

import torch

from pipeline_lib.runtime import torchvision_ops


def python(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_open_clip_imports_in_a_fresh_process():
    done = python(
        """
        from pipeline_lib.runtime.torchvision_ops import declare_missing_ops, import_open_clip
        first, again = declare_missing_ops(), declare_missing_ops()
        assert again == []
        assert import_open_clip().list_models()
        import timm, torchvision
        print(first)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("['nms', 'qnms']", "[]")


def test_nothing_is_declared_where_the_operators_exist(monkeypatch):
    present = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in torchvision_ops._SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            present.define(schema)
    monkeypatch.setattr(
        torch.library, "Library", lambda *a: (_ for _ in ()).throw(AssertionError("declared"))
    )
    assert torchvision_ops.declare_missing_ops() == []


def test_the_environments_hook_serves_a_plain_import_and_costs_nothing_else(tmp_path):
    from pathlib import Path

    hook = Path(torchvision_ops.__file__).with_name("torchvision_hook.py")
    done = python(f"exec(open({str(hook)!r}).read()); import torchvision, sys; print('ok')")
    assert done.stdout.strip() == "ok", done.stderr
    lazy = python(f"exec(open({str(hook)!r}).read()); import sys; print('torch' in sys.modules)")
    assert lazy.stdout.strip() == "False"
