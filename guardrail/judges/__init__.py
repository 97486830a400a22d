"""Judges that are models: the shipped one, others that an operator has, and those that are asked over the network."""
