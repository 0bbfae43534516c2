"""The real decision over simulated drives, resting face and all."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from calibration.drives import Drive
from calibration.outcome import Outcome, judge_drive, raised, total
from edge.config import Config
from edge.decision.decider import Decider
from edge.vision.ordinary import ordinary_face


def decide(drive: Drive, config: Config) -> Outcome:
    """What comes of one drive, frame by frame."""
    decider = Decider(config, ordinary_face(config.vision))
    transitions = [each for seen in drive.observations() for each in decider.update(seen).transitions]
    return judge_drive(drive, raised(transitions, float(drive.t[-1])))


def decide_all(drives: Sequence[Drive], config: Config, workers: int) -> list[Outcome]:
    """The same of many drives, in the order given."""
    if workers == 1:
        return [decide(drive, config) for drive in drives]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(partial(decide, config=config), drives, chunksize=4))


def run_decider(drives: Sequence[Drive], config: Config, workers: int = 1) -> Outcome:
    """What comes of all drives together."""
    return total(decide_all(drives, config, workers))
