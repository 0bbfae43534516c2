"""Plays samples on a sound card through the system's ALSA library.

By ctypes: on PyPI pyalsaaudio has no wheel for arm64, and sounddevice needs PortAudio from apt beside libasound, of
which a few functions are enough.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.errors import UnavailableError

RATE = 22050
"""Samples a second; ALSA's ``default`` and ``plughw:`` make of it what the card takes."""
CHUNK = RATE // 50
LATENCY_US = 100_000
_PLAYBACK, _S16_LE, _INTERLEAVED = 0, 2, 3


def play(device: str, samples: NDArray[np.int16], stopped: Callable[[], bool]) -> None:
    """Play mono ``samples`` (N,) at RATE and wait until they were heard, or until ``stopped`` says so.

    Raises:
        UnavailableError: there is no ALSA library, no such card, or it goes away meanwhile.
    """
    try:
        alsa = ctypes.CDLL("libasound.so.2")
    except OSError:
        raise UnavailableError("sound: libasound.so.2 is missing; apt-get install libasound2") from None
    alsa.snd_strerror.restype = ctypes.c_char_p
    alsa.snd_pcm_writei.restype = ctypes.c_long
    alsa.snd_pcm_writei.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong]
    pcm = ctypes.c_void_p()
    _check(alsa, device, alsa.snd_pcm_open(ctypes.byref(pcm), device.encode(), _PLAYBACK, 0))
    try:
        _check(alsa, device, alsa.snd_pcm_set_params(pcm, _S16_LE, _INTERLEAVED, 1, RATE, 1, LATENCY_US))
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
    finally:
        alsa.snd_pcm_close(pcm)


def _check(alsa: ctypes.CDLL, device: str, code: int) -> None:
    if code < 0:
        why = alsa.snd_strerror(code).decode()
        raise UnavailableError(f"sound: {device}: {why}; `aplay -L` lists what cab.sound.device may be")
