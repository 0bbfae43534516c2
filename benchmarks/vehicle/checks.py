"""What must hold of the service on a machine with a real kernel, systemd and V4L2 cameras, and what breaks there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.vehicle.guest import Guest, overlay
from benchmarks.vehicle.image.files import CAMERA, CAMERA_FPS, CLIP, FEED, SPARE_CAMERA
from benchmarks.vehicle.lab import READY_S, Lab, Machine, is_online, is_ready
from benchmarks.vehicle.listener import TOPICS
from benchmarks.vehicle.outcome import FaultError, ImpossibleError
from benchmarks.vehicle.stored import read_outbox

CONFIG = "/etc/evenkeel/evenkeel.toml"
CLIP_S = 86.0
LOOP_S = 2.5 * CLIP_S
"""Long enough to see every look of the clip whole, wherever the machine went on."""

HEALTH_S = 120.0
"""Health comes every minute."""

SLEEP_S = 20.0

UNSYNCED = {"clock", "inference"}
"""Lines of ``doctor`` that must warn here: no time source can be reached, and an emulator is slower than any board."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table. ``look`` returns what it saw, in words.

    Raises (of ``look``): FaultError, or GuestError where something did not come to pass in time; ImpossibleError.
    """

    name: str
    look: Callable[[Lab], str]


def warm(look: Callable[[Machine], str]) -> Callable[[Lab], str]:
    """A check of the machine as it goes on from where it ran well."""

    def with_machine(lab: Lab) -> str:
        with lab.going_on() as machine:
            machine.guest.until("the device is online", lambda: is_online(machine.listener), 60.0)
            return look(machine)

    return with_machine


def first_boot(lab: Lab) -> str:
    """From the disk as the installer left it to the first frame; what follows goes on from there."""
    said: list[str] = []

    def see(machine: Machine) -> None:
        guest = machine.guest
        guest.boot()
        guest.until("the unit is active", lambda: is_ready(guest), READY_S)
        guest.until("the device is online", lambda: is_online(machine.listener), 60.0)
        unit = properties(guest, "Type", "NRestarts", "Result")
        if unit != {"Type": "notify", "NRestarts": "0", "Result": "success"}:
            raise FaultError(f"the unit started as {unit}")
        if failed := guest.tell("systemctl list-units --failed --plain --no-legend"):
            raise FaultError(f"failed units: {failed}")
        holder = guest.tell(f"fuser {CAMERA} 2>/dev/null")
        if properties(guest, "MainPID")["MainPID"] not in holder.split():
            raise FaultError(f"the service is ready and does not hold {CAMERA}")
        entered = properties(guest, "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"]
        said.append(
            f"unit active {int(entered) / 1e6:.0f} s after the kernel, no failed unit, {CAMERA} held by the service"
        )

    lab.make_warm(see)
    return said[0]


def ready_means_frame(machine: Machine) -> str:
    """A camera that opens and gives no frame holds READY=1 up until it is declared absent."""
    guest = machine.guest
    guest.tell(f"systemctl stop {FEED} evenkeel")
    use_camera(guest, SPARE_CAMERA)
    guest.tell("systemctl start evenkeel", 150.0)
    rate = wait_health(machine, lambda health: health["fps"] > 1.0, "frames of vivid are read")["fps"]
    if int(properties(guest, "NRestarts")["NRestarts"]):
        raise FaultError("the unit was restarted")
    return f"vivid's YUYV under the unit's device rules: {rate:.1f} frames a second"


def without_camera(machine: Machine) -> str:
    """No camera at all: the unit becomes ready, and the device says that it is blind."""
    guest = machine.guest
    guest.tell(f"systemctl stop {FEED} evenkeel; modprobe -r v4l2loopback")
    began = time.monotonic()
    guest.tell("systemctl start evenkeel", 150.0)
    state = wait_state(machine, "blind", 60.0, began)
    guest.tell(f"modprobe v4l2loopback; systemctl start {FEED}")
    back_s = wait_seeing(machine, 90.0)
    return f"ready, then blind ({state}); sees {back_s:.0f} s after the camera has come"


def clip_alerts(machine: Machine) -> str:
    """The three looks of the clip arrive outside: start, escalation or not, and end, without a gap."""
    wanted = {"anger", "distress", "fatigue"}

    def complete() -> bool:
        alerts = machine.listener.alerts()
        begun = {one["kind"] for one in alerts if one["phase"] == "start"}
        ended = {one["kind"] for one in alerts if one["phase"] == "end"}
        return wanted <= begun and wanted <= ended

    if not machine.listener.wait(complete, LOOP_S):
        seen = [(one["kind"], one["phase"]) for one in machine.listener.alerts()]
        raise FaultError(f"not every look of the clip was told within {LOOP_S:.0f} s: {seen}")
    numbers = [one["sequence"] for one in machine.listener.alerts()]
    if numbers != list(range(1, len(numbers) + 1)):
        raise FaultError(f"numbers with gaps, or not from 1: {numbers}")
    return f"{len(numbers)} messages of anger, distress and fatigue, numbered 1 to {numbers[-1]}"


def doctor(machine: Machine) -> str:
    """The board's own view of itself: nothing fails, and nothing warns but what must here."""
    found = machine.guest.run(f"evenkeel doctor --json --config {CONFIG}", 500.0)
    try:
        checks = json.loads(found.text)["checks"]
    except ValueError as error:
        raise FaultError(f"doctor: exit {found.code}: {found.text[-300:]}") from error
    wrong = [f"{one['check']}: {one['text']}" for one in checks if one["verdict"] == "fail"]
    wrong += [
        f"{one['check']}: {one['text']}" for one in checks if one["verdict"] == "warn" and one["check"] not in UNSYNCED
    ]
    if wrong or found.code:
        raise FaultError(f"doctor: exit {found.code}: {'; '.join(wrong)}")
    verdicts = [one["verdict"] for one in checks]
    counts = ", ".join(f"{verdicts.count(one)} {one}" for one in ("pass", "skip", "warn", "fail"))
    return f"{counts}; warns of {', '.join(one['check'] for one in checks if one['verdict'] == 'warn') or 'nothing'}"


