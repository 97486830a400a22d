"""The middleware as a library: load policies once, inspect conversations anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import msgspec

from guardrail.core.conversation import Episode, State
from guardrail.core.decide import Verdict
from guardrail.core.model import Audience, Context, Direction, Failed, Finding, Message, Refusal, Role
from guardrail.core.ports import Detector
from guardrail.core.rules import Policy
from guardrail.core.tags import language_tag
from guardrail.core.turn import judge
from guardrail.detectors.run import look

Turn = Message | Mapping[str, Any]


class Guard:
    """A policy and its detectors. Stateless and safe to share between threads."""

    def __init__(self, policy: Policy, detectors: Sequence[Detector]) -> None:
        self.policy = policy
        self.detectors = tuple(detectors)

    @classmethod
    def load(
        cls,
        policies: str | Path | Iterable[str | Path] = "base",
        *,
        model: str | Path | None = "shipped",
        detectors: Sequence[Detector] = (),
    ) -> Guard:
        """Load packs by name or folder, the shipped lexicon with what the packs add to it, the model (``shipped``, a
        folder, or ``None``: only what is said outright is heard), and further ``detectors``.

        Raises ``guardrail.policy.PolicyError`` or ``guardrail.detectors.LexiconError``, each with every
        problem as ``file:line:col``, or ``guardrail.judges.folder.ModelError``.
        """
        from guardrail import shipped

        loaded = shipped.load([policies] if isinstance(policies, str | Path) else list(policies))
        reads = () if model is None else (shipped.model(str(model)),)
        return cls(loaded.policy, (loaded.lexicon, *reads, *detectors))

    def inspect(
        self,
        messages: Iterable[Turn] | str,
        *,
        direction: Direction | None = None,
        locale: str | None = None,
        audience: Audience = "unknown",
        country: str | None = None,
        now: float = 0.0,
    ) -> Verdict:
        """The verdict on the last turn; earlier ones inform it. Spans count code points of that turn.

        ``messages``: ``{"role": …, "content": …}`` mappings, ``Message``s, or one text, which needs
        ``direction``. A direction that the last role contradicts, or no turn at all, is a ``Refusal``.
        """
        turns = _turns(messages, direction)
        locale = language_tag(locale) if locale else None
        last, history = turns[-1], turns[:-1]
        judged: Direction = direction or ("outbound" if last.role == "assistant" else "inbound")
        state = State("")
        for at, turn in enumerate(history):
            if turn.role == "user":
                found = self._look(turn.text, Context("inbound", history[:at], locale, audience))
                step = judge(
                    self.policy,
                    found,
                    state,
                    direction="inbound",
                    now=now,
                    locale=locale or "en",
                    country=country,
                    audience=audience,
                )
                state = msgspec.structs.replace(step.state, episode=Episode())
        found = self._look(last.text, Context(judged, history, locale, audience))
        return judge(
            self.policy,
            found,
            state,
            direction=judged,
            now=now,
            locale=locale or "en",
            country=country,
            audience=audience,
        ).verdict

    def _look(self, text: str, context: Context) -> list[Finding]:
        return [self._look_once(d, text, context) for d in self.detectors if context.direction in d.directions]

    def _look_once(self, detector: Detector, text: str, context: Context) -> Finding:
        if not detector.blocking:
            return look(detector, text, context)
        try:
            return self._pool.submit(look, detector, text, context).result(detector.deadline)
        except TimeoutError:
            return Failed(detector.name, "deadline", detector.required)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(4, "detector")


def _turns(messages: Iterable[Turn] | str, direction: Direction | None) -> tuple[Message, ...]:
    if isinstance(messages, str):
        if direction is None:
            raise Refusal("a single text needs a direction: inbound or outbound")
        return (Message("user" if direction == "inbound" else "assistant", messages),)
    turns = tuple(_turn(m) for m in messages)
    if not turns:
        raise Refusal("there is no turn to judge")
    if turns[-1].role not in ("user", "assistant"):
        raise Refusal(f"the last turn's role is {turns[-1].role}: it must be user or assistant")
    if direction is not None and direction != ("outbound" if turns[-1].role == "assistant" else "inbound"):
        raise Refusal(f"the last turn's role is {turns[-1].role}, which is not {direction}")
    return turns


def _turn(turn: Turn) -> Message:
    if isinstance(turn, Message):
        return turn
    role = turn.get("role")
    if role == "developer":
        role = "system"
    if role not in ("user", "assistant", "system", "tool"):
        raise Refusal("a turn needs a role: user, assistant, system or tool")
    return Message(cast("Role", role), _text(turn.get("content")))


def _text(content: object) -> str:
    """The text of a turn's content: a string, or the text parts of a list of parts."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [
            p.get("text")
            for p in content
            if isinstance(p, Mapping) and p.get("type") in ("text", "input_text", "output_text")
        ]
        return "\n".join(p for p in parts if isinstance(p, str))
    raise Refusal("a turn's content must be text or a list of parts")
