"""Ray: actors on this machine or a cluster, each with its own networks and decoder.

Plain actors and ``ray.wait``. Every video and every actor is tried a finite number of times, and
work only goes to actors that have started, so that neither a video that kills whatever touches it
nor a cluster that is too small can stop a run.
"""

import os
import shutil
import socket
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline_lib.errors import CliplineError, ConfigError, DataError
from pipeline_lib.extraction.decode_pool import DecodePool
from pipeline_lib.extraction.engine import Outcome, Work
from pipeline_lib.extraction.executors.base import Run, Settings
from pipeline_lib.extraction.executors.local import embed
from pipeline_lib.runtime.lanes import cores
from pipeline_lib.storage.features import feature_path

# Videos that an actor takes at once, so that batches run across them; fewer towards the end.
_CHUNK = 16
# Actors that a video may kill while it is their only one.
_DEATHS = 2
# Actors that may die before they can work.
_FAILED_STARTS = 3
_PACKAGE_ROOT = str(Path(__file__).parents[3])


def ray_actors(run: Run, work: Sequence[Work]) -> Generator[Outcome, None, None]:
    """Have Ray actors decode, embed and write; this process only hands out videos.

    The actors run in the cluster that ``RAY_ADDRESS`` names, else in one that is started here and
    stopped at the end. All machines need the same paths to videos, weights and features.

    Raises:
        ConfigError: Ray is not installed, its cluster has no such device, or an actor would make
            other features than this process.
        CliplineError: No actor can start.
        DataError: Features that an actor wrote are not seen here.
    """
    if not work:
        return
    ray = _import_ray()
    with _cluster(ray):
        crew = _Crew(ray, run, _size_of(ray, run.settings, len(work)))
        try:
            yield from crew.do(Backlog(work, crew.size.actors))
        finally:
            crew.dismiss()