def exposure(machine: Machine) -> str:
    """How much systemd thinks the unit may do."""
    text = machine.guest.tell("systemd-analyze security --no-pager evenkeel", 240.0)
    found = re.search(r"exposure level for evenkeel.service: ([0-9.]+)", text)
    if found is None or float(found[1]) > 2.0:
        raise FaultError(f"systemd-analyze security: {text.splitlines()[-1] if text else 'says nothing'}")
    return f"{found[1]} (0 is best, 10 worst)"


def denials(machine: Machine) -> str:
    """Neither AppArmor nor the unit's device rules nor its system calls refused anything."""
    machine.listener.wait(lambda: len(machine.listener.alerts()) > 1, LOOP_S)
    pattern = "apparmor=.DENIED|audit: type=1326|Operation not permitted|Permission denied"
    logs = "journalctl -b -k --no-pager -o cat; journalctl -b -u evenkeel -u mosquitto --no-pager -o cat"
    found = machine.guest.run(f"({logs}) | grep -E '{pattern}'")
    if found.code == 0:
        raise FaultError(found.text.strip().splitlines()[0])
    enforcing = machine.guest.tell("cat /sys/module/apparmor/parameters/enabled")
    return f"none in the journal of kernel, service and broker (AppArmor in the kernel: {enforcing})"


def unplugged(machine: Machine) -> str:
    """The driver lets go of its camera while it streams, and finds it again."""
    guest = machine.guest
    watch_vivid(machine)
    driver = "/sys/bus/platform/drivers/vivid"
    began, began_s = time.monotonic(), guest.uptime_s()
    guest.tell(f"echo vivid.0 > {driver}/unbind")
    reason = wait_state(machine, "blind", 60.0, began)
    blind_s = float(machine.listener.newest(TOPICS.state)["uptime_s"]) - began_s
    guest.tell(f"echo vivid.0 > {driver}/bind")
    back_s = wait_seeing(machine, 90.0)
    still_same_process(guest)
    return f"blind after {blind_s:.0f} s ({reason}), sees {back_s:.0f} s after it is back, same process"


