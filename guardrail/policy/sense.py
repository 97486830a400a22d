"""Rules that are well formed and yet could not do what they say. Silence would be the worst answer to them."""

from __future__ import annotations

from collections.abc import Iterator

from guardrail.core.model import Severity
from guardrail.core.rules import Then, When

_OF_REPLIES = ("rewrite", "regenerate")
_SPEAKING = ("support", "rewrite", "regenerate", "replace", "handoff")


def nonsense(then: Then) -> Iterator[str]:
    """What a rule, or the answer to a failure, promises and would not do: ``what is wrong; what to do``."""
    if then.action == "steer" and not then.steer:
        yield "action steer without guidance changes nothing; name guidance under steer"
    if then.action == "support" and not then.resources:
        yield "action support without help adds nothing; name kinds of help"
    if then.action == "support" and not then.response:
        yield "lines of help need a text that says what they are; name a response"
    if then.resources and then.action not in _SPEAKING:
        yield f"help is never shown with action {then.action}; use support or replace"
    if then.response and then.action not in _SPEAKING:
        yield f"the response {then.response} is never said with action {then.action}; use support or replace"


def mismatches(when: When, then: Then) -> Iterator[str]:
    """What a rule's condition keeps its consequence from doing: ``what is wrong; what to do``.

    An authored reply needs fresh evidence, and a case needs the signal it is about: a rule without signals
    fires on every turn of a latched conversation, and would say the same text each time.
    """
    if when.direction == "inbound":
        if then.action in _OF_REPLIES:
            yield f"{then.action} changes a bot's reply, and this is the person's turn; use replace or steer"
        if then.action == "replace" and not when.signals:
            yield "a text in place of the reply needs fresh evidence; name a signal, or steer"
    elif then.steer and then.action != "regenerate":
        yield "guidance after a reply is heard only by regenerate; use that, or take steer out"
    if then.cool_down and (then.case is not None or when.severity[1] >= Severity.HIGH or when.direction == "outbound"):
        yield "danger, and what a bot may not say, is answered each time; take cool_down out, or ask for severity <=2"
    if when.more is not None and when.more.repeats is not None and when.direction == "outbound":
        yield "repeats counts the person's turns; for what a bot says over and over write drift"
    if then.case is not None and not when.signals:
        yield "a case is about a signal; name one"
