"""What the edge tells an exchange (events), and what an exchange asks of the edge (effects).

All are frozen and serialisable: a list of events is a recording, and feeding it to a fresh ``Exchange``
gives the same verdicts again. ``at`` is POSIX seconds by the edge's clock.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from guardrail.core.conditions import Around
from guardrail.core.conversation import OpenCase, State
from guardrail.core.decide import CaseDraft, Verdict
from guardrail.core.gate import Look
from guardrail.core.model import Action, Audience, Direction, Finding, Message
from guardrail.core.ports import Chat

# --- events


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """A chat request was read and its conversation found, or begun.

    ``known``: how many of ``chat.messages`` this conversation has already been judged on; the person's
    turns after that are new. ``store_failed``: what is remembered could not be asked for. ``refused``:
    status and message, of a request that will not be sent on; ``chat`` holds what was heard of it.
    """

    id: str
    at: float
    chat: Chat
    state: State
    known: int = 0
    locale: str | None = None
    country: str | None = None
    audience: Audience = "unknown"
    store_failed: bool = False
    around: Around = Around()
    refused: tuple[int, str] | None = None


class Scanned(msgspec.Struct, frozen=True, tag="scanned"):
    """What the detectors found: one tuple a cut, look by look. Empty: nothing at all, and none failed."""

    at: float
    findings: tuple[tuple[Finding, ...], ...] = ()


class Committed(msgspec.Struct, frozen=True, tag="committed"):
    """The cases are durable (or as durable as could be had). ``told``: a human is being told."""

    at: float
    cases: tuple[OpenCase, ...]
    told: bool


class UpstreamHeaders(msgspec.Struct, frozen=True, tag="upstream_headers"):
    at: float
    status: int
    content_type: str = ""


class UpstreamChunk(msgspec.Struct, frozen=True, tag="upstream_chunk"):
    at: float
    data: bytes


class UpstreamEnded(msgspec.Struct, frozen=True, tag="upstream_ended"):
    at: float


UpstreamFault = Literal["refused", "timeout", "torn", "oversized", "unreadable", "overloaded"]


class UpstreamFailed(msgspec.Struct, frozen=True, tag="upstream_failed"):
    at: float
    kind: UpstreamFault


class Tick(msgspec.Struct, frozen=True, tag="tick"):
    """Nothing has been sent for a while."""

    at: float


class ClientGone(msgspec.Struct, frozen=True, tag="client_gone"):
    at: float


Event = (
    Opened | Scanned | Committed | UpstreamHeaders | UpstreamChunk | UpstreamEnded | UpstreamFailed | Tick | ClientGone
)

# --- effects


class Scan(msgspec.Struct, frozen=True, tag="scan"):
    """Have the detectors look. Answer with ``Scanned``, a failed or late detector as a ``Failed`` finding."""

    direction: Direction
    looks: tuple[Look, ...]
    history: tuple[Message, ...] = ()
    locale: str | None = None
    audience: Audience = "unknown"


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    """Make these cases durable before anything else is done. Answer with ``Committed``."""

    drafts: tuple[CaseDraft, ...]
    verdict: Verdict


class SaveState(msgspec.Struct, frozen=True, tag="save_state"):
    """Remember the conversation; ``durable``: before anything else is done."""

    state: State
    durable: bool


class Replied(msgspec.Struct, frozen=True, tag="replied"):
    """What the person has got, by choice: the next request's history will hold one of these.

    ``id`` names the reply where a later request may go on from it. ``ours``: the upstream has said something
    else, or was never asked, so what it remembers is not what the person knows.
    """

    texts: tuple[str, ...]
    id: str = ""
    ours: bool = False


class SendUpstream(msgspec.Struct, frozen=True, tag="send_upstream"):
    """Send the request on, with ``guidance`` for the model added to it when there is any."""

    guidance: str = ""


class CloseUpstream(msgspec.Struct, frozen=True, tag="close_upstream"):
    """What else the upstream says is not wanted."""


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Begin the response. ``content_type`` is ours; ``None`` passes the upstream's headers on."""

    status: int
    content_type: str | None
    action: Action


class Send(msgspec.Struct, frozen=True, tag="send"):
    """Bytes of the response's body."""

    data: bytes


class End(msgspec.Struct, frozen=True, tag="end"):
    """The response is complete. ``torn``: it is not, and the client must be able to tell."""

    torn: bool = False


class Record(msgspec.Struct, frozen=True, tag="record"):
    """A verdict for the journal and the metrics. ``enacted`` is false in shadow mode."""

    verdict: Verdict
    enacted: bool
    other: Verdict | None = None
    """What the policy on trial would have done, where that is something else."""


class Fault(msgspec.Struct, frozen=True, tag="fault"):
    """Something failed and was answered: for the journal, the metrics and the log."""

    kind: str


Effect = Scan | Commit | SaveState | Replied | SendUpstream | CloseUpstream | Start | Send | End | Record | Fault
