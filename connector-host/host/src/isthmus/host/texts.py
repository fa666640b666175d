"""Text from outside, made fit to travel: no control characters, no halves of characters, not too long."""

_KEPT = frozenset("\n\t")


def clean(text: str, longest: int = 1000) -> str:
    """Return the text as every service takes it; what is unfit becomes a replacement character."""
    if text.isascii() and text.isprintable():
        return text[:longest]
    letters = (letter if letter in _KEPT or _is_fit(letter) else "\ufffd" for letter in text[:longest])
    return "".join(letters)


def _is_fit(letter: str) -> bool:
    return letter >= " " and letter != "\x7f" and not "\ud800" <= letter <= "\udfff"


__all__ = ["clean"]
