"""Settings that are wrong stop the start and say where; settings that are right mean what was written."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path

import pytest

from guardrail.settings import (
    SecretFileError,
    Settings,
    SettingsError,
    load,
    load_or_make_secret,
    template,
    warnings,
)
from guardrail.settings_model import Escalation, Limits, Responders

UPSTREAM = "http://127.0.0.1:9000"
WHSEC = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "guardrail.yaml"


def problems(path: Path | None, environ: dict[str, str] | None = None, **overrides: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(path, overrides, environ or {})
    return [line.removeprefix(f"{path}:") for line in caught.value.problems]


def test_the_template_loads_as_it_is_and_holds_the_defaults(file: Path) -> None:
    file.write_text(template(UPSTREAM))
    settings = load(file, {}, {})
    assert settings == load(None, {"upstream": UPSTREAM, "data": file.parent / "data"}, {})


def test_the_template_mentions_every_key() -> None:
    text = template(UPSTREAM)
    for model in (Settings, Responders, Escalation, Limits):
        for key in model.model_fields:
            assert re.search(rf"\b{key}(_file)?:", text), key


def test_the_contract_s_example_means_what_it_says(file: Path) -> None:
    file.write_text(
        f"""
upstream: http://127.0.0.1:9000
escalation:
  channels:
    oncall: {{kind: webhook, url: "https://example.org/hook", secret: "{WHSEC}"}}
    team:   {{kind: apprise, url: "slack://a/b/c"}}
  ladder:
    - {{after: 0s, notify: [oncall]}}
    - {{after: 5m, notify: [oncall, team]}}
