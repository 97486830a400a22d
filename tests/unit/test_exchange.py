"""Conversations with the machine: what comes in (>>) and what must come out (<<)."""

from __future__ import annotations

import json

import msgspec
import pytest

from guardrail.core.conversation import Episode, State, Trajectory
from guardrail.core.events import (
    Commit,
    Committed,
    End,
    Event,
    Fault,
    Opened,
    Record,
    SaveState,
    Scanned,
    Send,
    SendUpstream,
    Start,
    UpstreamChunk,
    UpstreamHeaders,
)
from guardrail.core.exchange import Exchange, replay
from guardrail.core.model import Found, Message, Signal
from guardrail.core.ports import Chat, HelpQuery
from guardrail.core.reply import Terms
from guardrail.core.rules import CaseRule, Rule, Then, When, indexed
from guardrail.dialects.anthropic_messages import AnthropicMessages
from guardrail.dialects.openai_chat import OpenAIChat
from tests.playbook import POLICY, Marks, OneLine, Pump, order, recorded
from tests.wire import anthropic_stream, openai_reply, openai_stream, said, said_whole

CALM = ("user", "What can I cook today?")
LATCHED = State(
    "c1", Trajectory(level=3.0, peak=3, latch=3, latch_evidence_at=90.0, seen_at=99.0, turns=1), Episode(answered=3)
)


def pump(**options: object) -> Pump:
    return Pump(OpenAIChat(), **options)  # type: ignore[arg-type]


def test_a_calm_stream_passes_byte_for_byte() -> None:
    body = openai_stream(["Soup, ", "or ", "bread. ", "Enjoy"], usage=True)
    p = pump().open(CALM).answer([body])
    assert p.body == body
    assert p.done and not p.torn and p.status == 200


def test_a_calm_json_reply_passes_byte_for_byte() -> None:
    body = openai_reply("Soup.")
    p = pump().open(CALM, stream=False).answer([body[:10], body[10:]], stream=False)
    assert p.body == body


def test_a_crisis_is_committed_before_it_is_answered_and_never_sent_on() -> None:
    p = pump().open(("user", "I DIE4"))
    kinds = order(p)
    assert kinds.index("Scan") < kinds.index("Commit") < kinds.index("SaveState") < kinds.index("Send")
    assert not p.seen(SendUpstream)
    text = said(p.body)
    assert "FOUR" in text and "HELP-emergency_ambulance" in text and "TOLD" in text and "NOT TOLD" not in text
    assert p.body.endswith(b"data: [DONE]\n\n")


def test_it_never_says_a_human_was_told_when_none_was() -> None:
    p = pump(tell=False).open(("user", "I DIE4"))
    assert "NOT TOLD" in said(p.body)


def test_one_authored_reply_an_episode_then_the_bot_goes_on_steered() -> None:
    p = pump().open(("user", "I DIE3"), state=LATCHED)
    [ask] = p.seen(SendUpstream)
    assert ask.guidance == "STAY-GUIDANCE"  # type: ignore[attr-defined]
    assert p.seen(Commit), "fresh evidence still reaches the case"


def test_an_answer_that_never_left_is_given_when_the_person_asks_again() -> None:
    first, last = pump().open(("user", "I DIE4")).seen(SaveState)
    killed, answered = first.state, last.state  # type: ignore[attr-defined]
    assert killed.trajectory.latch == 4 and killed.cases, "in care, and its case is known, whatever comes"
    assert "FOUR" in said(pump().open(("user", "I DIE4"), state=killed).body)
    assert pump().open(("user", "I DIE4"), state=answered).seen(SendUpstream)


def test_help_that_never_left_is_offered_when_the_person_asks_again() -> None:
    p = pump().open(("user", "DIE2"))
    [before] = p.seen(SaveState)
    after = p.answer([openai_stream(["I hear you."])]).seen(SaveState)[-1]
    states = [saved.state for saved in (before, after)]  # type: ignore[attr-defined]
    again = [pump().open(("user", "DIE2"), state=s).answer([openai_stream(["I hear you."])]) for s in states]
    assert ["HELP" in said(p.body) for p in again] == [True, False]


def test_rising_urgency_is_answered_again() -> None:
    p = pump().open(("user", "I DIE4"), state=LATCHED)
    assert "FOUR" in said(p.body)


def test_a_quiet_turn_of_a_latched_conversation_is_steered_and_never_answered() -> None:
    p = pump().open(CALM, state=LATCHED)
    [ask] = p.seen(SendUpstream)
    assert "STAY-GUIDANCE" in ask.guidance  # type: ignore[attr-defined]


