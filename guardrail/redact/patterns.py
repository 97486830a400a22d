"""Which personal data is recognised, by form alone: no language model, no download, no network.

Runs in the worker process only: importing Presidio costs 1.9 s and 92 MB. Rather too much is taken out than too
little. A name that nobody introduces ("tell Anna") has no form to know it by, and stays.
"""

from __future__ import annotations

from collections.abc import Iterator

from phonenumbers import SUPPORTED_REGIONS
from presidio_analyzer import (
    AnalyzerEngine,
    EntityRecognizer,
    Pattern,
    PatternRecognizer,
    RecognizerRegistry,
)
from presidio_analyzer.nlp_engine import NoOpNlpEngine
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    MacAddressRecognizer,
    PhoneRecognizer,
    UrlRecognizer,
)

LANGUAGE = "en"
"""Presidio wants one; none of these patterns depends on it."""

REGIONS = (
    "US",
    "GB",
    "DE",
    "FR",
    "ES",
    "AT",
    "CH",
    "IT",
    "NL",
    "BE",
    "IE",
    "CA",
    "AU",
    "NZ",
    "IN",
    "BR",
    "MX",
    "AR",
)

_WORD = r"\p{L}[\p{L}'’\-]{1,40}"
_CAPITAL = r"(?-i:\p{Lu}[\p{L}'’\-]{0,40})"
_INTRODUCED = (
    r"my name is|my name's|the name is|they call me|i am called"
    r"|mein name ist|ich hei(?:ß|ss)e|man nennt mich"
    r"|me llamo|mi nombre es|mi nombre completo es|me dicen"
    r"|je m['’]appelle|mon nom est|mon pr[ée]nom est|on m['’]appelle"
    r"|mi chiamo|meu nome [ée]|ik heet|mijn naam is"
)
_TITLES = (
    r"mr|mrs|ms|mx|miss|dr|prof|professor|sir|herr|herrn|frau|fr[äa]ulein|se[ñn]ora|se[ñn]orita|se[ñn]or|sra|srta|sr"
    r"|do[ñn]a|don|madame|mademoiselle|monsieur|mme|mlle|docteur|doctor|doctora|doktor"
)
_STREETS_BEFORE = r"rue|avenue|boulevard|impasse|all[ée]e|calle|avenida|paseo|plaza|carrera|viale"
_STREETS_NUMBERED = _STREETS_BEFORE + r"|bd|place|chemin|av|via"  # common words too, unless a number goes before
_STREETS_AFTER = r"street|road|avenue|lane|drive|close|court|way|terrace|crescent|boulevard|st|rd|ave|ln|dr|blvd"
_STREET_NAME = rf"\.?\s+(?:\p{{L}}[\p{{L}}'’\-]*\s+){{0,4}}{_CAPITAL}(?:,?\s+(?:n[º°o.]*\s*)?\d{{1,5}})?"
_STREET_ENDS = r"stra(?:ß|ss)e|str\.|gasse|weg|allee|platz|ring|damm|ufer"
_STREET_WORDS = r"(?-i:Stra(?:ß|ss)e|Str\.|Gasse|Weg|Allee|Platz)"

