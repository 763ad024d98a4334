"""HTML elements, in which every text is escaped unless it is markup already."""

import re
from collections.abc import Iterable, Sequence
from html import escape

# What no HTML file may hold: control characters but for tabs and line ends, and halves of surrogate pairs.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?[\d.,]+(e[-+]?\d+)?%?( .*)?|-|")


class Markup(str):
    """HTML that is written as it is."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Return any value as markup that shows its text."""
    if isinstance(value, Markup):
        return value
    return Markup(escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(value))))


def joined(parts: Iterable[object], separator: str = "") -> Markup:
    """Return parts as markup, those that are texts escaped."""
    return Markup(text(separator).join(text(part) for part in parts))


def element(tag: str, *content: object, **attributes: str) -> Markup:
    """Return an element.

    Args:
        tag: Its name.
        content: What is in it; texts are escaped.
        attributes: Its attributes; an underscore stands for a hyphen, and one at the end is left out.
    """
    given = "".join(f' {name.rstrip("_").replace("_", "-")}="{text(str(value))}"' for name, value in attributes.items())
    return Markup(f"<{tag}{given}>{joined(content)}</{tag}>")


def void(tag: str, **attributes: str) -> Markup:
    """Return an element that has no content, such as ``meta``."""
    return Markup(element(tag, **attributes).removesuffix(f"</{tag}>"))


def paragraphs(*texts: object) -> Markup:
    """Return a paragraph for every text that is not empty."""
    return joined(element("p", each) for each in texts if each)


def listed(items: Iterable[object]) -> Markup:
    """Return a list; nothing without items."""
    entries = [element("li", item) for item in items]
    return element("ul", *entries) if entries else Markup("")


def table(caption: object, header: Sequence[object], rows: Sequence[Sequence[object]]) -> Markup:
    """Return a table that scrolls inside its own box; columns of numbers stand to the right."""
    is_number = [all(_NUMBER.fullmatch(str(row[place])) for row in rows) for place in range(len(header))]
    kinds = ["number" if each else "words" for each in is_number]
    titles = [element("th", title, scope="col", class_=kind) for title, kind in zip(header, kinds, strict=True)]
    lines = [
        element("tr", *(element("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True)))
        for row in rows
    ]
    whole = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *titles)),
        element("tbody", *lines),
    )
    return element("div", whole, class_="scroll", tabindex="0")


def code(shown: object) -> Markup:
    """Return text to copy, all of which one click selects."""
    return element("pre", element("code", shown), tabindex="0")


def facts(pairs: Iterable[tuple[object, object]]) -> Markup:
    """Return names with their values."""
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in pairs))


def folded(title: object, *content: object, is_printed: bool = True) -> Markup:
    """Return content that is shown when its title is clicked, without a script, and on paper if it is printed."""
    return element("details", element("summary", title), *content, class_="printed" if is_printed else "kept")
