"""Bounds that keep every mapping finite, whatever its author or its input had in mind."""

MAX_DEFINITION_DEPTH = 32
MAX_DEFINITION_NODES = 200_000
MAX_VIOLATIONS = 200
MAX_FIELDS = 500
MAX_STEPS = 50
MAX_TABLE_ENTRIES = 50_000
MAX_PATH_TEXT = 500
MAX_PATH_SEGMENTS = 32
MAX_TARGET_INDEX = 99
MAX_RULES = 100
MAX_PARTS = 10_000
MAX_RULE_MESSAGE = 500
MAX_BOUND_STEPS = 5_000
MAX_PATTERNS = 100
MAX_PATTERN_TEXT = 1_000
MAX_PATTERN_MEMORY = 1 << 20
MAX_FORMAT_TEXT = 64
MAX_FORMATS = 20
MAX_TEMPLATE_TEXT = 10_000

MAX_TEXT = 1 << 20
MAX_LIST = 100_000
MAX_DEPTH = 64
MAX_OUTPUT = 1 << 20
MAX_ERRORS = 100

MAX_INTEGER = 2**64 - 1
MIN_INTEGER = -(2**63)

SMALL_TEXT = 256
"""Texts up to this length are not charged to the output bound one by one: 500 fields of them stay small."""
SHORT_TEXT = 1024
"""Texts of the fields of a record are charged from this length on: 500 below it are half the bound."""
