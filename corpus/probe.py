"""Whether something that is not meaning gives the label away: how long a text is, how it is punctuated, what it is
dressed in. What such a probe finds a model would learn instead of what people say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from guardrail.evaluation.items import Item

RESOURCE = re.compile(
    r"hotline|helpline|crisis line|lifeline|therap|counsel|doctor|nurse|police|ambulance|hospital|please|help|"
    r"sorry|support|professional",
    re.IGNORECASE,
)
"""Words of help and courtesy, English: in a good corpus both kinds have them alike."""


class Probe(msgspec.Struct, frozen=True):
    """How well each bundle of features tells danger from calm on the test split: area under ROC, 0.5 is chance."""

    items: int
    areas: Mapping[str, float]


def probe(items: Sequence[Item]) -> Probe:
    """Trained on the training split, asked of the test split (a line through standardised features)."""
    train = [item for item in items if item.split == "train"]
    test = [item for item in items if item.split == "test"]
    areas = {name: _area(train, test, (name,)) for name in _OF}
    return Probe(len(test), {**areas, "all": _area(train, test, tuple(_OF))})


def _area(train: Sequence[Item], test: Sequence[Item], names: Sequence[str]) -> float:
    truth = [item.danger for item in train]
    asked = [item.danger for item in test]
    if len(set(truth)) < 2 or len(set(asked)) < 2:
        return 0.5
    scale = StandardScaler().fit(_features(train, names))
    model = LogisticRegression(max_iter=1000).fit(scale.transform(_features(train, names)), truth)
    return float(roc_auc_score(asked, model.decision_function(scale.transform(_features(test, names)))))


def _features(items: Sequence[Item], names: Sequence[str]) -> np.ndarray:
    return np.array([[value for name in names for value in _OF[name](item)] for item in items], dtype=float)


def _length(item: Item) -> list[float]:
    text = item.text
    return [len(text), np.log1p(len(text)), len(text.split()), text.count("\n")]


def _punctuation(item: Item) -> list[float]:
    text, size = item.text, max(1, len(item.text))
    counts = [text.count(mark) for mark in ".,!?…'\"-:;()"]
    letters = sum(c.isalpha() for c in text) or 1
    return [
        *(count / size for count in counts),
        sum(c.isupper() for c in text) / letters,
        float(text[-1:] in ".!?。！？"),
    ]


def _resources(item: Item) -> list[float]:
    return [len(RESOURCE.findall(item.text)), float(bool(RESOURCE.search(item.text)))]


def _turns(item: Item) -> list[float]:
    return [len(item.turns), float(len(item.turns) > 1)]


_OF: Mapping[str, Callable[[Item], list[float]]] = {
    "length": _length,
    "punctuation": _punctuation,
    "resources": _resources,
    "turns": _turns,
}
