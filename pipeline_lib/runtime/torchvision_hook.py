"""Runs at every start of the environment's Python: declare torchvision's operators in time.

``make`` copies this file into site-packages (see ``torchvision_ops``). It must stay free of
imports that cost time, and must not import ``pipeline_lib`` before torchvision is asked for: a
stage running in a copy of the project has to find the copy's library first.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Declares the operators when torchvision is about to be imported, then steps aside."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            try:
                from pipeline_lib.runtime.torchvision_ops import declare_missing_ops
            except ImportError:
                return None
            declare_missing_ops()
        return None


sys.meta_path.insert(0, _BeforeTorchvision())
