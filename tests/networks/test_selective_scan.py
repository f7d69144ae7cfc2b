import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor

from pipeline_lib.networks import scan_chunked, scan_two_level
from pipeline_lib.networks import selective_scan as module
from pipeline_lib.networks.scan_loops import loops_fault
from pipeline_lib.networks.selective_scan import selective_scan
from tests.networks.selective_scan_reference import arguments, reference_scan

needs_compiler = pytest.mark.skipif(loops_fault() is not None, reason="no C compiler")
WAYS = ("chunked", "two_level", pytest.param("compiled", marks=needs_compiler))
LENGTHS = (1, 2, 63, 64, 65, 1569)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def scan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tensor]:
    """The scan as one of its implementations; that for a GPU runs on a CPU as well."""
    if request.param == "two_level":
        monkeypatch.setattr(module, "scan_chunked", scan_two_level.scan_two_level)
    return partial(selective_scan, backend="compiled" if request.param == "compiled" else "torch")


def gradients(y: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).cos().view_as(y)
    return list(torch.autograd.grad(y, inputs, weights))


@pytest.mark.parametrize("scan", WAYS, indirect=True)
@pytest.mark.parametrize("length", LENGTHS)
def test_values_and_gradients_are_those_of_the_formula(scan: Callable[..., Tensor], length: int):
    inputs = arguments(length)
    got, expected = scan(*inputs, True), reference_scan(*inputs, True)
    assert (got - expected).abs().max() <= 1e-12
    for mine, theirs in zip(gradients(got, inputs), gradients(expected, inputs), strict=True):
        assert (mine - theirs).abs().max() <= 1e-10 * max(1, theirs.abs().max())


@pytest.mark.parametrize("scan", WAYS, indirect=True)
def test_single_precision_stays_close_over_a_whole_clip(scan: Callable[..., Tensor]):
    inputs = arguments(1569, channels=32, states=16, dtype=torch.float32)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    got, expected = scan(*inputs, True), reference_scan(*exact, True)
    assert torch.isfinite(got).all()
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()
    for mine, theirs in zip(gradients(got, inputs), gradients(expected, exact), strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("scan", WAYS, indirect=True)
def test_gradcheck(scan: Callable[..., Tensor]):
    inputs = arguments(7, clips=2, channels=3, states=2)
    assert torch.autograd.gradcheck(lambda *x: scan(*x, True), inputs)


@pytest.mark.parametrize("scan", WAYS, indirect=True)
def test_state_is_kept_for_ever_where_nothing_decays(scan: Callable[..., Tensor]):
    # One state, step 1, A = 0: y_t is the sum of all inputs so far.
    u = torch.arange(1.0, 151).view(1, 1, 150)
    one = torch.ones(1, 1, 150)
    y = scan(u, one, torch.zeros(1, 1), one, one)
    assert torch.equal(y, u.cumsum(-1))


@pytest.mark.parametrize("scan", WAYS, indirect=True)
@pytest.mark.parametrize("step", [0.0, 0.7, 40.0, 1e4])
def test_no_step_size_overflows(scan: Callable[..., Tensor], step: float):
    u, _, rates, into, out, *_ = arguments(400, states=16, dtype=torch.float32)
    delta = torch.full_like(u, step).requires_grad_()
    y = scan(u, delta, rates, into, out)
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(g).all() for g in gradients(y, [u, delta, rates, into, out]))


@pytest.mark.parametrize("given", [{}, {"D"}, {"z"}, {"delta_bias"}, {"delta_softplus"}])
def test_everything_but_the_recurrence_is_optional(given: set[str]):
    u, delta, rates, into, out, skip, gate, bias = arguments(9)
    options = {"D": skip, "z": gate, "delta_bias": bias, "delta_softplus": True}
    options = {name: value for name, value in options.items() if name in given}
    expected = reference_scan(u, delta.abs(), rates, into, out, **options)
    assert torch.allclose(
        selective_scan(u, delta.abs(), rates, into, out, **options), expected, atol=1e-12
    )


