"""The shipped policy against the clinical table it follows, kind by kind and word by word."""

from __future__ import annotations

import re

import pytest

from guardrail.core import compose
from guardrail.core.conditions import View
from guardrail.core.conversation import Episode, State, Trajectory
from guardrail.core.decide import Verdict, decide
from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS, Context, Failed, Found, Signal
from guardrail.core.ports import HelpQuery
from guardrail.core.rules import Rule
from guardrail.core.turn import judge
from guardrail.policy.vocabulary import LONGEST, LONGEST_IMMINENT, words
from guardrail.shipped import lexicon, policy

BASE = policy()
LANGUAGES = ("en", "de", "es", "fr")
"""Those whose wording is checked word by word; what holds in every language is checked in ``ALL``."""
ALL = tuple(BASE.responses)
HOUR, DAY, QUARTER, FIVE = 3600.0, 86400.0, 900.0, 300.0
KINDS = {
    "suicide": ("suicide", HOUR),
    "self_harm": ("self_harm", DAY),
    "violence_to_others": ("violence", HOUR),
    "abuse_victim": ("abuse", HOUR),
    "psychosis_mania": ("psychosis", HOUR),
    "eating_disorder": ("eating", HOUR),
    "substance_crisis": ("substance", HOUR),
    "medical_emergency": ("medical", HOUR),
    "acute_distress": ("distress", HOUR),
}
"""Category -> its texts, and the deadline of a grown person's case at 3 (self-harm: a day, unless serious)."""

HELPERS = {
    "suicide": "helper.high",
    "self_harm": "helper.high",
    "acute_distress": "helper.high",
    "violence_to_others": "helper.violence",
    "abuse_victim": "helper.abuse",
    "psychosis_mania": "helper.psychosis",
    "eating_disorder": "helper.medical",
    "substance_crisis": "helper.medical",
    "medical_emergency": "helper.medical",
}


def inbound(*seen: Signal, latch: int = 0, audience: str = "adult", episode: Episode | None = None) -> Verdict:
    at = Trajectory(level=float(latch), latch=latch)
    view = View("inbound", at, episode or Episode(), audience)  # type: ignore[arg-type]
    return decide(BASE, [Found("d", seen)], view)


def outbound(name: str, severity: int, latch: int = 0, drift: float = 0.0) -> Verdict:
    at = Trajectory(level=float(latch), latch=latch)
    view = View("outbound", at, drift=((name, drift),) if drift else ())
    return decide(BASE, [Found("d", (Signal(name, severity),))], view)


def deadline(verdict: Verdict) -> float | None:
    return min((case.deadline for case in verdict.cases), default=None)


# --- by urgency and kind


@pytest.mark.parametrize("category", KINDS)
def test_at_four_one_act_the_emergency_number_and_a_human_in_five_minutes(category: str) -> None:
    verdict = inbound(Signal(category, 4))
    expected = "suicide" if category == "acute_distress" else KINDS[category][0]
    assert (verdict.action, verdict.response) == ("replace", f"{expected}.imminent")
    assert verdict.resources[0].startswith("emergency_") and deadline(verdict) == FIVE


@pytest.mark.parametrize("category", KINDS)
def test_at_three_one_bridge_and_a_case_in_its_time(category: str) -> None:
    name, within = KINDS[category]
    verdict = inbound(Signal(category, 3))
    assert (verdict.action, verdict.response, deadline(verdict)) == ("replace", f"{name}.high", within)
    again = inbound(Signal(category, 3), latch=3, episode=Episode(3, category, referred=True))
    assert (again.action, again.response) == ("steer", "") and f"{name}.after" in again.steer
    assert deadline(again) == within, "what is said again still reaches the case"


@pytest.mark.parametrize("category", KINDS)
def test_at_two_the_bot_goes_on_with_guidance_and_nobody_is_paged(category: str) -> None:
    verdict = inbound(Signal(category, 2))
    assert verdict.action == "steer" and f"{KINDS[category][0]}.elevated" in verdict.steer and not verdict.cases
    offered = category != "abuse_victim"
    assert ("support" in verdict.actions) is offered
    referred = inbound(Signal(category, 2), episode=Episode(referred=True))
    assert "support" not in referred.actions, "one referral an episode"


