"""Badges: small images for READMEs. They are drawn here, so that no third-party server is needed to show one."""

from __future__ import annotations

from html import escape

_CHARACTER, _PADDING, _HEIGHT = 6.6, 8, 20
_GOOD, _FAIR, _POOR = "#2e7d32", "#8a6100", "#b3261e"  # white text has a contrast of at least 4.5 to 1 on each


def badge(label: str, message: str, *, share: float) -> str:
    """Return a badge as SVG; its colour shows whether the share is at least 90%, at least half, or less.

    Examples
    --------
    >>> from cachestats.report.badges import badge
    >>> badge("e4s", "468 packages", share=0.95)[:4]
    '<svg'
    """
    colour = _GOOD if share >= 0.9 else _FAIR if share >= 0.5 else _POOR
    left, right = (round(len(text) * _CHARACTER + 2 * _PADDING) for text in (label, message))
    width = left + right
    label, message = escape(label), escape(message)
    texts = (
        f'<text x="{x}" y="14" textLength="{length}">{text}</text>'
        for x, length, text in (
            (_PADDING, left - 2 * _PADDING, label),
            (left + _PADDING, right - 2 * _PADDING, message),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT}" role="img" '
        f'aria-label="{label}: {message}"><title>{label}: {message}</title>'
        f'<clipPath id="round"><rect width="{width}" height="{_HEIGHT}" rx="3"/></clipPath>'
        f'<g clip-path="url(#round)"><rect width="{left}" height="{_HEIGHT}" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{colour}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{"".join(texts)}</g></svg>\n'
    )
