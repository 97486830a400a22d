"""Files that mean harm, or are merely broken: refused in one line with their place, in a moment, and nothing loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.yamlread import LARGEST
from tests.packs import pack, problems

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
)


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        (BOMB, "1:4", "anchors and aliases"),
        ("guidance: &g {a: *g}\n", "1:11", "anchors and aliases"),
        ("guidance: {a: !!python/object/apply:os.system [x]}\n", "1:15", "tags"),
        ("guidance: {a: !include secret.txt}\n", "1:15", "tags"),
        ("guidance:\n  a: [\n", "3:1", "not valid YAML"),
        ("guidance: {a: 1, a: 2}\n", "1:18", "not valid YAML"),
        ("rules: [{id: r, when: {direction: inbound, signal: sucide}}]\n", "1:9", "a rule needs source"),
        ("[" * 30_000, "1:1", "lists and mappings"),
    ],
)
def test_it_is_refused_with_its_place(tmp_path: Path, text: str, place: str, what: str) -> None:
    found = problems(pack(tmp_path, odd=text))
    assert any(line.startswith(f"{tmp_path / 'odd.yaml'}:{place}: ") and what in line for line in found), found


def test_a_file_of_ten_megabytes_is_not_read(tmp_path: Path) -> None:
    found = problems(pack(tmp_path, odd="guidance: {a: " + "x" * 10 * 1024**2 + "}\n"))
    assert any(f"larger than {LARGEST // 1024**2} MiB" in line for line in found), found


def test_what_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    folder = pack(tmp_path)
    (folder / "odd.yaml").write_bytes("guidance: {a: größer}\n".encode("latin-1"))
    assert any("odd.yaml:1:1" in line and "UTF-8" in line for line in problems(folder))


@pytest.mark.parametrize("template", ["{help.__class__}", "{0}", "{help!r}", "{{7*7}}", "{told:>99999999}", "${HOME}"])
def test_a_template_that_tries_code_is_only_an_unknown_placeholder(tmp_path: Path, template: str) -> None:
    text = f"locale: en\nresponses: {{odd: 'say {template}'}}\n"
    assert any("odd.yaml:2:" in line and "unknown placeholder" in line for line in problems(pack(tmp_path, odd=text)))


def test_a_link_out_of_the_folder_is_no_way_in(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("token: 12345\n")
    folder = pack(tmp_path / "p")
    (folder / "odd.yaml").symlink_to(tmp_path / "secret")
    found = problems(folder)
    assert found and not any("12345" in line for line in found)
