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
        ("redis_url: redis://x\n", "1:12: redis_url is not supported by this version; remove it"),
        ("store_text: true\n", "1:13: store_text: true is not supported by this version; remove it"),
        ("json_dialect: [{path: /x}]\n", "1:15: json_dialect is not supported by this version; remove it"),
        (
            "moderations: local\n",
            "1:14: moderations: local is not supported by this version; remove it, or write upstream",
        ),
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


def test_a_shared_redis_that_would_not_be_used_is_refused() -> None:
    lines = problems(None, {"GUARDRAIL_UPSTREAM": UPSTREAM, "REDIS_URL": "redis://x"})
    assert lines == ["REDIS_URL: redis_url is not supported by this version; remove it"]


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