_OWN: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    (
        "PERSON",
        0.6,
        (
            rf"(?<=\b(?:{_INTRODUCED})\s{{1,3}}){_WORD}(?:\s+{_CAPITAL}){{0,3}}",
            rf"(?<=\bcall me\s{{1,3}}){_CAPITAL}(?:\s+{_CAPITAL}){{0,3}}",
            rf"(?<=\b(?:{_TITLES})\.?\s{{1,3}}){_CAPITAL}(?:\s+{_CAPITAL}){{0,2}}",
        ),
    ),
    (
        "ADDRESS",
        0.6,
        (
            rf"\b\d{{1,5}}\s?\p{{L}}?,?\s+(?:{_CAPITAL}\s+){{1,3}}(?:{_STREETS_AFTER})\b",
            rf"\b(?:{_STREETS_BEFORE}){_STREET_NAME}",
            rf"\b\d{{1,5}},?\s+(?:{_STREETS_NUMBERED}){_STREET_NAME}",
            rf"\b\p{{L}}[\p{{L}}\-]{{1,40}}(?:{_STREET_ENDS})\s*\d{{1,4}}\s?[a-z]?\b",
            rf"\b{_CAPITAL}\s+{_STREET_WORDS}\s*\d{{1,4}}\s?[a-z]?\b",
        ),
    ),
    ("USERNAME", 0.5, (r"(?<![\p{L}\p{N}_.@])@[\p{L}\p{N}_.]{2,40}",)),
    ("URL", 0.7, (r"\b[a-z][a-z0-9+.\-]{1,20}://[^\s<>\"']+",)),
    ("EMAIL_ADDRESS", 0.7, (r"[^\s@<>\"',;:()]{1,64}@[^\s@<>\"',;:()]{1,190}\.[\p{L}]{2,24}",)),
    (
        "NUMBER",
        0.2,
        (
            # Any long number, grouped as people group them: accounts, ids, dates of birth, numbers of no known plan.
            r"(?<![\p{L}\p{N}])\+?\(?\p{Nd}(?:[\s().\-/–]{0,3}\p{Nd}){6,24}(?![\p{L}\p{N}])",
            r"(?-i:\b(?=[A-Z0-9]*[A-Z])(?=(?:[A-Z]*\d){4})[A-Z0-9]{6,24}\b)",
        ),
    ),
)

# Presidio's own begins anew at every character of a long run of dots, which takes seconds; this at its start only.
_DOMAIN = r"(?i)(?<![a-z0-9.\-])" + UrlRecognizer.BASE_URL_REGEX


class _Email(EmailRecognizer):
    """Without the check of the domain: that would ask the network, and spare a mistyped address."""

    def validate_result(self, pattern_text: str) -> bool | None:
        return None


def _recognizers(regions: tuple[str, ...]) -> Iterator[EntityRecognizer]:
    yield from (_Email(), IpRecognizer(), MacAddressRecognizer(), IbanRecognizer(), CreditCardRecognizer())
    yield UrlRecognizer(patterns=[Pattern("domain", _DOMAIN, 0.5)])
    yield PhoneRecognizer(supported_regions=regions)
    for entity, score, patterns in _OWN:
        named = [Pattern(f"{entity} {place}", regex, score) for place, regex in enumerate(patterns)]
        yield PatternRecognizer(supported_entity=entity, name=entity, patterns=named, supported_language=LANGUAGE)


def _engine(regions: tuple[str, ...]) -> AnalyzerEngine:
    registry = RecognizerRegistry(recognizers=list(_recognizers(regions)), supported_languages=[LANGUAGE])
    nlp = NoOpNlpEngine([{"lang_code": LANGUAGE, "model_name": "none"}])
    nlp.load()
    return AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=[LANGUAGE])


class Patterns:
    """All recognisers, once a set of telephone plans."""

    def __init__(self) -> None:
        self._engines: dict[tuple[str, ...], AnalyzerEngine] = {REGIONS: _engine(REGIONS)}

    def redact(self, text: str, locale: str) -> str:
        """``text`` with each find replaced by its kind: ``<PHONE_NUMBER>``, ``<EMAIL_ADDRESS>``, ``<PERSON>`` …

        ``locale`` adds its region's telephone plan (``de-LI``: Liechtenstein's).
        """
        region = locale.replace("_", "-").rpartition("-")[2].upper()
        regions = REGIONS if region in REGIONS or region not in SUPPORTED_REGIONS else (*REGIONS, region)
        engine = self._engines.get(regions)
        if engine is None:
            engine = self._engines[regions] = _engine(regions)
        found = engine.analyze(text, LANGUAGE)
        return _replaced(text, [(hit.start, hit.end, hit.score, hit.entity_type) for hit in found])


def _replaced(text: str, hits: list[tuple[int, int, float, str]]) -> str:
    """Overlapping finds become one stretch, named by the surest of them; every found character goes."""
    stretches: list[tuple[int, int, float, str]] = []
    for start, end, score, entity in sorted(hits):
        if stretches and start < stretches[-1][1]:
            first, last, best, name = stretches.pop()
            stretches.append((first, max(last, end), *max((best, name), (score, entity))))
        else:
            stretches.append((start, end, score, entity))
    for start, end, _, entity in reversed(stretches):
        text = f"{text[:start]}<{entity}>{text[end:]}"
    return text