def module_removed(machine: Machine) -> str:
    """The module of the camera cannot go while somebody streams; without its producer the camera is silent."""
    guest = machine.guest
    refused = guest.run("modprobe -r v4l2loopback")
    if refused.code == 0:
        raise FaultError("the kernel let the module go while the service streamed")
    began = time.monotonic()
    guest.tell(f"systemctl stop {FEED}")
    reason = wait_state(machine, "blind", 60.0, began)
    guest.until("the module can go between two tries", lambda: not guest.run("modprobe -r v4l2loopback").code, 90.0)
    guest.tell(f"modprobe v4l2loopback; systemctl start {FEED}")
    back_s = wait_seeing(machine, 120.0)
    still_same_process(guest)
    return (
        f"refused while streaming; without its producer blind ({reason}), and the module goes; "
        f"sees {back_s:.0f} s after both are back"
    )


def frozen(machine: Machine) -> str:
    """A camera that gives the same picture to the bit."""
    guest = machine.guest
    guest.tell(f"ffmpeg -nostdin -loglevel error -y -ss 5 -i {CLIP} -c copy -frames:v 1 -f image2 /run/still.jpg")
    began = time.monotonic()
    feed(guest, f"-re -loop 1 -framerate {CAMERA_FPS} -i /run/still.jpg -c copy")
    reason = wait_state(machine, "blind", 90.0, began, "has not changed")
    unfeed(guest)
    back_s = wait_seeing(machine, 90.0)
    return f"blind ({reason}); sees {back_s:.0f} s after it moves again"


def stalled(machine: Machine) -> str:
    """A camera whose producer hangs: the device is there and gives nothing."""
    guest = machine.guest
    began = time.monotonic()
    guest.tell(f"systemctl kill --signal=STOP {FEED}")
    reason = wait_state(machine, "blind", 90.0, began)
    guest.tell(f"systemctl kill --signal=CONT {FEED}")
    back_s = wait_seeing(machine, 90.0)
    still_same_process(guest)
    return f"blind ({reason}); sees {back_s:.0f} s after it goes on, same process"


def other_size(machine: Machine) -> str:
    """The camera comes back with pictures of another size than it went with."""
    guest = machine.guest
    began = time.monotonic()
    feed(guest, f"-re -stream_loop -1 -i {CLIP} -vf scale=320:240 -c:v mjpeg -q:v 3")
    small_enough: Callable[[], bool] = lambda: 0.0 < (size_px(machine, began) or 0.0) < 110.0  # noqa: E731
    guest.until("a face is read in the small picture", small_enough, 120.0)
    small = size_px(machine, began)
    unfeed(guest)
    wait_seeing(machine, 120.0)
    still_same_process(guest)
    return f"640x480 to 320x240 and back: the face was {small:.0f} px wide meanwhile, same process"


def busy(machine: Machine) -> str:
    """Another program holds the camera when the service wants it."""
    guest = machine.guest
    use_camera(guest, SPARE_CAMERA)
    guest.tell("systemctl stop evenkeel")
    hold = f"v4l2-ctl -d {SPARE_CAMERA} --stream-mmap --stream-to=/dev/null"
    guest.tell(f"systemd-run --unit=holder {hold}")
    time.sleep(2.0)
    began = time.monotonic()
    guest.tell("systemctl start evenkeel", 150.0)
    reason = wait_state(machine, "blind", 90.0, began)
    guest.tell("systemctl stop holder")
    back_s = wait_seeing(machine, 120.0)
    still_same_process(guest)
    return f"ready, blind ({reason}); sees {back_s:.0f} s after it is free"


def hung(machine: Machine) -> str:
    """A process that does nothing any more is ended by the watchdog and started again."""
    guest = machine.guest
    began_s = guest.uptime_s()
    guest.tell("systemctl kill --signal=STOP evenkeel")
    guest.until("the watchdog restarts it", lambda: properties(guest, "NRestarts")["NRestarts"] == "1", 90.0)
    restarted_s = guest.uptime_s() - began_s
    guest.until("the unit is active again", lambda: is_ready(guest), READY_S)
    wait_seeing(machine, 60.0)
    if "Watchdog timeout" not in guest.tell("journalctl -b -u evenkeel --no-pager -o cat"):
        raise FaultError("the journal tells of no watchdog timeout")
    return f"restarted {restarted_s:.0f} s after SIGSTOP"


