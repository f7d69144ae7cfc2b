"""When to call oneDNN's convolution by name."""

import torch
from torch import Tensor
from torch.backends import mkldnn


def applies(x: Tensor) -> bool:
    """Whether ``torch.mkldnn_convolution`` should convolve ``x``.

    On one thread torch takes slower kernels of its own for many fp32 convolutions. Engines that
    trace a network know a convolution only by its usual name.
    """
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and mkldnn.is_available()
        and not tracing
    )
