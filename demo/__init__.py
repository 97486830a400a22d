"""The demonstration behind ``make demo``: a sample chatbot, the proxy in front of it, and one conversation."""
