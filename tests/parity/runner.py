"""Runs a golden manifest through this library's own networks and loaders.

A family of manifests is one module here and one line in ``FAMILIES``.
"""

from collections.abc import Callable

import numpy as np

from pipeline_lib.registry import Registry

Outputs = dict[str, np.ndarray]

FAMILIES: Registry[Callable[[dict], Outputs]] = Registry(
    "parity family",
    {
        "coop_mobileclip": "tests.parity.mobileclip:coop_mobileclip",
        "coop_openai_clip": "tests.parity.coop:openai_clip",
        "mobileclip": "tests.parity.mobileclip:towers",
        "slowfast": "tests.parity.slowfast:slowfast_r50",
        "tempme": "tests.parity.tempme:retrieval",
        "token_merge": "tests.parity.token_merge:merged",
        "videomamba": "tests.parity.videomamba:classified",
        "videomamba_pretrain": "tests.parity.videomamba_pretrain:student",
    },
)


def outputs(case: dict) -> Outputs:
    """The arrays that the network of ``case`` gives, under the names of the expected ones.

    Args:
        case: A manifest as ``golden.fill.manifest`` returns it.
    """
    return FAMILIES.get(case["family"])(case)
