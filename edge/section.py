"""The base of every table of the configuration, beside whatever a table belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from edge.compat import StrEnum

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Layer(StrEnum):
    """Whom a key is for."""

    BASIC = "basic"
    TUNER = "tuner"
    EXPERT = "expert"


BASIC: Final[JsonDict] = {"layer": Layer.BASIC.value}
"""Marks a key (``json_schema_extra``) that whoever installs a device may want to set."""

EXPERT: Final[JsonDict] = {"layer": Layer.EXPERT.value}
"""Marks a key that hardly anybody needs, in a table whose others are for more people."""


class Section(BaseModel):
    """A table of the configuration file: frozen, and strict about keys that it does not know.

    ``layer`` says whom its keys are for, where a key has no mark of its own. ``renamed`` tells for keys of the past
    what became of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    layer: ClassVar[Layer]
    renamed: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def tables(cls) -> Mapping[str, type[Section]]:
        """The tables inside this one, by the key that each stands under."""
        fields = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: kind for name, kind in fields.items() if isinstance(kind, type) and issubclass(kind, Section)}

    @classmethod
    def keys(cls) -> list[str]:
        """All keys that this table knows, in order of the alphabet."""
        return sorted(cls.model_fields)

    @classmethod
    def layer_of(cls, key: str) -> Layer:
        """Whom ``key``, which is no table, is for."""
        mark = cls.model_fields[key].json_schema_extra
        return Layer(str(mark["layer"])) if isinstance(mark, dict) and "layer" in mark else cls.layer

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(schema)
        for name, described in handler.resolve_ref_schema(made).get("properties", {}).items():
            if name not in cls.tables():
                described["layer"] = cls.layer_of(name).value
        return made
