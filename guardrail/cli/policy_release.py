"""``guardrail policy keys|sign|verify|copy``: who released a pack, and is it what they released?"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
from pathlib import Path
from typing import Any

from guardrail.cli.common import add_json
from guardrail.cli.output import fail, say, say_json
from guardrail.policy.contents import read_contents
from guardrail.policy.signing import (
    NAME,
    PREFIX,
    SigningError,
    fingerprint,
    new_key,
    read_private,
    read_public,
    sign,
    verify,
)


def add_to(verbs: Any) -> None:
    keys = verbs.add_parser("keys", help="make a pair of keys, or name one")
    keys.add_argument("name", metavar="NAME|FILE.pub", help="the holder's name, or a public key to show")
    keys.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where the pair is written")
    keys.set_defaults(run=run_keys)
    signing = verbs.add_parser("sign", help="release a pack: who, in which role, when and why")
    signing.add_argument("pack", type=Path, metavar="FOLDER")
    signing.add_argument("--key", type=Path, required=True, metavar="FILE.key")
    for name, what in (("who", "your name"), ("role", "such as clinical lead"), ("why", "what this version is for")):
        signing.add_argument(f"--{name}", required=True, help=what)
    signing.set_defaults(run=run_sign)
    verifying = verbs.add_parser("verify", help="is a pack what somebody released?")
    verifying.add_argument("pack", type=Path, metavar="FOLDER")
    verifying.add_argument(
        "--key", action="append", default=[], metavar="FILE.pub", help="a trusted key; may be repeated"
    )
    verifying.set_defaults(run=run_verify)
    copying = verbs.add_parser("copy", help="copy a shipped pack, to sign it or to change it")
    copying.add_argument("name", metavar="PACK")
    copying.add_argument("folder", type=Path, metavar="FOLDER")
    copying.set_defaults(run=run_copy)
    for verb in (keys, signing, verifying, copying):
        add_json(verb)


def run_keys(arguments: argparse.Namespace) -> int:
    if arguments.name.endswith(".pub"):
        try:
            key = read_public(arguments.name)
        except SigningError as error:
            return fail(str(error))
        return _tell(arguments, {"key": f"{PREFIX}{key}", "fingerprint": fingerprint(key)})
    private, public = new_key()
    if Path(arguments.name).name != arguments.name:
        return fail(f"{arguments.name}: is no name; name the folder with --out")
    secret, shown = arguments.out / f"{arguments.name}.key", arguments.out / f"{arguments.name}.pub"
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
        shown.write_text(f"{public} {arguments.name}\n")
    except FileExistsError:
        return fail(f"{secret}: is there already; choose another name, or keep using it")
    except OSError as error:
        return fail(f"{error.filename or arguments.out}: cannot be written ({(error.strerror or 'error').lower()})")
    print_ = fingerprint(public.removeprefix(PREFIX))
    return _tell(arguments, {"private": str(secret), "public": str(shown), "key": public, "fingerprint": print_})


def run_sign(arguments: argparse.Namespace) -> int:
    from guardrail.policy.compile import compile_packs
    from guardrail.policy.source import Pack, PolicyError, Problems

    texts = {name: getattr(arguments, name).strip() for name in ("who", "role", "why")}
    for name, text in texts.items():
        if not text or len(text) > 500 or not text.isprintable():
            return fail(f"--{name} must be one line of at most 500 characters")
    problems = Problems()
    pack = Pack(arguments.pack, problems)
    if problems or pack.head is None:
        return fail(problems)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        key = read_private(arguments.key)
        signature = sign(pack.contents, str(pack.head.tree.get("id", "")), key, when=now, **texts)
    except SigningError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{arguments.pack / NAME}: cannot be written ({(error.strerror or 'error').lower()})")
    note = ""
    if {"rules", "on_failure"} <= {key for source in pack.files for key in source.tree}:
        try:
            compile_packs([arguments.pack])
        except PolicyError as error:
            note = f"it does not compile on its own: {len(error.problems)} problems, see guardrail policy lint"
    return _tell(
        arguments,
        {
            "signed": str(arguments.pack / NAME),
            "files": len(signature.files),
            "signer": signature.signer,
            "when": signature.when,
            "fingerprint": fingerprint(signature.key),
            **({"note": note} if note else {}),
        },
    )


def run_verify(arguments: argparse.Namespace) -> int:
    try:
        trusted = [read_public(given) for given in arguments.key]
        signature = verify(read_contents(arguments.pack))
    except SigningError as error:
        if arguments.json:
            say_json({"good": False, "problem": str(error)})
            return 1
        say(f"not good: {error}")
        return 1
    known = signature.key in trusted
    good = known or not trusted
    told = {
        "good": good,
        "pack": signature.pack,
        "signer": signature.signer,
        "when": signature.when,
        "why": signature.why,
        "files": len(signature.files),
        "fingerprint": fingerprint(signature.key),
        "trusted": known,
    }
    if arguments.json:
        say_json(told)
    else:
        state = "good" if good else "not good: the key is not trusted"
        say(f"{state}: {signature.pack}, signed by {signature.signer} on {signature.when}: {signature.why}")
        say(f"key {fingerprint(signature.key)}, {'trusted' if known else 'named by nobody as trusted'}")
    return 0 if good else 1


def run_copy(arguments: argparse.Namespace) -> int:
    from guardrail.shipped import POLICIES

    source = POLICIES / arguments.name
    if not (source / "pack.yaml").is_file():
        return fail(f"{arguments.name}: is no shipped pack; there is base")
    try:
        shutil.copytree(source, arguments.folder)
    except FileExistsError:
        return fail(f"{arguments.folder}: is there already; name a new folder")
    except OSError as error:
        return fail(f"{arguments.folder}: cannot be written ({(error.strerror or 'error').lower()})")
    return _tell(arguments, {"copied": str(source), "to": str(arguments.folder)})


def _tell(arguments: argparse.Namespace, told: dict[str, object]) -> int:
    if arguments.json:
        say_json(told)
    else:
        for name, value in told.items():
            say(f"{name}: {value}")
    return 0
