"""``POST /v1/moderations``, answered here in OpenAI's shape: each text as something a person writes, under the policy.

It opens no case and remembers nothing. What could not be looked at is an error, never "not flagged".
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

import msgspec

from guardrail.core.conversation import State
from guardrail.core.decide import Verdict
from guardrail.core.events import Scan
from guardrail.core.gate import Look
from guardrail.core.model import Finding, Refusal, Severity
from guardrail.core.turn import judge
from guardrail.dialects.openai_chat import OpenAIChat
from guardrail.dialects.paths import normalised
from guardrail.dialects.strict import Keys, decode
from guardrail.server.passing import REFUSAL
from guardrail.server.request import About, BodyRefused, Receive, Scope, Send, plain, read_body, read_headers
from guardrail.server.services import Services

MOST = 64
"""Texts of one request."""
LARGEST = 1024 * 1024
"""Bytes of one request."""

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "harassment": ("violence_to_others",),
    "harassment/threatening": ("violence_to_others",),
    "hate": (),
    "hate/threatening": (),
    "illicit": (),
    "illicit/violent": (),
    "self-harm": ("suicide", "self_harm", "eating_disorder"),
    "self-harm/instructions": (),
    "self-harm/intent": ("suicide", "self_harm", "eating_disorder"),
    "sexual": (),
    "sexual/minors": (),
    "violence": ("violence_to_others", "abuse_victim"),
    "violence/graphic": (),
}
"""OpenAI's categories, and which of our signals speak of each. Where there are none nothing is looked for: always 0."""

_OF_ONESELF = "self-harm/intent"
_BANDS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
"""A score of severity s lies from ``_BANDS[s]`` to the next: who draws the line at 0.5 draws it where we do."""


class _Part(msgspec.Struct):
    type: str
    text: str | None = None


class _Request(msgspec.Struct):
    input: str | list[str | _Part]
    model: str | None = None


_requests = msgspec.json.Decoder(_Request)
_keys = Keys("input", "type", "text")
_error = OpenAIChat().error


class Unanswered(Exception):
    """The request is answered with an error: ``status``, and the message as the text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def claims(services: Services, method: str, path: str) -> bool:
    """Whether a request is one of those that are answered here."""
    if services.settings.moderations != "local" or method.upper() != "POST":
        return False
    plain_path = normalised(path)
    return plain_path == "/moderations" or plain_path.endswith("/v1/moderations")


async def moderate(services: Services, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    services.active += 1
    try:
        status, body = await _answer(services, scope, receive)
    except ConnectionError:
        return
    except Unanswered as error:
        status, body = error.status, _error(error.status, str(error))
    finally:
        services.active -= 1
    services.metrics.exchange("none", "answered" if status == 200 else "refused")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *([(b"retry-after", b"5")] if status == 503 else []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _answer(services: Services, scope: Scope, receive: Receive) -> tuple[int, bytes]:
    if services.active > services.settings.limits.exchanges:
        raise Unanswered(503, "Too much is being looked at already.")
    if refusal := scope.get("extensions", {}).get(REFUSAL):
        raise Unanswered(refusal["status"], refusal["message"])
    coding = b",".join(value for name, value in scope["headers"] if name == b"content-encoding")
    try:
        body = await read_body(receive, LARGEST, services.settings.limits.request_body_time)
        body = plain(body, coding, LARGEST) if coding else body
        request = decode(_requests, body, "the request")
        _keys.check_exactly(body, "the request")
    except BodyRefused as refused:
        raise Unanswered(refused.status, str(refused)) from None
    except Refusal as refused:
        raise Unanswered(400, f"The request could not be read: {refused}.") from None
    texts = _texts(request)
    verdicts = await _verdicts(services, texts, read_headers(scope["headers"]))
    return 200, msgspec.json.encode(
        {
            "id": f"modr-{secrets.token_hex(12)}",
            "model": (request.model or "crisis-guardrail")[:200],
            "results": [_result(verdict) for verdict in verdicts],
        }
    )


def _texts(request: _Request) -> list[str]:
    """What there is to be looked at. Parts are one input, as in the API: the first result speaks of all of them."""
    if isinstance(request.input, str):
        return [request.input]
    if not request.input:
        raise Unanswered(400, "The input is empty.")
    if len(request.input) > MOST:
        raise Unanswered(400, f"The input has more than {MOST} texts.")
    texts = [item for item in request.input if isinstance(item, str)]
    if len(texts) == len(request.input):
        return texts
    if texts:
        raise Unanswered(400, "The input mixes texts and parts.")
    parts = [item for item in request.input if isinstance(item, _Part)]
    if any(part.type != "text" or part.text is None for part in parts):
        raise Unanswered(400, "Only parts of type text can be looked at here, and no images.")
    return ["\n".join(part.text for part in parts if part.text is not None)]


async def _verdicts(services: Services, texts: Sequence[str], about: About) -> list[Verdict]:
    looks = tuple(Look(f"user:{at}", text, 0, (len(text),), 0) for at, text in enumerate(texts))
    now, policy = services.now(), services.policy
    scanned = await services.scanner.scan(Scan("inbound", looks, (), about.locale, about.audience))
    rows: Sequence[tuple[Finding, ...]] = scanned.findings or [()] * len(texts)
    found = [
        judge(
            policy,
            row,
            State(""),
            direction="inbound",
            now=now,
            locale=about.locale or services.settings.default_locale,
            country=about.country or services.settings.default_country,
            audience=about.audience,
        ).verdict
        for row in rows
    ]
    failures = [failed for verdict in found for failed in verdict.failures]
    for failed in failures:
        services.metrics.detector_failed(failed)
    if missing := sorted({failed.detector for failed in failures if failed.required}):
        raise Unanswered(503, f"Not everything could be looked at ({', '.join(missing)}).")
    return found


def _result(verdict: Verdict) -> dict[str, object]:
    grades = {category: _grade(verdict, category) for category in CATEGORIES}
    return {
        "flagged": verdict.severity >= Severity.ELEVATED,
        "categories": {category: severity >= Severity.ELEVATED for category, (severity, _) in grades.items()},
        "category_scores": {category: _score(*grade) for category, grade in grades.items()},
        "category_applied_input_types": {category: ["text"] for category in CATEGORIES},
        "guardrail": {
            "severity": verdict.severity,
            "action": verdict.action,
            "category": verdict.category,
            "rule": verdict.rule,
            "policy": verdict.policy,
            "signals": [
                {"name": s.name, "severity": s.severity, "score": s.score, "spans": s.spans, "detector": s.detector}
                for s in verdict.signals
            ],
            "failures": [{"detector": f.detector, "reason": f.reason} for f in verdict.failures],
        },
    }


def _grade(verdict: Verdict, category: str) -> tuple[int, float]:
    """The gravest severity, and its score, of the signals that speak of a category."""
    named = CATEGORIES[category]
    return max(
        (
            (s.severity, s.score)
            for s in verdict.signals
            if s.name in named and (category != _OF_ONESELF or s.subject == "self")
        ),
        default=(0, 0.0),
    )


def _score(severity: int, score: float) -> float:
    if not severity:
        return 0.0
    low, high = _BANDS[severity], _BANDS[severity + 1]
    return round(low + (high - low) * score, 4)
