"""The configuration's ``[alerts]``: one table for each kind that has a judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, get_args

from pydantic import Field, GetJsonSchemaHandler, SerializeAsAny, ValidationError, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, to_json

from edge.compat import Self
from edge.decision.expression_judge import ExpressionSettings
from edge.decision.judge import JudgeSettings, Sensitivity
from edge.decision.kinds import registered
from edge.domain import Kind
from edge.section import Layer, Section


class AlertsConfig(Section):
    """The kinds of alert, each with its own table."""

    layer: ClassVar[Layer] = Layer.BASIC

    sensitivity: Sensitivity = Field(
        default="normal",
        description="How readily all kinds alert; the sensitivity of a kind, and keys that are set, go before it.",
    )
    shadow: bool = Field(
        default=False,
        description="Decide, count and trace, but publish nothing except health, to see what would have been said.",
    )
    kinds: Mapping[Kind, SerializeAsAny[JudgeSettings]]

    @classmethod
    def default(cls) -> Self:
        """Each registered kind with its own defaults."""
        return cls.model_validate({})

    def of(self, kind: Kind) -> JudgeSettings:
        """The settings of one kind."""
        return self.kinds[kind]

    def with_kinds(self, changed: Mapping[Kind, JudgeSettings]) -> Self:
        """The same with other settings for some kinds."""
        return self.model_copy(update={"kinds": {**self.kinds, **changed}})

    @property
    def enabled(self) -> tuple[Kind, ...]:
        """The kinds that are judged, in the order of their judges."""
        return tuple(kind for kind, settings in self.kinds.items() if settings.enabled)

    @property
    def expressions(self) -> dict[Kind, ExpressionSettings]:
        """The enabled kinds that go by expressions."""
        return {
            kind: settings
            for kind, settings in self.kinds.items()
            if settings.enabled and isinstance(settings, ExpressionSettings)
        }

    @classmethod
    def tables(cls) -> Mapping[str, type[Section]]:
        """A table for each registered kind."""
        return {kind: judge.Settings for kind, judge in registered().items()}

    @classmethod
    def keys(cls) -> list[str]:
        """The registered kinds, and what is set for all of them."""
        return sorted({"sensitivity", "shadow", *registered()})

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        """Give each registered kind its table, the default one where there is none; other keys are left to be refused.

        Raises:
            ValidationError: with the kind before each faulty key.
        """
        if not isinstance(data, Mapping):
            return data
        tables, faults = dict[Kind, JudgeSettings](), list[InitErrorDetails]()
        asked = data.get("sensitivity")
        sensitivity = (
            str(asked) if asked in get_args(Sensitivity) else "normal"
        )  # another one is refused where it stands
        for kind, judge in registered().items():
            table = data.get(kind, {})
            if isinstance(table, Mapping):
                table = judge.Settings.at(sensitivity, table)
            try:
                tables[kind] = table if isinstance(table, judge.Settings) else _read_table(judge.Settings, table)
            except ValidationError as error:
                faults += list(_below(kind, error))
        if "kinds" in data:  # the field of that name is ours, no key of the file
            faults.append(InitErrorDetails(type="extra_forbidden", loc=("kinds",), input=data["kinds"]))
        if faults:
            raise ValidationError.from_exception_data("alerts", faults)
        return {"kinds": tables, **{key: table for key, table in data.items() if key not in tables}}

    @model_serializer
    def _write(self) -> dict[str, Any]:
        for_all = {"sensitivity": self.sensitivity, "shadow": self.shadow}
        return for_all | {kind: each.model_dump() for kind, each in self.kinds.items()}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        tables = {
            kind: judge.Settings.__get_pydantic_json_schema__(judge.Settings.__pydantic_core_schema__, handler)
            for kind, judge in registered().items()
        }
        described = handler.resolve_ref_schema(handler(schema))["properties"]
        for_all = {name: described[name] | {"layer": cls.layer.value} for name in ("sensitivity", "shadow")}
        description = (cls.__doc__ or "").strip()
        properties = for_all | tables
        return {"type": "object", "description": description, "properties": properties, "additionalProperties": False}


def _read_table(settings: type[JudgeSettings], table: Any) -> JudgeSettings:
    """As the rest of the configuration is read: as JSON, where nothing is taken for what it is not."""
    return settings.model_validate_json(to_json(table, inf_nan_mode="constants"), strict=True)


def _below(kind: Kind, error: ValidationError) -> Iterator[InitErrorDetails]:
    for fault in error.errors(include_url=False):
        details = InitErrorDetails(type=fault["type"], loc=(kind, *fault["loc"]), input=fault["input"])
        if "ctx" in fault:
            details["ctx"] = fault["ctx"]
        yield details
