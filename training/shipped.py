"""The network back out of a shipped folder, so that learning can go on from what is shipped: 8 bits a weight lose next
to nothing that a few steps do not mend."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper

from training.network import Network

_PLACE = re.compile(r"/(exit/)?([a-z]+)(?:_(\d+))?/(?:MatMul|Gemm)")
"""How the exporter names products: ``/key_2/MatMul`` is that of the third layer of its stage."""

_PLAIN = re.compile(r"positions|types|(?:norm|exit|layers)\.[a-z0-9_.]*(?:weight|bias)")


def read(folder: Path, names: Sequence[str], exits: Sequence[int], outputs: int) -> Network:
    """The network of the stages ``names`` in ``folder``, ready to learn. ValueError when it is another one."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    for name, begin, end in zip(names, [0, *exits[:-1]], exits, strict=True):
        for key, value in _stage(onnx.load(str(folder / name))).items():
            if key.startswith("layers."):
                _, number, rest = key.split(".", 2)
                key = f"layers.{int(number) + begin}.{rest}"
            found[key.replace("exit.", f"exits.{end}.", 1) if key.startswith("exit.") else key] = value
    network = Network(len(found["words.weight"]), exits, outputs)
    wanted = network.state_dict()
    if set(wanted) != set(found) or any(wanted[key].shape != found[key].shape for key in wanted):
        raise ValueError(f"{folder} holds another network: {sorted(set(wanted) ^ set(found))[:4]}")
    network.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in found.items()})
    return network


def _stage(model: onnx.ModelProto) -> dict[str, npt.NDArray[np.float32]]:
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {key: value for key, value in held.items() if _PLAIN.fullmatch(key)}
    if "words.rows" in held:
        found["words.weight"] = held["words.rows"].astype(np.float32) * held["words.scale"]
    for node in model.graph.node:
        place = _PLACE.match(node.name)
        if place is None or node.op_type not in ("MatMulInteger", "MatMul"):
            continue
        weight = next((name for name in node.input if name in held), None)
        if weight is None:
            continue
        matrix = held[weight]
        if node.op_type == "MatMulInteger":
            if held[node.input[3]].any():
                raise ValueError(f"{node.name}: weights are not symmetric")
            matrix = matrix.astype(np.float32) * held[weight.replace("_quantized", "_scale")]
        of_exit, part, layer = place.groups()
        prefix = "exit" if of_exit else f"layers.{layer or 0}"
        found[f"{prefix}.{part}.weight"] = np.ascontiguousarray(matrix.T)
    return found
