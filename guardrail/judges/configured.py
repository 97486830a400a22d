"""The judges that an operator has set up, made from the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from guardrail.judges import classifier
from guardrail.judges.chat import Chat, Json, LlamaGuard
from guardrail.judges.classifier import Classifier
from guardrail.judges.folder import ModelError
from guardrail.judges.line import Line
from guardrail.judges.moderation import Moderation
from guardrail.judges.network import NetworkJudge, Speech, Terms
from guardrail.settings_judges import ChatJudge, Judge, ModerationJudge, TransformersJudge

POLICY = Path(__file__).with_name("policy.md")
"""The policy of chat judges when the settings name none."""

AJudge = NetworkJudge | Classifier


def judges(settings: Mapping[str, Judge], transport: httpx.AsyncBaseTransport | None = None) -> Sequence[AJudge]:
    """One detector for each, in order. Raises ``ModelError``, one line. ``transport``: in place of the network."""
    line = Line(transport)
    return [
        _classifier(name, judge) if isinstance(judge, TransformersJudge) else _network(name, judge, line)
        for name, judge in settings.items()
    ]


def _network(name: str, judge: ModerationJudge | ChatJudge, line: Line) -> NetworkJudge:
    terms = Terms(
        name=name,
        kind=judge.kind,
        url=judge.url,
        directions=judge.reads,
        deadline=judge.deadline,
        per_minute=judge.per_minute,
        required=judge.required,
        only_unsure=judge.when == "ambiguous",
        token=judge.token.get_secret_value() if judge.token is not None else "",
    )
    return NetworkJudge(terms, _speech(name, judge), line)


def _speech(name: str, judge: ModerationJudge | ChatJudge) -> Speech:
    if isinstance(judge, ModerationJudge):
        return Moderation(name, judge.model, judge.meanings, outvotes=judge.outvotes)
    policy = _policy(name, judge.policy)
    meanings = judge.meanings
    form = (
        Json(name, policy, outvotes=judge.outvotes)
        if meanings is None
        else LlamaGuard(name, meanings, policy if judge.policy is not None else "", outvotes=judge.outvotes)
    )
    return Chat(judge.model, form, judge.max_tokens)


def _policy(name: str, path: str | None) -> str:
    file = Path(path) if path is not None else POLICY
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ModelError(f"{file}: the policy of judge {name} cannot be read; name a text file") from None


def _classifier(name: str, judge: TransformersJudge) -> Classifier:
    try:
        classify, labels = classifier.load(judge.path)
    except ModelError as error:
        raise ModelError(f"judge {name}: {error}") from error
    if missing := sorted(set(judge.meanings) - labels):
        known = ", ".join(sorted(labels)[:10])
        raise ModelError(f"judge {name}: the model has no label {missing[0][:60]!r}; it has {known[:200]}")
    return Classifier(
        name,
        classify,
        judge.meanings,
        directions=judge.reads,
        deadline=judge.deadline,
        required=judge.required,
        only_unsure=judge.when == "ambiguous",
    )