def out_of_memory(machine: Machine) -> str:
    """The kernel kills it for memory; systemd starts it again."""
    guest = machine.guest
    guest.tell("systemctl set-property --runtime evenkeel MemoryMax=30M MemorySwapMax=0", 60.0)
    guest.until(
        "the kernel kills it",
        lambda: guest.run("journalctl -b -k --no-pager -o cat | grep -q oom-kill").code == 0,
        90.0,
    )
    guest.tell("systemctl set-property --runtime evenkeel MemoryMax=512M", 60.0)
    guest.until("the unit is active again", lambda: is_ready(guest), READY_S)
    wait_seeing(machine, 60.0)
    return f"killed at 30 MB, {properties(guest, 'NRestarts')['NRestarts']} restarts, runs again"


def disk_full(machine: Machine) -> str:
    """Without a free block alerts still leave, and the device says what is wrong; with room again no more."""
    guest, listener = machine.guest, machine.listener
    guest.run("fallocate -l 8G /var/full; dd if=/dev/zero of=/var/full2 bs=64k; sync", 300.0)
    free = guest.tell("df --output=avail / | tail -1").strip()
    began, before = time.monotonic(), len(listener.alerts())
    if not listener.wait(lambda: len(listener.alerts()) >= before + 3, LOOP_S):
        raise FaultError("no alert left while the disk was full")
    health = wait_health(machine, lambda health: bool(health["outbox"]["problem"]), "health names the full disk", began)
    guest.tell("rm -f /var/full /var/full2; sync")
    wait_health(machine, lambda health: not health["outbox"]["problem"], "health is well again", time.monotonic())
    gaps = missing_numbers(machine)
    if gaps:
        raise FaultError(f"numbers that never came: {gaps}")
    still_same_process(guest)
    left = len(listener.alerts()) - before
    return f"{free} kB free: {left} messages left ({health['outbox']['problem']}), no number missing"


def read_only(machine: Machine) -> str:
    """The root file system becomes read-only, as after an error of the card."""
    guest, listener = machine.guest, machine.listener
    guest.tell("echo u > /proc/sysrq-trigger; sleep 2")
    if guest.run("touch /var/lib/there").code == 0:
        raise FaultError("the root file system still takes writes")
    began, before = time.monotonic(), len(listener.alerts())
    if not listener.wait(lambda: len(listener.alerts()) >= before + 3, LOOP_S):
        raise FaultError("no alert left while the root file system was read-only")
    health = wait_health(machine, lambda health: bool(health["outbox"]["problem"]), "health names it", began)
    if gaps := missing_numbers(machine):
        raise FaultError(f"numbers that never came: {gaps}")
    still_same_process(guest)
    return f"{len(listener.alerts()) - before} messages left ({health['outbox']['problem']}), no number missing"


def clock_steps(machine: Machine) -> str:
    """Network time arrives late and sets the clock forward by years; then somebody sets it back."""
    guest, listener = machine.guest, machine.listener
    guest.tell("systemctl stop mosquitto")
    guest.until("two alerts wait", lambda: waiting(guest) >= 2, LOOP_S)
    waited = waiting(guest)
    guest.tell("date -s '+7 years'")
    time.sleep(5.0)
    guest.tell("date -s '-9 years'")
    time.sleep(5.0)
    if waiting(guest) < waited:
        raise FaultError(f"{waited} alerts waited before the clock was set, {waiting(guest)} after")
    guest.tell("systemctl start mosquitto")
    if not listener.wait(lambda: len(listener.alerts()) >= waited, 120.0) or missing_numbers(machine):
        raise FaultError(f"of {waited} alerts that waited {len(listener.alerts())} came")
    still_same_process(guest)
    return f"+7 and -9 years while {waited} alerts waited: all came, same process"


