"""The selective scan beside other ways to run it: time by shape and length, error, peak memory.

All on one thread. The package mambapy takes part where it can be imported; the loop that indexes
every step only with ``--indexed``: its backward pass takes minutes.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.common import measure, report, side_by_side
from benchmarks.scan_alternatives import Scan, indexed_loop, scans, unbound_loop

# Clips, channels, tokens: blocks of the sizes Ti and M on 8 frames, and of the demo's network.
SHAPES = {"tiny_8_frames": (2, 384, 1569), "middle_8_frames": (2, 1152, 1569),
          "demo": (16, 128, 257)}  # fmt: skip
LENGTHS = (197, 393, 785, 1569)
STATES = 16


def arguments(clips: int, channels: int, length: int) -> list[Tensor]:
    """u, delta, A, B, C as a network at its start gives them."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw).requires_grad_()

    wide, narrow = (clips, channels, length), (clips, STATES, length)
    rates = -torch.arange(1.0, STATES + 1).repeat(channels, 1)
    return [normal(*wide), normal(*wide), rates.requires_grad_(), normal(*narrow), normal(*narrow)]


def backward(y: Tensor, given: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of all arguments; may be asked for again."""
    return torch.autograd.grad(y, given, torch.ones_like(y), retain_graph=True)


def times(scan: Scan, given: list[Tensor], rounds: int) -> dict[str, float]:
    """CPU milliseconds of a forward and of a backward pass, the least of some."""
    forward_s = side_by_side({"": lambda: scan(*given)}, rounds)[""].cpu_s
    y = scan(*given)
    backward_s = side_by_side({"": lambda: backward(y, given)}, rounds)[""].cpu_s
    return {"forward_ms": round(1000 * forward_s, 1), "backward_ms": round(1000 * backward_s, 1)}


def errors(scan: Scan) -> dict[str, float]:
    """The largest errors of values and gradients in fp32, relative to the largest fp64 value."""
    given = arguments(2, 24, LENGTHS[-1])
    exact = [x.detach().double().requires_grad_() for x in given]
    got, expected = scan(*given), unbound_loop(*exact)
    pairs = zip(backward(got, given), backward(expected, exact), strict=True)
    return {
        "value_error": _relative(got, expected),
        "gradient_error": max(_relative(*pair) for pair in pairs),
    }


def _relative(got: Tensor, expected: Tensor) -> float:
    return float(f"{float((got - expected).detach().abs().max() / expected.abs().max()):.1e}")


def indexed(given: list[Tensor]) -> dict[str, float]:
    """The same times of the loop that indexes every step, once."""
    kept: list[Tensor] = []
    forward_s = measure(lambda: kept.append(indexed_loop(*given))).cpu_s
    backward_s = measure(lambda: backward(kept[0], given)).cpu_s
    return {"forward_ms": round(1000 * forward_s), "backward_ms": round(1000 * backward_s)}


def peak_mb(name: str, shape: str) -> int:
    """Most memory of a process that does nothing but one forward and one backward pass."""
    command = [sys.executable, "-m", "benchmarks.selective_scan", "--once", name, "--shape", shape]
    return int(subprocess.run(command, text=True, capture_output=True, check=True).stdout)


def own_peak_mb() -> int:
    """Most memory of this process; ``getrusage`` would count what its parent had, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns; the least cost counts")
    parser.add_argument("--indexed", action="store_true", help="run the slowest loop, too")
    parser.add_argument("--once", help="only run this scan once and print the peak memory in MB")
    parser.add_argument("--shape", choices=SHAPES, default="tiny_8_frames", help="for --once")
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    ways = scans()
    if given.once:
        inputs = arguments(*SHAPES[given.shape])
        ways[given.once](*inputs).sum().backward()
        print(own_peak_mb())
        return
    figures: dict[str, object] = {"rounds": given.rounds}
    for shape, (clips, channels, length) in SHAPES.items():
        inputs = arguments(clips, channels, length)
        rows = {name: times(scan, inputs, given.rounds) for name, scan in ways.items()}
        if given.indexed and shape == "tiny_8_frames":
            rows["indexed loop"] = indexed(inputs)
        figures[shape] = rows
    figures["by_length"] = {
        name: {length: times(ways[name], arguments(2, 384, length), given.rounds)
               for length in LENGTHS}
        for name in ("torch", "compiled")
    }  # fmt: skip
    figures["error"] = {name: errors(scan) for name, scan in ways.items()}
    figures["peak_mb"] = {
        shape: {name: peak_mb(name, shape) for name in ways}
        for shape in ("tiny_8_frames", "middle_8_frames")
    }
    report("selective_scan", figures, save=given.save)


if __name__ == "__main__":
    main()
