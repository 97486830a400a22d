"""One reply on its way to the person: frames in, judged clause by clause, bytes of the dialect out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from guardrail.core.compose import NAMELESS, Names
from guardrail.core.conditions import Around
from guardrail.core.conversation import State, drifted, granularity
from guardrail.core.decide import Verdict
from guardrail.core.events import Scanned
from guardrail.core.gate import Gate, Held, Look
from guardrail.core.model import ACTION_RANK, OUTBOUND_SIGNALS, Audience, Failed, Finding, Found
from guardrail.core.ports import Chat, Dialect, Frame, Piece
from guardrail.core.rules import Policy
from guardrail.core.turn import judge

_PROPER = ("content:", "grown:")
"""Channels of the reply proper; in the second each event repeats what was said before it."""

Compose = Callable[[Verdict], str]
"""The authored text of a verdict, in the person's language."""


class Terms(msgspec.Struct, frozen=True):
    """What the operator has set for every exchange. ``hold_limit`` in code points, ``reply_limit`` and ``stream_limit``
    in bytes."""

    enforce: bool = True
    default_locale: str = "en"
    hold_limit: int = 200_000
    reply_limit: int = 16 * 1024 * 1024
    stream_limit: int = 256 * 1024 * 1024
    names: Names = NAMELESS


class Reader(msgspec.Struct, frozen=True):
    """Who reads the reply, as far as a decision may depend on it."""

    locale: str
    country: str | None
    audience: Audience
    around: Around = Around()


