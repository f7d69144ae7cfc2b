"""Forward passes by OpenVINO (https://github.com/openvinotoolkit/openvino) instead of torch.

An optional engine for CPUs: its matrix products are faster than torch's where torch's library does
not use the chip fully. The network, its weights and its preprocessing stay the same.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pipeline_lib.backbones.base import Backbone, Placement, WeightsSource
from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.device import choose_precision, precision_name
from pipeline_lib.runtime.lanes import cores

VERSION = 1
_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoBackbone(Backbone):
    """A backbone whose network OpenVINO runs.

    Args:
        backbone: Loaded in fp32 on the CPU.
        precision: ``auto``, ``fp32`` or ``bf16``: what OpenVINO computes in.

    Raises:
        ConfigError: OpenVINO is not installed, the device is no CPU, the network takes pictures of
            varying size, or it cannot be converted.
    """

    def __init__(self, backbone: Backbone, precision: str) -> None:
        super().__init__(
            backbone.identity["network"],
            VERSION,
            WeightsSource(backbone.weights_id, backbone.weights_sha256, backbone.trained),
            backbone.preprocess,
            Placement(backbone.device, "fp32", backbone.batch_size),
        )
        self.dim = backbone.dim
        self.frames_per_sample = backbone.frames_per_sample
        self.precision = precision_name(choose_precision(precision, backbone.device))
        # All that identifies the backbone, its own version among it, and the engine.
        self.identity = {
            **backbone.identity,
            "precision": self.precision,
            "engine": f"OpenVINO {_openvino().__version__}",
            "engine_version": VERSION,
        }
        self._compiled = self._compile(backbone)
        self._requests = threading.local()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features [B, D] of normalised pixels, float32."""
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()
        result = self._requests.own.infer([pixels.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(result[0].copy())

    def _compile(self, backbone: Backbone) -> Any:
        resize = backbone.resize
        if backbone.device.type != "cpu" or (resize.crop is None and resize.mode == "shortest"):
            raise ConfigError(
                f"engine openvino runs on the CPU and takes pictures of one size; "
                f"{backbone.identity['network']} here does not.",
                hint="Use extract.engine: torch.",
            )
        openvino, side = _openvino(), resize.crop or resize.size
        clip = (backbone.frames_per_sample,) if backbone.frames_per_sample > 1 else ()
        example = torch.zeros(backbone.batch_size, 3, *clip, side, side)
        try:
            with _same_logging():
                converted = openvino.convert_model(_Module(backbone), example_input=example)
            return openvino.Core().compile_model(
                converted,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
                    # One stream of one thread for each lane that may call at the same time.
                    "INFERENCE_NUM_THREADS": cores(),
                    "NUM_STREAMS": cores(),
                },
            )
        except Exception as error:  # whatever its front end meets
            raise ConfigError(
                f"OpenVINO cannot run {backbone.identity['network']}: {str(error)[:200]}",
                hint="Use extract.engine: torch.",
            ) from error


@contextmanager
def _same_logging() -> Iterator[None]:
    """A conversion that fails leaves the root logger at ERROR: no warning would be seen again."""
    root = logging.getLogger()
    level, filters, handlers = root.level, root.filters[:], root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters, root.handlers = filters, handlers


class _Module(torch.nn.Module):
    """A backbone's forward pass in the form that can be traced."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self._run = backbone.forward

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._run(pixels)


def _openvino() -> Any:
    try:
        import openvino
    except ImportError:
        raise ConfigError(
            "engine openvino: OpenVINO is not installed.",
            hint="pip install 'clipline[openvino]', or use extract.engine: torch.",
        ) from None
    return openvino
