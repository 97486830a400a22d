"""The kinds of items and parts that OpenAI's Responses API knows, and what follows from a kind."""

from __future__ import annotations

from typing import Any

_SERVER_CALLS = frozenset(
    ("code_interpreter_call", "file_search_call", "image_generation_call", "mcp_call", "web_search_call")
)
_CLIENT_CALLS = frozenset(
    (
        "apply_patch_call",
        "computer_call",
        "custom_tool_call",
        "function_call",
        "local_shell_call",
        "mcp_approval_request",
        "shell_call",
        "tool_search_call",
    )
)
WORDLESS = frozenset(("additional_tools", "compaction", "compaction_trigger", "configuration_update", "item_reference"))
"""Items in which nobody speaks: what they refer to was read when it was sent, or cannot be read at all."""
_ITEMS = frozenset(
    (
        *_SERVER_CALLS,
        *_CLIENT_CALLS,
        *WORDLESS,
        *[f"{call}_output" for call in _CLIENT_CALLS],
        "mcp_approval_response",
        "mcp_list_tools",
        "message",
        "program",
        "program_output",
        "reasoning",
        "tool_search_output",
    )
)
THOUGHTS = frozenset(("reasoning_text", "summary_text"))
_PARTS = frozenset(
    (*THOUGHTS, "output_text", "refusal", "text", "input_text", "input_image", "input_file", "input_audio")
)


def kind_of(value: Any) -> str:
    """The type of an item or a part, as it names itself."""
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else ""


def is_known(item: Any) -> bool:
    """Whether we know where an item of this kind, with parts of these kinds, has its text."""
    if not isinstance(item, dict) or (kind_of(item) not in _ITEMS and ("type" in item or "role" not in item)):
        return False
    content = item.get("content")
    return all(map(is_known_part, content)) if isinstance(content, list) else not isinstance(content, dict)


def is_known_part(part: Any) -> bool:
    return isinstance(part, str) or kind_of(part) in _PARTS


def is_call(item: Any) -> bool:
    """Whether an item asks the client to act. What the server does has been done when we hear of it."""
    kind = kind_of(item)
    return kind in _CLIENT_CALLS or (kind.endswith("_call") and kind not in _SERVER_CALLS)


def is_of_the_bot(kind: str) -> bool:
    """Whether an item that names no role is part of the bot's own turn."""
    return kind.endswith("_call") or kind in ("reasoning", "program", "mcp_list_tools", "mcp_approval_request")
