"""The demo: one chatbot, one conversation, without and with the guardrail. ``python -m demo.run [--once]``."""

from __future__ import annotations

import argparse
import base64
import contextlib
import queue
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from demo import chatbot, webhook
from demo.client import Said, Talk
from demo.running import DemoFailed, proxy, served
from demo.screen import Screen
from demo.script import SCENES, Scene

CASE_WITHIN = 15.0

Notices = queue.Queue[webhook.Notice]


def main() -> int:
    """0 when the script went as it should; 1 when anything did not, with a line that says what."""
    parser = argparse.ArgumentParser(prog="python -m demo.run", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the conversation instead of staying up")
    once = parser.parse_args().once
    screen = Screen()
    try:
        _demo(screen, once)
    except DemoFailed as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    except (httpx.HTTPError, ValueError, LookupError) as error:
        print(f"demo failed: a reply could not be read ({type(error).__name__})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0 if not once else 130
    return 0


def _demo(screen: Screen, once: bool) -> None:
    screen.say("crisis-guardrail: the same chatbot, with and without", "bold")
    screen.say("The chatbot is a script made to fail on purpose. No real person wrote any of this.", "dim")
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    notices: Notices = queue.Queue()
    with contextlib.ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="guardrail-demo-")))
        bot = stack.enter_context(served(chatbot.app))
        hook = stack.enter_context(served(webhook.make_app(secret, notices.put)))
        variables = {"DEMO_CHATBOT": bot, "DEMO_WEBHOOK": f"{hook}/cases", "DEMO_WEBHOOK_SECRET": secret}
        guarded = stack.enter_context(proxy(data, variables))
        _play(screen, stack, bot, guarded, notices)
        if once:
            screen.say("Done: everything above went through a real proxy on this machine.", "bold")
            return
        _explore(screen, bot, guarded, data)
        _until_told_to_stop()


def _play(screen: Screen, stack: contextlib.ExitStack, bot: str, guarded: str, notices: Notices) -> None:
    def another(url: str) -> Talk:
        talk = Talk(url)
        stack.callback(talk.close)
        return talk

    without, with_it = another(bot), another(guarded)
    for number, scene in enumerate(SCENES, 1):
        screen.say()
        screen.say(f"{number}. {scene.title}", "bold")
        screen.say(f"look: {scene.look}", "cyan")
        screen.say(f"Person: {scene.person}", "yellow")
        plain, safe = (
            (another(url) if scene.another else talk).say(scene.person, stream=scene.stream)
            for url, talk in ((bot, without), (guarded, with_it))
        )
        screen.beside(("WITHOUT", plain.text), (f"WITH GUARDRAIL  ({safe.action})", safe.text))
        _check(scene, plain, safe)
        if scene.opens_case:
            _show_case(screen, _next_case(notices))
    screen.say()


def _check(scene: Scene, plain: Said, safe: Said) -> None:
    if safe.action not in scene.expected:
        raise DemoFailed(
            f"“{scene.title}” ended with the action {safe.action or 'none'}, not {' or '.join(scene.expected)}"
        )
    if safe.action == "pass" and safe.text != plain.text:
        raise DemoFailed(f"“{scene.title}”: a calm reply was changed")
    if scene.never and (scene.never not in plain.text or scene.never in safe.text):
        raise DemoFailed(f"“{scene.title}”: the harmful words were not kept from the person")


def _next_case(notices: Notices) -> dict[str, Any]:
    try:
        notice: Any = notices.get(timeout=CASE_WITHIN)
    except queue.Empty:
        raise DemoFailed(f"the case did not arrive at the webhook within {CASE_WITHIN:.0f} s") from None
    return {"type": notice["type"], **notice["data"]}


def _show_case(screen: Screen, case: dict[str, Any]) -> None:
    screen.say(f"=> A human is told: {case['type']} arrived at the webhook, signature verified.", "green")
    screen.say(f"severity {case['severity']} of 4, {case['category']}, answer by {case['deadline']}", indent="   ")
    screen.say(
        f"rule {case['rule']} of policy {case['policy']}, country {case['country']}, case {case['id']}", indent="   "
    )
    screen.say(f"{case['summary']}", indent="   ")
    screen.say("No word of the person is in it: it is built from signals.", "dim", indent="   ")


def _explore(screen: Screen, bot: str, guarded: str, data: Path) -> None:
    screen.say("Still running. Look around:", "bold")
    token = f"$(cat {data}/admin-token)"
    for name, what in (
        ("proxy (base URL)", f"{guarded}/v1"),
        ("chatbot behind it", f"{bot}/v1"),
        ("health", f"{guarded}/guardrail/health/ready"),
        ("admin token", f"{data}/admin-token"),
        ("cases", f'curl -H "Authorization: Bearer {token}" {guarded}/guardrail/api/v1/cases'),
        ("metrics", f'curl -H "Authorization: Bearer {token}" {guarded}/guardrail/metrics'),
        ("journal", f"{sys.executable} -m guardrail.cli journal verify --data {data}"),
        ("talk to it", f"curl {guarded}/v1/chat/completions -H 'content-type: application/json' \\"),
    ):
        screen.raw(f"  {name:18}{what}")
    asked = '{"model": "sample-companion", "messages": [{"role": "user", "content": "I am going to bed, good night."}]}'
    screen.raw(f"  {'':18}  -d '{asked}'")
    screen.say("Ctrl-C ends it and removes its data.", "dim")


def _until_told_to_stop() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    while True:  # signal.pause() would sleep through a signal that comes just before it
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