def test_help_is_offered_once_at_the_end_of_the_reply() -> None:
    p = pump().open(("user", "DIE2")).answer([openai_stream(["I hear you. ", "Tell me more."])])
    assert said(p.body) == "I hear you. Tell me more.\n\nLINE HELP-suicide_crisis"
    assert p.body.count(b'"finish_reason": "stop"') + p.body.count(b'"finish_reason":"stop"') == 1
    again = State("c1", Trajectory(level=2.0, seen_at=99.0), Episode(referred=True))
    body = openai_stream(["I hear you."])
    assert pump().open(("user", "DIE2"), state=again).answer([body]).body == body


def test_help_is_appended_to_a_json_reply_and_to_an_anthropic_stream() -> None:
    p = pump().open(("user", "DIE2"), stream=False).answer([openai_reply("I hear you.")], stream=False)
    assert said_whole(p.body) == "I hear you.\n\nLINE HELP-suicide_crisis"
    p = Pump(AnthropicMessages()).open(("user", "DIE2")).answer([anthropic_stream(["I hear ", "you."])])
    assert said(p.body) == "I hear you.\n\nLINE HELP-suicide_crisis"


def test_structured_output_is_never_appended_to() -> None:
    body = openai_reply('{"a": 1}')
    assert pump().open(("user", "DIE2"), stream=False, structured=True).answer([body], stream=False).body == body


def test_a_harmful_sentence_is_taken_out_and_the_rest_stays() -> None:
    words = ["Soup is good. ", "I am ", "HUMAN and ", "lonely, believe me. ", "Bread too."]
    p = pump().open(CALM).answer([openai_stream(words)])
    assert said(p.body) == "Soup is good. I am an AI. Bread too."
    p = pump().open(CALM, stream=False).answer([openai_reply("".join(words))], stream=False)
    assert said_whole(p.body) == "Soup is good. I am an AI. Bread too."


def test_a_reply_that_may_not_go_on_ends_well_formed() -> None:
    p = pump().open(CALM).answer([openai_stream(["Well. ", "The METHOD is this. ", "And more."])])
    assert said(p.body) == "Well. \n\nUNSAFE, so I stopped."
    assert p.body.endswith(b"data: [DONE]\n\n") and p.closed
    p = Pump(AnthropicMessages()).open(CALM).answer([anthropic_stream(["Well. ", "The METHOD is this. ", "And more."])])
    assert said(p.body) == "Well. \n\nUNSAFE, so I stopped."
    assert b"event: message_stop" in p.body


def test_a_latched_conversation_gets_nothing_before_the_whole_reply_is_read() -> None:
    body = openai_stream(["Good. ", "Stay here. ", "The METHOD is this."])
    p = pump().open(CALM, state=LATCHED).feed(UpstreamHeaders(101.0, 200, "text/event-stream"))
    p.feed(UpstreamChunk(102.0, body[:-400]))
    assert p.body == b""
    p.feed(UpstreamChunk(102.0, body[-400:]))
    assert said(p.body) == "UNSAFE, so I stopped."


def test_a_calm_streams_first_clause_goes_before_its_second_ends() -> None:
    p = pump().open(CALM).feed(UpstreamHeaders(101.0, 200, "text/event-stream"))
    p.feed(
        UpstreamChunk(
            102.0,
            openai_stream(["Soup is good, ", "and "], done=False).split(
                b'data: {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [{"index": 0, "delta": {}'
            )[0],
        )
    )
    assert said(p.body) == "Soup is good, "


def test_held_text_is_bounded_and_what_exceeds_it_is_not_released() -> None:
    words = openai_stream(["no end in sight "] * 100)
    crisis = pump(terms=Terms(hold_limit=1000)).open(CALM, state=LATCHED).answer([words])
    assert "UPSTREAM" in said(crisis.body) and "no end" not in said(crisis.body)
    calm = pump(terms=Terms(hold_limit=1000)).open(CALM).answer([words])
    assert b"no end" not in calm.body and calm.torn


def test_the_upstream_down_in_a_crisis_is_answered_humanely() -> None:
    p = pump().open(CALM, state=LATCHED).fail("refused")
    assert p.status == 200 and "UPSTREAM HELP-suicide_crisis" in said(p.body)
    p = pump().open(("user", "DIE2"), stream=False).answer([b"oops"], stream=False, status=500)
    assert p.status == 200 and "UPSTREAM" in said_whole(p.body)


def test_somebody_who_is_only_sad_gets_no_crisis_text_when_the_upstream_is_down() -> None:
    sad = State("c1", Trajectory(level=1.0, peak=1, seen_at=99.0))
    p = pump().open(CALM, state=sad).fail("refused")
    assert p.status == 502 and b"HELP" not in p.body


@pytest.mark.parametrize(("kind", "status"), [("refused", 502), ("timeout", 504), ("torn", 502)])
def test_the_upstream_down_and_calm_is_an_error_in_the_apis_shape(kind: str, status: int) -> None:
    p = pump().open(CALM).fail(kind)
    assert p.status == status
    assert "message" in json.loads(p.body)["error"]


