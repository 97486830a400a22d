"""``make train``: from the corpus to a model folder. Seeded; what it did is in ``training.log`` beside the weights.

``python -m training learn --data FOLDER`` trains (about an hour on two cores with bfloat16), ``ship`` makes the folder
that is shipped out of what was learnt: eight bits, edges from the calibration split, digests.
"""

from __future__ import annotations

import argparse
import platform
import random
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import torch
from tokenizers import Tokenizer

from guardrail.core.model import Direction, Message
from guardrail.detectors.model_input import Marks, parts, windows
from guardrail.detectors.model_output import FORMAT, Labels, Reader, script_of
from guardrail.judges.folder import LABELS, SHIPPED, TOKENIZER, Folder
from guardrail.judges.onnx import Asked, Engine
from guardrail.shipped import lexicon
from training import base, calibrate, examples, export, shipped, targets, vocabulary
from training.calibrate import Rows, Sentences
from training.examples import Example
from training.fit import Tokens, answers, figures, fit
from training.network import Network, pretrained

CONFIG = Path(__file__).with_name("config.toml")
STAGES = ("model.onnx", "stage2.onnx", "stage3.onnx")
TEXTS = ("xed", "goemotions", "smile_zh", "darkbench_synth", "clinc150", "banking77")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("step", choices=("learn", "ship"))
    parser.add_argument("--data", type=Path, help="the folder with the public sets (docs/model.md names them)")
    parser.add_argument("--work", type=Path, default=Path("build/model"), help="where weights are kept meanwhile")
    parser.add_argument("--to", type=Path, default=SHIPPED, help="the folder that is made")
    parser.add_argument("--begin", type=int, default=0, help="go on with this stage, from the weights that are there")
    parser.add_argument("--from", type=Path, dest="before", help="begin with what this shipped folder has learnt")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    config = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    log = _log(arguments.work / "training.log")
    versions = {"torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    log(f"{arguments.step}: {msgspec.json.encode(config).decode()} {versions} python {platform.python_version()}")
    if arguments.step == "learn":
        if arguments.data is None:
            parser.error("learning needs --data, the folder with the public sets")
        _learn(config, arguments.data, arguments.work, arguments.begin, arguments.before, log)
    else:
        _ship(config, arguments.work, arguments.to, log)
    return 0


def _log(path: Path) -> Callable[[str], None]:
    def log(line: str) -> None:
        line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}"
        print(line, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return log


def _marks(tokens: Tokens) -> Marks:
    return Marks(0, 2, tuple(tokens("query:")), tuple(tokens("passage:")))


def _tokens(path: Path) -> Tokens:
    tokenizer = Tokenizer.from_file(str(path))

    def tokens(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    return tokens


def _learn(
    config: dict[str, Any], data: Path, work: Path, begin: int, before: Path | None, log: Callable[[str], None]
) -> None:
    chance = random.Random(config["seed"])
    counts = config["data"]
    public = examples.ordinary(data, {n: counts[n] for n in ("clinc150", "banking77", "nlupp")}, chance)
    public += examples.emotions(data, {n: counts[n] for n in ("goemotions", "xed")}, chance)
    ours = examples.from_lexicon(lexicon())
    weights = work / "weights.pt"
    if before is not None:
        shutil.copyfile(before / TOKENIZER, work / TOKENIZER)
        network = shipped.read(before, STAGES, config["exits"], len(targets.OUTPUTS))
    elif begin:
        network = _kept(config, weights)
    else:
        first = [*examples.to_learn_from(config["seed"], training_part=True), *ours, *public]
        texts = [e.text for e in first] * 3 + [m.text for e in first for m in e.history]
        texts += examples.texts(data, TEXTS)
        kept = vocabulary.cut(base.tokenizer_file(), texts, config["vocabulary"], work / TOKENIZER)
        network = pretrained(base.read(base.wheel_file()), kept, config["exits"], len(targets.OUTPUTS))
        network.lean(targets.shares([e.target for e in first]))
    tokens = _tokens(work / TOKENIZER)
    marks = _marks(tokens)
    held = examples.to_measure_on("calibrate")
    for number, stage in enumerate(config["stage"][begin:], begin):
        chance = random.Random(config["seed"] + number)
        learnt = _some(examples.to_learn_from(config["seed"], training_part=True), stage["share"], chance)
        learnt += _some([*ours, *public], stage["besides"], chance)
        learnt += examples.elsewhere(data, stage["elsewhere"], chance)
        log(f"stage {number}")
        fit(
            network, learnt, tokens, marks, {"seed": config["seed"] + number, **stage}, log,
            check=lambda n: figures(answers(n, held, tokens, marks), held),
            save=lambda n: torch.save(n.state_dict(), weights),
        )  # fmt: skip


def _some(found: list[Example], share: float, chance: random.Random) -> list[Example]:
    return chance.sample(found, int(share * len(found)))


def _kept(config: dict[str, Any], path: Path) -> Network:
    """What was learnt so far."""
    weights = torch.load(path)
    network = Network(len(weights["words.weight"]), config["exits"], len(targets.OUTPUTS))
    network.load_state_dict(weights)
    return network


def _ship(config: dict[str, Any], work: Path, to: Path, log: Callable[[str], None]) -> None:
    network = _kept(config, work / "weights.pt")
    to.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(work / TOKENIZER, to / TOKENIZER)
    tokens = _tokens(to / TOKENIZER)
    marks = _marks(tokens)
    held = examples.to_measure_on("calibrate")
    export.stages(network, to, STAGES, export.loudest(network, lambda: answers(network, held[::12], tokens, marks)))
    draft = Labels(
        FORMAT, f"{datetime.now(UTC):%Y-%m-%d}", STAGES, targets.OUTPUTS, marks, _unset(), _unset(), 0.0, 0.0,
        (-1e9, -1e9), (-1e9, -1e9),
    )  # fmt: skip
    began = time.monotonic()
    exits, sentences = _read(Folder(to, draft, ""), held, log)
    log(f"read {len(held)} items in {time.monotonic() - began:.0f} s: {figures(exits, held)}")
    plain = answers(network, held, tokens, marks)
    mean, most = export.apart(exits[-1], plain[-1])
    log(f"eight bits lie apart from the network by {mean:.4f} at the mean, {most:.3f} at most")
    moved = calibrate.scripts(held, exits[-1])
    for stage, rows in enumerate(calibrate.gated(held, sentences, moved, config["calibration"]["considered"])):
        spoken = [at for at, e in enumerate(held) if e.direction == "outbound"]
        exits[stage][spoken] = rows[spoken]
    labels = msgspec.structs.replace(
        draft,
        inbound=calibrate.reading(held, exits[-1], "inbound", moved, config["calibration"]["weight_inbound"]),
        outbound=calibrate.reading(held, exits[-1], "outbound", moved, config["calibration"]["weight_outbound"]),
        minor=calibrate.minor(held, exits[-1]),
        alone=config["calibration"]["alone"],
        scripts=moved,
    )
    reader = Reader(labels)
    danger = np.asarray([_is_danger(reader, e, row) for e, row in zip(held, exits[-1], strict=True)])
    truth = np.asarray([_truth(e) for e in held])
    for direction in ("inbound", "outbound"):
        mine = np.asarray([e.direction == direction for e in held])
        found, spared = danger[mine & truth].mean(), 1 - danger[mine & ~truth].mean()
        log(f"calibration split, {direction}: found {found:.3f}, left alone {spared:.3f}")
    inbound, outbound = (calibrate.calm(held, exits, d, moved, danger & truth) for d in ("inbound", "outbound"))
    labels = msgspec.structs.replace(labels, calm_inbound=inbound, calm_outbound=outbound)
    (to / LABELS).write_bytes(msgspec.json.format(msgspec.json.encode(labels), indent=1) + b"\n")
    export.digests(to, (LABELS, TOKENIZER, *STAGES))
    log(f"wrote {to}, {sum(path.stat().st_size for path in to.iterdir()) / 1e6:.1f} MB")


def _unset() -> Any:
    from guardrail.core.model import CATEGORIES, OUTBOUND_SIGNALS
    from guardrail.detectors.model_output import Reading

    edges = dict.fromkeys((*CATEGORIES, *OUTBOUND_SIGNALS), 0.0)
    return Reading(edges, edges, 0.0, 0.0, 0.0, 1.0, 0.0)


def _read(folder: Folder, held: list[Example], log: Callable[[str], None]) -> tuple[list[Rows], list[Sentences]]:
    """What each stage of the folder says of every example: of a person's turn, the strongest of its windows; of a
    reply, each of its sentences by itself and in the light of what was said before."""
    engine = Engine(folder, torch.get_num_threads())
    stages = folder.labels.stages
    found = [np.full((len(held), len(targets.OUTPUTS)), -20.0, np.float32) for _ in stages]
    sentences: list[Sentences] = [[] for _ in held]

    def strongest(text: str, history: Sequence[Message], direction: Direction) -> list[Rows]:
        script = script_of(text)
        read = windows(text, history, direction, engine.tokens, folder.labels.marks)
        exits = [list(engine.exits(Asked(window, direction, script))) for window in read]
        return [np.max(np.stack([rows[stage] for rows in exits]), axis=0) for stage in range(len(stages))]

    for at, e in enumerate(held):
        for part in parts(e.text, e.history, e.direction):
            exits = strongest(part.text, part.history, e.direction)
            if e.direction == "outbound":
                alone = strongest(part.text, (), e.direction) if part.history else exits
                sentences[at].append((alone, exits[-1]))
            for stage, row in enumerate(exits):
                found[stage][at] = np.maximum(found[stage][at], row)
        if at % 1000 == 999:
            log(f"read {at + 1} of {len(held)}")
    return found, sentences


def _is_danger(reader: Reader, example: Example, row: Any) -> bool:
    signals = reader.signals(row.tolist(), example.direction, script_of(example.text), (0, 0))
    return any(signal.severity >= 2 for signal in signals)


def _truth(example: Example) -> bool:
    direction: Direction = example.direction
    return bool(example.target[targets.AT[f"any_{direction}>=2"]] == 1)


if __name__ == "__main__":
    sys.exit(main())
