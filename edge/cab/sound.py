"""Cues as sound: tones and spoken words, or the user's own WAV files."""

from __future__ import annotations

import subprocess
import threading
import wave
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from edge.cab import alsa
from edge.cab.plan import Cue
from edge.config import CabConfig
from edge.domain import Level
from edge.errors import UnavailableError
from edge.words import catalogue

SPEAK_S = 10.0
"""Longest time that espeak-ng may take for a sentence, seconds."""
LONGEST_S = 10.0
"""A longer WAV file is cut, seconds."""
TONE_HZ = 1750.0
"""Bursts of this pitch are among the warnings that improved driving in Lin et al., "Assessing effectiveness of various
auditory warning signals in maintaining drivers' attention in virtual reality-based driving environments", Perceptual
and Motor Skills 108, 2009."""

Player = Callable[[str, NDArray[np.int16], Callable[[], bool]], None]


class Sound:
    """Makes a cue's sound before it is asked for, and plays it at once when it is.

    ``hush``, from any thread, stops what is playing and what waits to.
    """

    def __init__(self, config: CabConfig, player: Player = alsa.play) -> None:
        self._config = config
        self._player = player
        self._made: dict[Cue, NDArray[np.int16]] = {}
        self._said: dict[str, NDArray[np.float32]] = {}
        self._hushes = 0
        self._lock = threading.Lock()

    def is_ready(self, cue: Cue) -> bool:
        """Whether a cue can be played with its words."""
        return cue in self._made

    def prepare(self, cues: Iterable[Cue]) -> None:
        """Make the sounds of cues, which may take a while.

        Raises:
            UnavailableError: espeak-ng or a WAV file of the user's is not usable; the other sounds are made.
        """
        faults: list[str] = []
        for cue in cues:
            try:
                self._make(cue)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the words, the others are made; raised below
                faults.append(str(error) if isinstance(error, UnavailableError) else f"sound: {error!r}")
        if faults:
            raise UnavailableError("; ".join(dict.fromkeys(faults)))

    def _make(self, cue: Cue) -> None:
        if cue in self._made:
            return
        samples = self._own(cue) if self._config.sound.folder is not None else None
        samples = self._spoken(cue) if samples is None else samples
        self._made[cue] = (samples * (self._config.sound.volume * 32767)).astype(np.int16)

    def asked(self, cue: Cue) -> Callable[[], None]:
        """What plays a cue that is asked for now, unless ``hush`` comes before it does: with what is ready by then."""
        with self._lock:
            hushes = self._hushes
        return lambda: self._play(cue, hushes)

    def play(self, cue: Cue) -> None:
        """Make a cue's sound and play it to its end, or until ``hush``; where no words can be made, its tones alone.

        Raises:
            UnavailableError: something that it needs is missing, a line each; all that could be heard was.
        """
        faults = []
        acts: tuple[Callable[[], None], ...] = (lambda: self.prepare([cue]), self.asked(cue))
        for act in acts:
            try:
                act()
            except UnavailableError as error:
                faults.append(str(error))
        if faults:
            raise UnavailableError("\n".join(faults))

    def _play(self, cue: Cue, hushes: int) -> None:
        def hushed() -> bool:
            return self._hushes != hushes

        samples = self._made.get(cue)
        if samples is None:
            samples = (_tones(cue) * (self._config.sound.volume * 32767)).astype(np.int16)
        if len(samples) and not hushed():
            self._player(self._config.sound.device, samples, hushed)

    def hush(self) -> None:
        """Stop what is playing, and what was asked for by now."""
        with self._lock:
            self._hushes += 1

    def _own(self, cue: Cue) -> NDArray[np.float32] | None:
        """The user's file for a cue, the one for its level first; None where there is none."""
        folder = self._config.sound.folder or Path()
        for name in (f"{cue.kind}_{cue.level}.wav", f"{cue.kind}.wav"):
            try:
                (folder / name).stat()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise UnavailableError(
                    f"sound: {folder}: {error.strerror}; the service must be able to read it"
                ) from None
            return read_wav(folder / name)
        return None

    def _spoken(self, cue: Cue) -> NDArray[np.float32]:
        words = catalogue(self._config.language)
        text = words.spoken["wake" if cue.wakes else "offer"]
        if text not in self._said:
            self._said[text] = speak(text, words.language)
        return np.concatenate([_tones(cue), self._said[text]])


def speak(text: str, language: str) -> NDArray[np.float32]:
    """A text as espeak-ng speaks it: (N,) from -1 to 1 at RATE, as loud as can be.

    Raises:
        UnavailableError: there is no espeak-ng, or it makes no sound of it.
    """
    with TemporaryDirectory(prefix="evenkeel-") as folder:
        path = Path(folder) / "spoken.wav"
        command = ["espeak-ng", "-v", language, "-s", "150", "-w", str(path), text]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=SPEAK_S)  # noqa: S603 - fixed words
        except FileNotFoundError:
            raise UnavailableError("sound: espeak-ng is missing; apt-get install espeak-ng") from None
        except OSError as error:
            raise UnavailableError(f"sound: espeak-ng cannot be run: {error}; try it by hand") from None
        except subprocess.SubprocessError as error:
            raise UnavailableError(f"sound: espeak-ng failed: {error}; try it by hand") from None
        return read_wav(path)


def read_wav(path: Path) -> NDArray[np.float32]:
    """A WAV file as (N,) from -1 to 1 at RATE, as loud as can be; several channels become one.

    Raises:
        UnavailableError: it is no WAV file of 16-bit PCM, or is empty or unreadable.
    """
    try:
        with wave.open(str(path)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(int(LONGEST_S * rate))
    except (OSError, EOFError, RuntimeError, wave.Error) as error:  # the third of a chunk that the file ends in
        why = str(error) or "it ends too early"
        raise UnavailableError(f"sound: {path}: {why}; a WAV file of 16-bit PCM is needed") from None
    if width != 2 or rate <= 0 or len(data) < 2 * channels:
        raise UnavailableError(f"sound: {path}: {8 * width} bits, {len(data)} bytes; 16-bit PCM is needed")
    whole = len(data) - len(data) % (2 * channels)
    mono = np.frombuffer(data[:whole], "<i2").reshape(-1, channels).mean(axis=1)
    at = np.arange(round(len(mono) * alsa.RATE / rate)) * (rate / alsa.RATE)
    samples: NDArray[np.float32] = np.interp(at, np.arange(len(mono)), mono).astype(np.float32)
    samples /= np.float32(max(float(np.abs(samples).max(initial=0.0)), 1.0))
    return samples


def _tones(cue: Cue) -> NDArray[np.float32]:
    """Bursts before a warning that wakes, more and shorter ones where it is urgent; nothing before a calm voice."""
    if not cue.wakes:
        return np.zeros(0, np.float32)
    count, length_s = (6, 0.12) if cue.level is Level.URGENT else (3, 0.2)
    t = np.arange(int(length_s * alsa.RATE)) / alsa.RATE
    edges = np.clip(np.minimum(t, length_s - t) / 0.01, 0.0, 1.0)
    burst = np.sin(2 * np.pi * TONE_HZ * t) * edges
    return np.tile(np.concatenate([burst, np.zeros(len(t) // 2)]), count).astype(np.float32)