"""
    )
    settings = load(file, {}, {})
    assert [(rung.after, rung.notify) for rung in settings.escalation.rungs] == [
        (0.0, ("oncall",)),
        (300.0, ("oncall", "team")),
    ]
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert warnings(settings) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("upsteam: http://x\n", "1:1: unknown key 'upsteam'; did you mean upstream?"),
        ("escalation:\n  chanels: {}\n", "2:3: unknown key 'chanels'; did you mean channels?"),
        ("limits: {request_bdy: 1}\n", "1:10: unknown key 'request_bdy'; did you mean request_body?"),
        ("upstream: ftp://x\n", "1:11: upstream: not an http or https URL; write one such as http://127.0.0.1:9000"),
        ("listen: 8080\n", "1:9: listen is of the wrong kind; write text, in quotes where it looks like a number"),
        ("mode: watch\n", "1:7: mode has a value it cannot have; write 'enforce' or 'shadow'"),
        ("mode: shadow\nmode: enforce\n", "2:1: mode is given twice; keep one of them"),
        ("redis_url: localhost\n", "1:12: redis_url: not a Redis URL; write redis://HOST:6379/0, "),
        ("redis_url: redis+sentinel://a,b\n", "1:12: redis_url: not a Redis URL; "),
        ("store_text: true\n", "1:13: store_text: true is not supported by this version; remove it"),
        ("moderations: both\n", "1:14: moderations has a value it cannot have; write 'upstream' or 'local'"),
        ("policies: base\n", "1:11: policies is of the wrong kind; write a list"),
        ("policies: []\n", "1:11: policies is of the wrong kind; write at least one item"),
        ("limits: {messages: 0}\n", "1:20: messages is out of range; at least 1"),
        ("limits: {keep_alive: 10}\n", "1:22: keep_alive: not a duration; write a number with its unit, "),
        ("default_country: UK\n", "1:18: default_country: not an ISO 3166 country code; the United Kingdom is GB"),
        ("responders: {kind: trained, hours: always}\n", "1:36: hours: hours that cannot be read; write 24/7, "),
        ("secret: short\n", "1:9: secret: a secret of fewer than 16 characters; make one with: openssl rand -hex 32"),
        ("secret: ${NOT_THERE}\n", "1:9: the environment has no NOT_THERE; set it, or write the value here"),
        ("secret_file: nowhere\n", "1:14: the file it names is empty or cannot be read; "),
        ("secret_file: a\nsecret: b\n", "1:1: secret and secret_file are both given; keep one"),
        ("a: [1\nb: 2\n", "2:2: not valid YAML here; "),
        ("- upstream\n", "1:1: not a list of settings; write one `key: value` a line"),
        ("responders: &x {kind: *x}\n", ""),
    ],
)
def test_what_is_wrong_is_named_where_it_stands_with_what_to_do(file: Path, text: str, expected: str) -> None:
    file.write_text(text)
    assert any(line.startswith(expected) for line in problems(file))


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ('{kind: webhook, url: "https://x"}', "4:8: secret is missing; add it"),
        ('{kind: webhook, url: "https://x", secret: "whsec_!"}', "4:50: secret: not a webhook secret; "),
        ('{kind: webhook, url: "https://x", secret: "c2VjcmV0"}', "4:50: secret: not a webhook secret; "),
        (f'{{kind: webhook, url: "nowhere", secret: "{WHSEC}"}}', "4:29: url: not an http or https URL; "),
        (f'{{kind: webhook, url: "https://x", secret: "{WHSEC}", sekret: 1}}', "unknown key 'sekret'; did you mean"),
        ('{kind: smoke, url: "https://x"}', "4:8: channel 'a' needs a kind; write kind: webhook or kind: apprise"),
        ('{kind: apprise, url: "slack"}', "4:29: url: not an Apprise URL; "),
    ],
)
def test_a_channel_that_could_not_page_anybody_stops_the_start(file: Path, channel: str, expected: str) -> None:
    file.write_text(f"upstream: {UPSTREAM}\nescalation:\n  channels:\n    a: {channel}\n")
    [line] = problems(file)
    assert expected in line


@pytest.mark.parametrize(
    ("ladder", "expected"),
    [
        ("[{after: 0s, notify: [tem]}]", "5:33: unknown channel 'tem'; did you mean team?"),
        ("[{after: 0s, notify: []}]", "5:32: notify is of the wrong kind; write at least one item"),
        ("[{after: 5m, notify: [team]}, {after: 1m, notify: [team]}]", "5:49: not later than the step before it; "),
        ("[{after: 0s, notify: [team, team]}]", "5:39: channel team is named twice in one step; keep one"),
        ("[{after: 5, notify: [team]}]", "5:20: after: not a duration; "),
    ],
)
def test_a_ladder_that_would_not_reach_anybody_stops_the_start(file: Path, ladder: str, expected: str) -> None:
    file.write_text(
        f'upstream: {UPSTREAM}\nescalation:\n  channels:\n    team: {{kind: apprise, url: "slack://a"}}\n  ladder: {ladder}\n'
    )
    assert any(line.startswith(expected) for line in problems(file))


@pytest.mark.parametrize(
    ("ladders", "expected"),
    [
        ("{abuse: [{after: 0s, notify: [tem]}]}", "unknown channel 'tem'; did you mean team?"),
        ("{abuse: []}", "write at least one item"),
        ("{abuse: [{after: 5m, notify: [team]}, {after: 1m, notify: [team]}]}", "not later than the step before it"),
    ],
)
def test_a_named_ladder_is_held_to_the_same(file: Path, ladders: str, expected: str) -> None:
    file.write_text(
        f'upstream: {UPSTREAM}\nescalation:\n  channels:\n    team: {{kind: apprise, url: "slack://a"}}\n  ladders: {ladders}\n'
    )
    assert any(line.startswith("5:") and expected in line for line in problems(file))


def test_all_problems_are_told_at_once_in_the_order_of_the_file(file: Path) -> None:
    file.write_text("mode: watch\nupstream: x\nfoo: 1\n")
    lines = problems(file, {"GUARDRAIL_LIMITS__MESSAGES": "many"}, listen="nowhere")
    assert [line.split(":")[0] for line in lines] == ["1", "2", "3", "--listen", "GUARDRAIL_LIMITS__MESSAGES"]


def test_a_missing_upstream_is_an_error_only_where_one_is_needed(file: Path) -> None:
    assert problems(None) == ["upstream: no upstream; name the chatbot's base URL, such as http://127.0.0.1:9000"]
    assert load(None, {"data": file.parent}, {}, need_upstream=False).data == file.parent


def test_option_over_variable_over_file(file: Path) -> None:
    file.write_text("upstream: http://file\nlisten: 127.0.0.1:1\nmode: shadow\n")
    environ = {"GUARDRAIL_UPSTREAM": "http://env", "GUARDRAIL_LISTEN": "127.0.0.1:2"}
    settings = load(file, {"listen": "127.0.0.1:3", "upstream": None}, environ)
    assert (settings.upstream, settings.listen, settings.mode) == ("http://env", "127.0.0.1:3", "shadow")


def test_variables_reach_every_kind_of_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(WHSEC + "\n")
    settings = load(
        None,
        {},
        {
            "GUARDRAIL_UPSTREAM": UPSTREAM,
            "GUARDRAIL_SECRET": "1234567890123456",
            "GUARDRAIL_POLICIES": "base,./mine",
            "GUARDRAIL_RESPONDERS__KIND": "trained",
            "GUARDRAIL_STORE_TEXT": "false",
            "GUARDRAIL_LIMITS__MESSAGES": "5",
            "GUARDRAIL_LIMITS__REQUEST_BODY": "1MiB",
            "GUARDRAIL_ESCALATION__CHANNELS__ONCALL__KIND": "webhook",
            "GUARDRAIL_ESCALATION__CHANNELS__ONCALL__URL": "https://example.org",
            "GUARDRAIL_ESCALATION__CHANNELS__ONCALL__SECRET_FILE": str(tmp_path / "key"),
            "GUARDRAIL_ESCALATION__LADDER": "[{after: 0s, notify: [oncall]}]",
            "GUARDRAIL_PUBLIC_URL": "",
        },
    )
    assert settings.secret is not None and settings.secret.get_secret_value() == "1234567890123456"
    assert settings.policies == ("base", str(Path.cwd() / "mine"))
    assert (settings.limits.messages, settings.limits.request_body) == (5, 1024**2)
    assert settings.escalation.rungs[0].notify == ("oncall",)
    assert settings.public_url is None


def test_a_misspelt_variable_is_an_error_and_cluster_variables_are_not() -> None:
    base = {"GUARDRAIL_UPSTREAM": UPSTREAM}
    links = {"GUARDRAIL_SERVICE_HOST": "10.0.0.1", "GUARDRAIL_PORT_8080_TCP": "tcp://x", "GUARDRAIL_SERVICE_PORT": "1"}
    assert load(None, {}, base | links).upstream == UPSTREAM
    assert problems(None, base | {"GUARDRAIL_LISTN": "x"}) == [
        "GUARDRAIL_LISTN: unknown key 'listn'; did you mean listen?"
    ]


def test_where_redis_is_may_come_from_the_environment_and_is_checked() -> None:
    [line] = problems(None, {"GUARDRAIL_UPSTREAM": UPSTREAM, "REDIS_URL": "redis//a-very-secret"})
    assert line.startswith("REDIS_URL: redis_url: not a Redis URL; write ") and "secret" not in line


def test_secrets_are_never_printed(file: Path) -> None:
    file.write_text(
        f"upstream: {UPSTREAM}\nsecret: a-very-secret-value\nadmin_token: a-very-secret-token\nescalation:\n  channels:\n"
        f'    a: {{kind: apprise, url: "slack://a-very-secret-hook"}}\n    b: {{kind: webhook, url: "https://a-very-secret", '
        f'secret: "{WHSEC}"}}\n'
    )
    settings = load(file, {}, {})
    shown = repr(settings) + str(settings) + str(settings.model_dump()) + settings.model_dump_json()
    assert "a-very-secret" not in shown and WHSEC not in shown
    file.write_text(
        "secret: abc-very\nadmin_token: abc very\nescalation:\n  channels:\n    a: {kind: apprise, url: abc-very}\n"
    )
    assert not any("abc" in line for line in problems(file))


CHAT = "{path: /chat, request: {text: /message}, reply: {text: /answer}}"


def test_a_chatbot_s_own_api_is_described_in_a_line(file: Path) -> None:
    file.write_text(f"upstream: {UPSTREAM}\njson_dialect:\n  - {CHAT}\n")
    [entry] = load(file, {}, {}).json_dialect
    assert (entry.path.text, entry.method, entry.request.text, entry.reply.text) == (
        "/chat",
        "POST",
        (("message",),),
        (("answer",),),
    )
    assert load(None, {"upstream": UPSTREAM}, {"GUARDRAIL_JSON_DIALECT": f"[{CHAT}]"}).json_dialect == (entry,)


def test_what_a_described_chatbot_cannot_do_is_said_at_the_start(file: Path) -> None:
    file.write_text(f"upstream: {UPSTREAM}\njson_dialect: [{CHAT}]\n")
    told = [line for line in warnings(load(file, {}, {})) if line.startswith("/chat")]
    assert len(told) == 2 and "judged alone" in told[0] and "steered" in told[1]
    able = CHAT.replace("text: /message", "text: /message, conversation: /id, guidance: /system")
    file.write_text(f"upstream: {UPSTREAM}\njson_dialect: [{able}]\n")
    assert not [line for line in warnings(load(file, {}, {})) if line.startswith("/chat")]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{path: chat, request: {text: /m}, reply: {text: /a}}", "3:12: path: not a path; write one such as /chat "),
        ("{path: '/chat?x=1', request: {text: /m}, reply: {text: /a}}", "3:12: path: not a path; "),
        (
            "{path: '/c/{id}x', request: {text: /m}, reply: {text: /a}}",
            "3:12: path: not a usable path; what varies is ",
        ),
        ("{path: '/{a}/{a}', request: {text: /m}, reply: {text: /a}}", "3:12: path: a name twice in one path; "),
        ("{path: /a/../b, request: {text: /m}, reply: {text: /a}}", "3:12: path: a path with dots "),
        ("{path: /guardrail/chat, request: {text: /m}, reply: {text: /a}}", "3:12: path: a path under /guardrail/"),
        ("{path: //Guardrail/x, request: {text: /m}, reply: {text: /a}}", "3:12: path: a path under /guardrail/"),
        ("{path: /c, method: GET, request: {text: /m}, reply: {text: /a}}", "3:24: method has a value it cannot have"),
        (
            "{path: /c, request: {text: message}, reply: {text: /a}}",
            "3:32: text: not a JSON pointer; it begins with a ",
        ),
        ("{path: /c, request: {text: $.message}, reply: {text: /a}}", "3:32: text: not a JSON pointer; it begins with"),
        (
            "{path: /c, request: {text: [/m, /a~2]}, reply: {text: /a}}",
            "3:37: text: not a JSON pointer; in a key write",
        ),
        ("{path: /c, request: {text: 5}, reply: {text: /a}}", "3:32: text: not a JSON pointer; write one such as "),
        ("{path: /c, request: {text: []}, reply: {text: /a}}", "3:32: text is of the wrong kind; write at least one "),
        ("{path: /c, request: {}, reply: {text: /a}}", "3:25: request: no text; name the place of the person's words"),
        ("{path: /c, request: {text: /m}, reply: {}}", "3:5: json_dialect: reply has no text; name the place of the "),
        ("{path: /c, request: {text: /m}}", "3:5: reply is missing; add it"),
        ("{path: /c, request: {txt: /m}, reply: {text: /a}}", "3:26: unknown key 'txt'; did you mean text?"),
        ("{path: /c, request: {text: /m}, reply: {tex: /a}}", "3:45: unknown key 'tex'; did you mean text?"),
        ("{path: /c, reqest: {text: /m}, reply: {text: /a}}", "3:16: unknown key 'reqest'; did you mean request?"),
        (
            "{path: /c, request: {messages: {at: /h, rol: /r, text: /t}}, reply: {text: /a}}",
            "3:45: unknown key 'rol'; did you mean role?",
        ),
        (
            "{path: /c, request: {text: /m}, reply: {text: /a, stream: {format: sse, don: x}}}",
            "3:77: unknown key 'don'; did you mean done?",
        ),
        (
            "{path: /c, request: {text: /m}, reply: {text: /a, stream: {format: sse, done: {at: /d, was: 1}}}}",
            "3:92: unknown key 'was'; ",
        ),
        ("{path: /c, request: {messages: {at: /h, text: /t}}, reply: {text: /a}}", "3:36: role is missing; add it"),
        (
            "{path: /c, request: {messages: {at: /*/h, role: /r, text: /t}}, reply: {text: /a}}",
            "3:41: at: a star where one place is meant; write an index",
        ),
        (
            "{path: /c, request: {text: /m, conversation: 'path:id'}, reply: {text: /a}}",
            "3:5: json_dialect: path has no segment called 'id'; write it as {NAME}",
        ),
        (
            "{path: /c, request: {messages: {at: /h, role: /r, text: /t}, conversation: /id}, reply: {text: /a}}",
            "3:25: request: messages and conversation are both given; keep messages",
        ),
        (
            "{path: /c, request: {text: /m, guidance: messages}, reply: {text: /a}}",
            "3:25: request: guidance: messages,",
        ),
        (
            "{path: /c, request: {text: /m, stream: /s}, reply: {text: /a}}",
            "3:5: json_dialect: request.stream without ",
        ),
        (
            "{path: /c, request: {text: /m, stream: never}, reply: {text: /a, stream: {format: sse}}}",
            "3:5: json_dialect: reply.stream with request.stream: never; ",
        ),
        (
            "{path: /c, request: {text: /m, stream: /s}, reply: {stream: {format: sse, text: /d}}}",
            "3:5: json_dialect: reply has no text; ",
        ),
        ("{path: /c, request: {text: /m}, reply: {text: /a, stream: {format: xml}}}", "3:72: format has a value it "),
        (
            "{path: /c, request: {text: /m}, reply: {text: /a, stream: {format: ndjson, event: x}}}",
            "3:63: stream: event names in ndjson, which has none; ",
        ),
        (
            "{path: /c, request: {text: /m}, reply: {text: /a, stream: {format: sse, done: {is: 1}}}}",
            "3:83: done: nothing that tells it; write at: POINTER",
        ),
        (
            "{path: /c, request: {text: /m}, reply: {text: /a, stream: {format: sse, done: {event: e, is: 1}}}}",
            "3:83: done: is without at; ",
        ),
        (
            "{path: /c, request: {text: /m}, reply: {text: /a, stream: {format: sse, done: {at: /e, data: x}}}}",
            "3:83: done: data and at are both given; ",
        ),
        (
            "{path: /c, request: {text: /m}, reply: {text: /a, stream: {format: sse, error: failed}}}",
            "3:63: stream: error by its data, which would say nothing; ",
        ),
        (
            "{path: /c, request: {text: /m, stream: /s}, reply: {text: /a, stream: {format: sse, content_type: application/json}}}",
            "3:5: json_dialect: a stream of type application/json, as whole replies are; ",
        ),
        ("{path: /c, request: {text: /m}, reply: {text: /a, constants: [x]}}", "3:66: constants: not constants; "),
        (
            "{path: /c, request: {text: /m}, reply: {text: /a, constants: {x: 1}}}",
            "3:66: constants: not a JSON pointer; ",
        ),
        (
            "{path: /c, request: {text: /m}, reply: {text: /a/b, constants: {/a: 1}}}",
            "3:5: json_dialect: nothing can be written at 'b', where what is above it is something else; ",
        ),
        ("{path: /c, request: {text: /m}, reply: {text: /a/99}}", "3:5: json_dialect: nothing can be written at '99'"),
        (
            "{path: /c, request: {text: /m}, reply: {text: /a}, error: {text: /*}}",
            "3:70: text: a star where one place ",
        ),
    ],
)
def test_a_description_that_would_leave_words_unread_stops_the_start(file: Path, entry: str, expected: str) -> None:
    file.write_text(f"upstream: {UPSTREAM}\njson_dialect:\n  - {entry}\n")
    assert any(line.startswith(expected) for line in problems(file)), problems(file)


@pytest.mark.parametrize(
    ("first", "second", "is_hidden"),
    [
        ("/chat", "/chat", True),
        ("/chat", "/Chat/", True),
        ("/s/{id}", "/s/{other}", True),
        ("/s/{id}", "/s/new", True),
        ("/s/new", "/s/{id}", False),
        ("/chat", "/chat/more", False),
    ],
)
def test_an_entry_that_no_request_would_reach_stops_the_start(
    file: Path, first: str, second: str, is_hidden: bool
) -> None:
    entries = "".join(f"  - {CHAT.replace('/chat', repr(path))}\n" for path in (first, second))
    file.write_text(f"upstream: {UPSTREAM}\njson_dialect:\n{entries}")
    if is_hidden:
        assert problems(file) == [
            "4:12: an entry before this one takes every request to this path; keep one, or put this one first"
        ]
    else:
        assert len(load(file, {}, {}).json_dialect) == 2


def test_a_channel_without_a_ladder_is_told_at_once(file: Path) -> None:
    file.write_text(f'upstream: {UPSTREAM}\nescalation: {{channels: {{team: {{kind: apprise, url: "slack://a"}}}}}}\n')
    [rung] = load(file, {}, {}).escalation.rungs
    assert (rung.after, rung.notify) == (0.0, ("team",))


def test_paths_in_the_file_are_relative_to_its_folder(file: Path) -> None:
    file.write_text(f"upstream: {UPSTREAM}\ndata: ./d\npolicies: [base, ./mine]\n")
    settings = load(file, {}, {})
    assert (settings.data, settings.policies) == (file.parent / "d", ("base", str(file.parent / "mine")))


def test_a_file_that_is_not_there_or_not_text_is_one_clear_line(file: Path) -> None:
    assert problems(file) == ["1:1: cannot be read (no such file or directory); check its name and permissions"]
    file.write_bytes(b"\xff\xfe\x00")
    assert problems(file) == ["1:1: not UTF-8 text; save it as UTF-8"]


@pytest.mark.parametrize(
    "value",
    ["2026-13-45", "!!int x", "!!bool maybe", "!!float ''", "2026-01-01T99:00:00Z", "[" * 60_000, "- " * 60_000],
)
def test_a_value_that_is_not_what_it_looks_like_is_one_clear_line(file: Path, value: str) -> None:
    file.write_text(f"upstream: {value}\n")
    (problem,) = problems(file)
    assert problem.startswith("1:1: ") and problem.count("\n") == 0


def test_aliases_that_stand_for_millions_of_values_do_not_hang_the_start(file: Path) -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 20)}]" for n in range(1, 12))
    file.write_text(f"l0: &l0 [x]\n{levels}\n")
    assert any("aliases that contain aliases" in problem for problem in problems(file))


def test_a_variable_that_is_no_date_is_read_as_text() -> None:
    with pytest.raises(SettingsError, match="GUARDRAIL_LIMITS__BODY"):
        load(None, {}, {"GUARDRAIL_UPSTREAM": "http://u", "GUARDRAIL_LIMITS__BODY": "2026-13-45"})


def make(folder: Path) -> bytes:
    return load_or_make_secret(folder, "secret")


def test_everybody_who_starts_at_once_gets_the_same_secret(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.map(make, [tmp_path / "data"] * 16)
    assert len(set(found)) == 1 and len(found[0]) == 43
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret"]
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_leaked_or_was_cut_is_refused_and_not_replaced(tmp_path: Path) -> None:
    load_or_make_secret(tmp_path, "secret")
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(SecretFileError, match="chmod 600"):
        load_or_make_secret(tmp_path, "secret")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "secret").write_bytes(b"")
    with pytest.raises(SecretFileError, match="fewer than 16"):
        load_or_make_secret(tmp_path, "secret")
    assert (tmp_path / "secret").read_bytes() == b""


def test_a_signature_that_anybody_can_make_is_worth_a_line(file: Path) -> None:
    file.write_text(f"upstream: {UPSTREAM}\nrequire_signed: true\n")
    assert any("require_signed without trusted_keys" in line for line in warnings(load(file, {}, {})))
    key = "ed25519 " + "A" * 43 + "="
    file.write_text(f'upstream: {UPSTREAM}\nrequire_signed: true\ntrusted_keys: ["{key}"]\n')
    assert not any("trusted_keys" in line for line in warnings(load(file, {}, {})))
