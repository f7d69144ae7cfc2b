"""Searches of a running page: how many a second, and how long each takes, over clients at a time.

A server of its own process on a free loopback port answers different queries, none of them twice.
Beside it stands what a query costs without a server: one at a time in this process, the text tower
and the search, which is the least that a server without batches could take on one core.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlsplit

import numpy as np
import torch

from benchmarks.common import measure, options, report
from pipeline_lib.config import RuntimeConfig
from pipeline_lib.retrieval.command import Asked, as_embedded, embed_folder
from pipeline_lib.retrieval.files import EmbedOptions
from pipeline_lib.retrieval.models import open_model
from pipeline_lib.retrieval.search import MomentOptions, Searcher

CLIENTS = (1, 8, 32, 200)
VIDEOS, MOMENTS = 10, 5
_PATIENCE_S = 120
_COLOURS = ("red", "green", "blue", "white", "black", "cyan", "yellow", "orange", "pink", "grey")
_SHAPES = ("circle", "square", "star", "moon", "ring", "heart", "cross", "triangle")
_MOTIONS = ("going up", "going down", "drifting west", "drifting east", "growing", "shrinking")


def main() -> None:
    """Measure."""
    parser = options(__doc__ or "")
    parser.add_argument("--videos", type=Path, default=Path("data/demo/clips/videos/test"))
    parser.add_argument("--queries", type=int, default=200, help="in each turn")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as place:
        folder = Path(place) / "embeddings"
        embedded = embed_folder(asked.videos, folder, Asked(), EmbedOptions(), RuntimeConfig())
        figures: dict[str, object] = {
            "videos": embedded.embedded,
            "queries": asked.queries,
            "one query at a time, no server": _alone(folder, queries(asked.queries, "alone")),
        }
        for clients in CLIENTS:
            turns = []
            for turn in range(asked.rounds):
                # Nothing is remembered from the turn before.
                with _running(folder) as address:
                    turns.append(_together(address, clients, queries(asked.queries, str(turn))))
            best = max(turns, key=lambda one: one["queries_a_second"])
            figures[f"{clients} clients"] = best
    report("search_page", figures, save=asked.save)


def queries(count: int, mark: str) -> list[str]:
    """Different ones."""
    words = [" ".join(three) for three in product(_COLOURS, _SHAPES, _MOTIONS)]
    return [f"a {words[n % len(words)]} {mark} {n}" for n in range(count)]


def _alone(folder: Path, asked: Sequence[str]) -> dict[str, float]:
    searcher = Searcher(open_model(as_embedded(folder, Asked()).choice(RuntimeConfig())))
    wanted = MomentOptions(MOMENTS, every_s=None)
    searcher.in_folder(folder, "warm up", VIDEOS, wanted)
    times: list[float] = []

    def work() -> None:
        for query in asked:
            start = time.perf_counter()
            searcher.in_folder(folder, query, VIDEOS, wanted)
            times.append(time.perf_counter() - start)

    cost = measure(work)
    return {
        "queries_a_second": round(len(asked) / cost.wall_s, 1),
        "cpu_ms_a_query": round(1000 * cost.cpu_s / len(asked), 2),
        **_quantiles(times),
    }


@contextmanager
def _running(folder: Path) -> Iterator[str]:
    command = [sys.executable, "stages/serve.py", str(folder), "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, env=environment)
    try:
        output = iter(server.stdout.readline, "") if server.stdout else iter(())
        yield next(line.strip() for line in output if line.startswith("http://"))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(_PATIENCE_S)


def _together(address: str, clients: int, asked: Sequence[str]) -> dict[str, float]:
    where = urlsplit(address)

    def client(mine: Sequence[str]) -> list[float]:
        host = http.client.HTTPConnection(str(where.hostname), where.port, timeout=_PATIENCE_S)
        times = []
        for query in mine:
            start = time.perf_counter()
            host.request("GET", f"/api/search?videos={VIDEOS}&moments={MOMENTS}&q={quote(query)}")
            answer = host.getresponse()
            found = json.loads(answer.read())
            if answer.status != http.client.OK or len(found["videos"]) != VIDEOS:
                raise RuntimeError(f"{query}: {answer.status} {found}")
            times.append(time.perf_counter() - start)
        host.close()
        return times

    client(["warm up"])
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = [
            t
            for some in pool.map(client, (asked[n::clients] for n in range(clients)))
            for t in some
        ]
    wall_s = time.perf_counter() - start
    return {"queries_a_second": round(len(asked) / wall_s, 1), **_quantiles(times)}


def _quantiles(times: Sequence[float]) -> dict[str, float]:
    median, last = np.percentile(times, [50, 99]) * 1000
    return {"median_ms": round(float(median), 1), "p99_ms": round(float(last), 1)}


if __name__ == "__main__":
    main()
