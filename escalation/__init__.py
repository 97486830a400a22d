"""Cases for humans: kept durably, told until somebody answers. A leaf: it knows nothing of chatbots."""
