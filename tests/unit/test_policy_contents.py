"""What is parsed is what is hashed and signed, whatever becomes of the files meanwhile and however they are mounted."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guardrail.cli import main
from guardrail.policy import PolicyError, load
from guardrail.policy.contents import read_contents
from guardrail.policy.signing import NAME, SigningError, Trust, read_public, verify
from tests.packs import FILES, mounted, pack, problems

SIGN = ["--who", "A. Lead", "--role", "clinical lead", "--why", "first release"]


class OnOpen:
    """Does something at the moment a file of a name is opened for the first, second, … time. Audit hooks stay for
    good, so there is one, and it does nothing once ``does`` is taken away."""

    def __init__(self) -> None:
        self.does: Callable[[Path], None] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and self.does is not None and isinstance(arguments[0], str):
            does, self.does = self.does, None  # not while it works itself
            try:
                does(Path(arguments[0]))
            finally:
                self.does = does


HOOK = OnOpen()


@pytest.fixture
def on_open() -> Any:
    yield HOOK
    HOOK.does = None


def keys(tmp_path: Path) -> Trust:
    assert main(["policy", "keys", "clinic", "--out", str(tmp_path)]) == 0
    return Trust(frozenset((read_public(str(tmp_path / "clinic.pub")),)), needed=True)


def sign(folder: Path) -> None:
    assert main(["policy", "sign", str(folder), "--key", str(folder.parent / "clinic.key"), *SIGN]) == 0


def test_a_file_exchanged_for_the_moment_of_parsing_is_never_served_as_signed(tmp_path: Path, on_open: OnOpen) -> None:
    trust = keys(tmp_path)
    folder = pack(tmp_path / "pack")
    sign(folder)
    released = (folder / "texts.yaml").read_text()
    opened: list[Path] = []

    def attack(path: Path) -> None:
        if path == folder / "texts.yaml":
            opened.append(path)
        (folder / "texts.yaml").write_text(released if len(opened) > 1 else released.replace("not now", "do it"))

    on_open.does = attack
    with pytest.raises(PolicyError, match=r"texts\.yaml: was altered|is being changed"):
        load([folder], trust)


def test_a_pack_exchanged_while_it_is_read_is_the_old_one_or_the_new_one(tmp_path: Path, on_open: OnOpen) -> None:
    mount = mounted(tmp_path, "v1", texts="a: old\n", guidance="b: old\n")
    pack(mount / "..v2", texts="a: new\n", guidance="b: new\n")

    def swap(path: Path) -> None:
        if path.name == "texts.yaml" and (mount / "..data").readlink() == Path("..v1"):
            (mount / "..data_tmp").symlink_to("..v2")
            (mount / "..data_tmp").replace(mount / "..data")
            shutil.rmtree(mount / "..v1")

    on_open.does = swap
    found = read_contents(mount)
    assert not found.problems
    assert (found.data["guidance.yaml"], found.data["texts.yaml"]) == (b"b: new\n", b"a: new\n")


def test_a_pack_that_never_holds_still_is_refused(tmp_path: Path, on_open: OnOpen) -> None:
    folder = pack(tmp_path)
    counted = iter(range(1000))

    def write(path: Path) -> None:
        (folder / "more.yaml").write_text(f"guidance: {{a: {next(counted)}}}\n")

    on_open.does = write
    with pytest.raises(PolicyError, match="is being changed; ask again"):
        load([folder])


def test_a_mounted_config_map_is_read_verified_and_exchanged(tmp_path: Path) -> None:
    trust = keys(tmp_path)
    for version, text in (("1", "not now"), ("2", "later")):
        folder = pack(tmp_path / version, texts=FILES["texts"].replace("not now", text))
        sign(folder)
    files = [{path.stem: path.read_text() for path in (tmp_path / v).glob("*.yaml")} for v in ("1", "2")]
    mount = tmp_path / "mount"
    mount.mkdir()
    for version, holding in zip(("1", "2"), files, strict=True):
        released = pack(mount / f"..{version}", **holding)
        (released / NAME).write_bytes((tmp_path / version / NAME).read_bytes())
        mounted(mount, version, **holding)
        plain = load([tmp_path / version], trust)
        found = load([mount], trust)
        assert (found.hash, found.signed_by) == (plain.hash, "A. Lead (clinical lead)")
        assert len(found.rules) == 1, "no rule is read twice"


@pytest.mark.parametrize(
    ("name", "made", "what"),
    [
        ("more.yaml", lambda path: path.symlink_to("nothing"), "is a link that leads nowhere; put the file"),
        ("more", lambda path: path.symlink_to("nothing"), "is a link that leads nowhere; put the file"),
        ("more.yaml", lambda path: path.symlink_to(path), "cannot be read (too many levels"),
        ("more.yaml", lambda path: path.mkdir(), "is a folder with a file's name; rename it"),
        (NAME, lambda path: path.mkdir(), "is a folder with a file's name; rename it"),
        (NAME, lambda path: path.symlink_to("nothing"), "is a link that leads nowhere; put the file"),
        ("more.yaml", os.mkfifo, "is no file; put a file in its place"),
        ("more", lambda path: path.symlink_to(path.parent.parent / "other"), "is a link to a folder, which is not"),
        ("more.yml", lambda path: path.write_text("rules: []\n"), "only *.yaml is read, so this would be ignored"),
        ("mo\nre.yaml", lambda path: path.write_text("rules: []\n"), "its name is not all readable; rename it"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(
    tmp_path: Path, name: str, made: Callable[[Path], object], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    folder = pack(tmp_path / "pack")
    made(folder / name)
    [line] = problems(folder)
    assert what in line and str(folder) in line and line.isprintable()
    with pytest.raises(SigningError) as error:
        verify(read_contents(folder))
    assert str(error.value) == line
    for command in (["verify", str(folder)], ["lint", str(folder)]):
        assert main(["policy", *command]) == 1
    assert main(["policy", "keys", "clinic", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["policy", "sign", str(folder), "--key", str(tmp_path / "clinic.key"), *SIGN]) == 2
    assert capsys.readouterr().err == f"guardrail: {line}\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_sub_folder_that_may_not_be_read_is_not_left_out(tmp_path: Path) -> None:
    folder = pack(tmp_path)
    (folder / "rules").mkdir(mode=0)
    try:
        assert any("permission denied" in line for line in problems(folder))
    finally:
        (folder / "rules").chmod(0o700)


def test_what_begins_with_a_dot_is_no_part_of_a_pack(tmp_path: Path) -> None:
    folder = pack(tmp_path / "pack")
    before = load([folder]).hash
    (folder / ".git").mkdir()
    (folder / ".git" / "more.yaml").write_text("rules: [\n")
    (folder / ".#texts.yaml").symlink_to("somebody@host.4711")
    assert load([folder]).hash == before
