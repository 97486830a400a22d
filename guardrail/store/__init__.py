"""What is remembered between turns: conversations, and how a request finds its own."""
