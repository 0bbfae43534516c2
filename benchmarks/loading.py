"""What loading the models takes through each of LiteRT's doors, with and without XNNPACK's weight cache.

``python -m benchmarks.loading``: each way in processes of its own, taking turns; the least of each figure is told,
since a busy machine only adds to it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.page import write
from edge.vision.manifest import ModelName, bundled, load_manifest

ROUNDS = 5
WAYS = ("interpreter", "compiled model", "compiled model, weights cached")
HEAD = ("way", "all models loaded and run once, ms", "resident, MB", "a run of each, ms")
_ONE = """
import json, sys, time
sys.path = [place for place in sys.path if place]
way, folder, *files = sys.argv[1:]
runs = []
if way == "interpreter":
    from ai_edge_litert.interpreter import Interpreter
    begin = time.process_time()
    for file in files:
        model = Interpreter(model_path=file, num_threads=1)
        model.allocate_tensors()
        model.invoke()
        runs.append(model.invoke)
else:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.options import CpuOptions, Options
    begin = time.process_time()
    for number, file in enumerate(files):
        cache = f"{folder}/{number}" if "cached" in way else ""
        options = Options(cpu_options=CpuOptions(num_threads=1, xnnpack_weight_cache_path=cache))
        model = CompiledModel.from_file(file, options=options)
        buffers = model.create_input_buffers(0), model.create_output_buffers(0)
        model.run_by_index(0, *buffers)
        runs.append(lambda model=model, buffers=buffers: model.run_by_index(0, *buffers))
loaded_ms = (time.process_time() - begin) * 1000
with open("/proc/self/smaps_rollup") as rollup:
    kb = next(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))
fastest = []
for run in runs:
    taken = []
    for _ in range(50):
        start = time.perf_counter()
        run()
        taken.append((time.perf_counter() - start) * 1000)
    fastest.append(min(taken))
print(json.dumps([loaded_ms, kb / 1000, *fastest]))
"""


def measure(way: str, folder: Path, files: Sequence[Path]) -> list[float]:
    """Milliseconds of processor time to load, megabytes, and milliseconds of the fastest run of each model."""
    command = [sys.executable, "-c", _ONE, way, str(folder), *map(str, files)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own text
    if child.returncode != 0:
        raise SystemExit(f"{way}: {child.stderr.strip().splitlines()[-1]}")
    told: list[float] = json.loads(child.stdout.splitlines()[-1])
    return told


def model_files() -> list[Path]:
    """The shipped models that a step runs."""
    names: tuple[ModelName, ...] = ("face", "follow", "expression", "eyes")
    return [bundled(name).parent / load_manifest(bundled(name), name).file for name in names]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    arguments = parser.parse_args()
    files = model_files()
    with tempfile.TemporaryDirectory() as name:
        rounds = [[measure(way, Path(name), files) for way in WAYS] for _ in range(ROUNDS)]
    rows = []
    for way, of_way in zip(WAYS, zip(*rounds, strict=True), strict=True):
        loaded_ms, resident_mb, *runs = (min(values) for values in zip(*of_way, strict=True))
        rows.append([way, f"{loaded_ms:.1f}", f"{resident_mb:.0f}", ", ".join(f"{ms:.3f}" for ms in runs)])
    table = Table(*HEAD, title="loading the models, 1 thread")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)
    if arguments.write:
        write("loading", HEAD, rows)


if __name__ == "__main__":
    main()
