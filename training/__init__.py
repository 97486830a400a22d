"""How the shipped model is made. Only here is torch needed; nothing of this is installed with the product."""