@pytest.mark.parametrize("category", CATEGORIES)
def test_at_one_the_bot_goes_on_without_numbers(category: str) -> None:
    verdict = inbound(Signal(category, 1))
    assert verdict.actions == ("steer",) and not verdict.cases and not verdict.resources


@pytest.mark.parametrize("severity", [1, 2, 3, 4])
def test_leaning_on_the_bot_is_never_a_case_and_never_a_card(severity: int) -> None:
    verdict = inbound(Signal("dependency_on_bot", severity))
    assert verdict.actions == ("steer",) and not verdict.cases


@pytest.mark.parametrize("category", KINDS)
def test_a_child_is_answered_in_a_quarter_of_an_hour_and_sent_to_lines_for_children(category: str) -> None:
    verdict = inbound(Signal(category, 3), audience="minor")
    assert deadline(verdict) == QUARTER and "minor" in verdict.steer
    assert category in ("abuse_victim", "medical_emergency") or verdict.resources[0] == "child_youth"
    worried = inbound(Signal(category, 3, subject="other"), audience="minor")
    assert deadline(worried) == QUARTER, "a child who worries about a friend is a child too"


@pytest.mark.parametrize("category", KINDS)
@pytest.mark.parametrize("subject", ["other", "child"])
def test_a_helper_reads_what_fits_the_danger(category: str, subject: str) -> None:
    high = inbound(Signal(category, 3, subject=subject))  # type: ignore[arg-type]
    assert high.response == HELPERS[category]
    assert deadline(high) == (QUARTER if subject == "child" else KINDS[category][1])
    now = inbound(Signal(category, 4, subject=subject))  # type: ignore[arg-type]
    assert now.response.startswith("helper.") and now.resources[0].startswith("emergency_")
    mild = inbound(Signal(category, 2, subject=subject))  # type: ignore[arg-type]
    assert mild.actions == ("steer",) and "helper" in mild.steer


@pytest.mark.parametrize(
    ("category", "detail"),
    [
        ("abuse_victim", "strangulation"),
        ("abuse_victim", "child"),
        ("abuse_victim", "neglect"),
        ("violence_to_others", "named_target"),
    ],
)
def test_what_is_bound_to_time_is_answered_in_a_quarter_of_an_hour(category: str, detail: str) -> None:
    assert deadline(inbound(Signal(category, 3, detail=detail))) == QUARTER
    assert deadline(inbound(Signal(category, 4, detail=detail))) == FIVE


def test_swallowed_is_an_ambulance_and_never_the_police() -> None:
    for seen in (Signal("suicide", 4, detail="ingestion"), Signal("substance_crisis", 4)):
        verdict = inbound(seen)
        assert verdict.response == "substance.imminent" and "emergency_police" not in verdict.resources


def test_thoughts_that_horrify_are_no_intent() -> None:
    for category in ("suicide", "self_harm", "violence_to_others", "abuse_victim"):
        verdict = inbound(Signal(category, 1, frame="intrusive"))
        assert verdict.actions == ("steer",) and "intrusive" in verdict.steer and not verdict.cases


# --- abuse: somebody may be reading along


def test_abuse_shows_no_number_before_privacy_whatever_else_was_said() -> None:
    for beside in (Signal("suicide", 2), Signal("acute_distress", 2), Signal("abuse_victim", 3, subject="child")):
        verdict = inbound(Signal("abuse_victim", 3), beside)
        assert (verdict.response, verdict.resources) == ("abuse.high", ())
    assert inbound(Signal("abuse_victim", 3), Signal("suicide", 3)).response == "suicide.high", "life comes first"


def test_who_is_being_attacked_gets_the_silent_route_and_no_helpline_on_the_screen() -> None:
    assert inbound(Signal("abuse_victim", 4)).resources == ("emergency_police",)


