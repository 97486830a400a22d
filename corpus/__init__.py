"""The corpus: what people in danger and people who only sound like it write, and what bots answer. ``README.md``."""
