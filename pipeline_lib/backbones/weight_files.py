"""Weights of this project's own networks: found, read safely, loaded strictly, told by hash."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline_lib.backbones.base import WeightsSource
from pipeline_lib.backbones.hub import require_host
from pipeline_lib.errors import WeightsError, did_you_mean
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.storage.atomic import replacing

UNTRAINED = "untrained"
# What checkpoints wrap their tensors in.
_WRAPPERS = ("state_dict", "model_state", "model", "module")
_SHOWN = 3
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class PublishedFile:
    """One published checkpoint.

    Attributes:
        url: Where it is.
        license: What its publisher allows.
        sha256: Of its bytes, as its publisher states it; ``None`` where no such statement is known.
        megabytes: About its size, for those who decide whether to fetch it.
    """

    url: str
    license: str
    sha256: str | None = None
    megabytes: int | None = None

    @property
    def filename(self) -> str:
        """Its name in the cache."""
        return self.url.rsplit("/", 1)[1]


def find_weights(weights: str, published: Mapping[str, PublishedFile], section: str) -> Path:
    """The checkpoint file that ``weights`` names: a path, or a published name.

    A published file is taken from torch's hub cache, or downloaded into it.

    Args:
        weights: As in params.yaml.
        published: The names this network's publisher gave.
        section: The parameter section, for messages: ``extract.slowfast``.

    Raises:
        WeightsError: Neither; or the file is not cached and cannot be downloaded.
    """
    if weights not in published:
        if Path(weights).is_file():
            return Path(weights)
        raise WeightsError(
            f"{section}.weights = {weights!r} is neither a file nor a published name.",
            hint=f"{did_you_mean(weights, [*published, UNTRAINED])} Or give a checkpoint's path.",
        )
    entry = published[weights]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / entry.filename
    if cached.is_file():
        return cached
    try:
        require_host(entry.url)
        with replacing(cached) as temporary:
            torch.hub.download_url_to_file(
                entry.url, str(temporary), hash_prefix=entry.sha256, progress=False
            )
    except (OSError, RuntimeError) as error:  # the second where its hash is another one
        raise WeightsError(
            f"Cannot fetch the weights {weights!r}: {error}.",
            hint=f"Download {entry.url} elsewhere ({entry.license}), copy it to data/weights/ and "
            f"set {section}.weights to its path.",
        ) from None
    return cached


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint by name: safetensors, or a pickle that runs no code.

    The dictionaries that training scripts wrap around them and a ``module.`` prefix are removed.

    Raises:
        WeightsError: The file cannot be read, or holds no named tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  # pickle fails in as many ways as bytes can be wrong
        raise _unreadable(path, error) from None
    while isinstance(content, dict):
        wrapped = [content[key] for key in _WRAPPERS if isinstance(content.get(key), dict)]
        if not wrapped:
            break
        content = wrapped[0]
    tensors = (
        {str(key).removeprefix("module."): value for key, value in content.items()}
        if isinstance(content, dict)
        else {}
    )
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise WeightsError(
            f"{path}: holds no tensors by name.", hint="Give a checkpoint with a state dict."
        )
    return tensors


def load_strictly(network: Network, tensors: Mapping[str, Tensor], path: Path) -> Network:
    """Load ``tensors`` into ``network``, all of them and nothing else; frozen, in eval mode.

    Raises:
        WeightsError: Names or shapes differ; the message shows the first ones.
    """
    require_fit(network.state_dict(), tensors, path)
    network.load_state_dict(dict(tensors), strict=True)
    return network.eval().requires_grad_(False)


def require_fit(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that have other names or shapes than a network's own.

    Raises:
        WeightsError: The message shows the first ones.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = [
        *_listed("missing", [name for name in wanted if name not in found]),
        *_listed("unexpected", [name for name in found if name not in wanted]),
        *_listed(
            "of another shape",
            [
                f"{name} {found[name]} instead of {shape}"
                for name, shape in wanted.items()
                if name in found and found[name] != shape
            ],
        ),
    ]
    if problems:
        raise WeightsError(
            f"{path}: does not fit this network: {'; '.join(problems)}.",
            hint="Check that the file is complete and belongs to this architecture.",
        )


def load_weights(
    build: Callable[[], Network],
    weights: str,
    published: Mapping[str, PublishedFile],
    *,
    section: str,
    seed: int,
) -> tuple[Network, WeightsSource]:
    """Build a network and give it the weights that ``weights`` names.

    Args:
        build: Makes the network with random weights from torch's global stream.
        weights: A published name, a path, or ``untrained``.
        published: The names this network's publisher gave.
        section: The parameter section, for messages.
        seed: Of untrained weights.

    Returns:
        The network, frozen, in eval mode, fp32 on the CPU; and where its weights came from.

    Raises:
        WeightsError: Missing, unreadable, or of another network.
    """
    if weights == UNTRAINED:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build().eval().requires_grad_(False)
        source = WeightsSource(weights, f"{UNTRAINED}-{tensor_digest(network)}", trained=False)
        return network, source
    path = find_weights(weights, published, section)
    network = load_strictly(build(), read_tensors(path), path)
    return network, WeightsSource(weights, sha256_file(path), trained=True)


def tensor_digest(network: nn.Module) -> str:
    """16 hex digits that name the values of all tensors; the name of random weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _listed(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return [f"{len(names)} tensors {what} ({shown})"]


def _unreadable(path: Path, error: Exception) -> WeightsError:
    cause = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    if cause.startswith("Weights only load failed"):  # followed by advice to load it unsafely
        cause = "it is damaged, or holds more than tensors"
    return WeightsError(
        f"{path}: not a readable checkpoint ({cause}).",
        hint="Copy or download it again; checkpoints that run code when loaded are refused.",
    )
