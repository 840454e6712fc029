"""What every page shares: the base template, escaping, number formats, and writing it whole.

Reads ``templates/``; writes one HTML file a call. Style and script are put into the page, nothing
is loaded from elsewhere, and a Content-Security-Policy in the page's head refuses whatever would
be: the only script that runs is the one whose sha256 the policy names. Were one escape ever
forgotten, a file name or a caption still could not run anything.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reelscribe.pipeline.files import write_whole

TEMPLATES = Path(__file__).parent / "templates"

NOTHING = "n/a"
"""What stands where a number is missing or is not finite."""


def write_page(
    path: Path,
    template: str,
    *,
    script: str | None = None,
    policy: str = "",
    style: Sequence[str] = ("style.css",),
    **values: object,
) -> Path:
    """Render ``template`` and write it to ``path``, whole or not at all.

    Args:
        path: the HTML file to write; its folder is made.
        template: a file in ``templates/`` that extends ``base.html``.
        script: a file in ``templates/`` that the page carries and runs, or None.
        policy: what the page may load beside pictures, in the words of its Content-Security-Policy.
        style: files in ``templates/``, put behind ``base.css``.
        values: what the template names.
    """
    code = _asset(script) if script else ""
    html = (
        _environment()
        .get_template(template)
        .render(
            style=Markup("".join(_asset(name) for name in ("base.css", *style))),
            script=Markup(code),
            script_policy=f"'sha256-{_sha256_base64(code)}'" if code else "'none'",
            policy=policy,
            **values,
        )
    )
    # A file name may hold bytes that are not UTF-8; Python keeps them as lone surrogates. The page
    # shows those as \udcXX, which can be searched for, and stays a valid page.
    data = html.encode("utf-8", "backslashreplace")
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)
    return path


@cache
def _environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        percent=percent,
        number=number,
        clock=clock,
        took=took,
        count=count,
        relative_url=relative_url,
    )
    return env


@cache
def _asset(name: str) -> str:
    # Read and not rendered: CSS and JavaScript have braces that jinja would take for its own.
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def looks_of_pages() -> str:
    """Return a hash of all templates, styles and scripts: it changes when pages would."""
    hashed = hashlib.sha256()
    for path in sorted(TEMPLATES.iterdir()):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def _sha256_base64(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def finite(value: object) -> float | None:
    """Return ``value`` as a float, or None where it is missing, no number, NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def percent(fraction: object, digits: int = 1) -> str:
    """Return 0.8725 as ``87.3%``; rounding never turns less than all into ``100.0%``."""
    value = finite(fraction)
    if value is None:
        return NOTHING
    most = 100 - 10**-digits
    shown = 100 * value
    return f"{min(shown, most) if shown < 100 else shown:.{digits}f}%"


def number(value: object, digits: int = 3) -> str:
    """Return a plain number with ``digits`` decimals."""
    found = finite(value)
    return NOTHING if found is None else f"{found:.{digits}f}"


def count(value: object) -> str:
    """Return 12345 as ``12,345``."""
    found = finite(value)
    return NOTHING if found is None else f"{round(found):,}"


def clock(seconds: object) -> str:
    """Return a duration in seconds as ``7.5 s``, ``12:05`` or ``1:02:05``."""
    value = finite(seconds)
    if value is None:
        return NOTHING
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, second = divmod(round(value), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def took(seconds: object) -> str:
    """Return a time of work in seconds as ``0.4 s``, ``12.5 s`` or ``3 min 20 s``."""
    value = finite(seconds)
    if value is None or value < 59.95:
        return NOTHING if value is None else f"{value:.1f} s"
    minutes, second = divmod(round(value), 60)
    return f"{minutes} min {second} s"


def relative_url(path: str) -> str:
    """Quote a relative path for ``href`` and ``src``: it cannot become a scheme or a host."""
    assert not path.startswith("/"), f"pages link to files beside them, not to {path!r}"
    return quote(os.fsencode(path))


def link(target: Path, *, page: Path) -> str | None:
    """Return the relative path from ``page`` to ``target``, or None where there is no such file."""
    if not target.is_file():
        return None
    return Path(os.path.relpath(target.resolve(), page.parent.resolve())).as_posix()
