"""Imported first by a stage run as a script: the right Python, and this checkout's library.

DVC runs `python stages/x.py` with whatever Python stands first in PATH, and `dvc exp run --temp`
runs it in a copy of the project while the environment still points at the original. So a missing
package is explained here, and the checkout that holds this file comes first on the import path.
"""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

missing = [name for name in ("typer", "torch", "pydantic") if not importlib.util.find_spec(name)]
if missing:
    sys.stderr.write(
        f"error: {sys.executable} has no package {missing[0]!r}: it is not the project's Python.\n"
        "  Activate the environment that `make` built: source .venv/bin/activate\n"
    )
    sys.exit(2)
sys.path.insert(0, str(ROOT))
