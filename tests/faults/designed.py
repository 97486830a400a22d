"""What is designed to happen under each fault, and under each two that can meet: the words of docs/faults.md."""

from __future__ import annotations

from typing import Literal, NamedTuple

from tests.faults.faults import FAMILIES

Situation = Literal["calm", "latched", "in crisis"]
SITUATIONS: tuple[Situation, ...] = ("calm", "latched", "in crisis")
Which = tuple[str, str]

REPLY = "the chatbot's reply"
OURS = "a reply of ours"
ERROR = "the API's error"
IN_STREAM = "the API's error in the stream"
THEIRS = "the chatbot's own answer"

AT_ONCE = "at once"
LATER_ON = "as soon as it can be"
GIVEN_UP = "given up, and health says so"

NEVER_READ = {
    "refused": ERROR,
    "slow headers": ERROR,
    "wrong content type": ERROR,
    "redirect": THEIRS,
    "its own error": THEIRS,
}
"""A calm client's answer where no reply came that could be read."""
BROKEN = ("slow body", "reset mid-frame", "endless")
IN_SPOOL = ("locked", "full", "missing")


class Designed(NamedTuple):
    """What the person gets, whole and streamed; where the case is once they have it; when a human is told."""

    whole: str
    streamed: str
    cases: frozenset[str]
    told: str


def designed(faults: tuple[Which, ...], situation: Situation) -> Designed:
    """``faults``: none, one, or two of different families."""
    by_family = dict(faults)
    whole, streamed = _replies(by_family, situation)
    if situation != "in crisis":
        return Designed(whole, streamed, frozenset(), "")
    return Designed(whole, streamed, _cases(by_family), _told(by_family))


def _replies(by_family: dict[str, str], situation: Situation) -> tuple[str, str]:
    chatbot = by_family.get("chatbot", "")
    if by_family.get("machine") == "no file handles":
        chatbot = "refused"
    if situation == "in crisis":
        return OURS, OURS
    if situation == "latched":
        fails = chatbot in NEVER_READ or chatbot in BROKEN or "detector" in by_family
        return (OURS, OURS) if fails else (REPLY, REPLY)
    if chatbot in NEVER_READ:
        return NEVER_READ[chatbot], NEVER_READ[chatbot]
    if chatbot in BROKEN:
        return ERROR, IN_STREAM
    return (OURS, OURS) if "detector" in by_family else (REPLY, REPLY)


def _cases(by_family: dict[str, str]) -> frozenset[str]:
    store, machine = by_family.get("store", ""), by_family.get("machine", "")
    if store in IN_SPOOL:
        return frozenset(("memory",)) if machine in ("disk full", "no file handles") else frozenset(("spool",))
    if machine == "disk full":
        return frozenset(("memory",))
    if store == "slow":
        return frozenset(("store", "memory")) if machine == "no file handles" else frozenset(("store", "spool"))
    return frozenset(("store",))


def _told(by_family: dict[str, str]) -> str:
    hinders = "store" in by_family or by_family.get("machine") in ("disk full", "no file handles")
    if by_family.get("channel") == "redirecting" and not hinders:
        return GIVEN_UP
    return LATER_ON if hinders or "channel" in by_family else AT_ONCE


def can_meet(a: Which, b: Which, situation: Situation) -> bool:
    """Whether both can matter in one exchange: in a crisis the chatbot is not asked, otherwise nobody is told."""
    families = {a[0], b[0]}
    if len(families) == 1:
        return False
    if "chatbot" in families and ("no file handles" in (a[1], b[1])):
        return False  # without a handle no chatbot is reached, whatever it would have done
    return ("chatbot" not in families) if situation == "in crisis" else ("channel" not in families)


def meetings(situation: Situation) -> list[tuple[Which, Which]]:
    """Every pair that can meet."""
    every = [(family, name) for family, found in FAMILIES.items() for name in found]
    return [(a, b) for at, a in enumerate(every) for b in every[at + 1 :] if can_meet(a, b, situation)]