class Backlog:
    """The videos that still wait for an actor, and how often each one has killed its actor.

    Args:
        work: The videos, the longest first.
        actors: How many share them.
    """

    def __init__(self, work: Sequence[Work], actors: int) -> None:
        self._fresh = deque(work)
        self._alone: deque[Work] = deque()
        self._deaths: Counter[str] = Counter()
        self._actors = actors

    def __bool__(self) -> bool:
        return bool(self._fresh or self._alone)

    def take(self) -> list[Work]:
        """The next videos for one actor; those under suspicion come last and one by one."""
        if not self._fresh:
            return [self._alone.popleft()]
        size = max(1, min(_CHUNK, len(self._fresh) // (2 * self._actors)))
        return [self._fresh.popleft() for _ in range(size)]

    def lost(self, chunk: Sequence[Work]) -> list[Outcome]:
        """Their actor died: they wait again, except a video that has done it too often."""
        if len(chunk) > 1:
            self._alone.extend(chunk)
            return []
        [video] = chunk
        self._deaths[video.video_id] += 1
        if self._deaths[video.video_id] < _DEATHS:
            self._alone.append(video)
            return []
        text = f"{video.path}: {_DEATHS} Ray actors died that had this video alone."
        return [Outcome(video, reason="worker_died", message=text)]


@dataclass(frozen=True)
class _Size:
    """How many actors, and what each one takes."""

    actors: int
    cpus: int
    gpus: int


class _Actor:
    """Lives in a process of Ray's."""

    def start(self, settings: Settings, folder: str, fingerprints: Sequence[str]) -> None:
        """Load the networks; they must be those of the driver.

        Args:
            settings: The run.
            folder: Where the driver's relative paths begin.
            fingerprints: Those of the driver's outputs.
        """
        if Path(folder).is_dir():
            os.chdir(folder)
        elif not settings.root.is_absolute():
            raise ConfigError(
                f"{socket.gethostname()} has no folder {folder}, where the run's paths begin.",
                hint="Ray on several machines needs absolute paths on a shared file system.",
            )
        self._run = Run(settings, settings.load_outputs())
        if [output.fingerprint for output in self._run.outputs] != list(fingerprints):
            raise ConfigError(
                f"{socket.gethostname()} would make other features than this machine.",
                hint="Same code, packages and weights on all machines? extract.precision: auto "
                "may choose differently on each; set fp32 or bf16.",
            )

    def extract(self, work: Sequence[Work]) -> list[Outcome]:
        """Decode in a child process, embed here, write."""
        runtime = self._run.settings.runtime
        workers = runtime.decode_workers
        source = DecodePool(min(workers, len(work)), runtime.decode_stall_s).events
        return list(embed(self._run, work, source, threads=1))


class _Crew:
    """The actors, each of which is starting, at work or idle."""

    def __init__(self, ray: ModuleType, run: Run, size: _Size) -> None:
        self.size = size
        self._ray = ray
        self._run = run
        self._settings = _for_actor(run.settings, size)
        self._kind = ray.remote(
            num_cpus=size.cpus, num_gpus=size.gpus, max_restarts=0, max_task_retries=0
        )(_Actor)
        self._doing: dict[Any, tuple[Any, list[Work]]] = {}
        self._idle: list[Any] = []
        self._failed_starts = 0

    def do(self, backlog: Backlog) -> Iterator[Outcome]:
        """Hand out the work until none is left."""
        self._assign(backlog)
        while backlog or any(chunk for _, chunk in self._doing.values()):
            if not self._doing:
                raise CliplineError(
                    f"{self._failed_starts} Ray actors died while they loaded the networks.",
                    hint="Too little memory for a network in each? Set runtime.ray_actors, or use "
                    "--executor process, which has one.",
                )
            # Limited, so that Ctrl-C is heard while nothing happens.
            ready, _ = self._ray.wait(list(self._doing), num_returns=1, timeout=1.0)
            for reference in ready:
                yield from self._hear(reference, backlog)
            self._assign(backlog)

    def dismiss(self) -> None:
        """Kill all actors, whatever they are doing; their decoders die with them."""
        for actor in [*self._idle, *(actor for actor, _ in self._doing.values())]:
            self._ray.kill(actor)

    def _assign(self, backlog: Backlog) -> None:
        while backlog and self._idle:
            actor, chunk = self._idle.pop(), backlog.take()
            self._doing[actor.extract.remote(chunk)] = (actor, chunk)
        while (
            backlog and len(self._doing) < self.size.actors and self._failed_starts < _FAILED_STARTS
        ):
            actor = self._kind.options(runtime_env={"env_vars": _environment()}).remote()
            prints = [output.fingerprint for output in self._run.outputs]
            started = actor.start.remote(self._settings, str(Path.cwd()), prints)
            self._doing[started] = (actor, [])

    def _hear(self, reference: Any, backlog: Backlog) -> Iterator[Outcome]:
        actor, chunk = self._doing.pop(reference)
        try:
            outcomes = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from error
        except self._ray.exceptions.RayError:
            # It may only be out of reach; two of them must not do the same video.
            self._ray.kill(actor)
            if chunk:
                yield from backlog.lost(chunk)
            else:
                self._failed_starts += 1
            return
        self._idle.append(actor)
        for outcome in outcomes or ():
            self._check(outcome)
            yield outcome

    def _check(self, outcome: Outcome) -> None:
        for index, entry in outcome.entries.items():
            directory = self._run.outputs[index].directory
            for suffix in entry.bytes:
                path = feature_path(directory, outcome.work.video_id, suffix)
                if not path.exists():
                    raise DataError(
                        f"{path}: written by a Ray actor, but not to be seen on this machine.",
                        hint="All machines of the cluster need the same file system there.",
                    )


def _import_ray() -> ModuleType:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ConfigError(
            f"--executor ray needs the package ray ({error}).",
            hint="pip install 'clipline[ray]', or use --executor process.",
        ) from None
    return ray


@contextmanager
def _cluster(ray: ModuleType) -> Iterator[None]:
    """A connection to a cluster; one that is open already is used and left open."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    folder = None
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Its sockets do not fit into a long TMPDIR, and it never removes its own folder.
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp" if Path("/tmp").is_dir() else None)
        options |= {"include_dashboard": False, "num_cpus": cores(), "_temp_dir": folder}
    try:
        # Whatever happens to a worker, Ray prints it between the lines that belong on stdout.
        with redirect_stdout(sys.stderr):
            ray.init(**options)
            yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _size_of(ray: ModuleType, settings: Settings, videos: int) -> _Size:
    """One actor a GPU with its share of the CPUs, or one a CPU.

    Raises:
        ConfigError: There is nothing to run on.
    """
    runtime = settings.runtime
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    on_gpu = runtime.device.startswith("cuda") or (
        runtime.device == "auto" and any(node.get("GPU", 0) >= 1 for node in nodes)
    )
    unit = "GPU" if on_gpu else "CPU"
    places = [node for node in nodes if node.get(unit, 0) >= 1 and node.get("CPU", 0) >= 1]
    if not places:
        raise ConfigError(
            f"The Ray cluster has no machine with a free {unit}.",
            hint="Start it with resources, or choose another runtime.device.",
        )
    # The least a machine has for each of its GPUs: more would fit on some machines only.
    cpus = min(int(node["CPU"] // node["GPU"]) for node in places) if on_gpu else 1
    total = sum(int(node[unit]) for node in places)
    return _Size(min(runtime.ray_actors or total, videos), max(1, cpus), int(on_gpu))


def _for_actor(settings: Settings, size: _Size) -> Settings:
    """The settings inside an actor, which has only its share of the machine."""
    runtime = settings.runtime
    placed = replace(
        runtime,
        # Ray shows an actor its own GPU only, as the first one, or none.
        device="cuda" if size.gpus else runtime.device,
        threads=size.cpus,
        decode_workers=runtime.decode_workers or size.cpus,
    )
    return replace(settings, runtime=placed)


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path}
