"""What a proxy does that is started where something is broken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from guardrail.server.services import Services, StartFailed
from tests.faults.world import CRISIS, LATER, SOUP, world


@pytest.mark.parametrize("name", ["cases.db", "conversations.db"])
@pytest.mark.parametrize("damage", ["overwritten", "cut", "empty"])
async def test_a_corrupt_store_is_set_aside_and_everybody_is_answered(tmp_path: Path, name: str, damage: str) -> None:
    data = tmp_path / "data"
    async with world(data) as before:
        assert "112" in (await before.say(CRISIS, stream=False, conversation="c")).text
    whole = (data / name).read_bytes()
    broken = {"overwritten": b"\xa5" * len(whole), "cut": whole[: len(whole) // 2], "empty": b""}[damage]
    (data / name).write_bytes(broken)
    async with world(data) as after:
        assert "112" in (await after.say(CRISIS, stream=False, conversation="d")).text
        reply = await after.say(LATER, stream=True, conversation="d")
        assert (reply.text, reply.action) == (SOUP, "steer")
        assert after.kept[0] in ("store", "spool")
        if damage == "overwritten":
            assert any("damaged" in line for line in after.services.degraded())
            [aside] = [path for path in data.glob(f"{Path(name).stem}*damaged*") if path.stat().st_size]
            assert aside.read_bytes() == broken, "nothing is deleted"


async def test_a_detector_that_cannot_be_loaded_stops_the_start_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Absent:
        name = "mood"

        def load(self) -> object:
            raise ModuleNotFoundError("mood")

    monkeypatch.setattr("guardrail.server.scanner.entry_points", lambda group: [Absent()])
    with pytest.raises(StartFailed) as raised:
        Services.configured(None, {"upstream": "http://127.0.0.1:9", "data": str(tmp_path / "data")})
    assert raised.value.problems == ("detector plug-in mood cannot be loaded: ModuleNotFoundError",)


async def test_nothing_is_left_running_after_a_stop(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        await w.say(CRISIS, stream=False, conversation="c")
    assert asyncio.all_tasks() == {asyncio.current_task()}
