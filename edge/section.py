"""The base of every table of the configuration, beside whatever a table belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """A table of the configuration file: frozen, and strict about keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def tables(cls) -> Mapping[str, type[Section]]:
        """The tables inside this one, by the key that each stands under."""
        fields = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: kind for name, kind in fields.items() if isinstance(kind, type) and issubclass(kind, Section)}

    @classmethod
    def keys(cls) -> list[str]:
        """All keys that this table knows, in order of the alphabet."""
        return sorted(cls.model_fields)
