"""One run of learning: seeded, logged, and measured on the calibration split while it goes."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from guardrail.detectors.model_input import Marks, Window, parts, windows
from training import targets
from training.examples import Example, roughened
from training.network import Network, numbers, padded

Tokens = Callable[[str], Sequence[int]]
_GRADED = targets.FIRST_CHOICE
_ANY_IN = slice(targets.AT["any_inbound>=1"], targets.AT["any_inbound>=4"] + 1)
_ANY_OUT = slice(targets.AT["any_outbound>=1"], targets.AT["any_outbound>=4"] + 1)


def window(example: Example, tokens: Tokens, marks: Marks, chance: random.Random | None) -> Window:
    """The first window of an example, roughened where ``chance`` is given."""
    text = roughened(example.text, chance) if chance is not None else example.text
    return windows(text or example.text, example.history, example.direction, tokens, marks)[0]


STEP = 16
"""Lengths are padded to a multiple of this, so that few shapes occur: each new one is compiled anew."""


def batches(lengths: Sequence[int], budget: int, chance: random.Random | None) -> Iterator[list[int]]:
    """Numbers of examples of like length, as many as ``budget`` tokens hold, in an order of chance."""
    order = list(range(len(lengths)))
    if chance is not None:
        chance.shuffle(order)
    by_length: dict[int, list[int]] = {}
    for at in order:
        by_length.setdefault(-(-lengths[at] // STEP) * STEP, []).append(at)
    found = []
    for length, mine in by_length.items():
        rows = max(1, budget // length)
        found += [mine[at : at + rows] for at in range(0, len(mine), rows)]
    if chance is not None:
        chance.shuffle(found)
    yield from found


def loss_of(exits: Sequence[Tensor], wanted: Tensor, trust: float = 0.0) -> Tensor:
    """The loss of a batch over all exits. ``trust``: how much earlier exits follow the last one and not the labels."""
    known = ~wanted.isnan()
    flat = torch.where(known, wanted, 0.0)
    weight = torch.full((wanted.shape[1],), 0.25)
    weight[_ANY_IN] = 0.6
    weight[_ANY_OUT] = 0.6
    weight[_GRADED:] = 0.06
    taught = torch.sigmoid(exits[-1].detach())
    total = torch.zeros(())
    for at, out in enumerate(exits):
        last = at == len(exits) - 1
        goal = flat if last else (1 - trust) * flat + trust * taught
        each = functional.binary_cross_entropy_with_logits(out, goal, reduction="none") * known
        total = total + (1.0 if last else 0.4) * (each * weight).sum() / wanted.shape[0]
    return total


def rates(
    network: Network, settings: dict[str, float], steps: int
) -> tuple[torch.optim.Optimizer, Callable[[int], None]]:
    heads = list(network.exits.parameters())
    known = {id(p) for p in heads}
    body = [p for p in network.parameters() if p.requires_grad and id(p) not in known]
    groups = [{"params": body, "lr": settings["rate"]}, {"params": heads, "lr": settings["head_rate"]}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    peaks = [group["lr"] for group in optimiser.param_groups]
    warm = max(1, int(steps * 0.06))

    def at(step: int) -> None:
        gone = (step - warm) / max(1, steps - warm)
        share = step / warm if step < warm else 1 - (1 - settings["least"]) * 0.5 * (1 - math.cos(math.pi * gone))
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * share

    return optimiser, at


def fit(
    network: Network,
    examples: Sequence[Example],
    tokens: Tokens,
    marks: Marks,
    settings: dict[str, float],
    log: Callable[[str], None],
    check: Callable[[Network], str] | None = None,
    save: Callable[[Network], None] | None = None,
) -> None:
    """Learn from ``examples`` for ``settings['epochs']`` epochs."""
    seed = int(settings["seed"])
    chance = random.Random(seed)
    torch.manual_seed(seed)
    wanted = torch.from_numpy(np.stack([e.target for e in examples]))
    lengths = [len(window(e, tokens, marks, None).ids) for e in examples]
    budget = int(settings["tokens"])
    epochs = int(settings["epochs"])
    steps = epochs * sum(1 for _ in batches(lengths, budget, None))
    optimiser, rate = rates(network, settings, steps)
    log(f"{len(examples)} examples, {sum(lengths)} tokens, about {steps} steps, {torch.get_num_threads()} threads")
    network.round(bool(settings["rounded"]))
    began, step, running = time.monotonic(), 0, 0.0
    for epoch in range(epochs):
        network.train()
        made = [window(example, tokens, marks, chance) for example in examples]
        for batch in batches([len(w.ids) for w in made], budget, chance):
            ids, judged = padded([(made[at].ids, made[at].judged) for at in batch], STEP)
            rate(step)
            with torch.autocast("cpu", torch.bfloat16):
                out = network(ids, judged)
            loss = loss_of([numbers_.float() for numbers_ in out], wanted[batch], settings["trust"])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([p for p in network.parameters() if p.requires_grad], 1.0)
            optimiser.step()
            running = loss.item() if not step else running + (loss.item() - running) / min(100, step + 1)
            step += 1
            if step % 50 == 0:
                spent = time.monotonic() - began
                left = spent / step * (steps - step)
                log(f"step {step} of {steps}, loss {running:.4f}, {spent:.0f} s, {left:.0f} s to go")
        if save is not None:
            save(network)
        if check is not None:
            log(f"epoch {epoch + 1}: {check(network)}")


def answers(
    network: Network, examples: Sequence[Example], tokens: Tokens, marks: Marks, budget: int = 4096
) -> list[npt.NDArray[np.float32]]:
    """The numbers of each exit for every example, in order: the strongest of what is read of it."""
    network.eval()
    read = [
        (at, w)
        for at, e in enumerate(examples)
        for part in parts(e.text, e.history, e.direction)
        for w in windows(part.text, part.history, e.direction, tokens, marks)
    ]
    found = [np.full((len(examples), len(targets.OUTPUTS)), -20.0, np.float32) for _ in network.exits]
    with torch.no_grad():
        for batch in batches([len(w.ids) for _, w in read], budget, None):
            ids, judged = padded([(read[at][1].ids, read[at][1].judged) for at in batch], STEP)
            with torch.autocast("cpu", torch.bfloat16):
                exits = network(ids, judged)
            for exit_, out in zip(found, exits, strict=True):
                for at, row in zip(batch, numbers(out.float()), strict=True):
                    exit_[read[at][0]] = np.maximum(exit_[read[at][0]], row)
    return found


def figures(found: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example]) -> str:
    """How well each exit tells danger and harm apart: area under the curve, and what is found at 5 % alarms."""
    parts = []
    for direction in ("inbound", "outbound"):
        rows = [at for at, e in enumerate(examples) if e.direction == direction]
        column = targets.AT[f"any_{direction}>=2"]
        truth = np.asarray([examples[at].target[column] for at in rows])
        for number, exit_ in enumerate(found):
            score = exit_[rows, column]
            edge = np.quantile(score[truth == 0], 0.95)
            auc, caught = roc_auc_score(truth, score), np.mean(score[truth == 1] > edge)
            parts.append(f"{direction} exit {number} auc {auc:.4f} found {caught:.3f}")
    return ", ".join(parts)
