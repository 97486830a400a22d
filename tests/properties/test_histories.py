"""A history that is read piece by piece says what it says when it is read as a whole."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.model import Refusal
from guardrail.core.ports import Chat, Dialect
from guardrail.dialects import claiming
from guardrail.server import histories
from guardrail.server.histories import Histories
from guardrail.store.identity import Chain

PATHS = ("/v1/chat/completions", "/v1/messages", "/api/chat")
DIALECTS = [claiming("POST", path) for path in PATHS]
TEXT = st.text(max_size=12) | st.sampled_from(['"', "]", "},{", '"messages":[', "\\", "é", "\N{BROKEN HEART}", " ", ""])
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), max_size=3)
ROLES = st.sampled_from(["user", "assistant", "assistant", "user", "system", "tool", "User"])
MESSAGES = st.lists(st.fixed_dictionaries({"role": ROLES, "content": TEXT | PARTS}), min_size=1, max_size=8)
FIRST = st.dictionaries(
    st.sampled_from(["model", "stream", "user", "system"]), TEXT | st.booleans() | st.just("m"), max_size=3
)
CHAIN = Chain(b"k" * 32)


@pytest.fixture(autouse=True)
def short() -> Any:
    with patch.object(histories, "SHORTEST", 0), patch.object(histories, "BEGIN", 30):
        yield


def whole(dialect: Dialect, body: bytes) -> Chat | str:
    try:
        return dialect.read_request(body)
    except Refusal as refused:
        return str(refused)


@pytest.mark.parametrize("dialect", DIALECTS, ids=PATHS)
@given(
    messages=MESSAGES,
    grown=st.lists(st.integers(1, 3), min_size=1, max_size=5),
    first=FIRST,
    last=FIRST,
    indent=st.sampled_from([None, 1]),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
    other=st.binary(max_size=3),
)
def test_read_turn_by_turn_or_at_once(
    dialect: Dialect, messages: Any, grown: Any, first: Any, last: Any, indent: Any, separators: Any, other: bytes
) -> None:
    read_lately, said = Histories(), messages[:1]
    for more in [0, *grown]:
        said = messages[: len(said) + more]
        body = json.dumps({**first, "messages": said, **last}, indent=indent, separators=separators).encode()
        for given_ in (body, body[:-1], body + other, body.replace(b"user", b"tool", 1)):
            expected = whole(dialect, given_)
            try:
                read = read_lately.read(dialect, given_, 1.0)
            except Refusal as refused:
                assert str(refused) == expected
                continue
            assert read.chat == expected
            known = read.base if read.base is not None and read.base.trail is not None else None
            trail = CHAIN.trail(
                read.chat.messages, None, len(known.messages) if known else 0, known.trail if known else None
            )
            fresh = CHAIN.trail(read.chat.messages, None)
            assert (trail.whole, trail.answers) == (fresh.whole, fresh.answers)
            if read.kept is not None:
                assert given_.startswith(read.kept.body) and read.kept.messages == read.chat.messages
                read.kept.trail = trail


def test_a_long_history_is_read_once() -> None:
    dialect, lately = claiming("POST", PATHS[0]), Histories()
    assert dialect is not None
    said = [{"role": role, "content": f"Soup {n}."} for n in range(400) for role in ("user", "assistant")]
    body = json.dumps({"model": "m", "messages": said}).encode()
    lately.read(dialect, body, 1.0)
    longer = json.dumps({"model": "m", "messages": [*said, {"role": "user", "content": "And bread?"}]}).encode()
    read = lately.read(dialect, longer, 2.0)
    assert read.base is not None and len(read.base.messages) == 800
    assert read.chat == dialect.read_request(longer)
    assert lately.read(dialect, longer.replace(b"Soup 3.", b"Soap 3."), 3.0).base is None, "what was changed is read"
    much_later = json.dumps({"model": "m", "messages": [*said, *said]}).encode()
    assert lately.read(dialect, much_later, 10_000.0).base is None, "and nothing is kept for long"


def test_what_is_kept_is_bounded() -> None:
    dialect, lately = claiming("POST", PATHS[0]), Histories(size=100_000)
    assert dialect is not None
    for n in range(100):
        text = f"{n} " + "soup " * 1000
        for _ in range(2):
            lately.read(dialect, json.dumps({"messages": [{"role": "user", "content": text}]}).encode(), float(n))
    assert lately._held <= 100_000
    assert lately._held == sum(len(known.body) for kept in lately._kept.values() for known in kept)
