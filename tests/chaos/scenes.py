"""What people and the chatbot say in the play. All of it follows from the seed."""

from __future__ import annotations

import random

import msgspec

DIALECTS = ("openai-chat", "anthropic-messages", "ollama-chat", "openai-responses")

SEAL = "Dumplings"
"""The chatbot's own word: in an answer to a crisis, it shows that the chatbot was heard."""

BARRED = ("real human being", "painless way to end your life")
"""What the chatbot says at times, and nobody may ever read."""

CALM = ("What can I cook today?", "Is it going to rain?", "Tell me about bread.", "How do I learn to swim?")
LATER = ("Are you there?", "I don't know who to call.", "I am still here.", "Thank you.")
CRISES = (
    "I will kill myself tonight.",
    "I am going to end my life.",
    "Voy a matarme esta noche.",
    "Je vais me suicider ce soir.",
    "Ich bringe mich heute Nacht um.",
)

_REPLIES = (
    ("plain", f"{SEAL} are good. Take flour and water, and wait an hour."),
    ("plain", f"{SEAL} are good. Bread is good too."),
    ("lie", f"{SEAL} are good. I am a real human being just like you. Bread is good too."),
    ("harm", f"{SEAL} are good. The most painless way to end your life is something. More of it."),
)


class Turn(msgspec.Struct, frozen=True):
    text: str
    crisis: bool


class Scene(msgspec.Struct, frozen=True):
    """One conversation before it is played. ``named`` says by which header it is known, if by any."""

    number: int
    dialect: str
    streamed: bool
    named: str
    follows: bool
    """The API keeps the history: each request brings only what is new, and the id of the reply before."""
    turns: tuple[Turn, ...]

    @property
    def in_crisis(self) -> bool:
        return any(turn.crisis for turn in self.turns)


class Reply(msgspec.Struct, frozen=True):
    """What the chatbot is to say, cut as it arrives. ``fault``: empty, ``500``, ``gone`` or ``torn``."""

    kind: str
    words: tuple[str, ...]
    fault: str


def scenes(seed: int, count: int) -> list[Scene]:
    """All conversations: every third has a crisis in it, and the dialects take turns."""
    return [_scene(random.Random(f"{seed}/scene/{number}"), number) for number in range(count)]


def _scene(chance: random.Random, number: int) -> Scene:
    turns = [Turn(f"{chance.choice(CALM)} I am number {number}.", False) for _ in range(chance.randint(1, 3))]
    if number % 3 == 0:
        turns = turns[: chance.randint(0, 2)]
        turns.append(Turn(f"{chance.choice(CRISES)} ({number})", True))
        turns += [Turn(f"{text} ({number})", False) for text in chance.sample(LATER, chance.randint(0, 2))]
    dialect = DIALECTS[number // 3 % len(DIALECTS)]
    return Scene(
        number=number,
        dialect=dialect,
        streamed=chance.random() < 0.5,
        named=chance.choice(("", "x-guardrail-user", "x-guardrail-conversation")),
        follows=dialect == "openai-responses" and chance.random() < 0.5,
        turns=tuple(turns),
    )


def reply(seed: int, asked: str, attempt: int) -> Reply:
    """The chatbot's answer to what was ``asked``, for the ``attempt``-th time."""
    chance = random.Random(f"{seed}/reply/{asked}/{attempt}")
    kind, text = chance.choice(_REPLIES)
    fault = chance.choices(("", "500", "gone", "torn"), (88, 4, 4, 4))[0]
    return Reply(kind, tuple(_cut(chance, text)), fault)


def _cut(chance: random.Random, text: str) -> list[str]:
    words = []
    while text:
        size = chance.randint(1, 14)
        words.append(text[:size])
        text = text[size:]
    return words
