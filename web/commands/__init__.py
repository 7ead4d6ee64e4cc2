"""The commands of `calotype`, each a module of its name, and what they are made of."""
