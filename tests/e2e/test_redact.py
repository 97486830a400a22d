"""A page to a phone leaves the house: personal data must not, and a broken worker must not let it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.redact import RedactionError, Redactor
from guardrail.redact.patterns import Patterns
from guardrail.redact.redactor import MAX_CHARS

LONG_START = 60.0


@pytest.fixture
async def redactor() -> AsyncIterator[Redactor]:
    redactor = Redactor(start=LONG_START, deadline=20.0)
    yield redactor
    await redactor.close()


async def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def patterns() -> Patterns:
    return Patterns()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ring 07700 900123 please", "ring <PHONE_NUMBER> please"),
        ("ring +49 30 1234567 please", "ring <PHONE_NUMBER> please"),
        ("mail a.person+x@example.org now", "mail <EMAIL_ADDRESS> now"),
        ("mail person@intranet.local now", "mail <EMAIL_ADDRESS> now"),
        ("see https://10.0.0.1/x?y=1 there", "see <URL> there"),
        ("see www.example.org/a there", "see <URL> there"),
        ("from 192.168.1.20 today", "from <IP_ADDRESS> today"),
        ("pay DE89 3704 0044 0532 0130 00 today", "pay <IBAN_CODE> today"),
        ("pay 4111 1111 1111 1111 today", "pay <CREDIT_CARD> today"),
        ("my name is anna Maria Muster and", "my name is <PERSON> and"),
        ("ich heiße Jörg und", "ich heiße <PERSON> und"),
        ("me llamo José Pérez y", "me llamo <PERSON> y"),
        ("je m'appelle Zoé et", "je m'appelle <PERSON> et"),
        ("Frau Muster war da", "Frau <PERSON> war da"),
        ("born 12.03.1985 in", "born <NUMBER> in"),
        ("passport X1234567 and", "passport <NUMBER> and"),
        ("at 12 Baker Street now", "at <ADDRESS> now"),
        ("in der Hauptstraße 5a jetzt", "in der <ADDRESS> jetzt"),
        ("12 rue de la Paix", "<ADDRESS>"),
        ("I am @some_user there", "I am <USERNAME> there"),
    ],
)
def test_personal_data_is_replaced_by_its_kind(patterns: Patterns, text: str, expected: str) -> None:
    assert patterns.redact(text, "en") == expected


@pytest.mark.parametrize(
    "text",
    [
        "suicide, severity 4 of 4, policy base@1, turns 12",
        "call me later, I am 15 and it is 24/7",
        "the first place I go is the way home",
        "seit 8 Wochen geht es ihr 100 % schlechter",
    ],
)
def test_what_a_responder_needs_stays(patterns: Patterns, text: str) -> None:
    assert patterns.redact(text, "en") == text


NUMBER = "07700 900123"


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_number_goes_wherever_it_stands(before: str, after: str) -> None:
    shared = _shared()
    assert NUMBER not in shared.redact(f"{before} {NUMBER} {after}", "en")


def _shared(kept: list[Patterns] = []) -> Patterns:  # noqa: B006  (built once: it costs a second)
    if not kept:
        kept.append(Patterns())
    return kept[0]


@pytest.mark.parametrize("part", ["a.", "1 2-", "@a.", "http://", "A ", "a@", "my name is "])
def test_no_text_of_allowed_length_keeps_the_worker_busy(patterns: Patterns, part: str) -> None:
    text = (part * MAX_CHARS)[:MAX_CHARS]
    cpu = time.process_time()
    patterns.redact(text, "en")
    assert time.process_time() - cpu < 30  # quadratic patterns take minutes


def test_the_proxy_never_loads_presidio() -> None:
    code = "import guardrail.redact, sys; sys.exit(any(m.startswith(('presidio', 'spacy')) for m in sys.modules))"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


async def test_a_worker_starts_when_asked_and_answers_many_at_once(redactor: Redactor) -> None:
    assert redactor.pid is None
    found = await asyncio.gather(*(redactor.redact(f"{n}: a@b.example\nsecond line", "en") for n in range(20)))
    assert found == [f"{n}: <EMAIL_ADDRESS>\nsecond line" for n in range(20)]


async def test_the_worker_gets_none_of_our_secrets(redactor: Redactor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDRAIL_SECRET", "a-secret")
    await redactor.redact("x", "en")
    assert b"a-secret" not in Path(f"/proc/{redactor.pid}/environ").read_bytes()


async def test_a_killed_worker_is_replaced(redactor: Redactor) -> None:
    await redactor.redact("x", "en")
    first = redactor.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: redactor.pid is None)
    assert await redactor.redact("a@b.example", "en") == "<EMAIL_ADDRESS>"
    assert redactor.pid not in (None, first)


async def test_a_hanging_worker_withholds_the_text_and_is_replaced() -> None:
    redactor = Redactor(start=LONG_START, deadline=3.0)
    await redactor.redact("x", "en")
    assert redactor.pid is not None
    os.kill(redactor.pid, signal.SIGSTOP)
    with pytest.raises(RedactionError) as caught:
        await redactor.redact("a@b.example", "en")
    assert caught.value.reason == "deadline"
    assert await redactor.redact("a@b.example", "en") == "<EMAIL_ADDRESS>"
    await redactor.close()


def worker(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


READY = "import sys,time; print('{\"id\":0}', flush=True); "


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(1)", "not_started"),
        ("import time; time.sleep(60)", "not_started"),
        ("print('hello', flush=True); import time; time.sleep(60)", "not_started"),
        (READY + "sys.stdin.readline(); raise SystemExit(1)", "crashed"),
        (READY + "sys.stdin.readline(); time.sleep(60)", "deadline"),
        (READY + "sys.stdin.readline(); print('garbage', flush=True); time.sleep(60)", "crashed"),
        (READY + 'sys.stdin.readline(); print(\'{"id":7,"text":"other"}\', flush=True); time.sleep(60)', "crashed"),
        (READY + "sys.stdin.readline(); print('x' * 10_000_000, flush=True); time.sleep(60)", "crashed"),
    ],
)
async def test_whatever_goes_wrong_nothing_of_the_text_comes_back(code: str, reason: str) -> None:
    redactor = Redactor(start=2.0, deadline=1.0, command=worker(code))
    with pytest.raises(RedactionError) as caught:
        await redactor.redact("a@b.example", "en")
    assert caught.value.reason == reason
    assert "a@b" not in str(caught.value)
    assert redactor.pid is None
    await redactor.close()


async def test_a_missing_program_is_an_error_of_ours() -> None:
    redactor = Redactor(command=("/nowhere/python",))
    with pytest.raises(RedactionError):
        await redactor.redact("x", "en")
    await redactor.close()


async def test_a_text_too_long_is_withheld(redactor: Redactor) -> None:
    with pytest.raises(RedactionError):
        await redactor.redact("a" * (MAX_CHARS + 1), "en")
    assert redactor.pid is None


ECHO = """
import json, sys, time
print('{"id":0}', flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    time.sleep(60 if ask["text"] == "slow" else 0)
    print(json.dumps({"id": ask["id"], "text": ask["text"]}), flush=True)
"""


async def test_a_caller_that_gives_up_does_not_shift_the_answers() -> None:
    redactor = Redactor(start=20.0, deadline=20.0, command=worker(ECHO))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(redactor.redact("slow", "en"), 1.0)
    assert await redactor.redact("second", "en") == "second"
    await redactor.close()


async def test_an_idle_worker_ends_and_a_closed_redactor_starts_none() -> None:
    redactor = Redactor(start=LONG_START, deadline=20.0, idle=0.05)
    await redactor.redact("x", "en")
    await until(lambda: redactor.pid is None)
    assert await redactor.redact("a@b.example", "en") == "<EMAIL_ADDRESS>"
    await redactor.close()
    with pytest.raises(RedactionError):
        await redactor.redact("x", "en")
    assert redactor.pid is None


async def test_a_worker_ends_when_its_proxy_is_killed() -> None:
    code = (
        "import asyncio, time\nfrom guardrail.redact import Redactor\n"
        "async def main():\n r = Redactor(start=60, deadline=20)\n await r.redact('x', 'en')\n print(r.pid, flush=True)\n time.sleep(60)\n"
        "asyncio.run(main())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    proxy = await asyncio.create_subprocess_exec(*worker(code), stdout=asyncio.subprocess.PIPE, env=environment)
    assert proxy.stdout is not None
    pid = int(await proxy.stdout.readline())
    proxy.kill()
    await proxy.wait()
    await until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