def no_rtc(lab: Lab) -> str:
    """A board without a real-time clock starts in the past, makes alerts, and is then set right."""
    disk = overlay(lab.image.disk, lab.folder / "rtc.qcow2")
    with lab.booted(disk, rtc="1970-01-02", name="rtc") as machine:
        guest, listener = machine.guest, machine.listener
        guest.boot()
        guest.until("the unit is active", lambda: is_ready(guest), READY_S)
        began = guest.tell("date +%Y-%m-%d")
        if not listener.wait(lambda: bool(listener.alerts()), LOOP_S):
            raise FaultError("no alert with the clock in the past")
        guest.tell("date -s '2029-03-01 12:00'")
        before = len(listener.alerts())
        if not listener.wait(lambda: len(listener.alerts()) >= before + 2, LOOP_S):
            raise FaultError("no alert after the clock was set")
        alerts = listener.alerts()
        if [one["sequence"] for one in alerts] != list(range(1, len(alerts) + 1)) or len(
            {one["epoch"] for one in alerts}
        ) > 1:
            raise FaultError(f"numbers: {[(one['epoch'], one['sequence']) for one in alerts]}")
        if any(one["clock_synced"] for one in alerts):
            raise FaultError("an alert says that the clock is synchronised")
        still_same_process(guest)
        return f"booted on {began}, set to 2029: {len(alerts)} messages in one epoch, each says clock_synced = false"


def time_zone(machine: Machine) -> str:
    """The board moves to another time zone: payloads stay in UTC."""
    guest, listener = machine.guest, machine.listener
    guest.tell(
        "timedatectl set-timezone Pacific/Kiritimati || ln -sf /usr/share/zoneinfo/Pacific/Kiritimati /etc/localtime"
    )
    began = time.monotonic()
    if not listener.wait(lambda: bool(listener.alerts(began)), LOOP_S):
        raise FaultError("no alert in the other time zone")
    told, now = listener.alerts(began)[-1]["time"], guest.tell("date -u +%Y-%m-%dT%H")
    if not told.endswith("Z") or not told.startswith(now[:10]):
        raise FaultError(f"the alert says {told}, the clock {now} UTC")
    return "UTC+14: alerts go on, their time is UTC"


def suspended(machine: Machine) -> str:
    """The board sleeps for a while and is woken by its clock."""
    guest = machine.guest
    ways = guest.tell("cat /sys/power/state").split()
    if "freeze" not in ways:
        raise ImpossibleError(f"this kernel knows no sleep here (/sys/power/state: {' '.join(ways) or 'empty'})")
    before = float(guest.tell("cut -d' ' -f1 /proc/uptime"))
    guest.tell(f"systemd-run --on-active=1 rtcwake --mode freeze --seconds {SLEEP_S:.0f}")
    time.sleep(SLEEP_S + 10.0)
    guest.boot(60.0)
    slept = guest.run("journalctl -b -k --no-pager -o cat | grep -c 'PM: suspend exit'").text.strip()
    if slept != "1":
        raise ImpossibleError("rtcwake does not put the emulated machine to sleep")
    wait_seeing(machine, 90.0)
    still_same_process(guest)
    return f"slept {SLEEP_S:.0f} s (s2idle, from {before:.0f} s of uptime on): sees again, same process"


CHECKS = (
    Check("first boot", first_boot),
    Check("alerts of the clip", warm(clip_alerts)),
    Check("doctor", warm(doctor)),
    Check("exposure", warm(exposure)),
    Check("denials", warm(denials)),
    Check("another camera (vivid, YUYV)", warm(ready_means_frame)),
    Check("no camera at the start", warm(without_camera)),
    Check("camera unplugged while streaming", warm(unplugged)),
    Check("camera's module removed", warm(module_removed)),
    Check("camera frozen", warm(frozen)),
    Check("camera stalled", warm(stalled)),
    Check("camera with another resolution", warm(other_size)),
    Check("camera busy", warm(busy)),
    Check("process hung", warm(hung)),
    Check("out of memory", warm(out_of_memory)),
    Check("disk full", warm(disk_full)),
    Check("root file system read-only", warm(read_only)),
    Check("clock stepped", warm(clock_steps)),
    Check("no real-time clock", no_rtc),
    Check("time zone", warm(time_zone)),
    Check("suspend and resume", warm(suspended)),
)


def properties(guest: Guest, *names: str) -> dict[str, str]:
    """Of the service's unit."""
    text = guest.tell(f"systemctl show evenkeel -p {','.join(names)}")
    return dict(line.split("=", 1) for line in text.splitlines())


