import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks import scan_choice, scan_loops
from pipeline_lib.networks.scan_choice import choose_scan
from pipeline_lib.networks.scan_kernel import kernel_fault, scan_kernel
from pipeline_lib.networks.scan_loops import loops_fault
from tests.networks.selective_scan_reference import arguments, reference_scan

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ABSENT = "the package mamba-ssm is not installed"


@pytest.fixture(autouse=True)
def _nothing_is_chosen_yet() -> Iterator[None]:
    choose_scan.cache_clear()
    scan_loops._library.cache_clear()
    yield
    choose_scan.cache_clear()
    scan_loops._library.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package mamba_ssm that is all there is of it."""
    folder = tmp_path / "mamba_ssm"
    (folder / "ops").mkdir(parents=True)
    for name in ("__init__.py", "ops/__init__.py"):
        (folder / name).touch()
    _forget()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "mamba_ssm"]:
        del sys.modules[name]


def with_function(package: Path, body: str) -> None:
    source = f"def selective_scan_fn(u, *others):\n    {body}\n"
    (package / "ops" / "selective_scan_interface.py").write_text(source)


class _Missing:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "mamba_ssm":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    _forget()
    monkeypatch.setattr(sys, "meta_path", [_Missing, *sys.meta_path])


def test_the_package_may_be_absent(monkeypatch: pytest.MonkeyPatch):
    absent(monkeypatch)
    assert kernel_fault(CPU) == ABSENT


def test_the_package_may_be_broken(package: Path):
    (package / "__init__.py").write_text("raise OSError('libcudart.so.13: no such file')\n")
    assert kernel_fault(CPU) == "mamba-ssm does not import: OSError: libcudart.so.13: no such file"


def test_a_dependency_of_the_package_may_be_absent(package: Path):
    (package / "__init__.py").write_text("import no_such_tilelang\n")
    assert "No module named 'no_such_tilelang'" in str(kernel_fault(CPU))


def test_the_package_may_come_without_its_kernel(package: Path):
    with_function(package, "raise RuntimeError('built without the CUDA scan')")
    fault = kernel_fault(CPU)
    assert fault is not None
    assert fault.endswith("does not run: RuntimeError: built without the CUDA scan")


def test_a_kernel_with_wrong_values_is_not_used(package: Path):
    with_function(package, "return u * 3")
    assert kernel_fault(CPU) == "mamba-ssm's kernel gives wrong values"


def test_a_kernel_that_runs_is_used(package: Path, monkeypatch: pytest.MonkeyPatch):
    with_function(package, "return u * 2")
    assert kernel_fault(CPU) is None
    monkeypatch.setattr(scan_choice, "kernel_fault", lambda device: None)
    assert choose_scan("auto", CUDA) == ("cuda", "mamba-ssm's kernel works")
    assert choose_scan("cuda", CUDA).name == "cuda"


def test_the_kernel_gets_the_types_it_knows(package: Path):
    source = (
        "def selective_scan_fn(u, delta, A, B, C, D, z, delta_bias, delta_softplus):\n"
        "    assert {x.dtype for x in (delta, B, C, z)} == {u.dtype}\n"
        "    assert {str(x.dtype) for x in (A, D, delta_bias)} == {'torch.float32'}\n"
        "    assert all(x.stride(-1) == 1 for x in (u, delta, B, C, z))\n"
        "    from tests.networks.selective_scan_reference import reference_scan\n"
        "    wide = (x.float() for x in (u, delta, A, B, C, D, z, delta_bias))\n"
        "    return reference_scan(*wide, delta_softplus).to(u.dtype)\n"
    )
    (package / "ops" / "selective_scan_interface.py").write_text(source)
    u, *others = arguments(5)
    turned = u.transpose(1, 2).contiguous().transpose(1, 2).bfloat16()
    y = scan_kernel(turned, *others, True)
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.double(), reference_scan(u, *others, True), atol=0.2)


@pytest.mark.parametrize("state", ["absent", "broken", "without kernel"])
def test_auto_falls_back_to_torch_and_says_why(
    state: str, package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    if state == "absent":
        absent(monkeypatch)
    elif state == "broken":
        (package / "__init__.py").write_text("raise ImportError('undefined symbol')\n")
    else:
        with_function(package, "raise RuntimeError('built without the CUDA scan')")
    with caplog.at_level(logging.INFO):
        first, second = choose_scan("auto", CUDA), choose_scan("auto", CUDA)
    assert first is second
    assert first.name == "torch"
    assert "mamba-ssm" in first.reason
    assert [r.message for r in caplog.records] == [
        f"the selective scan on cuda runs as 'torch': {first.reason}"
    ]


def test_a_cpu_takes_compiled_loops_where_they_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scan_choice, "loops_fault", lambda: None)
    choice = choose_scan("auto", CPU)
    assert choice.name == "compiled"
    assert "right values" in choice.reason
    assert choose_scan("torch", CPU) == ("torch", "asked for")


def test_a_cpu_without_them_takes_torch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scan_choice, "loops_fault", lambda: "no C compiler builds the loops: x")
    assert choose_scan("auto", CPU) == ("torch", "no C compiler builds the loops: x")


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_loops_with_wrong_values_are_not_used(monkeypatch: pytest.MonkeyPatch):
    assert loops_fault() is None
    monkeypatch.setattr(scan_loops, "scan_loops", lambda inputs: inputs.u * 3)
    assert str(loops_fault()).startswith("the compiled loops give wrong values")


@pytest.mark.parametrize(
    ("requested", "device", "message"),
    [("cuda", CPU, "runtime.scan is 'cuda', but mamba-ssm's kernel needs a CUDA device"),
     ("cuda", CUDA, "runtime.scan is 'cuda', but " + ABSENT),
     ("compiled", CUDA, "runtime.scan is 'compiled', but the compiled loops run on the CPU only"),
     ("kuda", CPU, "runtime.scan is 'kuda'.*\n.*'cuda'")],
)  # fmt: skip
def test_what_cannot_work_is_refused(
    requested: str, device: torch.device, message: str, monkeypatch: pytest.MonkeyPatch
):
    absent(monkeypatch)
    with pytest.raises(ConfigError, match=message):
        choose_scan(requested, device)


@pytest.mark.parametrize("compiler", ["no-such-compiler", sys.executable])
def test_without_a_compiler_there_are_no_loops(compiler: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", compiler)
    assert str(loops_fault()).startswith("no C compiler builds the loops: ")
    with pytest.raises(ConfigError, match="no C compiler builds the loops"):
        choose_scan("compiled", CPU)
    assert choose_scan("auto", CPU).name == "torch"


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_compiler_may_have_options(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "cc -Wall")
    assert loops_fault() is None


def test_the_package_is_not_imported_before_it_is_asked_for(package: Path):
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    code = f"import sys; sys.path.insert(0, {str(package.parent)!r}); "
    code += "import pipeline_lib.networks.selective_scan; print('mamba_ssm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "False"
