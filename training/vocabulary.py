"""The tokenizer, cut to the pieces that our languages need: the embedding is most of the model's size."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

SPECIAL = 4
"""``<s>``, ``<pad>``, ``</s>`` and ``<unk>`` come first and stay."""
_SCRIPTS = (
    "LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI", "BENGALI", "THAI", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "DIGIT",
)  # fmt: skip


def cut(source: Path, texts: Iterable[str], size: int, target: Path) -> list[int]:
    """Write a tokenizer of ``size`` pieces; the numbers its pieces had before are returned, in their new order.

    Kept are every single character of our scripts, the pieces of ``texts`` by their frequency, then the likeliest of
    the rest that are written in a script we read.
    """
    whole = Tokenizer.from_file(str(source))
    count: Counter[int] = Counter()
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == 2000:
            _count(whole, batch, count)
            batch = []
    _count(whole, batch, count)
    raw = msgspec.json.decode(source.read_bytes())
    pieces: list[list[object]] = raw["model"]["vocab"]
    kept = _kept(pieces, count, size)
    raw["model"]["vocab"] = [pieces[number] for number in kept]
    raw["model"]["unk_id"] = 3
    raw["added_tokens"] = [token for token in raw["added_tokens"] if token["id"] < SPECIAL]
    raw["truncation"] = raw["padding"] = raw["post_processor"] = None
    target.write_bytes(msgspec.json.encode(raw))
    return kept


def _count(whole: Tokenizer, batch: Sequence[str], count: Counter[int]) -> None:
    for encoding in whole.encode_batch_fast(list(batch), add_special_tokens=False):
        count.update(encoding.ids)


def _kept(pieces: Sequence[Sequence[object]], count: Counter[int], size: int) -> list[int]:
    kept = dict.fromkeys(range(SPECIAL))
    for number, (piece, _) in enumerate(pieces):
        if len(bare := str(piece).lstrip("▁")) <= 1 and (not bare or _is_ours(bare)):
            kept.setdefault(number)
    for number, _ in count.most_common():
        if len(kept) == size:
            break
        if number < len(pieces):
            kept.setdefault(number)
    for number in sorted(range(SPECIAL, len(pieces)), key=lambda n: -float(str(pieces[n][1]))):
        if len(kept) == size:
            break
        if all(_is_ours(letter) for letter in str(pieces[number][0]).lstrip("▁")):
            kept.setdefault(number)
    return sorted(kept)


def _is_ours(letter: str) -> bool:
    if not letter.isalnum() and unicodedata.category(letter) not in ("Mn", "Mc"):
        return True
    return unicodedata.name(letter, "").startswith(_SCRIPTS)