class Reply:
    """The reply of one exchange, streamed or whole.

    ``appendix`` is text to be added at its end (help the person was offered), unless it carries tool
    calls or must be structured. A reply that passes leaves byte for byte as it came.
    """

    def __init__(
        self,
        policy: Policy,
        dialect: Dialect,
        chat: Chat,
        state: State,
        reader: Reader,
        terms: Terms,
        compose: Compose,
        *,
        streamed: bool,
        reply_id: str,
        created: int,
        appendix: str = "",
        trial: Policy | None = None,
    ) -> None:
        self.verdict: Verdict | None = None
        self.other: Verdict | None = None
        """What the policy on trial would have done."""
        self._trial = trial
        self.id = ""
        """The reply's id, where a later request may go on from it."""
        self.state = state
        self._policy, self._dialect, self._chat, self._person = policy, dialect, chat, reader
        self._compose = compose
        self._enforce = terms.enforce
        self._streamed = streamed
        grain = granularity(state.trajectory) if streamed else "whole"
        self._gate = Gate(grain, terms.hold_limit if streamed else terms.reply_limit)
        self._frames: deque[Frame] = deque()
        self._writer = dialect.writer(chat, reply_id=reply_id, created=created) if streamed else None
        self._appendix = "" if chat.structured else appendix
        self._tail: list[Held] = []  # frames from the first close on, kept until the appendix has its place
        self._said: dict[str, list[str]] = {}
        self._worst: dict[str, int] = {}
        self._instead: set[str] = set()
        self._calm: Verdict | None = None
        self._at_once = not streamed  # a whole reply is first judged as a whole: most of them pass
        self._passed = False
        self._tools = False
        self._ended = False
        self._finished = False

    # --- in

    def take(self, frames: Sequence[Frame]) -> None:
        self._frames.extend(frames)
        if not self.id:
            self.id = next((frame.id for frame in frames if frame.id), "")

    def looks(self) -> tuple[Look, ...]:
        """Frames taken so far into the gate; what must be looked at next. Raises ``Refusal`` when too much is held."""
        if self._at_once and self._frames:
            return _whole_looks(self._frames[0].pieces)
        while self._frames:
            frame = self._frames.popleft()
            self._tools = self._tools or frame.tools
            self._gate.offer(frame)
            self._ended = self._ended or frame.end
        return self._gate.looks()

    def finish(self) -> tuple[Look, ...]:
        """The upstream is done: what is still held is due."""
        if self._passed:
            return ()
        self._gate.finish()
        self._ended = True
        return self._gate.looks()

    def settle(self, looks: Sequence[Look], scanned: Scanned, now: float) -> Verdict | None:
        """Judge what was looked at. A verdict is returned when the reply must end here."""
        if self._at_once:
            self._settle_at_once(looks, scanned, now)
            return None
        calm = self._calm_verdict(now)
        if not scanned.findings and calm.action == "pass":
            self._gate.clear_all()
            self._note(calm)
            return None
        found = _by_cut(looks, scanned)
        for name, cut in self._gate.due():
            if (name, cut) not in found:
                break  # a dropped sentence changed what must be judged: it is asked for again
            verdict = self._judge(found[name, cut], now)
            self._note(verdict)
            if not self._enforce or ACTION_RANK[verdict.action] < ACTION_RANK["rewrite"]:
                self._gate.clear(name, cut)
                continue
            if verdict.action != "rewrite" or not name.startswith("content:"):
                return verdict
            self._gate.drop(name, cut, self._in_place_of(verdict))
            for key in [k for k in found if k[0] == name]:
                del found[key]
        return None

    def _settle_at_once(self, looks: Sequence[Look], scanned: Scanned, now: float) -> None:
        """A whole reply that may leave untouched is done with here; any other goes clause by clause."""
        self._at_once = False
        found = _by_cut(looks, scanned)
        verdicts = [self._judge(found[key], now) for key in found] or [self._calm_verdict(now)]
        if self._enforce and any(ACTION_RANK[v.action] >= ACTION_RANK["rewrite"] for v in verdicts):
            self._worst.clear()
            return
        for verdict in verdicts:
            self._note(verdict)
        self._tools = any(frame.tools for frame in self._frames)
        self._frames.clear()
        self._passed = self._ended = True

    def _judge(self, findings: tuple[Finding, ...], now: float) -> Verdict:
        for finding in findings:
            if isinstance(finding, Found):
                for s in finding.signals:
                    if s.name in OUTBOUND_SIGNALS and s.severity:
                        self._worst[s.name] = max(self._worst.get(s.name, 0), s.severity)
        if self._trial is not None:
            other = self._under(self._trial, findings, now)
            if self.other is None or _strength(other) > _strength(self.other):
                self.other = other
        return self._under(self._policy, findings, now)

    def _under(self, policy: Policy, findings: tuple[Finding, ...], now: float) -> Verdict:
        who = self._person
        return judge(
            policy,
            findings,
            self.state,
            direction="outbound",
            now=now,
            locale=who.locale,
            country=who.country,
            audience=who.audience,
            around=who.around,
        ).verdict

    def _calm_verdict(self, now: float) -> Verdict:
        if self._calm is None:
            self._calm = self._judge((), now)
        return self._calm

    def _note(self, verdict: Verdict) -> None:
        """Keep the strictest verdict on any part of the reply: it is the verdict on the reply."""
        if self.verdict is None or _strength(verdict) > _strength(self.verdict):
            self.verdict = verdict
        if "support" in verdict.actions and not self._appendix and not self._chat.structured:
            self._appendix = self._compose(verdict)

    def _in_place_of(self, verdict: Verdict) -> str:
        if verdict.response in self._instead:
            return ""
        self._instead.add(verdict.response)
        return self._compose(verdict) + " "

    # --- out

    @property
    def is_complete(self) -> bool:
        """Everything has been released: the reply is over."""
        return self._finished or (self._ended and not self._frames and not self._gate.is_holding and not self._tail)

    @property
    def has_begun(self) -> bool:
        """Whether the person has got any of it."""
        return bool(self._said)

    def remembered(self) -> State:
        """The state with this reply's part in patterns over turns."""
        if not self.state.drift and not self._worst:
            return self.state
        return msgspec.structs.replace(self.state, drift=drifted(self.state.drift, self._worst))

    def texts(self) -> tuple[str, ...]:
        """What has been released as the reply proper, by choice; blocks of one choice are joined."""
        contents = ["".join(parts) for name, parts in self._said.items() if name.startswith(_PROPER)]
        return tuple(contents) if self._chat.choices > 1 else ("".join(contents),)

    def release(self) -> bytes:
        """Bytes that may go now."""
        out = []
        for held in self._gate.free():
            if self._finished:
                break
            if self._appendix and (self._tail or _closes_content(held.frame) or held.frame.end):
                self._tail.append(held)
                continue
            out.append(self._write(held))
        if self._tail and self._ended and not self._gate.is_holding and not self._finished:
            out.append(self._flush_tail())
        return b"".join(out)

    def _flush_tail(self) -> bytes:
        """The last frames, with the appendix before the one that closes the text (of every choice)."""
        tail, self._tail = self._tail, []
        where: dict[str, int] = {}
        for at, held in enumerate(tail):
            for name in held.frame.closes:
                if name.startswith("content:"):
                    where[name if self._chat.choices > 1 else ""] = at
        if not where and self.has_begun and not self._tools:
            return self._end_unclosed(tail)
        out = []
        for at, held in enumerate(tail):
            if at in where.values() and not self._tools and not self._finished:
                name = next(n for n in held.frame.closes if n.startswith("content:"))
                if held.frame.pieces:
                    # The frame closes and carries text: its text goes first, as text of our own.
                    out.append(self._say_kept(held))
                    out.append(self.say("\n\n" + self._appendix, name))
                    out.append(self._close())
                    break
                out.append(self.say("\n\n" + self._appendix, name))
            out.append(self._write(held))
        return b"".join(out)

    def _end_unclosed(self, tail: Sequence[Held]) -> bytes:
        """Not every upstream says that its text is over before the stream is; the appendix has its place even so."""
        said = [self._write(held) for held in tail if held.frame.pieces]
        return b"".join([*said, self.say("\n\n" + self._appendix), self._close()])

    def _write(self, held: Held) -> bytes:
        assert self._writer is not None
        if self._gate.is_whole or not self._is_touched(held):
            for piece in held.frame.pieces:
                said = self._said.get(piece.channel)
                if said is None:
                    said = self._said[piece.channel] = []
                said.append(piece.text)
            self._writer.released(held.frame)
            return held.frame.raw
        out = self._say_kept(held)
        if _closes_content(held.frame) or held.frame.end or held.frame.tools:
            # Text that may not go is in the same frame as an end: the frame is lost, so we write the end.
            out += self._close()
        return out

    def _is_touched(self, held: Held) -> bool:
        """Whether some of a frame's text was dropped."""
        pairs = zip(held.frame.pieces, held.places, strict=False)
        return any(self._gate.kept(p.channel, start, end, p.text) is not None for p, (_, start, end) in pairs)

    def _say_kept(self, held: Held) -> bytes:
        out = []
        for piece, (_, start, end) in zip(held.frame.pieces, held.places, strict=False):
            kept = self._gate.kept(piece.channel, start, end, piece.text)
            text = piece.text if kept is None else kept
            if text:
                out.append(self.say(text, piece.channel))
        return b"".join(out)

    def say(self, text: str, channel: str | None = None) -> bytes:
        """Text of our own in a stream."""
        assert self._writer is not None
        self._said.setdefault(channel or "content:0", []).append(text)
        return self._writer.say(text, channel)

    def _close(self) -> bytes:
        assert self._writer is not None
        self._finished = True
        return self._writer.finish()

    def end_with(self, text: str) -> bytes:
        """End the stream here, well formed, with an authored text."""
        gap = "\n\n" if any("".join(parts).strip() for parts in self._said.values()) else ""
        return self.say(gap + text) + self._close()

    def whole(self, body: bytes, pieces: Sequence[Piece]) -> bytes:
        """A JSON reply as it may leave: untouched, or with its texts exchanged."""
        original: dict[str, str] = {}
        for piece in pieces:
            original[piece.channel] = original.get(piece.channel, "") + piece.text
        texts = {name: self._kept_whole(name, text) for name, text in original.items()}
        contents = [name for name in texts if name.startswith("content:")]
        if self._appendix and not self._tools:
            for name in contents if self._chat.choices > 1 else contents[-1:]:
                texts[name] = f"{texts[name]}\n\n{self._appendix}"
        self._said = {name: [text] for name, text in texts.items()}
        self._finished = True
        changed = {name: text for name, text in texts.items() if text != original[name]}
        return self._dialect.rewritten(body, changed) if changed else body

    def _kept_whole(self, name: str, text: str) -> str:
        kept = None if self._passed else self._gate.kept(name, 0, len(text), text)
        return text if kept is None else kept.strip()


