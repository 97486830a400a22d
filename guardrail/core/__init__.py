"""The pure core: messages in, verdicts out. No clock, no sockets, no ids of its own."""
