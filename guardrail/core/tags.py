"""Language tags, written one way."""

from __future__ import annotations


def language_tag(tag: str) -> str:
    """A tag as BCP 47 recommends to write it: ``DE-at`` is ``de-AT``, ``ZH-hant`` is ``zh-Hant``."""
    first, *rest = tag.split("-")
    written = [first.lower()]
    for part in rest:
        if len(written[-1]) == 1:
            written.append(part.lower())  # what follows a singleton is no country: ``en-x-us``
        elif len(part) == 4 and part.isalpha():
            written.append(part.title())
        else:
            written.append(part.upper() if len(part) == 2 else part.lower())
    return "-".join(written)
