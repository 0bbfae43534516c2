"""A process of its own beside the dashboard: reads one drive, or tunes, and says how far it is.

It gets a request as a line of JSON on stdin, works in the folder of the traces, and says lines of JSON on stdout; it
ends with whoever started it, when stdin does. What it makes goes into a folder that the request names.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge.config import Config
from edge.dashboard.tune.view import view
from edge.errors import EvenkeelError

RESULT = "result.json"
REPORT = "report.html"
TOLD_S = 0.2


def main() -> None:
    """Do what the line on stdin asks for."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        os.chdir(request["folder"])
        if "view" in request:
            made = view(Path(request["view"]), request["expressions"], _throttled(lambda share: {"share": share}))
        else:
            made = _tune(request)
        (Path(request["out"]) / RESULT).write_text(json.dumps(made), encoding="utf-8")
    except EvenkeelError as error:
        _say({"error": str(error)})
    except OSError as error:
        _say({"error": f"{error.filename or 'the system'}: {error.strerror or error}"})
    except MemoryError:
        _say({"error": "not enough memory; take fewer drives at once"})
    else:
        _say({"done": True})


def _tune(request: Mapping[str, Any]) -> dict[str, Any]:
    with suppress(OSError):  # a confined service may not be allowed to; then it has a process's usual share
        os.nice(request["niceness"])
    from edge.dashboard.tune.outcome import outcome  # noqa: PLC0415 - takes a second, and a view needs none of it
    from edge.tuning.report import write_report  # noqa: PLC0415 - as above
    from edge.tuning.tune import tune  # noqa: PLC0415 - as above

    found = tune(
        [Path(name) for name in request["traces"]],
        Path(request["labels"]),
        Config.model_validate(request["config"]),
        max_false_per_hour=request["max_false_per_hour"],
        leave_out_unknown=True,
        others=[Path(name) for name in request["others"]],
        told=_throttled(lambda stage, share: {"stage": stage, "share": share}),
    )
    write_report(found, Path(request["out"]) / REPORT)
    return outcome(found)


def _throttled(line: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Says what ``line`` makes of news, not too often; a new stage at once."""
    told_t, told = -1e9, ""

    def tell(*news: Any) -> None:
        nonlocal told_t, told
        said = line(*news)
        stage = str(said.get("stage", ""))
        if stage != told or time.monotonic() - told_t >= TOLD_S:
            told_t, told = time.monotonic(), stage
            _say(said)

    return tell


def _say(line: Mapping[str, Any]) -> None:
    with suppress(BrokenPipeError):  # nobody listens any more
        print(json.dumps(line), flush=True)  # noqa: T201 - this is how it talks


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
