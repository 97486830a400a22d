"""The events of a streamed response: what they are called, and what a human would read in them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from guardrail.core.model import Refusal
from guardrail.dialects.responses_items import TEXT_KEYS, channels, check_index, deep_text, part_channels, text_in
from guardrail.dialects.responses_kinds import is_call, is_known, is_known_part
from guardrail.dialects.responses_reply import READ_KEYS, READ_NAMES, contents, said_in
from guardrail.dialects.sse import Event
from guardrail.dialects.strict import decode

TERMINAL = frozenset(
    ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done")
)
"""Events after which nothing comes. Only the first three are the API's own."""
_FAILED = frozenset(("error", "response.failed", "response.cancelled"))
_TEXTS = {
    "response.output_text": "content:{0.output_index}.{0.content_index}",
    "response.refusal": "refusal:{0.output_index}.{0.content_index}",
    "response.reasoning_text": "thinking:{0.output_index}.{0.content_index}",
    "response.reasoning_summary_text": "thinking:{0.output_index}.s{0.summary_index}",
    "response.code_interpreter_call_code": "other:{0.output_index}.code",
}
_CALLS = frozenset(
    ("response.function_call_arguments", "response.custom_tool_call_input", "response.shell_call_command")
)
_STEMS = frozenset(
    (
        *_TEXTS,
        *_CALLS,
        "response.mcp_call_arguments",
        "response.output_item",
        "response.content_part",
        "response.reasoning_summary_part",
        "response.reasoning_part",
        "response",
    )
)
"""Events whose texts we know where to find: the others are searched through."""
_SILENT = frozenset((*_CALLS, "response.mcp_call_arguments"))
_DELTAS = frozenset(f"{stem}.delta" for stem in (*_TEXTS, *_SILENT))
_WHAT = "a frame of the stream"


class _Response(msgspec.Struct, gc=False):
    output: list[Any] | None = None
    id: str | None = None
    output_text: str | None = None


class StreamEvent(msgspec.Struct, gc=False):
    """An event, as far as it decides what is inspected."""

    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: Any = None
    part: Any = None
    item: Any = None
    response: _Response | None = None
    error: Any = None

    @property
    def stem(self) -> str:
        """What it is an event of, e.g. ``response.output_text``."""
        return self.type.rpartition(".")[0]

    @property
    def is_done(self) -> bool:
        return self.type.endswith(".done")

    @property
    def is_over(self) -> bool:
        return self.has_failed or self.type in TERMINAL

    @property
    def has_failed(self) -> bool:
        return bool(self.error) or self.type in _FAILED

    @property
    def has_call(self) -> bool:
        """Whether it is (part of) a call that asks the client to act."""
        items = self.output if self.item is None else [self.item, *self.output]
        return self.stem in _CALLS or any(map(is_call, items))

    @property
    def output(self) -> list[Any]:
        return self.response.output or [] if self.response is not None else []

    @property
    def is_known(self) -> bool:
        """Whether we know where all of its text is."""
        items = self.output if self.item is None else [self.item, *self.output]
        return self.stem in _STEMS and all(map(is_known, items)) and (self.part is None or is_known_part(self.part))

    @property
    def channel(self) -> str:
        """The channel of a text that is the event's own."""
        return _TEXTS.get(self.stem, "other:{0.output_index}.{0.stem}").format(self)

    def added(self) -> str:
        """The text that goes on from what its channel had."""
        return "" if self.stem in _SILENT else text_in(self.delta)


Said = list[tuple[str, str]]
"""Texts that stand whole, each with its channel."""

_events = msgspec.json.Decoder(StreamEvent)
_members = msgspec.json.Decoder(dict[str, Any])
_names = re.compile(rb'"(' + "|".join(READ_NAMES).encode() + rb')"\s*:')
_OWN_TEXTS = frozenset(name.encode() for name in TEXT_KEYS)


def read_event(event: Event) -> tuple[StreamEvent, Said]:
    """An event and the texts that stand whole in it. Raises ``Refusal`` for what is no event of a response."""
    data = event.data
    read = decode(_events, data, _WHAT)
    names = _check_keys(data)
    read.type = read.type or event.name.decode(errors="replace")
    if not read.type:
        raise Refusal("an event of the stream says not of what kind it is")
    if event.name == b"error":
        read.error = read.error or True  # one of the two says that it failed
    for index in (read.output_index, read.content_index, read.summary_index):
        check_index(index)
    has_texts = not _OWN_TEXTS.isdisjoint(names) or b"\\u00" in data  # a key may be written in escapes
    if read.type == "error" or (not has_texts and read.type in _DELTAS):
        return read, []
    said = _own_texts(read, data) if has_texts else []
    said += _parts(read)
    if not read.is_known:
        said.append((f"other:{read.output_index}.{read.type}", deep_text(data)))
    return read, [(channel, text) for channel, text in said if text]


def _check_keys(data: bytes) -> list[bytes]:
    """The keys that are read. Raises ``Refusal`` for a doubled one; where each is there once, none can be."""
    low = data.lower()
    names = _names.findall(low)
    if len(set(names)) == len(names) and (low == data or _names.findall(data) == names):
        READ_KEYS.check(data, (), _WHAT)
    else:
        READ_KEYS.check_exactly(data, _WHAT)
    return names


def _own_texts(read: StreamEvent, data: bytes) -> Said:
    members = decode(_members, data, _WHAT)
    return [(read.channel, text_in({key: members[key] for key in TEXT_KEYS if key in members}))]


def _parts(read: StreamEvent) -> Said:
    said: dict[str, str] = {}
    if read.item is not None:
        said |= channels(read.item, read.output_index)
    if read.stem == "response.reasoning_summary_part":
        said[f"thinking:{read.output_index}.s{read.summary_index}"] = text_in(read.part)
    elif read.part is not None:
        said |= part_channels(read.part, read.output_index, read.content_index)
    if read.response is not None:
        said |= said_in(read.output)
        if read.response.output_text and read.response.output_text != contents(said):
            said["other:0.output_text"] = read.response.output_text
    return list(said.items())
