import os
import subprocess
import sys

import pytest
import torch

from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.device import choose_device

# Sizes at which the order of a sum depends on the threads if nothing fixes it.
PROGRAM = """
import torch
from pipeline_lib.runtime.device import fix_product_order, set_threads
fix_product_order()
draw = torch.Generator().manual_seed(0)
a, b = torch.randn(6, 64, generator=draw), torch.randn(64, 64, generator=draw)
products = []
for threads in (1, 2):
    set_threads(threads)
    products.append((a @ b.T, a.T @ (a @ b)))
print(all(torch.equal(x, y) for x, y in zip(*products, strict=True)))
"""


def run(**environment):
    variables = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + "import os; print(os.environ['MKL_CBWR'])"],
        env={**variables, **environment}, text=True, capture_output=True, check=True,
    ).stdout.split()  # fmt: skip


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="another matrix library")
def test_products_do_not_depend_on_the_number_of_threads():
    assert run()[0] == "True"


@pytest.mark.parametrize("chosen", ["AVX2,STRICT", "COMPATIBLE"])
def test_a_setting_of_the_user_stays(chosen):
    assert run(MKL_CBWR=chosen)[1] == chosen


@pytest.mark.parametrize("name", ["tpu", "meta", "cuda:x", "", "xpu"])
def test_what_is_no_device(name):
    with pytest.raises(ConfigError, match=f"runtime.device = '{name}': there is no such device"):
        choose_device(name)
