"""A configuration with what the command line says instead."""

from __future__ import annotations

from pydantic import ValidationError

from edge.config.schema import Config
from edge.errors import UsageError


def changed(
    config: Config,
    *,
    broker: str | None = None,
    device: str | None = None,
    listen: str | None = None,
    database: str | None = None,
    collect: bool = False,
    fleet: bool = False,
) -> Config:
    """``config`` with another broker (HOST or HOST:PORT), ``device.id``, or address or database of the dashboard.

    ``collect``: the dashboard collects; ``fleet``: it shows every device, whatever is configured.

    Raises:
        UsageError: one of them cannot be; the message names the option.
    """
    if broker is not None:
        host, port = _split(broker)
        config = _with(config, "--broker", broker, "mqtt", {"host": host} | ({"port": port} if port else {}))
    if device is not None:
        config = _with(config, "--device", device, "device", {"id": device})
    if listen is not None:
        config = _with(config, "--listen", listen, "dashboard", {"listen": listen})
    history = ({} if database is None else {"database": database}) | ({"collect": True} if collect else {})
    if history:
        kept = config.dashboard.history.model_dump(exclude_unset=True)
        option = "--collect" if database is None else "--database"
        config = _with(config, option, database or "", "dashboard", {"history": kept | history})
    if fleet:
        if device is not None:
            raise UsageError(f"--device {device}: with --fleet every device is shown; leave one of them out")
        config = _with(config, "--fleet", "", "dashboard", {"fleet": True})
    return config


def _split(broker: str) -> tuple[str, int | None]:
    host, colon, port = broker.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return broker.strip("[]"), None


def _with(config: Config, option: str, told: str, name: str, values: dict[str, object]) -> Config:
    section = getattr(config, name)
    try:
        made = type(section).model_validate({**section.model_dump(exclude_unset=True), **values})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"{option} {told}: {fault}") from None
    return config.model_copy(update={name: made})
