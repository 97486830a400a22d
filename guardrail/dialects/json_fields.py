"""The kinds of value that describe a chat API, each read strictly and refused with what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from guardrail.dialects import json_pointer
from guardrail.dialects.json_path import Template, template
from guardrail.dialects.json_pointer import STAR, Pointer

Asked = Pointer | Literal["always", "never"]


class Described(BaseModel):
    """Unknown keys are errors, types are not guessed, and nothing changes after the start."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


def word(value: object) -> str:
    """What an API calls a role, without what distinguishes none. Some say by a flag or a number who spoke."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip().casefold() if isinstance(value, str | int) else ""


def _place(value: object) -> Pointer:
    if not isinstance(value, str):
        raise ValueError("not a JSON pointer; write one such as /message")
    return json_pointer.parse(value)


def _one(value: object) -> Pointer:
    pointer = _place(value)
    if STAR in pointer:
        raise ValueError("a star where one place is meant; write an index")
    return pointer


def _listed(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _constants(value: object) -> tuple[tuple[Pointer, Any], ...]:
    if not isinstance(value, Mapping):
        raise ValueError("not constants; write pointers with their values, such as {/status: ok}")
    return tuple((_one(key), part) for key, part in value.items())


def _asked(value: object) -> Asked:
    if value == "always":
        return "always"
    return "never" if value == "never" else _one(value)


def _conversation(value: object) -> Pointer | str:
    return value[5:] if isinstance(value, str) and value.startswith("path:") else _one(value)


def _guidance(value: object) -> Pointer | Literal["messages"]:
    return "messages" if value == "messages" else _one(value)


def _marked(value: object) -> object:
    if not isinstance(value, str):
        return value
    return {"at": value} if value.startswith("/") else {"data": value}


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float):
        raise ValueError("not a value that a place can be compared with; write text, a number, true or false")
    return value


Path = Annotated[Template, PlainValidator(template)]
Place = Annotated[Pointer, PlainValidator(_place)]
One = Annotated[Pointer, PlainValidator(_one)]
"""A pointer that has no star."""
Places = Annotated[tuple[Place, ...], BeforeValidator(_listed), Field(min_length=1)]
"""One pointer, or a list of them."""
Constants = Annotated[tuple[tuple[Pointer, Any], ...], PlainValidator(_constants)]
"""A mapping of pointers to any values."""
AskedAt = Annotated[Asked, PlainValidator(_asked)]
ConversationAt = Annotated[Pointer | str, PlainValidator(_conversation)]
"""A pointer, or the name of a segment of the path (written ``path:NAME``)."""
GuidanceAt = Annotated[Pointer | Literal["messages"], PlainValidator(_guidance)]
Scalar = Annotated[Any, PlainValidator(_scalar)]
Words = Annotated[tuple[Scalar, ...], Field(min_length=1)]
"""What an API calls a role. They are compared by ``word``."""
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Mark(Described):
    """How an event of a stream is known, and ours is marked: all that is given must hold."""

    data: Line | None = None
    """Its very data, which need not be JSON."""
    event: Line | None = None
    """The name of a server-sent event."""
    at: One | None = None
    """A place where ``is`` stands, or without that, anything but null, false, 0 and what is empty."""
    is_: Scalar | None = Field(None, alias="is")

    @model_validator(mode="after")
    def _consistent(self) -> Mark:
        if self.data is None and self.event is None and self.at is None:
            raise ValueError("nothing that tells it; write at: POINTER (and is: VALUE), event: NAME, or data: TEXT")
        if self.is_ is not None and self.at is None:
            raise ValueError("is without at; name the pointer where it stands")
        if self.data is not None and self.at is not None:
            raise ValueError("data and at are both given; keep one of them")
        return self


MarkAt = Annotated[Mark, BeforeValidator(_marked)]
"""A mark; in short, the pointer ``at`` or the ``data``."""
