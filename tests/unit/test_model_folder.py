"""A model's folder: what is missing or damaged in it is one line, and decides whether the proxy starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from guardrail.judges.folder import SHIPPED, ModelError, read
from guardrail.judges.onnx import Engine
from guardrail.server.services import Services, StartFailed

FILES = ("labels.json", "tokenizer.json", "model.onnx", "stage2.onnx", "stage3.onnx", "SHA256SUMS")
MOST = 60_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "model"))


def test_what_is_shipped_is_whole_and_small_enough() -> None:
    assert read(SHIPPED).labels.stages == FILES[2:5]
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= MOST
    assert (SHIPPED / "MODEL_CARD.md").is_file()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "changed", "a folder"])
def test_a_damaged_file_is_one_line_that_names_it(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "missing":
        middle = len(data) // 2
        path.write_bytes(
            {
                "empty": b"",
                "cut": data[:middle],
                "changed": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            }[damage]
        )
    with pytest.raises(ModelError) as error:
        read(folder)
    assert len(str(error.value).splitlines()) == 1 and str(folder) in str(error.value)


def test_files_of_a_right_sum_that_are_no_model_are_one_line_too(folder: Path) -> None:
    found = read(folder)
    (folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="install the model again") as error:
        Engine(found)
    assert len(str(error.value).splitlines()) == 1


def test_a_stage_outside_the_folder_is_refused(folder: Path) -> None:
    labels = (folder / "labels.json").read_text().replace('"model.onnx"', '"../model.onnx"')
    (folder / "labels.json").write_text(labels)
    with pytest.raises(ModelError, match="no file of this folder"):
        read(folder)


def settings(tmp_path: Path, **model: object) -> dict[str, object]:
    return {"upstream": "http://127.0.0.1:9", "data": str(tmp_path / "data"), "model": model}


def test_without_its_model_the_proxy_does_not_start_unless_that_was_allowed(tmp_path: Path, folder: Path) -> None:
    (folder / "stage2.onnx").unlink()
    with pytest.raises(StartFailed) as failed:
        Services.configured(None, settings(tmp_path, folder=str(folder)))
    assert "stage2.onnx" in str(failed.value) and "model.without: start" in str(failed.value)
    services = Services.configured(None, settings(tmp_path, folder=str(folder), without="start"))
    assert any("only what is said outright is heard" in what for what in services.degraded())


def test_no_model_by_the_operator_s_own_choice_is_said_in_health(tmp_path: Path) -> None:
    services = Services.configured(None, settings(tmp_path, folder="none"))
    assert any("only what is said outright is heard" in what for what in services.degraded())
