"""What all sections of the configuration have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Later:
    """Marks a key of a feature that is not built yet: it is checked, named once in the notices, and has no effect."""


LATER = Later()


class Section(BaseModel):
    """A mapping of known keys. A key without a value (`schedule:`) has its default, as if it were not there."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {key: value for key, value in given.items() if value is not None}


def not_in_effect(section: Section) -> list[str]:
    """The keys that were set and have no effect yet, as `section.key`."""
    found = []
    for name in type(section).model_fields:
        if name not in section.model_fields_set:
            continue
        value = getattr(section, name)
        if LATER in type(section).model_fields[name].metadata:
            found.append(name)
        elif isinstance(value, Section):
            found += [f"{name}.{inner}" for inner in not_in_effect(value)]
    return found
