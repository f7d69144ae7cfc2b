"""What is tried out in a process of its own: importing torch, and running every decoder.

A broken build of either can end the process that loads it. Each section is one line of JSON on
stdout, written as soon as it is known.
"""

import importlib.metadata
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, get_args

from pipeline_lib.errors import CliplineError

_FRAMES, _RATE, _SIZE = 10, 5, 64


def main() -> None:
    """Run the probe that the command line names."""
    probes: dict[str, Callable[..., None]] = {"torch": _probe_torch, "decoders": _probe_decoders}
    probes[sys.argv[1]](*sys.argv[2:])


def _tell(section: str, look: Callable[[], Any]) -> None:
    out = sys.stdout
    try:
        with redirect_stdout(sys.stderr):  # what libraries print is no JSON
            found = look()
    except CliplineError as error:
        found = {"error": error.message}
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        said = (str(error).strip() or "no message").splitlines()[0][:300]
        found = {"error": f"{type(error).__name__}: {said}"}
    out.write(json.dumps({section: found}) + "\n")
    out.flush()


def _probe_torch(params_file: str) -> None:
    _tell("torch", _torch)
    _tell("torchvision", _torchvision)
    _tell("devices", _devices)
    _tell("scan", _scan)
    _tell("weights", lambda: _weights(Path(params_file)))


def _torch() -> dict[str, Any]:
    import torch

    return {"version": torch.__version__, "cuda": torch.version.cuda}


def _torchvision() -> dict[str, Any]:
    if importlib.util.find_spec("torchvision") is None:
        raise ImportError("torchvision is not installed")
    import torch  # noqa: F401  # a hook declares what is missing, but only after torch

    hooked = importlib.util.find_spec("clipline_torchvision_hook") is not None
    from pipeline_lib.runtime.torchvision_ops import declare_missing_ops, import_transforms

    declared = declare_missing_ops()
    import_transforms()
    version = importlib.metadata.version("torchvision")
    return {"version": version, "declared": declared, "hooked": hooked}


def _devices() -> dict[str, Any]:
    import torch

    from pipeline_lib.runtime.device import choose_device, choose_precision, precision_name

    chosen = choose_device("auto")
    cuda = []
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        cuda.append({
            "name": about.name,
            "gib": round(about.total_memory / 2**30, 1),
            "bf16": torch.cuda.get_device_capability(number)[0] >= 8,
        })  # fmt: skip
        torch.ones(2, device=f"cuda:{number}").sum().item()  # a driver that does not fit fails here
    return {
        "auto": str(chosen),
        "precision": precision_name(choose_precision("auto", chosen)),
        "cuda": cuda,
        "mps": torch.mps.is_available(),
        "threads": torch.get_num_threads(),
    }


def _scan() -> dict[str, str]:
    from pipeline_lib.networks.scan_choice import choose_scan
    from pipeline_lib.runtime.device import choose_device

    return choose_scan("auto", choose_device("auto"))._asdict()


def _weights(params_file: Path) -> list[dict[str, str]] | None:
    if not params_file.is_file():
        return None
    from pipeline_lib.params_file import load_params
    from pipeline_lib.weights.status import missing

    return [vars(entry) for entry in missing(load_params(params_file))]


def _probe_decoders() -> None:
    from pipeline_lib.config import Decoder

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        _tell("clip", lambda: _render(clip))
        for name in get_args(Decoder):
            _tell(name, partial(_decode, name, clip))


def _render(path: Path) -> int:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=_RATE)
        stream.width = stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(_FRAMES):
            grey = np.full((_SIZE, _SIZE, 3), 20 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return _FRAMES


def _decode(name: str, clip: Path) -> dict[str, Any]:
    from pipeline_lib.video.reader import read_frames

    frames = read_frames(clip, every_s=1 / _RATE, decoder=name).frames
    greys = frames.reshape(len(frames), -1).mean(axis=1)
    right = [abs(float(grey) - 20 * number) < 8 for number, grey in enumerate(greys)]
    return {"frames": len(frames), "right": len(frames) == _FRAMES and all(right)}


if __name__ == "__main__":
    main()
