"""Small packs for tests: the least that compiles, and what a test puts beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guardrail.core.conditions import View
from guardrail.core.decide import Verdict, decide
from guardrail.core.model import Found, Signal
from guardrail.core.rules import Policy
from guardrail.policy import PolicyError, load

FILES = {
    "pack": 'id: t\nversion: "1"\nowner: o\nsources: [s]\nlanguages: [en]\nreview_by: 2030-01-01\n',
    "failures": """on_failure:
  detector_inbound: {action: steer, steer: watch}
  detector_outbound: {action: replace, response: unread}
  store: {action: steer, steer: watch}
  upstream: {action: replace, response: unread}
""",
    "texts": "locale: en\nresponses: {told.yes: told, told.no: not told, back: go on, unread: not now, card: 'so: {help}'}\n",
    "guidance": "guidance: {watch: watch out, look: look out}\n",
    "floor": """rules:
  - id: floor
    source: s
    when: {direction: inbound, signal: suicide, severity: ">=2"}
    then: {action: replace, response: unread, case: {deadline: 1h}}
""",
}


def pack(folder: Path, **files: str) -> Path:
    """A pack's folder. ``files``: name to text; an empty one is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**FILES, **files}.items():
        if text:
            (folder / f"{name}.yaml").write_text(text)
    return folder


def mounted(mount: Path, version: str, **files: str) -> Path:
    """A pack as Kubernetes mounts a ConfigMap: each file a link into ``..data``, itself a link that is exchanged."""
    released = pack(mount / f"..{version}", **files)
    (mount / "..data_tmp").symlink_to(released.name)
    (mount / "..data_tmp").replace(mount / "..data")
    for file in released.iterdir():
        if not (mount / file.name).is_symlink():
            (mount / file.name).symlink_to(Path("..data") / file.name)
    return mount


def rule(when: str, then: str = "action: steer, steer: watch", *, id: str = "r", more: str = "") -> str:
    return f"rules:\n  - id: {id}\n    source: s\n    when: {{{when}}}\n    then: {{{then}}}\n{more}"


def problems(folder: Path, *others: Path) -> list[str]:
    with pytest.raises(PolicyError) as error:
        load([folder, *others])
    return list(error.value.problems)


def fires(policy: Policy, signal: Signal, *others: Signal, id: str = "r", **view: Any) -> bool:
    """Whether a rule fires for a turn with these signals."""
    verdict = decided(policy, signal, *others, **view)
    return id in [step.rule for step in verdict.trail if step.fired]


def decided(policy: Policy, *signals: Signal, **view: Any) -> Verdict:
    direction = view.pop("direction", "inbound")
    return decide(policy, (Found("d", signals),), View(direction, **view))
