"""The edge: ASGI, the upstream, and the parts put together."""
