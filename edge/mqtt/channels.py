"""Every topic of the contract as data: who speaks there, at which QoS, retained or not, and who may hear it.

``Topics`` makes the topics of one device; here they stand with their places, for documents and access lists.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.compat import StrEnum
from edge.mqtt.discovery import PART
from edge.mqtt.messages import COMMANDS, LIVE, RESEND, CommandName, Topics

PREFIX, DEVICE, KIND, WORD, HOME = "{prefix}", "{device_id}", "{kind}", "{word}", "{discovery_prefix}"
EPOCH, SEQUENCE = "{epoch}", "{sequence}"
DESCRIBED = "{part}"
_TOPICS = Topics(PREFIX, DEVICE)


class Role(StrEnum):
    """Who speaks and listens on the broker. What a role is not named for is refused."""

    DEVICE = "device"
    READER = "reader"
    DASHBOARD = "dashboard"
    OPERATOR = "operator"
    COLLECTOR = "collector"
    HOME_ASSISTANT = "homeassistant"


ROLES = {
    Role.DEVICE: "The driver monitor. It writes its own branch and reads its own commands, never another's.",
    Role.READER: "A display or a recorder. It reads and writes nothing.",
    Role.DASHBOARD: "`evenkeel dashboard`. It reads all, asks for `live`, and sends what an operator may on its pages.",
    Role.OPERATOR: "The people at the desk. They read all and may send any command.",
    Role.COLLECTOR: "`evenkeel collect`. It reads alerts, the numbers around them and each device's last word, and "
    "writes `command/resend`.",
    Role.HOME_ASSISTANT: "Home Assistant. It reads all, may send any command, and says when it has started.",
}
"""Each role in words."""

_COMMANDING = (Role.OPERATOR, Role.HOME_ASSISTANT)
_HEARING = (Role.READER, Role.DASHBOARD, Role.COLLECTOR, *_COMMANDING)
_ON_PAGES = (CommandName.PAUSE, CommandName.RESUME, CommandName.ACKNOWLEDGE, CommandName.RECALIBRATE, LIVE)
"""Commands that the dashboard sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One topic, with ``{…}`` where a device's own words go.

    ``name`` tells it from others. ``message`` is the payload: a name in ``edge.mqtt.schemas.MODELS``, a command's name,
    or the words that it may be. ``writes`` and ``reads`` are the roles that need the right to.
    """

    name: str
    topic: str
    message: str | tuple[str, ...]
    qos: int = 1
    retained: bool = False
    writes: tuple[Role, ...] = (Role.DEVICE,)
    reads: tuple[Role, ...] = _HEARING
    about: str

    @property
    def from_device(self) -> bool:
        """Whether the device is who speaks here."""
        return Role.DEVICE in self.writes


def channels() -> tuple[Channel, ...]:
    """All of them, in the order of the contract's page."""
    return (*_SAID, *(one for name in COMMANDS for one in _asked(name)), _REPLY, *_HOME)


_SAID = (
    Channel(
        name="availability",
        topic=_TOPICS.availability,
        message=("online", "offline"),
        retained=True,
        reads=(*_HEARING, Role.DEVICE),
        about="On every connection, before a clean stop, and as last will. Without it a silent device looks calm.",
    ),
    Channel(
        name="state",
        topic=_TOPICS.state,
        message="state",
        retained=True,
        about="What holds now: on change and with every heartbeat. Unknown is never calm.",
    ),
    Channel(
        name="alert",
        topic=_TOPICS.alert,
        message="alert",
        about="Each step of an episode, through the outbox: at least once. `(device_id, epoch, sequence)` names it for "
        "ever; a receiver drops what it has seen.",
    ),
    Channel(
        name="active",
        topic=_TOPICS.active(KIND),
        message=("ON", "OFF"),
        retained=True,
        reads=(Role.READER, Role.DASHBOARD, *_COMMANDING),
        about="Whether an alert of this kind is on. The set of kinds is open.",
    ),
    Channel(
        name="health",
        topic=_TOPICS.health,
        message="health",
        qos=0,
        retained=True,
        about="How the device is. With MQTT 5 it expires after three periods of `publish.health_s`.",
    ),
    Channel(
        name="liveFrame",
        topic=_TOPICS.live,
        message="live",
        qos=0,
        reads=(Role.DASHBOARD, *_COMMANDING),
        about="What holds in each frame, only while somebody asks for it with `command/live`.",
    ),
    Channel(
        name="episode",
        topic=_TOPICS.episode(EPOCH, SEQUENCE),
        message="episode",
        reads=(Role.DASHBOARD, Role.COLLECTOR, Role.OPERATOR),
        about="The numbers around an alert in pieces, once its episode is over, where `publish.episodes`. They wait "
        "behind all alerts and in memory alone: a power cut loses them.",
    ),
)
_REPLY = Channel(
    name="reply",
    topic=_TOPICS.reply("{name}"),
    message="command-result",
    reads=_COMMANDING,
    about="An answer once more, for a sender that named this as the response topic of its command (MQTT 5).",
)
_HOME = (
    Channel(
        name="discoveryMoved",
        topic=f"{HOME}/device/{WORD}/config",
        message="moved",
        retained=True,
        reads=(Role.HOME_ASSISTANT,),
        about="Before version 0.2 one message here described all; now it has Home Assistant look at the parts.",
    ),
    Channel(
        name="discovery",
        topic=f"{HOME}/device/{WORD}{PART}{DESCRIBED}/config",
        message="description",
        retained=True,
        reads=(Role.HOME_ASSISTANT,),
        about="A part of Home Assistant's description, where `discovery.enabled`; its format is Home Assistant's.",
    ),
    Channel(
        name="homeAssistant",
        topic=f"{HOME}/status",
        message=("online", "offline"),
        writes=(Role.HOME_ASSISTANT,),
        reads=(Role.DEVICE,),
        about="Home Assistant's word that it has started: the device describes itself anew.",
    ),
)


def _asked(name: str) -> tuple[Channel, Channel]:
    """A command and its answer."""
    senders: tuple[Role, ...] = _COMMANDING
    if name == RESEND:
        senders += (Role.COLLECTOR,)
    if name in _ON_PAGES:
        senders += (Role.DASHBOARD,)
    command = Channel(
        name=name,
        topic=_TOPICS.command(name),
        message=name,
        writes=senders,
        reads=(Role.DEVICE,),
        about="A command. Empty stands for `{}`. A retained one is ignored; what has an unknown key is refused.",
    )
    answer = Channel(
        name=f"{name}Result",
        topic=_TOPICS.result(name),
        message="command-result",
        reads=senders,
        about=f"The answer to `{name}`: once for each that was taken up or refused.",
    )
    return command, answer
