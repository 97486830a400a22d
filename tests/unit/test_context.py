"""Last turns in memory: enough to understand the next one, never more than is bounded."""

from __future__ import annotations

from guardrail.core.model import Message
from guardrail.server.context import KEEP, LONGEST, TURNS, Contexts


def said(*texts: str) -> tuple[Message, ...]:
    return tuple(Message("user" if at % 2 == 0 else "assistant", text) for at, text in enumerate(texts))


def test_turns_come_back_in_order_until_they_are_old() -> None:
    contexts = Contexts()
    contexts.add("a", said("one", "two"), 100.0)
    contexts.add("a", said("three"), 101.0)
    assert contexts.turns("a", 102.0) == (*said("one", "two"), Message("user", "three"))
    assert contexts.turns("b", 102.0) == ()
    assert contexts.turns("a", 102.0 + KEEP) == ()
    contexts.add("b", said("later"), 200.0 + KEEP)
    assert "one" not in repr(vars(contexts)), "what is old is gone, not only hidden"


def test_number_length_and_conversations_are_bounded() -> None:
    contexts = Contexts(size=3)
    for at in range(50):
        contexts.add("a", said("x" * LONGEST * 2 + str(at), "ok"), float(at))
    kept = contexts.turns("a", 50.0)
    assert len(kept) == TURNS and kept[-2].text.endswith("49") and all(len(m.text) <= LONGEST for m in kept)
    for name in "bcd":
        contexts.add(name, said("hi"), 51.0)
    assert contexts.turns("a", 51.0) == () and contexts.turns("d", 51.0)


def test_replies_of_ours_one_after_another_are_one_gap() -> None:
    contexts = Contexts()
    contexts.remember_ours("ours1", "theirs", said("one", "two"), 1.0)
    contexts.remember_ours("ours2", "ours1", said("three", "four"), 2.0)
    bridge = contexts.bridge("ours2", 3.0)
    assert bridge is not None and bridge.follows == "theirs"
    assert [m.text for m in bridge.turns] == ["one", "two", "three", "four"]
    assert contexts.bridge("theirs", 3.0) is None
    assert contexts.bridge("ours2", 3.0 + KEEP) is None
