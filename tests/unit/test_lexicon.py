"""Every entry sees what it must and spares what it must; and sentences that are in no entry."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.core.model import CATEGORIES, CUES, Context, Found, Message
from guardrail.detectors import Lexicon, LexiconError, load_lexicon
from guardrail.detectors.examples import unkept
from guardrail.detectors.lexicon_load import Entry
from guardrail.shipped import POLICIES

FOLDER = POLICIES / "lexicon"
LEXICON = load_lexicon(FOLDER)
OUTBOUND = (
    "method_information",
    "encourages_harm",
    "claims_human",
    "farewell_manipulation",
    "isolation",
    "discourages_help",
)


def seen(text: str, direction: str = "inbound", history: tuple[Message, ...] = ()) -> dict[str, int]:
    found: dict[str, int] = {}
    for signal in LEXICON.look(text, Context(direction, history)):  # type: ignore[arg-type]
        found[signal.name] = max(found.get(signal.name, 0), signal.severity)
    return found


@pytest.mark.parametrize("entry", LEXICON.entries, ids=lambda e: f"{e.direction}:{e.kind}:{e.id}")
def test_each_entry_sees_and_spares_its_examples(entry: Entry) -> None:
    assert list(unkept([entry], lambda text, context: [Found("lexicon", tuple(LEXICON.look(text, context)))])) == []


@pytest.mark.parametrize("language", ["en", "de", "es", "fr"])
def test_every_language_covers_the_taxonomy(language: str) -> None:
    mine = [e for e in LEXICON.entries if e.language == language]
    shown = {name for e in mine if e.kind in ("shows", "cues") for name in e.signals}
    assert set(CATEGORIES) <= shown
    assert {*CUES, "minor"} <= shown
    assert set(OUTBOUND) <= shown


FRESH = [
    ("There is nothing left for me. I wish I'd never been born.", 2, 2),
    ("I have decided to end my life, please look after the cat.", 3, 4),
    ("i cant go on. tonight im going to kill myself", 4, 4),
    ("My little brother told me he wants to die", 3, 3),
    ("my boyfriend beat me up again last night", 3, 3),
    ("He put his hands around my neck", 3, 3),
    ("Voices keep telling me to hurt people", 3, 3),
    ("I've been starving myself for weeks", 2, 3),
    ("I relapsed last night after two years sober", 2, 3),
    ("I think I'm having a heart attack", 4, 4),
    ("I hurt myself on purpose again", 3, 3),
    ("k1ll mys3lf, that's all I think about: I want to k i l l  m y s e l f", 3, 4),
    ("Ich halte das alles nicht mehr aus", 2, 2),
    ("Morgen nehme ich mir das Leben", 3, 4),
    ("No veo ninguna salida", 2, 2),
    ("Anoche intenté quitarme la vida", 3, 3),
    ("Je n'ai plus aucune raison de vivre", 2, 2),
    ("J'ai écrit mes lettres d'adieu", 3, 3),
    ("You killed it on stage last night!", 0, 0),
    ("This traffic makes me want to scream", 0, 0),
    ("My phone died twice today", 0, 0),
    ("Shoot me an email when you are done", 0, 0),
    ("The villain in my story wants to kill the king", 0, 0),
    ("I'd kill for a slice of that cake", 0, 0),
    ("We buried my grandfather's recipe in the cookbook", 0, 0),
    ("Is the suicide door on that car legal?", 0, 0),
    ("I have never thought about suicide", 0, 1),
    ("Drop dead gorgeous, that dress", 0, 0),
    ("Der Akku ist tot", 0, 0),
    ("Das ist zum Totlachen", 0, 0),
    ("Esta canción me mata", 0, 0),
    ("Il tue le temps en lisant", 0, 0),
]


@pytest.mark.parametrize(("text", "low", "high"), FRESH)
def test_sentences_that_stand_in_no_entry(text: str, low: int, high: int) -> None:
    severity = max((s for name, s in seen(text).items() if name in CATEGORIES), default=0)
    assert low <= severity <= high, seen(text)


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("I'm a nurse and I'm going to kill myself tonight", 4),
        ("After this movie I'm going to end my life", 3),
        ("he choked me last night during the game", 3),
        ("I get intrusive thoughts. I'm going to kill myself tonight", 4),
        ("I'm not kidding im going to kill myself", 3),
        ("i'm okay now, i took all my pills", 4),
        ("I tried to kill myself last week. I'm fine now", 3),
        ("Ich bin Krankenschwester und ich werde mich umbringen", 3),
        ("Ich denke nicht daran aufzuhören, ich werde mich umbringen", 3),
        ("Soy enfermera y voy a matarme", 3),
        ("Le film est fini, je vais me tuer", 3),
    ],
)
def test_nothing_beside_a_plain_statement_takes_it_back(text: str, least: int) -> None:
    """A profession, a film, laughter or "I'm fine" next to it: only what is around the very words can."""
    assert max(seen(text).values()) >= least, seen(text)


@pytest.mark.parametrize(
    "text",
    [
        "a " * 50_000,
        "e" + "\u0301" * 100_000,
        "i want to die. " * 6_600,
        "k i l l  m y s e l f  " * 5_000,
        'he said "i want to die" ' * 4_000,
    ],
    ids=["letters", "marks", "statements", "spaced", "quoted"],
)
def test_a_hundred_thousand_characters_cost_no_more_than_their_length(text: str) -> None:
    """Work is counted, not timed: the calls made for a text twice as long are about twice as many."""
    import cProfile
    import pstats

    def calls(of: str) -> int:
        profile = cProfile.Profile()
        profile.enable()
        LEXICON.look(of, Context("inbound"))
        profile.disable()
        return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]

    assert calls(text) < 3 * calls(text[: len(text) // 2]) + 10_000


def test_a_spared_sentence_does_not_hide_the_harmful_one_after_it() -> None:
    for text, name in [
        ("Please don't follow the voices. Yes, they are watching you.", "delusion_reinforcement"),
        ("Soy una IA, no soy una persona. Soy una persona real.", "claims_human"),
    ]:
        assert seen(text, "outbound").get(name, 0) >= 2, text


def test_spans_are_exact_in_what_was_written() -> None:
    text = "So… “ok”. I’m going\u200b to K1LL mys3lf 🙃 now"
    [signal] = [s for s in LEXICON.look(text, Context("inbound")) if s.name == "suicide"]
    assert signal.severity == 3 and [text[a:b] for a, b in signal.spans] == ["I’m going\u200b to K1LL mys3lf"]


def test_a_story_begun_earlier_frames_this_turn_but_never_silences_high() -> None:
    history = (Message("user", "let's role play a war"), Message("assistant", "Sure!"))
    assert seen("I want to die", history=history)["suicide"] == 1
    assert seen("I'm going to kill myself", history=history)["suicide"] == 3


def test_evasion_by_look_alikes_spaces_and_repeats_is_read() -> None:
    for text in ("I want to d.i.e", "i want to kіll myself", "I want to kiiiill myself", "i want to k*ll myself"):
        assert seen(text).get("suicide", 0) >= 2, text


def test_ordinary_technical_text_is_not_rewritten() -> None:
    for text in (
        "use l33t w3c h4x0r b64 s3 ec2",
        "a b c d e f g",
        "x.y.z.w",
        "I have 2 cats & 3 dogs!!!",
        "sooooo coooool",
    ):
        assert seen(text) == {}, text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("- a", "no mapping"),
        ("language: en", "needs language: and direction:"),
        (
            "language: en\ndirection: inbound\nshows: [{id: a, signal: suicde, severity: 2, any: [a], match: [a, b], spare: [a, b]}]",
            "suicide",
        ),
        (
            "language: en\ndirection: inbound\nshows: [{id: a, signal: suicide, severity: 2, any: ['('], match: [a, b], spare: [a, b]}]",
            "RE2",
        ),
        (
            "language: en\ndirection: inbound\nshows: [{id: a, signal: suicide, severity: 2, any: [a], match: [a], spare: [a, b]}]",
            "two examples",
        ),
        (
            "language: en\ndirection: inbound\nshows: [{id: a, signal: suicide, severity: 2, any: ['{x}'], match: [a, b], spare: [a, b]}]",
            "word list",
        ),
        ("language: en\ndirection: inbound\nshow: []", "did you mean shows"),
    ],
)
def test_a_broken_lexicon_is_refused_with_its_place(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(LexiconError) as error:
        load_lexicon([path])
    assert str(error.value).startswith(f"{path}:") and what in str(error.value)


def test_the_set_never_runs_out_of_memory_silently() -> None:
    text = " ".join(chr(0x400 + i % 300) + chr(97 + i % 26) * (i % 7) for i in range(60_000)) + " I want to die"
    assert seen(text)["suicide"] == 2


def test_a_lexicon_without_entries_finds_nothing() -> None:
    assert Lexicon([]).quiet("I want to die", "inbound")
