"""Who released a pack, and that nobody changed it since."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import msgspec
import pytest

from guardrail.cli import main
from guardrail.policy import PolicyError, load
from guardrail.policy.contents import read_contents
from guardrail.policy.signing import NAME, PREFIX, Signature, SigningError, Trust, read_public, verify
from tests.packs import FILES, pack

SIGN = ["--who", "A. Lead", "--role", "clinical lead", "--why", "first release"]


@pytest.fixture
def signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["policy", "keys", "clinic", "--out", str(tmp_path)]) == 0
    folder = pack(tmp_path / "pack")
    assert main(["policy", "sign", str(folder), "--key", str(tmp_path / "clinic.key"), *SIGN]) == 0
    capsys.readouterr()
    return folder


def trusted(tmp_path: Path) -> Trust:
    return Trust(frozenset((read_public(str(tmp_path / "clinic.pub")),)), needed=True)


def test_a_signed_pack_says_who_which_role_when_and_why(signed: Path, tmp_path: Path) -> None:
    signature = verify(read_contents(signed))
    assert (signature.who, signature.role, signature.why) == ("A. Lead", "clinical lead", "first release")
    assert signature.when.endswith("+00:00") and signature.pack == "t"
    policy = load([signed], trusted(tmp_path))
    assert policy.signed_by == "A. Lead (clinical lead)"
    assert stat.S_IMODE((tmp_path / "clinic.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("change", ["altered", "new", "removed", "why", "key"])
def test_whatever_is_changed_afterwards_is_named(signed: Path, tmp_path: Path, change: str) -> None:
    if change == "altered":
        (signed / "texts.yaml").write_text(FILES["texts"].replace("not now", "never"))
    elif change == "new":
        (signed / "more.yaml").write_text("guidance: {x: y}\n")
    elif change == "removed":
        (signed / "guidance.yaml").unlink()
    else:
        found = msgspec.json.decode((signed / NAME).read_bytes(), type=Signature)
        other = Signature(**{**msgspec.structs.asdict(found), change: "A" * 43 + "="})
        (signed / NAME).write_bytes(msgspec.json.encode(other))
    with pytest.raises(PolicyError) as error:
        load([signed], trusted(tmp_path))
    expected = change if change in ("altered", "new", "removed") else NAME
    assert any(expected in line for line in error.value.problems), error.value.problems


def test_an_unsigned_pack_and_a_strangers_signature_are_refused_where_signatures_are_needed(
    signed: Path, tmp_path: Path
) -> None:
    other = Trust(frozenset(("A" * 43 + "=",)), needed=True)
    with pytest.raises(PolicyError, match="not among trusted_keys"):
        load([signed], other)
    (signed / NAME).unlink()
    with pytest.raises(PolicyError, match="is not signed"):
        load([signed], trusted(tmp_path))
    assert load([signed]).signed_by == ""


def test_nobody_is_named_for_a_policy_that_is_signed_only_in_part_or_by_nobody_known(
    signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = Trust(trusted(tmp_path).keys)
    second = pack(tmp_path / "second", floor="", texts="", failures="", guidance="guidance: {other: be kind}\n")
    assert load([signed], heard).signed_by == "A. Lead (clinical lead)"
    assert load([signed, second], heard).signed_by == ""
    assert load([second, signed], heard).signed_by == ""
    sign = ["policy", "sign", str(second), "--key", str(tmp_path / "clinic.key")]
    assert main([*sign, "--who", "B. Second", "--role", "nurse", "--why", "more"]) == 0
    assert load([signed, second], heard).signed_by == "A. Lead (clinical lead); B. Second (nurse)"
    assert load([signed]).signed_by == "", "a name that anybody can write is no release"
    assert main(["policy", "keys", "stranger", "--out", str(tmp_path)]) == 0
    assert main([*sign[:-1], str(tmp_path / "stranger.key"), *SIGN]) == 0
    assert load([signed, second], heard).signed_by == ""


@pytest.mark.parametrize("text", ["", "{}", "[1]", "\x00", '{"pack": 3}', "x" * 2_000_000])
def test_what_is_no_signature_is_said_to_be_none(signed: Path, text: str) -> None:
    (signed / NAME).write_text(text)
    with pytest.raises(SigningError, match="is no signature"):
        verify(read_contents(signed))


def test_a_waiver_lets_suicide_go_unanswered_only_in_a_signed_pack(tmp_path: Path) -> None:
    waiver = "waivers: [{silences: suicide, reason: a drill without people}]\n"
    folder = pack(tmp_path / "pack", pack=FILES["pack"] + waiver, floor="rules: []\n")
    with pytest.raises(PolicyError, match="a waiver counts only where every pack is signed"):
        load([folder])
    assert main(["policy", "keys", "clinic", "--out", str(tmp_path)]) == 0
    assert main(["policy", "sign", str(folder), "--key", str(tmp_path / "clinic.key"), *SIGN]) == 0
    assert load([folder], trusted(tmp_path)).rules == ()
    policy = load([folder], trusted(tmp_path))
    assert policy.waived == ("pack: a drill without people",)
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "pack.yaml").write_text(FILES["pack"].replace("id: t", "id: b"))
    with pytest.raises(PolicyError, match="a waiver counts only where every pack is signed"):
        load([folder, beside], Trust(trusted(tmp_path).keys))
    (folder / "pack.yaml").write_text(FILES["pack"] + waiver.replace("drill", "test"))
    with pytest.raises(PolicyError, match="silences suicide"):
        load([folder])


def test_keys_are_never_overwritten_and_never_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "keys", "clinic", "--out", str(tmp_path)]) == 0
    private = (tmp_path / "clinic.key").read_text()
    assert main(["policy", "keys", "clinic", "--out", str(tmp_path)]) == 2
    assert (tmp_path / "clinic.key").read_text() == private
    assert main(["policy", "keys", str(tmp_path / "clinic.pub")]) == 0
    told = capsys.readouterr()
    assert PREFIX in told.out and "PRIVATE" not in told.out + told.err


@pytest.mark.parametrize("given", ["ed25519 x", "nothing.pub", "ed25519 " + "A" * 10])
def test_a_key_that_is_none_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(SigningError) as error:
        read_public(given)
    assert "\n" not in str(error.value) and ";" in str(error.value)


def test_a_copy_of_the_shipped_pack_can_be_signed_and_served(tmp_path: Path) -> None:
    assert main(["policy", "copy", "base", str(tmp_path / "ours")]) == 0
    assert main(["policy", "copy", "base", str(tmp_path / "ours")]) == 2
    assert main(["policy", "keys", "clinic", "--out", str(tmp_path)]) == 0
    assert main(["policy", "sign", str(tmp_path / "ours"), "--key", str(tmp_path / "clinic.key"), *SIGN]) == 0
    assert main(["policy", "verify", str(tmp_path / "ours"), "--key", str(tmp_path / "clinic.pub")]) == 0
    shutil.rmtree(tmp_path / "ours" / "vignettes")
    assert main(["policy", "verify", str(tmp_path / "ours")]) == 1
