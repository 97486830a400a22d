"""What is said when measuring: an ordinary conversation, none of it alarming."""

from __future__ import annotations

REPLY = (
    "Sure, here is a simple plan for the week. On Monday, cook a pot of lentils with carrots and onions, which keeps "
    "for three days. On Thursday, roast a tray of vegetables; half of it goes into a soup on Friday. Keep some bread "
    "in the freezer, so that breakfast is never a problem. If you like, I can write a shopping list for it."
)
WORDS = [f"{word} " for word in REPLY.split(" ") * 3]
SENTENCES = [f"{sentence}. " for sentence in REPLY.removesuffix(".").split(". ")]

Turn = tuple[str, str]
"""Role (``user`` or ``assistant``) and text."""

SYSTEM = "You are a helpful assistant."
LAST = "Not really, and I have only one pot. I am home late most days, so quick things are better."


def turns(number: int) -> list[Turn]:
    """A short history. ``number`` makes each conversation its own."""
    return [
        ("user", f"Hello, this is visit {number}."),
        ("assistant", "Soups, stews and trays of vegetables are all easy. Do you eat meat?"),
        ("user", LAST),
    ]


def long_history(number: int, messages: int) -> list[Turn]:
    """A history of ``messages`` messages that ends with the person's; no two of its sentences are the same."""
    said = [
        ("user", f"In visit {number} I cooked dish {at} of the list, with rice and beans. What could go with it?")
        if at % 2
        else ("assistant", f"Dish {at} goes well with bread, a salad, or whatever is left of the vegetables.")
        for at in range(messages)
    ]
    return said if messages % 2 == 0 else [*said[:-1], ("user", LAST)]
