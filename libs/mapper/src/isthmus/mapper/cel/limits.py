"""Bounds that end every expression, whatever its author or its record had in mind."""

MAX_EXPRESSION_TEXT = 4_000
MAX_NODES = 1_000
"""The library's parser refuses what is nested more than 32 deep by itself."""

MAX_EXPRESSIONS = 1_000
"""How many expressions one definition may hold; each takes memory of its own."""

MAX_COST = 100_000
"""What the loops of one record may cost: 1 for each turn, and more for work on large values inside them."""
CHARACTERS_FOR_ONE = 64
"""How many characters or elements handled inside a loop cost as much as one turn."""

MAX_RESULT = 1 << 20
"""Characters or elements of any text, bytes or list on the way."""
MAX_PLAIN = 1 << 20
"""Characters and elements of a result, counted where they stand, however often one value is repeated."""

MAX_ASKED = 1 << 26
"""Characters and elements that the library might make of what goes in, if it is to be asked."""
