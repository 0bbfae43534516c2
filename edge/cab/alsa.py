"""Plays samples on a sound card through the system's ALSA library.

By ctypes: on PyPI pyalsaaudio has no wheel for arm64, and sounddevice needs PortAudio from apt beside libasound, of
which a few functions are enough.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from edge.errors import UnavailableError

RATE = 22050
"""Samples a second; ALSA's ``default`` and ``plughw:`` make of it what the card takes."""
CHUNK = RATE // 50
LATENCY_US = 100_000
_PLAYBACK, _S16_LE, _INTERLEAVED = 0, 2, 3
_WAIT, _NO_WAIT = 0, 1


def play(device: str, samples: NDArray[np.int16], stopped: Callable[[], bool]) -> None:
    """Play mono ``samples`` (N,) at RATE and wait until they were heard, or until ``stopped`` says so.

    Raises:
        UnavailableError: there is no ALSA library, no such card, it is in use, or it goes away meanwhile.
    """
    with _opened(device) as (alsa, pcm):
        data = np.ascontiguousarray(samples, np.int16)
        place = 0
        while place < len(data) and not stopped():
            part = data[place : place + CHUNK]
            written = alsa.snd_pcm_writei(pcm, part.ctypes.data, len(part))
            if written < 0:
                _check(alsa, device, alsa.snd_pcm_recover(pcm, ctypes.c_int(written), 1))
                continue
            place += written
        if stopped():
            alsa.snd_pcm_drop(pcm)
        else:
            alsa.snd_pcm_drain(pcm)


def probe(device: str) -> None:
    """Open a card as for playing, and close it.

    Raises:
        UnavailableError: it could not be played on.
    """
    with _opened(device):
        pass


@contextmanager
def _opened(device: str) -> Iterator[tuple[ctypes.CDLL, ctypes.c_void_p]]:
    """The library, and a card that is ready to be played on."""
    alsa = _library()
    pcm = ctypes.c_void_p()
    _check(alsa, device, alsa.snd_pcm_open(ctypes.byref(pcm), device.encode(), _PLAYBACK, _NO_WAIT))
    try:
        _check(alsa, device, alsa.snd_pcm_nonblock(pcm, _WAIT))
        _check(alsa, device, alsa.snd_pcm_set_params(pcm, _S16_LE, _INTERLEAVED, 1, RATE, 1, LATENCY_US))
        yield alsa, pcm
    finally:
        alsa.snd_pcm_close(pcm)


def _library() -> ctypes.CDLL:
    try:
        alsa = ctypes.CDLL("libasound.so.2")
    except OSError:
        raise UnavailableError("sound: libasound.so.2 is missing; apt-get install libasound2") from None
    alsa.snd_strerror.restype = ctypes.c_char_p
    alsa.snd_pcm_writei.restype = ctypes.c_long
    alsa.snd_pcm_writei.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong]
    # Its faults come back as codes, which we tell in one line; it would write eight to stderr. A function that does
    # nothing is called in place of its own; one made by ctypes would need memory that is both written and run.
    alsa.snd_lib_error_set_handler(ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p))
    return alsa


def _check(alsa: ctypes.CDLL, device: str, code: int) -> None:
    if code < 0:
        why = alsa.snd_strerror(code).decode()
        raise UnavailableError(f"sound: {device}: {why}; `aplay -L` lists what cab.sound.device may be")
