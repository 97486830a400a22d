"""Logs are read by people who may not read the conversations: no text, secret or query string gets there."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from guardrail.core.model import Message
from guardrail.logs import REFUSED_KEYS, configure, refuse_text

SAID = "what-somebody-said"


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    configure("info")

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield lines
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before
    logging.getLogger().setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False


def test_a_line_is_json_with_a_level_and_a_time(logged: Any) -> None:
    structlog.get_logger().warning("the journal was recovered", reason="torn", count=1)
    [line] = logged()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "the journal was recovered",
        "level": "warning",
        "reason": "torn",
        "count": 1,
    }


@pytest.mark.parametrize(
    "key",
    ["text", "content", "message_text", "body", "Authorization", "x", "message-text"],
)
def test_text_is_refused_and_the_mistake_is_named(logged: Any, key: str) -> None:
    value: object = SAID if key != "x" else SAID.encode()
    structlog.get_logger().info("something", **{key: value}, nested={"items": [{key: value}]})
    [line] = logged()
    assert SAID not in json.dumps(line)
    assert line["refused"] == [key]


def test_values_that_could_hold_text_are_named_by_their_type_only(logged: Any) -> None:
    structlog.get_logger().info("something", turn=Message("user", SAID), error=ValueError(SAID))
    [line] = logged()
    assert (line["turn"], line["error"]) == ("<Message>", "<ValueError>")


def test_an_error_is_told_by_type_and_place_without_its_sentence(logged: Any) -> None:
    try:
        raise ValueError(SAID)
    except ValueError:
        structlog.get_logger().exception("it failed")
    [line] = logged()
    assert line["error"] == "ValueError" and "test_logs.py" in line["trace"][0]
    assert SAID not in json.dumps(line)


def test_query_strings_are_never_logged(logged: Any) -> None:
    structlog.get_logger().info("passed on", path=f"/v1/x?key={SAID}", url=f"https://host/a?b={SAID}&c#d")
    [line] = logged()
    assert line["path"] == "/v1/x?…" and SAID not in json.dumps(line)


def test_what_libraries_say_is_kept_out_and_that_they_spoke_is_kept(
    logged: Any,
) -> None:
    try:
        raise RuntimeError(SAID)
    except RuntimeError:
        logging.getLogger("asyncio").exception(f"Task exception was never retrieved {SAID}")
    logging.getLogger("aiohttp.client").warning("body was %s", SAID)
    logging.getLogger("uvicorn.access").info('"GET /?q=%s"', SAID)
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    lines = logged()
    assert SAID not in json.dumps(lines)
    assert [line["logger"] for line in lines] == [
        "asyncio",
        "aiohttp.client",
        "uvicorn.error",
    ]
    assert lines[0]["error"] == "RuntimeError" and lines[2]["event"] == "Started server process [7]"


def test_levels_are_kept_and_an_unknown_one_is_refused(logged: Any) -> None:
    structlog.get_logger().debug("too fine")
    assert logged() == []
    with pytest.raises(ValueError, match="debug, info, warning, error"):
        configure("loud")


def test_logs_go_to_stderr_and_never_to_the_output_of_a_command() -> None:
    code = "from guardrail.logs import configure; import structlog; configure('info'); structlog.get_logger().info('x')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout == "" and json.loads(done.stderr)["event"] == "x"


TREES = st.recursive(
    st.just(SAID) | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(REFUSED_KEYS)), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(REFUSED_KEYS)), TREES, min_size=1, max_size=4))
def test_no_refused_key_survives_at_any_depth(event: dict[str, Any]) -> None:
    assert SAID not in json.dumps(refuse_text(None, "info", {"event": "x", "nested": {"more": event}}))
