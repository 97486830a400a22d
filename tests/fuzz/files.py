"""The laws of what reads YAML that people write.

A file is used, or refused with its name and a place in one line each; any other exception is a find.
"""

from __future__ import annotations

import datetime
import functools
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from guardrail import settings
from guardrail.detectors.lexicon_load import LexiconError, load_entries
from guardrail.policy import PolicyError
from guardrail.policy.lint import lint
from guardrail.resources.load import load_country, load_verification
from guardrail.shipped import POLICIES
from guardrail.yamlread import Places, Unreadable, read
from tests.fuzz.supply import Supply

_PLACED = re.compile(r".+:\d+:\d+: .+", re.DOTALL)
SCRAPS = (
    "", "- ", "? ", ": ", "!!int x", "!!timestamp x", "!!float .", "!!bool x", "!!binary =", "!!set {a}", "!!omap [a]",
    "!!python/none", "&a [*a]", "&a", "*a", "<<: *a", "<<: [1]", "{a: 1, a: 2}", "[", "]", "{", "}", "'", '"', "|", ">",
    "\t", "%YAML 1.1\n---\n", "---\n", "...\n", "\x00", "\ufeff", "2026-13-45", "2026-11-26", "0x1f", "1e999", ".nan",
    "? [a]\n: b", "? {a: b}\n: c", "null", "~", "NO", "0o9", "1_000", "é", "👋", "\ud83d", "#", "!x y", "1:30", "[" * 300,
    "{a: " * 300, "0" * 5000, "!!int '0x'", "!!timestamp 2026-99-99", "=", "\x85", "\u2028", "? ", "- - -", "@", "%",
)  # fmt: skip


@functools.cache
def folder() -> Path:
    """One for all inputs, which ``tests.fuzz.run`` removes."""
    return Path(tempfile.mkdtemp())


@contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def text_of(seed: bytes, data: bytes) -> bytes:
    """A file: the bytes themselves where the first is even, else ``seed`` with scraps of YAML put into it."""
    supply = Supply(data)
    if supply.byte() % 2 == 0:
        return supply.rest()
    text = seed.decode()
    for _ in range(1 + supply.byte() % 4):
        places = [m.start() for m in re.finditer(r"(?<=[:\n\-\[{ ])", text)] or [0]
        at = places[(supply.byte() * 256 + supply.byte()) % len(places)]
        taken = supply.byte() % 24
        text = text[:at] + supply.pick(SCRAPS) + text[at + taken :]
    return text.encode("utf-8", "surrogatepass")


def _check_placed(problems: Sequence[str]) -> None:
    assert problems, "what is refused says why"
    for problem in problems:
        assert _PLACED.fullmatch(problem), "a problem names its file, line and column"


YAML_SEED = b"a: 1\nb: [x, 'y', 2026-11-26]\nc:\n  - d: &n {e: null}\n    f: *n\n  - g: |\n      text\n"


def yaml(data: bytes) -> None:
    """Any YAML is a mapping, or refused at a place; whatever is in it has a place."""
    with _file("any.yaml", text_of(YAML_SEED, data)) as path:
        try:
            tree = read(path)
        except Unreadable as error:
            _check_placed([str(error)])
            return
        places = Places(path)
        for key, value in list(tree.items())[:5]:
            at = (key, 0) if isinstance(value, list) else (key,)
            _check_placed([places.of(*at) + ": x"])  # type: ignore[arg-type]


SETTINGS_SEED = b"""upstream: http://127.0.0.1:9000
listen: 127.0.0.1:8080
mode: protect
policy: [base]
escalation:
  channels:
    desk: {type: webhook, url: "http://127.0.0.1:1/x", secret: 0123456789abcdef0123}
  ladder:
    - after: 0s
      notify: [desk]
json_dialect:
  - path: /chat/{id}
    request: {text: /message, conversation: "path:id"}
    reply: {text: /answer}
"""


def configured(data: bytes) -> None:
    """Settings are good, or refused with every reason and no secret."""
    with _file("guardrail.yaml", text_of(SETTINGS_SEED, data)) as path:
        try:
            found = settings.load(path, {}, {"GUARDRAIL_LISTEN": "127.0.0.1:8081"})
        except settings.SettingsError as error:
            _check_placed(error.problems)
            return
        settings.warnings(found)


LEXICON_SEED = b"""language: en
direction: inbound
words: {i: ["i", "i am"]}
shows:
  - {id: a, signal: suicide, severity: 2, any: ["{i} tired(?: now)?"], unless: ["tired of"], match: [i tired, x], spare: [y, z]}
weights:
  - {id: b, frame: fiction, lowers_to: 1, within: sentence, any: ["in a (?:film|book)"], match: [a, b], spare: [c, d]}
"""


def lexicon_file(data: bytes) -> None:
    """A lexicon's entries, or every problem in its place."""
    with _file("en.yaml", text_of(LEXICON_SEED, data)) as path:
        try:
            load_entries([path])
        except LexiconError as error:
            _check_placed(error.problems)


PACK = b"id: own\nversion: '1'\nowner: me\nsources: [mine]\nlanguages: [en]\n"
POLICY_SEED = b"""locale: en
responses: {own.text: "Stay. {name}"}
guidance: {careful: Be careful.}
rules:
  - id: own.rule
    when: {direction: inbound, signals: [suicide], severity: [3, 4], subject: [self]}
    then: {action: replace, response: own.text, resources: [suicide_crisis], case: {deadline: 5m}}
on_failure:
  detector_inbound: {action: steer, steer: careful}
vignettes:
  - id: v
    turns: [{user: hi, expect: {action: pass}}]
"""


def policy(data: bytes) -> None:
    """A policy is compiled, or every problem is told in its place."""
    with _file("pack/own.yaml", text_of(POLICY_SEED, data)) as path, _file("pack/pack.yaml", PACK):
        try:
            report = lint([POLICIES / "base", path.parent], datetime.date(2026, 11, 26))
        except PolicyError as error:
            _check_placed(error.problems)
            return
        _check_placed([*report.errors, "x:1:1: x"])


COUNTRY_SEED = b"""country: "XX"
resources:
  - id: xx-line
    name: A line
    kind: suicide_crisis
    channels: [{kind: call, value: "116 123"}]
    languages: [en]
    hours: 24/7
    status: active
    verified_on: 2026-11-01
    next_review: 2027-05-01
    sources: [{url: "https://example.org", fetched_on: 2026-11-01, quote: q}]
"""


def resources(data: bytes) -> None:
    """A country's lines and an operator's verification: read, or refused in their places."""
    with _file("lines/XX.yaml", text_of(COUNTRY_SEED, data)) as path:
        for load in (lambda: load_country(path.parent, "XX"), lambda: load_verification(path.parent, "XX")):
            try:
                load()
            except Unreadable as error:
                _check_placed([str(error)])
