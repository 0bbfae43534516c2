"""What is heard: through ALSA into a file, whose samples are looked at; what is missing is said and ends nothing."""

from __future__ import annotations

import shutil
import struct
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from datetime import time as datetime_time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.cab import alsa
from edge.cab.plan import Cue
from edge.cab.sound import Sound, read_wav
from edge.config import CabConfig, Config, SoundConfig
from edge.domain import (
    EXPRESSIONS,
    NO_REASON,
    Level,
    Observation,
    Phase,
    Sight,
    Signals,
    Stamp,
    State,
    Step,
    Transition,
)
from edge.errors import UnavailableError
from edge.service.cab_outputs import SoundOutput
from edge.service.cab_sink import CabSink, cue_of
from edge.service.health import SinkHealth
from edge.service.loop import board_stamp
from edge.words import languages

WAKE = Cue("fatigue", Level.URGENT, wakes=True)
OFFER = Cue("anger", Level.WARNING, wakes=False)


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
    with pytest.raises(UnavailableError, match=r"anger\.wav: [^;]+; .*16-bit PCM"):
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


def test_a_card_that_goes_away_while_it_speaks_is_named_and_nothing_else_is_written(
    card: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = card.with_name("asoundrc")
    config.write_text('pcm.gone { type file slave.pcm { type null } file "/dev/full" format "raw" }\n')
    for device in ("gone", "no_such_card"):
        with pytest.raises(UnavailableError, match=rf"^sound: {device}: .*aplay -L"):
            alsa.play(device, np.zeros(30 * alsa.RATE, np.int16), lambda: False)
    assert capfd.readouterr() == ("", "")


def test_a_card_is_looked_at_without_a_sound(card: Path) -> None:
    alsa.probe("file")
    assert card.stat().st_size == 0
    with pytest.raises(UnavailableError, match="no_such_card"):
        alsa.probe("no_such_card")


def step_of(*told: Transition, closed_s: float = 0.0) -> Step:
    figures = {"closed_s": closed_s}
    signals = Signals(told[0].t, {}, 1.0, np.zeros(len(EXPRESSIONS), np.float32), figures)
    return Step(Observation(told[0].t, Sight.FACE), signals, State.WARNING, NO_REASON, told)


def told(kind: str, phase: Phase = Phase.START, level: Level = Level.URGENT, t: float = 0.0) -> Transition:
    return Transition(t, kind, phase, level, 1, t, 0.8, 0.8, None)


CUES = [cue_of(kind, level) for kind in ("anger", "fatigue") for level in Level]


def stamp_at(hour: int, *, synced: bool = True) -> Callable[[], Stamp]:
    return lambda: Stamp(datetime(2026, 5, 4, hour, 30).astimezone(), 1.0, clock_synced=synced)


@contextmanager
def output_of(recorder: Recorder, stamp: Callable[[], Stamp] = board_stamp, **sound: Any) -> Iterator[SoundOutput]:
    config = CabConfig(sound=SoundConfig(enabled=True, **sound))
    with closing(SoundOutput(config.sound, Sound(config, recorder), CUES, stamp)) as output:
        yield output


def ask(output: SoundOutput, cue: Cue) -> None:
    output.take(cue, step_of(told(cue.kind)))


def eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def fake_espeak(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "espeak-ng").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "espeak-ng").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


