"""Figures of matplotlib as SVG inside a page, in the page's colours."""

import io
import re
from typing import Any
from xml.etree.ElementTree import Element, fromstring, tostring

from matplotlib import rc_context
from matplotlib.figure import Figure

from lightning_modules.report.html import Markup, element
from lightning_modules.utilities.figure_style import BLUE, GREEN, GRID, GUIDE, INK, ORANGE, PAPER, PURPLE

_NAMESPACE = re.compile(r"\{[^}]*\}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
#: Colours of the style, and their names in the page, where they differ between light and dark.
_COLOURS = {
    INK: "--ink",
    GUIDE: "--guide",
    GRID: "--grid",
    PAPER: "--paper",
    BLUE: "--blue",
    ORANGE: "--orange",
    GREEN: "--green",
    PURPLE: "--purple",
}
_COLOUR = re.compile("|".join(_COLOURS))
_DROPPED = ("metadata", "style")
#: Without these a figure is the same in every run.
_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "lossmith"}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def picture(figure: Figure, name: str, caption: object, description: str) -> Markup:
    """Return a figure with its caption.

    Args:
        figure: The figure.
        name: Its name, which no other figure of the page has.
        caption: What is written below.
        description: The text alternative: what there is to see.
    """
    return element("figure", svg(figure, name, description), element("figcaption", caption))


def svg(figure: Figure, name: str, description: str) -> Markup:
    """Return a figure as an ``svg`` element that is as wide as there is room, with a text alternative."""
    with rc_context(_SETTINGS):
        written = io.BytesIO()
        figure.savefig(written, format="svg", transparent=True, metadata=_NO_METADATA)
    root = fromstring(written.getvalue())  # noqa: S314 (written by matplotlib a line above)
    _clean(root, name)
    attributes = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-labelledby": f"{name}-description"}
    width = float(root.attrib["viewBox"].split()[2])
    root.attrib = {**attributes, "style": f"max-width: {1.6 * width:.0f}px"}
    title = Element("title", {"id": f"{name}-description"})
    title.text = description
    root.insert(0, title)
    return Markup(tostring(root, encoding="unicode"))


def _clean(parent: Element, name: str) -> None:
    """Leave out namespaces and metadata, name the page's colours, and make names unique in the page."""
    parent.tag = _NAMESPACE.sub("", parent.tag)
    attributes = ((_NAMESPACE.sub("", key), value) for key, value in parent.attrib.items())
    parent.attrib = {key: _of_page(key, value, name) for key, value in attributes}
    for child in [*parent]:
        if _NAMESPACE.sub("", child.tag).lower() in _DROPPED:
            parent.remove(child)
        else:
            _clean(child, name)
    for child in parent.iter("defs"):
        for style in child.findall("style"):
            child.remove(style)


def _of_page(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return f"#{name}-{value.removeprefix('#')}"
    named = _COLOUR.sub(lambda found: f"var({_COLOURS[found[0]]})", value)
    return _REFERENCE.sub(lambda found: f"url(#{name}-{found[1]})", named)
