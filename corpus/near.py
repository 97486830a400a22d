"""Texts that are nearly the same: by the share of five-letter strings they have in common.

A model that has seen a text learns nothing from finding its twin in the test; so twins belong into one family, and a
family is never split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from guardrail.evaluation.items import Item

ALIKE = 0.6
"""Jaccard similarity of letter strings from which two texts count as nearly the same."""
SHORT = 24
"""Shorter judged texts ("yes", "ok thank you") are the same in many stories: only with their turns before them are
they compared."""
_BATCH = 512
_BETWEEN = re.compile(r"[^\w]+")


def twins(items: Sequence[Item], alike: float = ALIKE) -> Iterator[tuple[Item, Item, float]]:
    """Pairs of different families that are nearly the same, with how alike they are."""
    if not items:
        return
    count = HashingVectorizer(
        analyzer="char",
        ngram_range=(5, 5),
        n_features=2**18,
        binary=True,
        norm=None,
        alternate_sign=False,
        dtype=np.float32,
    )
    grams = count.transform([_compared(item) for item in items]).tocsr()
    sizes = np.asarray(grams.sum(axis=1)).ravel()
    for begin in range(0, len(items), _BATCH):
        shared = (grams[begin : begin + _BATCH] @ grams.T).tocoo()
        rows, columns = shared.row + begin, shared.col
        score = shared.data / (sizes[rows] + sizes[columns] - shared.data)
        for at in np.flatnonzero((columns > rows) & (score >= alike)):
            first, second = items[rows[at]], items[columns[at]]
            if (first.direction, first.family) != (second.direction, second.family):
                yield first, second, float(score[at])


def _compared(item: Item) -> str:
    texts = [item.text] if len(item.text) >= SHORT else [turn.text for turn in item.turns]
    return f"  {_BETWEEN.sub(' ', ' '.join(texts).lower())}  "