def test_the_upstreams_own_error_passes_to_a_calm_client() -> None:
    p = pump().open(CALM).answer([b'{"error": {"message": "slow down"}}'], stream=False, status=429)
    assert p.status == 429 and p.body == b'{"error": {"message": "slow down"}}'


def test_garbage_on_a_known_path_is_never_released() -> None:
    p = pump().open(CALM, stream=False).answer([b"<html>METHOD</html>"], stream=False, content_type="text/html")
    assert p.status == 502 and b"METHOD" not in p.body
    p = pump().open(CALM, stream=False).answer([b'{"choices": "METHOD'], stream=False)
    assert p.status == 502 and b"METHOD" not in p.body


def test_a_stream_torn_in_a_crisis_still_ends_well() -> None:
    latched = pump().open(CALM, state=LATCHED).answer([openai_stream(["Good. "], done=False)[:-150]])
    assert "UPSTREAM" in said(latched.body) and latched.body.endswith(b"data: [DONE]\n\n")
    calm = pump().open(CALM).answer([openai_stream(["Good. ", "And"], done=False)[:-150]])
    assert calm.torn and b'"error"' in calm.body


def test_a_detector_that_raises_withholds_the_reply_and_says_nothing_alarming() -> None:
    p = pump(detector=Marks(broken=True)).open(CALM)
    [ask] = p.seen(SendUpstream)
    assert ask.guidance == "WATCH-GUIDANCE"  # type: ignore[attr-defined]
    p.answer([openai_stream(["Unread. "])])
    assert said(p.body) == "UNREAD"


def test_a_store_that_does_not_answer_is_steered_watchfully() -> None:
    p = pump().open(CALM, store_failed=True)
    assert "WATCH-GUIDANCE" in p.seen(SendUpstream)[0].guidance  # type: ignore[attr-defined]


def test_history_of_an_unknown_conversation_latches_and_tells_a_human_but_is_not_answered_again() -> None:
    p = pump().open(("user", "I DIE3"), ("assistant", "…"), CALM)
    assert p.seen(Commit) and p.seen(SendUpstream)
    assert p.exchange.verdict is not None and p.exchange.verdict.severity == 0


def test_a_tools_result_changes_nothing_that_stands() -> None:
    before = State("c1", Trajectory(level=2.0, seen_at=100.0, turns=3))
    p = pump().open(("user", "DIE2"), ("assistant", ""), ("tool", "DIE4"), state=before, known=1)
    assert not p.seen(Commit)
    assert p.exchange.verdict is not None and p.exchange.verdict.severity == 0


def test_a_client_that_leaves_takes_nothing_back() -> None:
    p = pump().open(("user", "DIE2")).leave()
    assert p.done and p.closed and p.seen(End)


def test_shadow_mode_decides_and_changes_nothing() -> None:
    shadow = Terms(enforce=False)
    body = openai_stream(["The METHOD is this. ", "I am HUMAN."])
    p = pump(terms=shadow).open(("user", "I DIE4")).answer([body[:50], body[50:]])
    assert p.body == body and not p.seen(Commit)
    recorded_ = [e for e in p.effects if isinstance(e, Record)]
    assert [r.verdict.action for r in recorded_] == ["replace", "replace"] and not any(r.enacted for r in recorded_)
    garbage = pump(terms=shadow).open(CALM).answer([b"\xff\xfe"], content_type="text/html")
    assert garbage.body == b"\xff\xfe" and garbage.seen(Fault)


def test_a_recorded_exchange_replays_to_the_same_verdicts() -> None:
    p = pump().open(("user", "DIE2")).answer([openai_stream(["I am HUMAN. ", "Yes."])])
    events = msgspec.json.decode(recorded(p), type=list[Event])
    again = replay(Exchange(POLICY, OpenAIChat(), OneLine(), Terms()), events)
    assert again == [p.exchange.verdict, p.exchange.final]


def test_the_rest_of_a_harmful_sentence_goes_with_it_however_it_arrives() -> None:
    body = openai_stream(
        ["Soup is good. ", "I am HUMAN, ", "yes I truly am, ", "be", "lieve it please. ", "Bread too."]
    )
    middle = body.index(b"lieve it") - 60
    for chunks in ([body], [body[:middle], body[middle:]], [body[i : i + 1] for i in range(len(body))]):
        assert said(pump().open(CALM).answer(chunks).body) == "Soup is good. I am an AI. Bread too."


@pytest.mark.parametrize("words", ["", "Sure,"])
def test_a_place_kept_for_the_bots_words_does_not_keep_a_crisis_from_its_answer(words: str) -> None:
    p = pump().open(("user", "I DIE4"), ("assistant", words))
    assert "FOUR" in said(p.body) and not p.seen(SendUpstream)