def _whole_looks(pieces: Sequence[Piece]) -> tuple[Look, ...]:
    texts: dict[str, str] = {}
    for piece in pieces:
        texts[piece.channel] = texts.get(piece.channel, "") + piece.text
    return tuple(Look(name, text, 0, (len(text),), 0) for name, text in texts.items() if text)


def _closes_content(frame: Frame) -> bool:
    return any(name.startswith("content:") for name in frame.closes)


def _strength(verdict: Verdict) -> tuple[int, int]:
    return ACTION_RANK[verdict.action], verdict.severity


def _by_cut(looks: Sequence[Look], scanned: Scanned) -> dict[tuple[str, int], tuple[Finding, ...]]:
    """Findings by (channel, cut), their spans moved from the judged window into the channel."""
    results = iter(scanned.findings)
    table: dict[tuple[str, int], tuple[Finding, ...]] = {}
    for look in looks:
        for cut in look.cuts:
            offset = look.window(cut)[0]
            found = next(results, ())
            table[look.channel, look.base + cut] = tuple(_moved(f, offset) for f in found) if offset else found
    return table


def _moved(finding: Finding, offset: int) -> Finding:
    if isinstance(finding, Failed) or not finding.signals:
        return finding
    signals = tuple(
        msgspec.structs.replace(s, spans=tuple((a + offset, b + offset) for a, b in s.spans)) for s in finding.signals
    )
    return msgspec.structs.replace(finding, signals=signals)
