"""From the trained network to what ships: one ONNX file a stage, with weights and embedding in 8 bits."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.nn import functional

from training import base
from training.network import Exit, Layer, Network

OPSET = 17
LOUD = 16
"""Of the 1,536 channels between a layer's two wide products, how many are read exactly: a few are thirty times as loud
as the rest, and with one scale for all of them the rest would be rounded to nothing (Dettmers et al., 2022)."""

Loud = Sequence[Tensor]
"""The numbers of the loudest channels, by layer."""


class _Words(nn.Module):
    """The embedding as 8-bit rows, each with a scale of its own: rows differ too much for one scale to do for all."""

    def __init__(self, words: Tensor) -> None:
        super().__init__()
        scale = words.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127
        self.register_buffer("rows", torch.round(words / scale).to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        rows: Tensor = self.get_buffer("rows")[ids]
        return rows.to(torch.float32) * self.get_buffer("scale")[ids]


class Stage(nn.Module):
    """Some of the layers, with what is read off after them. The first takes token numbers, the others hidden states."""

    def __init__(self, network: Network, begin: int, end: int, loud: Loud) -> None:
        super().__init__()
        self.first, self.last = begin == 0, end == len(network.layers)
        if self.first:
            self.words = _Words(network.words.weight.data)
            self.positions, self.types, self.norm = network.positions, network.types, network.norm
        self.layers = nn.ModuleList(list(network.layers)[begin:end])
        self.exit: Exit = network.exits[str(end)]  # type: ignore[assignment]
        for at, layer in enumerate(self.layers):
            channels, weight = loud[begin + at], layer.narrow.weight.data  # type: ignore[union-attr]
            self.register_buffer(f"loud{at}", channels)
            self.register_buffer(f"quiet{at}", torch.ones(base.INNER).index_fill(0, channels, 0.0))
            self.register_buffer(f"exact{at}", weight[:, channels].T.contiguous())

    def forward(self, ids: Tensor, judged: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, ...]:
        if hidden is None:
            hidden = self.norm(self.words(ids) + self.positions[: ids.shape[1]] + self.types)
        mask = torch.where(ids != 1, 0.0, -1e4)[:, None, None, :]
        for at, layer in enumerate(self.layers):
            apart = (self.get_buffer(f"{name}{at}") for name in ("loud", "quiet", "exact"))
            hidden = _layer(layer, hidden, mask, *apart)  # type: ignore[arg-type]
        logits = self.exit(hidden, ids, judged)
        return (logits,) if self.last else (logits, hidden)


def _layer(layer: Layer, hidden: Tensor, mask: Tensor, loud: Tensor, quiet: Tensor, exact: Tensor) -> Tensor:
    """The same as the layer itself, in operations that quantise and run well."""
    rows, length, _ = hidden.shape
    size = base.WIDTH // base.HEADS

    def heads(x: Tensor) -> Tensor:
        return x.view(rows, length, base.HEADS, size).transpose(1, 2)

    query, key, value = heads(layer.query(hidden)), heads(layer.key(hidden)), heads(layer.value(hidden))
    likely = torch.softmax(query @ key.transpose(2, 3) / size**0.5 + mask, dim=-1)
    mixed = layer.attention((likely @ value).transpose(1, 2).reshape(rows, length, base.WIDTH))
    hidden = layer.attention_norm(hidden + mixed)
    wide = functional.gelu(layer.widen(hidden))
    out: Tensor = layer.out_norm(hidden + (layer.narrow(wide * quiet) + wide[:, :, loud] @ exact))
    return out


def loudest(network: Network, read: Callable[[], object]) -> list[Tensor]:
    """The loudest channels of each layer in what ``read`` puts before the network."""
    most = [torch.zeros(base.INNER) for _ in network.layers]

    def listen(at: int, wide: Tensor) -> None:
        most[at] = torch.maximum(most[at], wide.detach().float().abs().amax(dim=(0, 1)))

    hooks = [
        layer.narrow.register_forward_pre_hook(lambda _, given, at=at: listen(at, given[0]))  # type: ignore
        for at, layer in enumerate(network.layers)
    ]
    read()
    for hook in hooks:
        hook.remove()
    return [levels.topk(LOUD).indices.sort().values for levels in most]


def stages(network: Network, folder: Path, names: Sequence[str], loud: Loud) -> None:
    """Write a file for each exit of the network."""
    network.eval()
    ends = [int(name) for name in network.exits]
    for name, begin, end in zip(names, [0, *ends[:-1]], ends, strict=True):
        stage = Stage(network, begin, end, loud).eval()
        ids = torch.full((2, 7), 5)
        judged = torch.ones((2, 7), dtype=torch.bool)
        arguments: tuple[Any, ...] = (ids, judged)
        inputs, axes = ["ids", "judged"], {0: "rows", 1: "tokens"}
        if begin:
            arguments = (*arguments, torch.zeros((2, 7, base.WIDTH)))
            inputs.append("hidden")
        outputs = ["logits"] if stage.last else ["logits", "hidden_after"]
        dynamic: dict[str, dict[int, str]] = {key: axes for key in (*inputs, *outputs)}
        dynamic["logits"] = {0: "rows"}
        with tempfile.TemporaryDirectory() as scratch:
            plain, ready = Path(scratch) / "plain.onnx", Path(scratch) / "ready.onnx"
            torch.onnx.export(
                stage, arguments, str(plain), input_names=inputs, output_names=outputs, dynamic_axes=dynamic,
                opset_version=OPSET, dynamo=False,
            )  # fmt: skip
            quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
            quantize_dynamic(
                str(ready), str(folder / name), weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
                op_types_to_quantize=["MatMul"],
                nodes_to_exclude=_of_activations(ready),
            )  # fmt: skip


def _of_activations(path: Path) -> list[str]:
    """Products of two activations, of the loud channels and of the exits: attention itself and the last numbers stay
    exact."""
    model = onnx.load(str(path))
    weights = {tensor.name for tensor in model.graph.initializer}
    plain = [
        node.name
        for node in model.graph.node
        if "/exit/" in node.name
        or (
            node.op_type == "MatMul"
            and (not set(node.input) & weights or any(i.startswith("exact") for i in node.input))
        )
    ]
    # A Gemm is made a MatMul under another name before it is asked whether it is to stay as it is.
    return [*plain, *(f"{name}_MatMul" for name in plain)]


def digests(folder: Path, names: Sequence[str]) -> None:
    """Write ``SHA256SUMS``."""
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(names)]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def apart(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> tuple[float, float]:
    """How far two sets of likelihoods lie apart: the mean and the largest difference."""
    gap = np.abs(1 / (1 + np.exp(-one)) - 1 / (1 + np.exp(-other)))
    return float(gap.mean()), float(gap.max())
