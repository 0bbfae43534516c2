"""What all browsers at the page *Tune* share: the drives, the marks on them, and one tuning at a time."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import edge
from edge.config import Config
from edge.dashboard.hub import TICK_S
from edge.dashboard.picture import as_sent
from edge.dashboard.tune.drives import Drives
from edge.dashboard.tune.marks import Marks
from edge.dashboard.tune.worker import REPORT, RESULT
from edge.errors import UnavailableError, UsageError

LABELS = "labels.csv"
VIEWS = 8
"""Drives whose curves are kept, so that coming back to one is quick."""
STOP_S = 3.0
ERROR_BYTES = 2000
NICENESS = 10
"""While it is tuned the service and the pages come first."""
CODE = Path(edge.__file__).parents[1]
"""Where the worker finds the very code that this is."""


class Desk:
    """Works on the traces in ``folder``; marks are kept in ``labels``, by default a file beside the traces.

    All of it happens in the server's event loop.

    Raises:
        UnavailableError: there is no such folder, or none for the labels.
    """

    def __init__(self, config: Config, folder: Path, labels: Path | None = None) -> None:
        self.drives = Drives(folder)
        file = (labels or self.drives.folder / LABELS).absolute()
        if not file.parent.is_dir():
            raise UnavailableError(f"{file}: marks cannot be kept: no folder {file.parent}; make it")
        self.marks = Marks(file, self.drives.folder)
        self._config = config
        self._views: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._viewing = asyncio.Lock()
        self._reading: dict[str, float] = {}
        self._job: dict[str, Any] = {"state": "idle"}
        self._task: asyncio.Task[None] | None = None
        self._result = 0
        self._folder: Path | None = None
        self._news = asyncio.Event()
        self._closed = False

    @property
    def kinds(self) -> dict[str, float | None]:
        """The kinds that are judged, and the signal at which each can warn."""
        return {kind: self._config.alerts.of(kind).warns_at for kind in self._config.alerts.enabled}

    @property
    def _made(self) -> Path:
        """Where what is made lies until the end, or until a system clears away what is old in its temporary folder."""
        if self._folder is None or not self._folder.is_dir():
            self._folder = Path(tempfile.mkdtemp(prefix="evenkeel-tune-"))
        return self._folder

    # ---- one drive

    async def view(self, name: str) -> bytes:
        """The curves of a drive, as JSON.

        Raises:
            UsageError: there is no such drive.
            UnavailableError: it cannot be read.
        """
        path = await asyncio.to_thread(self.drives.path, name)
        status = path.stat()
        key = (name, f"{status.st_mtime_ns} {status.st_size}")
        async with self._viewing:  # one at a time: a trace of hours takes seconds of a core
            if key not in self._views:
                with tempfile.TemporaryDirectory(dir=self._made) as out:
                    request = {"view": name, "expressions": list(self._config.alerts.expressions)}
                    try:
                        await self._work(request, Path(out), lambda told: self._read_so_far(name, told["share"]))
                    finally:
                        self._reading.clear()
                    self._views[key] = (Path(out) / RESULT).read_bytes()
            self._views.move_to_end(key)
            while len(self._views) > VIEWS:
                self._views.popitem(last=False)
            return self._views[key]

    def _read_so_far(self, name: str, share: float) -> None:
        self._reading[name] = share
        self._tell()

    # ---- tuning

    def start(self, names: Sequence[str], every: Sequence[str], max_false_per_hour: float) -> None:
        """Begin to tune on the drives of these names; labels of ``every`` drive are known.

        Raises:
            UsageError: it is tuned already, or no drive was picked.
        """
        if self._task is not None:
            raise UsageError("tuning runs already; wait for it, or cancel it")
        if not names:
            raise UsageError("pick at least one drive")
        request = {
            "traces": list(names),
            "others": [name for name in every if name not in names],
            "labels": str(self.marks.path),
            "config": json.loads(self._config.model_dump_json()),
            "max_false_per_hour": max_false_per_hour,
            "niceness": NICENESS,
        }
        self._say({"state": "running", "drives": len(names), "stage": "read", "share": 0.0})
        self._task = asyncio.create_task(self._tune(request))

    async def cancel(self) -> None:
        """End what runs; nothing happens where nothing does."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if self._task is task:  # it had not even begun
                self._task = None
                self._say({"state": "cancelled"})

    def result(self) -> bytes | None:
        """What the last tuning came to, as JSON; None before there is one."""
        return self._read(RESULT)

    def report(self) -> bytes | None:
        """The last tuning's report, HTML."""
        return self._read(REPORT)

    def sections(self, chosen: Mapping[str, int]) -> str:
        """The section of each kind by the number of a point, and of the others that which was recommended.

        Raises:
            UsageError: there is nothing to take it from, or no such kind or point.
        """
        made = self.result()
        found = json.loads(made) if made else {"broken": [], "kinds": {}}
        if not found["kinds"] or found["broken"]:
            raise UsageError("; ".join(found["broken"]) or "nothing was tuned yet")
        if unknown := chosen.keys() - found["kinds"].keys():
            raise UsageError(f"{', '.join(sorted(unknown))}: not among {', '.join(found['kinds'])}")
        lines, parts = [f"# {line}" for line in found["summary"]], []
        for kind, each in found["kinds"].items():
            place = chosen.get(kind, each["chosen"])
            if not 0 <= place < len(each["points"]):
                raise UsageError(f"{kind} = {place}: no such point")
            point = each["points"][place]
            if place != each["chosen"]:
                lines.append(
                    f"# {kind} by hand, not as recommended above: {point['said']}: {point['figures']}"
                    " (on the drives it was chosen on)"
                )
            parts.append(point["section"])
        return "\n".join([*lines, "\n".join(parts)])

    async def _tune(self, request: Mapping[str, Any]) -> None:
        out = self._made / f"result-{self._result + 1}"
        try:
            out.mkdir()
            await self._work(request, out, lambda told: self._say(self._job | told))
        except UnavailableError as error:
            self._say({"state": "failed", "error": str(error)})
        except OSError as error:
            self._say({"state": "failed", "error": f"{error.filename or 'the system'}: {error.strerror or error}"})
        except asyncio.CancelledError:
            self._say({"state": "cancelled"})
        else:
            shutil.rmtree(self._made / f"result-{self._result}", ignore_errors=True)
            self._result += 1
            self._say({"state": "done"})
        finally:
            self._task = None
            if self._job["state"] != "done":
                shutil.rmtree(out, ignore_errors=True)

    def _read(self, name: str) -> bytes | None:
        if not self._result:
            return None
        try:
            return (self._made / f"result-{self._result}" / name).read_bytes()
        except FileNotFoundError:
            return None

    # ---- a process of its own

    async def _work(self, request: Mapping[str, Any], out: Path, told: Callable[[dict[str, Any]], None]) -> None:
        """Have a worker do it; a line of its news at a time goes to ``told``."""
        with (out / "stderr").open("wb") as complaints:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "edge.dashboard.tune.worker",
                cwd="/",  # not where somebody may have put modules of these names
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(CODE), os.environ.get("PYTHONPATH", "")])},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=complaints,
            )
        assert process.stdin is not None  # noqa: S101 - narrows the types
        assert process.stdout is not None  # noqa: S101 - as above
        news: dict[str, Any] = {}
        try:
            process.stdin.write(
                json.dumps({**request, "folder": str(self.drives.folder), "out": str(out)}).encode() + b"\n"
            )
            async for line in process.stdout:
                news = json.loads(line)
                if "share" in news:
                    told(news)
            await process.wait()
        finally:
            await _end(process)
        if "error" in news:
            raise UnavailableError(news["error"])
        if "done" not in news:
            last = (out / "stderr").read_bytes()[-ERROR_BYTES:].decode(errors="replace").strip().splitlines()[-1:]
            how = "it was killed, perhaps for want of memory" if process.returncode == -9 else "it ended too early"
            raise UnavailableError(": ".join([how, *last]))

    # ---- news

    def _say(self, job: dict[str, Any]) -> None:
        self._job = job
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def events(self, allowed: Callable[[], bool]) -> AsyncIterator[str]:
        """How tuning goes and which marks there are, whenever that changes, while ``allowed``; a tick every second."""
        told = None
        yield "retry: 1000\n\n"
        while not self._closed and allowed():
            news = self._news
            now = {
                "job": self._job,
                "result": self._result,
                "marks": self.marks.version,
                "reading": dict(self._reading),
            }
            yield as_sent(("tick", {})) if now == told else as_sent(("tune", now))
            told = now
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(news.wait(), TICK_S)

    def marked(self) -> None:
        """Tell everybody of a change of the marks."""
        self._tell()

    def end_streams(self) -> None:
        """End what every browser is told."""
        self._closed = True
        self._tell()

    async def close(self) -> None:
        """End what runs, and leave nothing behind."""
        self.end_streams()
        await self.cancel()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Have it end, whatever it is at."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
