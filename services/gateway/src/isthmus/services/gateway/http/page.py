"""Small pages for people: no script, no style, nothing loaded, and nothing kept by a browser."""

from html import escape

from starlette.responses import HTMLResponse

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "; ".join(
        f"{what} 'none'" for what in ("default-src", "base-uri", "form-action", "frame-ancestors")
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def page(status: int, title: str, *paragraphs: str) -> HTMLResponse:
    """Give a page; all of it is text, whatever is in it."""
    told = "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Isthmus: {escape(title)}</title>'
        f"<h1>{escape(title)}</h1>{told}</html>"
    )
    return HTMLResponse(body, status_code=status, headers=_HEADERS)


__all__ = ["page"]