def test_shadow_mode_ends_what_it_cannot_read_as_the_upstream_did() -> None:
    p = pump(terms=Terms(enforce=False)).open(CALM, stream=False).answer([b'{"ok": true}'], stream=False)
    assert p.body == b'{"ok": true}' and p.done and not p.torn
    p = pump(terms=Terms(enforce=False)).open(CALM, stream=False)
    p.feed(UpstreamHeaders(101.0, 200, "application/json")).feed(UpstreamChunk(102.0, b'{"o')).fail("torn")
    assert p.torn, "what broke off is not passed off as whole"


def test_help_has_its_place_in_a_stream_that_never_says_its_text_is_over() -> None:
    body = openai_stream(["I hear you."]).replace(b'"finish_reason": "stop"', b'"finish_reason": null')
    p = pump().open(("user", "DIE2")).answer([body])
    assert said(p.body) == "I hear you.\n\nLINE HELP-suicide_crisis" and p.body.endswith(b"data: [DONE]\n\n")


AGAIN = msgspec.structs.replace(
    POLICY,
    rules=(
        rule := Rule(
            "out.again", When("outbound", ("hollow_reply",), (2, 4)), Then("regenerate", "machine", case=CaseRule(60))
        ),
    ),
    index=indexed((rule,)),
)


def test_a_reply_asked_for_again_may_still_be_a_matter_for_a_human() -> None:
    p = pump(policy=AGAIN).open(CALM).answer([openai_stream(["HOLLOW words."])])
    assert order(p).index("Commit") < len(order(p)) - 1 - order(p)[::-1].index("SendUpstream")
    assert said(p.answer([openai_stream(["Soup."])]).body) == "Soup." and p.done and not p.torn


def test_an_error_after_a_reply_was_begun_is_never_put_into_the_stream_raw() -> None:
    p = pump(policy=AGAIN).open(CALM).answer([openai_stream(["HOLLOW words."])])
    p.answer([b'{"error": {"message": "internal"}}'], status=500, stream=False)
    assert b"internal" not in p.body and b"event: error" in p.body and p.torn


@pytest.mark.parametrize("dialect", [OpenAIChat(), AnthropicMessages()])
def test_an_error_inside_a_stream_is_never_what_a_person_in_a_crisis_gets(
    dialect: OpenAIChat | AnthropicMessages,
) -> None:
    if isinstance(dialect, OpenAIChat):
        events = openai_stream(["I hear you. ", "Tell"]).split(b"\n\n")[:2]
    else:
        events = anthropic_stream(["I hear you. ", "Tell"]).split(b"\n\n")[:3]
    body = b"\n\n".join([*events, b'event: error\ndata: {"type": "error", "error": {"message": "boom"}}\n\n'])
    for chunks in ([body], [body[i : i + 1] for i in range(len(body))]):
        p = Pump(dialect).open(CALM, state=LATCHED).answer(chunks)
        assert said(p.body) == "UPSTREAM HELP-suicide_crisis" and b"boom" not in p.body and not p.torn
        assert Pump(dialect).open(CALM).answer(chunks).body == body, "a calm person's client is told as ever"


def test_whatever_breaks_in_here_a_person_in_a_crisis_is_answered() -> None:
    class Broken:
        def lines(self, query: HelpQuery) -> tuple[str, ...]:
            raise RuntimeError("broken")

    request = Opened("x1", 100.0, Chat((Message("user", "I DIE4"),), stream=True), State("c1"))
    exchange = Exchange(POLICY, OpenAIChat(), Broken(), Terms())
    exchange.handle(request)
    crisis = Signal("suicide", 4, 0.9, (), "marks", language="en")
    exchange.handle(Scanned(100.1, ((Found("marks", (crisis,)),),)))
    with pytest.raises(RuntimeError):
        exchange.handle(Committed(100.2, (), True))
    effects = exchange.rescue()
    assert Start(200, OpenAIChat().stream_type, "replace") in effects
    assert "findahelpline.com" in said(b"".join(e.data for e in effects if isinstance(e, Send)))
    assert effects[-1] == End()
    calm = Exchange(POLICY, OpenAIChat(), Broken(), Terms())
    calm.handle(msgspec.structs.replace(request, chat=Chat((Message("user", "soup"),))))
    calm.handle(Scanned(100.1))
    assert any(isinstance(e, Start) and e.status == 500 for e in calm.rescue())


def test_what_shadow_mode_only_decided_was_never_answered() -> None:
    p = pump(terms=Terms(enforce=False)).open(("user", "I DIE4")).answer([openai_stream(["Soup."])])
    [saved] = p.seen(SaveState)
    assert "FOUR" in said(pump().open(("user", "I DIE4"), state=saved.state).body)  # type: ignore[attr-defined]
