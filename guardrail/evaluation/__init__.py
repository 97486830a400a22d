"""How well danger is told from what only sounds like it: labelled conversations in, figures with intervals out."""
