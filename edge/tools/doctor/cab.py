"""Checks of what reaches the driver: words, sound card, pins, button, program, and that the unit allows it."""

from __future__ import annotations

import contextlib
import grp
import shutil
from pathlib import Path

from edge.board.pins import pin_factory
from edge.cab import alsa
from edge.cab.sound import read_wav
from edge.config import Config
from edge.errors import EXIT_CONFIG, UnavailableError
from edge.tools.doctor.finding import Finding, failed, passed, skipped, warned
from edge.tools.doctor.installed import allow, has_unit
from edge.tools.doctor.target import ENTER, READ, WRITE, Host
from edge.tools.drop_in import PATH, drop_in, uses_pins

OFF = passed("not configured")
HOMES = ("/home", "/root", "/run/user")
"""Folders that the unit hides."""


def words(host: Host, config: Config) -> Finding:
    """What makes the words, and the user's own sounds."""
    sound = config.cab.sound
    if not sound.enabled:
        return OFF
    own = sorted(sound.folder.glob("*.wav")) if sound.folder is not None else []
    faults = list(filter(None, map(_fault_of, own)))
    if faults:
        return failed("; ".join(faults), "replace it; 16-bit PCM is needed", EXIT_CONFIG)
    if sound.folder is not None and host.user.is_refused(sound.folder, READ | ENTER):
        return failed(f"{sound.folder} cannot be read by {host.user.name}", f"`sudo chmod o+rx {sound.folder}`")
    text = f"{len(own)} sounds in {sound.folder}, " if sound.folder is not None else ""
    if shutil.which("espeak-ng") is None:
        return warned(f"{text}espeak-ng is missing: tones alone are heard", "`sudo apt-get install espeak-ng`")
    return passed(f"{text}espeak-ng, language {config.cab.language}")


def card(host: Host, config: Config) -> Finding:
    """Whether the sound card can be opened, and by the service's user."""
    if not config.cab.sound.enabled:
        return OFF
    device = config.cab.sound.device
    try:
        alsa.probe(device)
    except UnavailableError as error:
        text, _, remedy = str(error).rpartition("; ")
        return failed(text, "stop what plays on it" if "busy" in text else remedy)
    nodes = sorted((host.root / "dev/snd").glob("pcm*p"))
    return _allowed(host, nodes, f"{device} can be played on", "audio")


def pins(host: Host, config: Config) -> Finding:
    """Whether the board's pins can be had; none is moved."""
    if not uses_pins(config):
        return OFF
    try:
        pin_factory()
    except UnavailableError as error:
        text, _, remedy = str(error).partition("; ")
        return failed(text, remedy if "apt-get" in remedy else "a Raspberry Pi with /dev/gpiochip0 is needed")
    named = ", ".join(f"{part} GPIO{pin}" for part, pin in config.cab.gpio.pins.items())
    nodes = sorted((host.root / "dev").glob("gpiochip*"))
    return _allowed(host, nodes, named or "the board's pins can be had", "gpio")


def button(host: Host, config: Config) -> Finding:
    """Whether the driver's button is up while nobody presses it."""
    del host
    pin = config.cab.button.pin
    if pin is None:
        return OFF
    try:
        factory = pin_factory()
    except UnavailableError:
        return skipped("no pins, as said above")
    try:
        from gpiozero import Button  # noqa: PLC0415 - optional

        with contextlib.closing(Button(pin, pull_up=True, pin_factory=factory)) as contact:
            down = contact.is_pressed
    except Exception as error:  # noqa: BLE001 - gpiozero has its errors, each factory others
        return skipped(f"GPIO{pin} cannot be looked at: {error}", "stop the service meanwhile, which holds the pin")
    if down:
        return warned(f"GPIO{pin} is down", "let go of the button; if nobody presses it, check its wiring for a short")
    return passed(f"GPIO{pin} is up: nobody presses it")


def program(host: Host, config: Config) -> Finding:
    """Whether the user's program can be run by the service, and changed by nobody else."""
    if not config.cab.command.program:
        return OFF
    path = Path(config.cab.command.program[0])
    if not path.is_file():
        return failed(f"{path}: no such file", "correct cab.command.program", EXIT_CONFIG)
    if any(path.resolve().is_relative_to(home) for home in HOMES):
        return failed(f"{path} lies where the service sees nothing", "move it to /usr/local/bin")
    if host.user.is_refused(path, READ | ENTER):
        return failed(f"{path} cannot be run by {host.user.name}", f"`sudo chmod a+rx {path}`")
    if any(each.stat().st_mode & 0o022 for each in (path, path.parent)):
        return warned(f"{path} can be changed by others than its owner", f"`sudo chmod go-w {path} {path.parent}`")
    return passed(f"{path}: {host.user.name} can run it")


def unit(host: Host, config: Config) -> Finding:
    """Whether the unit allows what the configuration uses."""
    if not has_unit(host.root, Path(PATH).parent.stem):
        return skipped("no service is installed here")
    wanted = drop_in(config, [group.gr_name for group in grp.getgrall()])
    file = host.root / PATH
    there = file.read_text(encoding="utf-8") if file.is_file() else ""
    if wanted != there:
        what = "allows less or more than the configuration uses" if there else "allows a camera and nothing else"
        return warned(f"the unit {what}", allow()) if wanted or there else passed("nothing more is used")
    return passed(f"{file} allows what is used" if wanted else "nothing more is used")


def _allowed(host: Host, nodes: list[Path], text: str, group: str) -> Finding:
    """``text``, or that the service's user may not use the devices, unless it is to be in their group by the unit."""
    refused = [node for node in nodes if host.user.is_refused(node, READ | WRITE)]
    file = host.root / PATH
    joined = file.is_file() and group in file.read_text(encoding="utf-8")
    if not refused or joined:
        return passed(text)
    owner = refused[0].owner()
    if refused[0].group() == "root":
        rule = f'a udev rule for {refused[0].name}: GROUP="{group}", MODE="0660"'
        return warned(f"{text}, but {host.user.name} may not use {refused[0]}, which is {owner}'s alone", rule)
    return warned(f"{text}, but {host.user.name} may not use {refused[0]}", allow())


def _fault_of(path: Path) -> str | None:
    try:
        read_wav(path)
    except UnavailableError as error:
        return str(error).partition("; ")[0]
    return None
