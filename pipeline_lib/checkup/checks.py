"""All checks, in the order of the report; another one is a function and a line here."""

from pathlib import Path

from pipeline_lib.checkup.check import Check, Checkup, run_checks
from pipeline_lib.checkup.compute import (
    check_accelerator,
    check_engines,
    check_processor,
    check_scan,
)
from pipeline_lib.checkup.context import Context
from pipeline_lib.checkup.decoders import check_decoders
from pipeline_lib.checkup.environment import (
    check_packages,
    check_python,
    check_torch,
    check_torchvision,
)
from pipeline_lib.checkup.project import (
    check_data,
    check_disks,
    check_parameters,
    check_weights,
)
from pipeline_lib.checkup.repository import check_dvc, check_git

CHECKS = (
    Check("Project", "parameters", check_parameters),
    Check("Project", "data", check_data),
    Check("Project", "git", check_git),
    Check("Project", "dvc", check_dvc),
    Check("Project", "disk", check_disks),
    Check("Environment", "python", check_python),
    Check("Environment", "packages", check_packages),
    Check("Videos", "decoders", check_decoders),
    # What waits for torch's import comes last.
    Check("Computing", "processor", check_processor),
    Check("Computing", "engines", check_engines),
    Check("Computing", "torch", check_torch),
    Check("Computing", "torchvision", check_torchvision),
    Check("Computing", "device", check_accelerator),
    Check("Computing", "scan", check_scan),
    Check("Weights", "weights", check_weights),
)


def check_up(project: Path, params_file: Path) -> Checkup:
    """Run all checks.

    Args:
        project: The project's folder, or any other.
        params_file: The parameter file.
    """
    return run_checks(CHECKS, Context(project, params_file))