def test_no_word_is_made_when_one_is_to_be_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that hangs at the start, as on a board that is busy: the tones do not wait for it."""
    fake_espeak(tmp_path, f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done", monkeypatch)
    recorder = Recorder()
    with output_of(recorder) as output:
        eventually((tmp_path / "begun").exists)
        ask(output, WAKE)
        eventually(lambda: recorder.played)
        assert len(recorder.played[0]) / alsa.RATE < 1.5
        (tmp_path / "go").touch()


@pytest.mark.usefixtures("espeak")
def test_each_sentence_is_made_once_however_many_warnings_say_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("espeak-ng")
    fake_espeak(tmp_path, f'echo x >>{tmp_path}/runs; exec {real} "$@"', monkeypatch)
    recorder = Recorder()
    sound = Sound(CabConfig(), recorder)
    sound.prepare(CUES)
    assert all(map(sound.is_ready, CUES))
    assert len((tmp_path / "runs").read_text().split()) == 2
    for cue in CUES:
        sound.asked(cue)()
    assert len(recorder.played) == 4
    assert len((tmp_path / "runs").read_text().split()) == 2


@pytest.mark.usefixtures("espeak")
def test_one_faulty_file_is_told_in_health_beside_good_ones_and_mended_with_the_next_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "fatigue_urgent.wav").write_bytes(b"no wave")
    write_wav(tmp_path / "fatigue_warning.wav", np.full(100, 9000, np.int16))
    recorder = Recorder()
    with output_of(recorder, folder=tmp_path) as output:
        eventually(lambda: "fatigue_urgent.wav" in (output.health.problem or ""))
        ask(output, cue_of("fatigue", Level.WARNING))
        eventually(lambda: len(recorder.played) == 1)
        assert "fatigue_urgent.wav" in (output.health.problem or "")
        write_wav(tmp_path / "fatigue_urgent.wav", np.full(200, 9000, np.int16))
        ask(output, WAKE)
        eventually(lambda: output.health.problem is None and len(recorder.played) == 2)
        ask(output, WAKE)
        eventually(lambda: len(recorder.played) == 3)
    assert [len(each) for each in recorder.played[::2]] == [100, 200]
    assert sum("fatigue_urgent.wav" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("hour", "synced", "heard"),
    [(23, True, [WAKE]), (3, True, [WAKE]), (12, True, [OFFER, WAKE]), (23, False, [OFFER, WAKE])],
)
@pytest.mark.usefixtures("espeak")
def test_in_the_quiet_hours_no_break_is_offered_and_a_sleeping_driver_is_woken(
    hour: int, *, synced: bool, heard: list[Cue]
) -> None:
    recorder = Recorder()
    with output_of(recorder, stamp_at(hour, synced=synced), quiet_from="22:00", quiet_to="06:00") as output:
        eventually(lambda: all(map(output._sound.is_ready, CUES)))
        ask(output, OFFER)
        eventually(lambda: len(recorder.played) == len(heard) - 1)
        ask(output, WAKE)
        eventually(lambda: len(recorder.played) == len(heard))
        assert [len(each) for each in recorder.played] == [len(output._sound._made[cue]) for cue in heard]


@pytest.mark.parametrize(
    ("begin", "end", "quiet"),
    [("22:00", "06:00", [22, 23, *range(6)]), ("12:00", "14:00", [12, 13]), ("08:00", "08:00", [])],
)
def test_quiet_hours_may_pass_midnight(begin: str, end: str, quiet: list[int]) -> None:
    config = SoundConfig(quiet_from=begin, quiet_to=end)
    assert [hour for hour in range(24) if config.is_quiet(datetime_time(hour, 0))] == sorted(quiet)
    assert not any(SoundConfig().is_quiet(datetime_time(hour, 0)) for hour in range(24))


@pytest.mark.parametrize("wrong", [{"quiet_from": "22:00"}, {"quiet_from": "24:00", "quiet_to": "06:00"}])
def test_quiet_hours_that_cannot_be_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="quiet_"):
        SoundConfig.model_validate(wrong)


def test_what_is_not_chosen_is_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wav(tmp_path / "fatigue.wav", np.full(100, 9000, np.int16))
    asked: list[Cue] = []
    with output_of(Recorder(), folder=tmp_path, kinds=("fatigue",), levels=(Level.URGENT,)) as output:
        monkeypatch.setattr(output._sound, "asked", lambda cue: lambda: asked.append(cue))
        for cue in (OFFER, cue_of("fatigue", Level.WARNING), WAKE):
            ask(output, cue)
    assert asked == [WAKE]


def test_a_card_that_fails_is_told_in_health_and_the_sink_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    sink = CabSink(Config(cab=CabConfig(sound=SoundConfig(enabled=True, device="no_such_card"))), board_stamp)
    sink.take(step_of(told("fatigue"), closed_s=2.0))
    for fault in ("espeak-ng", "no_such_card"):
        eventually(lambda fault=fault: fault in (sink.health.problem or ""))  # type: ignore[misc]
    sink.take(step_of(told("fatigue", Phase.END, t=1.0)))
    sink.close()
    assert sink.outward


class Meeting:
    """An output whose end comes only once others are ending too."""

    health = SinkHealth()

    def __init__(self, barrier: threading.Barrier) -> None:
        self._barrier = barrier

    def take(self, said: object, step: Step) -> None:
        pass

    def close(self) -> None:
        self._barrier.wait(30.0)


def test_outputs_that_hang_are_ended_together_and_a_fault_of_one_is_not_lost() -> None:
    barrier = threading.Barrier(3)
    CabSink(Config(), board_stamp, [Meeting(barrier) for _ in range(3)]).close()
    assert not barrier.broken
    barrier.abort()
    with pytest.raises(threading.BrokenBarrierError):
        CabSink(Config(), board_stamp, [Meeting(barrier)]).close()
