"""``guardrail cases list|show|ack|resolve``: cases of a data folder or in Redis, also while proxies run on it."""

from __future__ import annotations

import argparse
import getpass
import time
from collections.abc import Callable
from typing import Any, cast

from escalation.case import OUTCOMES, STATES, Case, Outcome, State
from escalation.sqlite import SqliteCaseStore
from escalation.store import CaseStore, StoreError
from guardrail.cli.common import add_data, add_json, settings_of
from guardrail.cli.output import fail, say, say_json
from guardrail.settings import SettingsError
from guardrail.store.shared import shared_cases


def add_to(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser("cases", help="cases for humans", description=__doc__)
    verbs = command.add_subparsers(dest="verb", required=True, metavar="list|show|ack|resolve")
    listing = verbs.add_parser("list", help="cases, newest first")
    listing.add_argument("--state", choices=STATES)
    listing.add_argument("--limit", type=int, default=100)
    listing.set_defaults(run=run_list)
    show = verbs.add_parser("show", help="one case")
    ack = verbs.add_parser("ack", help="say that you have seen it; nobody is paged any more")
    resolve = verbs.add_parser("resolve", help="say that it is over")
    resolve.add_argument("--outcome", choices=OUTCOMES, required=True)
    resolve.add_argument("--note", default="")
    for verb, run in ((show, run_show), (ack, run_ack), (resolve, run_resolve)):
        verb.add_argument("id", metavar="ID")
        verb.set_defaults(run=run)
    for verb in (ack, resolve):
        verb.add_argument("--by", default=None, metavar="NAME", help="who you are (default: your user name)")
    for verb in (listing, show, ack, resolve):
        add_data(verb)
        add_json(verb)


def _with_store(arguments: argparse.Namespace, work: Callable[[CaseStore], int]) -> int:
    try:
        settings = settings_of(arguments)
        path = settings.data / "cases.db"
        if settings.redis_url is None and not path.is_file():
            return fail(f"{path}: there is none; name the proxy's data folder with --data")
        store = shared_cases(settings) or SqliteCaseStore(path)
    except SettingsError as error:
        return fail(error.problems)
    except StoreError as error:
        return fail(str(error))
    try:
        return work(store)
    except StoreError as error:
        return fail(str(error))
    finally:
        store.close()


def run_list(arguments: argparse.Namespace) -> int:
    def work(store: CaseStore) -> int:
        limit = min(max(1, arguments.limit), 1000)
        found, more = store.find(cast("State | None", arguments.state), limit, None)
        if arguments.json:
            say_json({"items": [case.public() for case in found], "next": more})
            return 0
        for case in found:
            say(_line(case))
        say(f"{len(found)} cases" + (", and more: raise --limit" if more else ""))
        return 0

    return _with_store(arguments, work)


def run_show(arguments: argparse.Namespace) -> int:
    return _with_store(arguments, lambda store: _said(arguments, store.get(arguments.id)))


def run_ack(arguments: argparse.Namespace) -> int:
    return _with_store(
        arguments, lambda store: _said(arguments, store.acknowledge(arguments.id, _by(arguments), time.time()))
    )


def run_resolve(arguments: argparse.Namespace) -> int:
    outcome = cast("Outcome", arguments.outcome)
    return _with_store(
        arguments,
        lambda store: _said(
            arguments, store.resolve(arguments.id, _by(arguments), outcome, arguments.note, time.time())
        ),
    )


def _by(arguments: argparse.Namespace) -> str:
    return str(arguments.by or getpass.getuser())


def _said(arguments: argparse.Namespace, case: Case) -> int:
    if arguments.json:
        say_json(case.public())
    else:
        for name, value in case.public().items():
            if value not in (None, "", []):
                say(f"{name:16} {value}")
    return 0


def _line(case: Case) -> str:
    opened = str(case.public()["opened_at"])
    return f"{case.id}  {opened}  severity {case.severity}  {case.category:18} {case.state:12} {case.rule}"