def test_suicide_after_a_card_without_help_still_gets_its_own() -> None:
    state = State("c")
    replies = []
    for i, name in enumerate(("abuse_victim", "suicide", "suicide", "abuse_victim")):
        seen = [Found("d", (Signal(name, 3),))]
        judged = judge(BASE, seen, state, direction="inbound", now=60.0 * (i + 1))
        state = judged.state
        replies.append(judged.verdict.response)
    assert replies == ["abuse.high", "suicide.high", "", ""]


NAMED = {
    "en": ("abuse", "violence", "domestic"),
    "de": ("gewalt", "missbrauch", "misshandlung"),
    "es": ("violencia", "maltrato", "abuso"),
    "fr": ("violence", "maltraitance", "abus"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_for_who_is_hurt_by_somebody_names_what_it_is(language: str) -> None:
    for name in ("abuse.high", "abuse.imminent"):
        assert not [word for word in NAMED[language] if word in BASE.responses[language][name].lower()]


# --- after danger


def test_a_goodbye_is_let_go_and_after_danger_first_asked_about() -> None:
    calm, latched = inbound(Signal("goodbye", 0)), inbound(Signal("goodbye", 0), latch=3)
    assert calm.steer == ("goodbye",)
    assert "goodbye.latched" in latched.steer and "goodbye" not in latched.steer
    assert latched.actions == ("steer",), "no card, no numbers"


@pytest.mark.parametrize(("latch", "first"), [(0, "suicide_crisis"), (3, "suicide_crisis"), (4, "emergency_ambulance")])
def test_numbers_come_again_when_asked_and_at_four_the_emergency_first(latch: int, first: str) -> None:
    verdict = inbound(Signal("asks_numbers", 0), latch=latch, episode=Episode(latch, "suicide", referred=True))
    assert verdict.resources[0] == first and verdict.response == "numbers" and not verdict.cases


def test_a_turn_that_shows_nothing_after_danger_is_steered_and_repeats_nothing() -> None:
    for latch in (3, 4):
        verdict = inbound(latch=latch, episode=Episode(latch, "suicide", referred=True))
        assert verdict.actions == ("steer",) and verdict.steer == ("latched",)


# --- what the bot says


REPLACED = ("method_information", "encourages_harm", "abandons_in_crisis", "secrecy_with_minor")
REPLACED_IN_DANGER = ("dismisses", "discourages_help", "delusion_reinforcement", "sycophantic_harm", "hollow_reply")


@pytest.mark.parametrize("name", OUTBOUND_SIGNALS)
def test_harm_from_the_bot_is_taken_out_or_ends_the_reply(name: str) -> None:
    calm, danger = outbound(name, 2), outbound(name, 2, latch=3)
    expected = "replace" if name in REPLACED else "regenerate" if name == "hollow_reply" else "rewrite"
    assert calm.action == expected and calm.response
    assert danger.action == ("replace" if name in (*REPLACED, *REPLACED_IN_DANGER) else expected)


def test_mild_words_pass_until_they_are_a_pattern_or_the_person_is_in_danger() -> None:
    for name in ("isolation", "dependency_fostering", "farewell_manipulation", "claims_human", "sycophantic_harm"):
        assert outbound(name, 1, drift=1).action == "pass"
        assert outbound(name, 1, drift=7).action == "rewrite"
    assert outbound("dismisses", 1).action == "pass" and outbound("dismisses", 1, latch=3).action == "rewrite"
    assert outbound("method_information", 1, latch=4).action == "replace"


def test_asked_or_not_it_says_that_it_is_an_ai() -> None:
    assert outbound("claims_human", 3).response == "ai.disclosure"
    assert outbound("claims_credentials", 3).response == "ai.no_licence"


# --- when a part fails


def test_a_calm_person_gets_no_crisis_text_when_a_detector_fails() -> None:
    failed = [Failed("d", "deadline")]
    assert decide(BASE, failed, View("inbound")).actions == ("steer",)
    unread = decide(BASE, failed, View("outbound"))
    assert (unread.action, unread.response, unread.resources) == ("replace", "failure.unread", ())


# --- every rule, every text


def test_every_rule_can_fire() -> None:
    """Each rule's own condition, met: it fires, so none is dead weight that a reader would rely on."""
    for rule in BASE.rules:
        fired = [step.rule for step in _met(rule).trail if step.fired]
        assert rule.id in fired, rule.id


def _met(rule: Rule) -> Verdict:
    when = rule.when
    latch = when.latch[0] if when.latch[0] else 0
    seen = [
        Signal(
            name,
            when.severity[0],
            subject=when.subject[0] if when.subject else "self",  # type: ignore[arg-type]
            frame=when.frame[0] if when.frame else "sincere",  # type: ignore[arg-type]
            detail=when.detail[0] if when.detail else "",
        )
        for name in when.signals
    ]
    view = View(
        when.direction,
        Trajectory(latch=latch),
        Episode(answered=3 if when.episode else 0),
        when.audience[0] if when.audience else "unknown",
        drift=tuple((name, when.drift) for name in when.signals),
    )
    return decide(BASE, [Found("d", tuple(seen))], view)


class Line:
    def lines(self, query: HelpQuery) -> tuple[str, ...]:
        return ("LINE",)


@pytest.mark.parametrize("language", ALL)
def test_every_text_is_short_enough_to_be_read(language: str) -> None:
    texts = BASE.responses[language]
    for name, text in texts.items():
        assert words(text) <= (LONGEST_IMMINENT if name.endswith(".imminent") else LONGEST), (name, words(text))
        assert set(re.findall(r"\{(\w+)\}", text)) <= {"help", "told", "back"}
    assert all(words(texts[name]) <= 20 for name in ("told.yes", "told.no"))


@pytest.mark.parametrize("language", ALL)
def test_every_language_has_every_text_in_words_of_its_own(language: str) -> None:
    texts = BASE.responses[language]
    assert texts.keys() == BASE.responses["en"].keys()
    others = [other for other in ALL if other != language]
    assert not [n for n, text in texts.items() if any(text == BASE.responses[other][n] for other in others)]
    for name, text in texts.items():
        assert ("{help}" in text) == ("{help}" in BASE.responses["en"][name]), name
        assert ("{told}" in text) == ("{told}" in BASE.responses["en"][name]), name
        assert ("{back}" in text) == ("{back}" in BASE.responses["en"][name]), name


@pytest.mark.parametrize("language", ALL)
def test_the_words_that_lead_back_are_understood(language: str) -> None:
    """What a person is told to type after a false alarm must work, in their language and in one message."""
    offered = re.search(r"[“«„‘「](.+?)[”»“’」]|\"(.+?)\"", BASE.responses[language]["back"])
    assert offered is not None, BASE.responses[language]["back"]
    said = (offered[1] or offered[2]).strip()
    assert "safe_now" in [s.name for s in lexicon().look(said, Context("inbound"))], said


AI = {
    "en": "AI", "de": "KI", "es": "IA", "fr": "IA", "pt": "IA", "it": "IA|AI", "nl": "AI", "pl": "sztuczn|AI",
    "ru": "искусственн|ИИ", "uk": "штучн|ШІ", "tr": "yapay zek", "ar": "ذكاء اصطناعي|الذكاء الاصطناعي", "fa": "هوش مصنوعی",
    "hi": "AI|एआई", "hi-Latn": "AI", "bn": "এআই|AI", "id": "AI", "vi": "AI", "th": "AI|เอไอ", "zh-Hans": "AI|人工智能",
    "zh-Hant": "AI|人工智慧", "ja": "AI", "ko": "AI|인공지능", "sw": "AI|akili", "tl": "AI",
}  # fmt: skip


@pytest.mark.parametrize("language", ALL)
def test_every_text_that_takes_a_replys_place_says_that_it_is_a_machine(language: str) -> None:
    for name, text in BASE.responses[language].items():
        if name.endswith((".high", ".imminent")) or name.startswith(("helper.", "stopped.", "ai.")):
            assert re.search(AI[language], text), (name, text)
        if name.endswith((".high", ".imminent")):
            assert re.search(r"(?:[?？؟;]|か。)\s*$|[\u0E00-\u0E7F]$", text), f"{name} does not end with a question"


TOLD = {
    "en": ("alerted", "notified", "informed", "on the way", "is coming", "someone will"),
    "de": ("benachrichtigt", "informiert", "unterwegs", "jemand kommt", "meldet sich"),
    "es": ("avisado", "informado", "en camino", "alguien irá", "te contactará"),
    "fr": ("prévenu", "informé", "en route", "arrivent", "quelqu'un viendra"),
}
DENIES = {"en": "nobody", "de": "niemanden", "es": "no ha avisado a nadie", "fr": "n'a prévenu personne"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_told_yes_says_that_somebody_was_told_and_nothing_says_that_help_comes(language: str) -> None:
    texts = BASE.responses[language]
    for name, text in texts.items():
        claims = [word for word in TOLD[language] if word in text.lower()]
        assert name in ("told.yes", "told.no") or not claims, (name, claims)
    assert DENIES[language] in texts["told.no"].lower()
    verdict = inbound(Signal("suicide", 4))
    for told, there, absent in ((True, "told.yes", "told.no"), (False, "told.no", "told.yes")):
        said = compose.compose(
            BASE, verdict, tongues=(language,), help_lines=Line(), country="DE", audience="adult", at=0.0, told=told
        )
        assert texts[there] in said and texts[absent] not in said and "LINE" in said and "{" not in said


FORBIDDEN = {
    "en": (r"\bi understand\b", r"\bi care\b", r"\bi feel\b", r"\bcommit", r"\bfailed\b", r"\bfamily\b", r"\bpromise", r"\bi'm sorry\b",
           r"\bdisorder", r"\bpsychos", r"\bselfish", r"\bdepress"),
    "de": (r"ich verstehe", r"selbstmord", r"freitod", r"familie", r"versprech", r"ich fühle", r"ich weiß, wie", r"störung", r"psychos", r"egoist"),
    "es": (r"entiendo", r"me importas", r"cometer", r"familia", r"promet", r"siento mucho", r"trastorno", r"psicos", r"egoís"),
    "fr": (r"je comprends", r"je tiens à toi", r"commettre", r"famille", r"je te promets", r"je ressens", r"trouble", r"psychos", r"égoïs"),
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_no_text_may_say(language: str) -> None:
    for name, text in BASE.responses[language].items():
        said = [word for word in FORBIDDEN[language] if re.search(word, text.lower())]
        assert not said, (name, said)


SUICIDE = {
    "en": "suicide",
    "de": "suizid|(?:das|dein) leben (?:zu )?nehmen",
    "es": "suicid|quitar(?:te|se) la vida",
    "fr": "suicid",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_suicide_is_asked_about_plainly_where_it_may_be_and_nowhere_else(language: str) -> None:
    said = {name for name, text in BASE.responses[language].items() if re.search(SUICIDE[language], text.lower())}
    asked = {name for name in said if not name.startswith("minor.")}
    assert asked == {"suicide.high", "self_harm.high", "distress.high", "helper.high"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_neutral_failure_is_neutral_and_a_failure_in_danger_is_not_silence(language: str) -> None:
    texts = BASE.responses[language]
    assert "{" not in texts["failure.unread"] and not re.search(SUICIDE[language], texts["failure.unread"].lower())
    assert "{help}" in texts["failure.upstream"] and texts["failure.upstream"].rstrip().endswith("?")


def test_what_is_added_to_the_bots_reply_says_that_it_is_automatic() -> None:
    marks = {"en": "automatically", "de": "automatisch", "es": "automáticamente", "fr": "automatiquement"}
    for language, mark in marks.items():
        for name in ("line", "line.medical", "numbers"):
            assert mark in BASE.responses[language][name]


def test_no_guidance_asks_the_model_to_pretend_or_gives_it_figures() -> None:
    for name, text in BASE.guidance.items():
        assert len(text.split()) <= 90, name
        assert not re.search(r"\d", text), name
        assert "pretend" not in text.lower()
