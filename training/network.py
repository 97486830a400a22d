"""The network: a BERT encoder, the mean of the judged turn beside the mean of its context, and one number an output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from training import base


def dropped(hidden: Tensor, rate: float) -> Tensor:
    """Dropout of the same channels in all tokens of a row: chance for every number would cost a quarter of the time."""
    if not rate:
        return hidden
    kept = torch.rand((hidden.shape[0], 1, hidden.shape[2])) >= rate
    return hidden * (kept.to(hidden.dtype) / (1 - rate))


def rounded(x: Tensor) -> Tensor:
    """A row in the 8 bits that the shipped network gives it; the gradient goes through as if it were not rounded."""
    seen = x.detach().float()
    low = seen.amin(dim=(1, 2), keepdim=True).clamp(max=0)
    step = (seen.amax(dim=(1, 2), keepdim=True).clamp(min=0) - low).clamp(min=1e-6) / 255
    return x + (torch.round((seen - low) / step) * step + low - seen).to(x.dtype)


class Layer(nn.Module):
    """``rounds``: learn with what goes into each product rounded, so that eight bits cost less later."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.rounds = False
        self.query, self.key, self.value, self.attention = (nn.Linear(base.WIDTH, base.WIDTH) for _ in range(4))
        self.attention_norm = nn.LayerNorm(base.WIDTH, base.EPSILON)
        self.widen = nn.Linear(base.WIDTH, base.INNER)
        self.narrow = nn.Linear(base.INNER, base.WIDTH)
        self.out_norm = nn.LayerNorm(base.WIDTH, base.EPSILON)
        self.dropout = dropout

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        rows, length, _ = hidden.shape

        def heads(x: Tensor) -> Tensor:
            return x.view(rows, length, base.HEADS, base.WIDTH // base.HEADS).transpose(1, 2)

        def fed(x: Tensor) -> Tensor:
            return rounded(x) if self.rounds and self.training else x

        # Written out: the fused one goes backward on a processor several times slower.
        read = fed(hidden)
        query, key, value = heads(self.query(read)), heads(self.key(read)), heads(self.value(read))
        likely = torch.softmax(query @ key.transpose(2, 3) / (base.WIDTH // base.HEADS) ** 0.5 + mask, dim=-1)
        mixed = likely.to(value.dtype) @ value
        mixed = self.attention(fed(mixed.transpose(1, 2).reshape(rows, length, base.WIDTH)))
        drop = self.dropout if self.training else 0.0
        hidden = self.attention_norm(hidden + dropped(mixed, drop))
        inner = self.narrow(fed(functional.gelu(self.widen(fed(hidden)))))
        out: Tensor = self.out_norm(hidden + dropped(inner, drop))
        return out


class Exit(nn.Module):
    """What is read off after some of the layers: the mean of the judged turn beside that of its context, mixed."""

    def __init__(self, outputs: int, dropout: float) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * base.WIDTH, base.WIDTH)
        self.out = nn.Linear(base.WIDTH, outputs)
        self.dropout = dropout
        nn.init.xavier_uniform_(self.mix.weight)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, hidden: Tensor, ids: Tensor, judged: Tensor) -> Tensor:
        mine = judged.to(hidden.dtype)[:, :, None]
        rest = ((ids != 1) & ~judged).to(hidden.dtype)[:, :, None]
        mean = (hidden * mine).sum(1) / mine.sum(1).clamp(min=1)
        before = (hidden * rest).sum(1) / rest.sum(1).clamp(min=1)
        drop = self.dropout if self.training else 0.0
        mixed = functional.gelu(self.mix(functional.dropout(torch.cat([mean, before], dim=1), drop)))
        out: Tensor = self.out(functional.dropout(mixed, drop))
        return out


class Network(nn.Module):
    """``ids`` int64 [rows, tokens] padded with 1; ``judged`` bool of the same shape: the judged turn's tokens.

    ``exits``: after how many layers an answer is read off; the last of them is the whole network's.
    """

    def __init__(self, words: int, exits: Sequence[int], outputs: int, dropout: float = 0.05) -> None:
        super().__init__()
        self.words = nn.Embedding(words, base.WIDTH)
        self.words.weight.requires_grad_(False)
        self.positions = nn.Parameter(torch.zeros(base.POSITIONS, base.WIDTH))
        self.types = nn.Parameter(torch.zeros(base.WIDTH))
        self.norm = nn.LayerNorm(base.WIDTH, base.EPSILON)
        self.layers = nn.ModuleList(Layer(dropout) for _ in range(exits[-1]))
        self.exits = nn.ModuleDict({str(after): Exit(outputs, dropout) for after in exits})
        self.dropout = dropout

    def forward(self, ids: Tensor, judged: Tensor) -> list[Tensor]:
        """The numbers at each exit, in order."""
        hidden = self.begun(ids)
        mask = torch.where(ids != 1, 0.0, -1e4)[:, None, None, :]
        found: list[Tensor] = []
        for after, layer in enumerate(self.layers, 1):
            hidden = layer(hidden, mask)
            if str(after) in self.exits:
                found.append(self.exits[str(after)](hidden, ids, judged))
        return found

    def lean(self, shares: npt.NDArray[np.float32]) -> None:
        """Begin with how often each output holds. Else the first steps are spent on learning it, and the encoder is
        pulled about so much meanwhile that it never recovers."""
        likely = np.clip(np.nan_to_num(shares, nan=0.5), 0.002, 0.998)
        for exit_ in self.exits.values():
            exit_.out.bias.data.copy_(torch.from_numpy(np.log(likely / (1 - likely)).astype(np.float32)))

    def round(self, on: bool) -> None:
        """Whether layers learn rounded (``Layer.rounds``)."""
        for layer in self.layers:
            layer.rounds = on  # type: ignore[assignment]

    def begun(self, ids: Tensor) -> Tensor:
        """What goes into the first layer."""
        hidden = self.words(ids) + self.positions[: ids.shape[1]] + self.types
        return dropped(self.norm(hidden), self.dropout if self.training else 0.0)


def pretrained(weights: base.Weights, kept: Sequence[int], exits: Sequence[int], outputs: int) -> Network:
    """The encoder as it was published, with the pieces ``kept``, as many layers as the last exit, and new heads."""
    network = Network(len(kept), exits, outputs)

    def put(target: Tensor, name: str) -> None:
        target.data.copy_(torch.from_numpy(np.ascontiguousarray(weights[name])))

    network.words.weight.data.copy_(torch.from_numpy(weights["words"][np.asarray(kept)]))
    put(network.positions, "positions")
    put(network.types, "types")
    put(network.norm.weight, "norm.weight")
    put(network.norm.bias, "norm.bias")
    for source, layer in enumerate(network.layers):
        for name, module in layer.named_children():
            put(module.weight, f"{source}.{name}.weight")
            put(module.bias, f"{source}.{name}.bias")
    return network


Batch = tuple[Tensor, Tensor]


def padded(rows: Sequence[tuple[Sequence[int], int]], step: int = 1) -> Batch:
    """Token numbers and how many of them are judged, as the network takes them, padded to a multiple of ``step``."""
    length = -(-max(len(ids) for ids, _ in rows) // step) * step
    ids = np.ones((len(rows), length), np.int64)
    judged = np.zeros((len(rows), length), np.bool_)
    for row, (tokens, mine) in enumerate(rows):
        ids[row, : len(tokens)] = tokens
        judged[row, 1:mine] = True
    return torch.from_numpy(ids), torch.from_numpy(judged)


def numbers(tensor: Tensor) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = tensor.detach().numpy()
    return found