@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_only_inputs_and_outputs_are_half(dtype: torch.dtype, bound: float):
    inputs = [x.detach().to(dtype) for x in arguments(300, states=16)]
    u, delta, rates, into, out, skip, gate, bias = inputs
    y = selective_scan(u, delta, rates.float(), into, out, skip.float(), gate, bias.float(), True)
    expected = reference_scan(*(x.double() for x in inputs), True)
    assert y.dtype == dtype
    # The recurrence adds nothing: the one error is that of rounding the result.
    assert ((y - expected).abs() <= bound * expected.abs() + 1e-5).all()


def test_gradients_come_in_the_types_of_their_inputs():
    inputs = arguments(20, states=16)
    half = [x.detach().to(torch.bfloat16).requires_grad_() for x in inputs]
    half[2] = inputs[2].detach().float().requires_grad_()
    got = gradients(selective_scan(*half, True), half)
    assert [g.dtype for g in got] == [x.dtype for x in half]


def test_autocast_does_not_reach_the_recurrence():
    inputs = arguments(100, states=16, dtype=torch.float32)
    alone = selective_scan(*inputs, True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(selective_scan(*inputs, True), alone)


def test_layout_in_memory_changes_nothing():
    inputs = arguments(70)
    turned = [
        x.detach().transpose(1, 2).contiguous().transpose(1, 2) if x.dim() == 3 else x.detach()
        for x in inputs
    ]
    assert torch.equal(selective_scan(*turned, True), selective_scan(*inputs, True))


@pytest.mark.parametrize("scan", ["chunked", "two_level"], indirect=True)
def test_parts_of_a_batch_add_up(scan: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch):
    inputs = arguments(40, clips=5)
    whole = scan(*inputs, True)
    monkeypatch.setattr(scan_chunked, "_STEP", 2 * 21 * 4)
    monkeypatch.setattr(scan_two_level, "_STATES", 2 * 21 * 4 * 40)
    parts = scan(*inputs, True)
    assert torch.allclose(parts, whole, atol=1e-13)
    for mine, theirs in zip(gradients(parts, inputs), gradients(whole, inputs), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-12)


@needs_compiler
def test_threads_of_the_compiled_loops_add_up():
    inputs = arguments(50, clips=1, channels=100)
    one = selective_scan(*inputs, True, "compiled")
    torch.set_num_threads(3)
    three = selective_scan(*inputs, True, "compiled")
    assert torch.equal(one, three)
    for mine, theirs in zip(gradients(three, inputs), gradients(one, inputs), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "message"),
    [("delta", r"delta is \[2, 21, 8\]"), ("A", "not .B, D, L., .D, N."),
     ("B", r"B is \[2, 4, 8\], but u and A make it \[2, 4, 9\]"), ("D", r"D is \[20\]")],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_named(name: str, message: str):
    named = dict(zip(("u", "delta", "A", "B", "C", "D"), arguments(9), strict=False))
    wrong = {"delta": named["delta"][..., :8], "A": named["A"][0], "B": named["B"][..., :8],
             "D": named["D"][:20]}  # fmt: skip
    with pytest.raises(ValueError, match=message):
        selective_scan(**{**named, name: wrong[name]})


def test_time_grows_with_length_and_not_with_its_square():
    def seconds(length: int) -> float:
        inputs = arguments(length, channels=96, states=16, dtype=torch.float32)
        y = selective_scan(*inputs, True)
        times = []
        for _ in range(5):
            start = time.process_time()
            torch.autograd.grad(y, inputs, torch.ones_like(y), retain_graph=True)
            times.append(time.process_time() - start)
        return min(times)

    seconds(64)
    assert seconds(1569) / seconds(785) < 3


_PEAK = r"""
import re, torch
from pathlib import Path
from pipeline_lib.networks.selective_scan import selective_scan
torch.set_num_threads(1)
wide = [torch.randn(2, 1152, 1569, requires_grad=True) for _ in range(3)]
narrow = [torch.randn(2, 16, 1569, requires_grad=True) for _ in range(2)]
rates = -torch.arange(1.0, 17).repeat(1152, 1)
selective_scan(*wide[:2], rates, *narrow, None, wide[2], None, True).sum().backward()
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak")
def test_states_are_not_kept():
    done = subprocess.run(
        [sys.executable, "-c", _PEAK], text=True, capture_output=True, check=True, timeout=120
    )
    assert int(done.stdout) * 1024 < 1e9
