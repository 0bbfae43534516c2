"""What is heard: through ALSA into a file, whose samples are looked at; what is missing is said and ends nothing."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import threading
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.cab import alsa
from edge.cab.plan import Cue
from edge.cab.sound import Sound, read_wav
from edge.config import CabConfig, Config, SoundConfig
from edge.domain import Level
from edge.errors import UnavailableError
from edge.service.cab_sink import CabSink
from edge.service.loop import board_stamp
from edge.words import languages

WAKE = Cue("fatigue", Level.URGENT, wakes=True)
OFFER = Cue("anger", Level.WARNING, wakes=False)


def lacks(missing: str) -> None:
    (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)


@pytest.fixture
def espeak() -> None:
    if shutil.which("espeak-ng") is None:
        lacks("espeak-ng is not installed; on Debian: apt-get install espeak-ng")


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound card called ``file`` that writes what it plays into the file that is returned."""
    try:
        ctypes.CDLL("libasound.so.2")
    except OSError:
        lacks("libasound.so.2 is not installed; on Debian: apt-get install libasound2")
    heard, config = tmp_path / "heard.raw", tmp_path / "asoundrc"
    config.write_text(f'pcm.file {{ type file slave.pcm {{ type null }} file "{heard}" format "raw" }}\n')
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(config))
    return heard


class Recorder:
    def __init__(self) -> None:
        self.played: list[NDArray[np.int16]] = []

    def __call__(self, _device: str, samples: NDArray[np.int16], _stopped: Callable[[], bool]) -> None:
        self.played.append(samples)


def write_wav(path: Path, samples: NDArray[np.int16], rate: int = alsa.RATE, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


@pytest.mark.usefixtures("espeak")
@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("cue", [WAKE, OFFER], ids=["wake", "offer"])
def test_a_warning_reaches_the_card_whole_and_not_clipped(card: Path, language: str, cue: Cue) -> None:
    config = CabConfig.model_validate({"language": language, "sound": {"device": "file", "volume": 0.5}})
    Sound(config).play(cue)
    heard = np.fromfile(card, "<i2").astype(int)
    assert 1.0 < len(heard) / alsa.RATE < 6.0
    assert 0.4 * 32767 < np.abs(heard).max() <= 0.5 * 32767
    assert np.abs(heard[-alsa.RATE :]).max() > 300


@pytest.mark.usefixtures("espeak")
def test_only_what_wakes_has_tones_in_front() -> None:
    recorder = Recorder()
    sound = Sound(CabConfig(), recorder)
    sound.play(WAKE)
    sound.play(OFFER)
    beep, calm = (np.abs(np.fft.rfft(each[: alsa.RATE // 2])) for each in recorder.played)
    frequency = np.fft.rfftfreq(alsa.RATE // 2, 1 / alsa.RATE)
    assert frequency[beep.argmax()] == pytest.approx(1750, abs=10)
    assert frequency[calm.argmax()] < 1500


def test_a_card_that_is_not_there_is_named_with_the_remedy(card: Path) -> None:
    with pytest.raises(UnavailableError, match=r"no_such_card.*aplay -L"):
        alsa.play("no_such_card", np.zeros(100, np.int16), lambda: False)
    assert not card.exists()


def test_without_espeak_the_tones_are_heard_and_the_fault_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    recorder = Recorder()
    with pytest.raises(UnavailableError, match="apt-get install espeak-ng"):
        Sound(CabConfig(), recorder).play(WAKE)
    assert np.abs(recorder.played[0]).max() > 10_000


def test_the_user_s_own_file_is_played_at_its_pitch(tmp_path: Path) -> None:
    t = np.arange(48_000) / 48_000
    tone = (np.sin(2 * np.pi * 440 * t) * 9000).astype(np.int16)
    write_wav(tmp_path / "fatigue.wav", np.repeat(tone, 2), 48_000, channels=2)
    recorder = Recorder()
    Sound(CabConfig(sound=SoundConfig(folder=tmp_path, volume=1.0)), recorder).play(WAKE)
    (played,) = recorder.played
    assert len(played) == pytest.approx(alsa.RATE, abs=2)
    spectrum = np.abs(np.fft.rfft(played))
    assert np.fft.rfftfreq(len(played), 1 / alsa.RATE)[spectrum.argmax()] == pytest.approx(440, abs=2)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"no wave at all" * 100, b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff"])
def test_a_file_that_is_no_wav_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "anger.wav"
    path.write_bytes(data)
    with pytest.raises(UnavailableError, match=r"anger\.wav.*16-bit PCM"):
        read_wav(path)


def test_hush_stops_what_is_playing() -> None:
    begun, stopped = threading.Event(), threading.Event()

    def endless(_device: str, _samples: NDArray[np.int16], is_stopped: Callable[[], bool]) -> None:
        begun.set()
        while not is_stopped():
            pass
        stopped.set()

    sound = Sound(CabConfig(), endless)
    sound._made[WAKE] = np.ones(10, np.int16)
    playing = threading.Thread(target=sound.play, args=(WAKE,), daemon=True)
    playing.start()
    assert begun.wait(5)
    sound.hush()
    assert stopped.wait(5)
    playing.join(5)


def test_a_warning_that_waits_is_not_played_after_a_hush_and_a_later_one_is() -> None:
    recorder = Recorder()
    sound = Sound(CabConfig(), recorder)
    sound._made[WAKE] = np.ones(10, np.int16)
    waiting = [sound.asked(WAKE) for _ in range(3)]
    sound.hush()
    later = sound.asked(WAKE)
    for play in (*waiting, later):
        play()
    assert len(recorder.played) == 1


@pytest.mark.parametrize("fault", ["a folder that may not be read", "a file that ends in a chunk", "no program"])
def test_whatever_is_wrong_with_the_words_the_tones_are_heard(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, folder = Recorder(), None
    if fault == "no program":
        (tmp_path / "espeak-ng").write_text("none")
        (tmp_path / "espeak-ng").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
    elif fault == "a file that ends in a chunk":
        folder = tmp_path
        described = struct.pack("<HHIIHH", 1, 1, 22050, 44100, 2, 16)
        head = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + described
        (folder / "fatigue.wav").write_bytes(head + b"LIST\xff\x00\x00\x00")
    else:
        folder = tmp_path
        (folder / "fatigue_urgent.wav").mkdir()
    with pytest.raises(UnavailableError, match="sound: "):
        Sound(CabConfig(sound=SoundConfig(folder=folder)), recorder).play(WAKE)
    assert len(recorder.played) == 1
    assert np.abs(recorder.played[0]).max() > 1000


def test_a_card_that_fails_is_told_in_health_and_the_sink_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    sink = CabSink(Config(cab=CabConfig(sound=SoundConfig(enabled=True))), board_stamp)
    sink.close()
    assert "espeak-ng" in (sink.health.problem or "")
    assert sink.outward