def wait_state(machine: Machine, word: str, timeout_s: float, since: float, reason: str = "") -> str:
    """The reason with which it comes to the state ``word``.

    Raises:
        FaultError: it does not.
    """

    def holds() -> bool:
        found = machine.listener.newest(TOPICS.state, since)
        return bool(found) and found["state"] == word and reason in found["reason"]

    if not machine.listener.wait(holds, timeout_s):
        found = machine.listener.newest(TOPICS.state)
        raise FaultError(f"not {word} within {timeout_s:.0f} s, but {found and (found['state'], found['reason'])}")
    return str(machine.listener.newest(TOPICS.state)["reason"])


def wait_seeing(machine: Machine, timeout_s: float) -> float:
    """Wait until it sees again; how long that took by its own clock, s.

    Raises:
        FaultError: it does not.
    """
    began_s = machine.guest.uptime_s()

    def holds() -> bool:
        found = machine.listener.newest(TOPICS.state)
        return bool(found) and found["state"] != "blind" and machine.listener.newest(TOPICS.availability) == "online"

    if not machine.listener.wait(holds, timeout_s):
        found = machine.listener.newest(TOPICS.state)
        raise FaultError(f"still {found and (found['state'], found['reason'])} after {timeout_s:.0f} s")
    return max(0.0, float(machine.listener.newest(TOPICS.state)["uptime_s"]) - began_s)


def wait_health(
    machine: Machine, holds: Callable[[dict[str, Any]], bool], what: str, since: float | None = None
) -> dict[str, Any]:
    """The first health message from ``since`` (now) on of which it holds.

    Raises:
        FaultError: none such comes.
    """
    since = time.monotonic() if since is None else since

    def found() -> list[dict[str, Any]]:
        return [one.content for one in machine.listener.heard(TOPICS.health, since) if holds(one.content)]

    if not machine.listener.wait(lambda: bool(found()), HEALTH_S):
        newest = machine.listener.newest(TOPICS.health, since)
        told = newest and {part: newest[part] for part in ("problems", "outbox")}
        raise FaultError(f"{what}: not within {HEALTH_S:.0f} s; the last one said {json.dumps(told)}")
    return found()[0]


def use_camera(guest: Guest, device: str) -> None:
    """Configure another camera; the service takes it with its next start."""
    guest.tell(f"sed -i 's|^source = .*|source = \"v4l2:{device}\"|' {CONFIG}")


def watch_vivid(machine: Machine) -> None:
    """Have the service watch the spare camera."""
    use_camera(machine.guest, SPARE_CAMERA)
    machine.guest.tell("systemctl restart evenkeel", 150.0)
    wait_health(machine, lambda health: bool(health["fps"]), "frames of vivid are read")


def feed(guest: Guest, source: str) -> None:
    """Show the cabin's camera something else."""
    command = f"/usr/bin/ffmpeg -nostdin -loglevel error {source} -f v4l2 {CAMERA}"
    guest.tell(
        f"mkdir -p /run/systemd/system/{FEED}.service.d; "
        f"printf '[Service]\nExecStart=\nExecStart={command}\n' > /run/systemd/system/{FEED}.service.d/other.conf; "
        f"systemctl daemon-reload; systemctl restart {FEED}"
    )


def unfeed(guest: Guest) -> None:
    """Show it the clip again."""
    guest.tell(f"rm -r /run/systemd/system/{FEED}.service.d; systemctl daemon-reload; systemctl restart {FEED}")


def still_same_process(guest: Guest) -> None:
    """See that nothing restarted the service.

    Raises:
        FaultError: something did.
    """
    unit = properties(guest, "NRestarts", "ActiveState")
    if unit != {"NRestarts": "0", "ActiveState": "active"}:
        raise FaultError(f"the service did not bear it: {unit}")


def missing_numbers(machine: Machine) -> list[int]:
    """Numbers below the newest alert's that no alert came with."""
    came = {one["sequence"] for one in machine.listener.alerts()}
    return sorted(set(range(min(came, default=1), max(came, default=0))) - came)


def waiting(guest: Guest) -> int:
    """Alerts in the outbox that the broker has not acknowledged."""
    return sum(row.waits for row in read_outbox(guest).rows.values())


def size_px(machine: Machine, since: float = 0.0) -> float | None:
    """How large the face is that was read last."""
    state = machine.listener.newest(TOPICS.state, since)
    return state["quality"]["size_px"] if state and state["quality"] else None
