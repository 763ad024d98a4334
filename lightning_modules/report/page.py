"""A report as one HTML file, which needs neither a network nor a script."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_modules.report.html import Markup, element, joined, paragraphs, void

_STYLE = Path(__file__).with_name("page.css")
#: Forbids everything but the styles in the file, should a value ever come through as markup.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Section:
    """A part of a report under its own heading.

    Attributes:
        title: The heading.
        content: What is below it.
    """

    title: str
    content: Markup

    @property
    def anchor(self) -> str:
        """The name by which the table of contents finds it."""
        return re.sub(r"[^a-z]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: What it is about.
        lead: The result in a few sentences.
        sections: Its parts, titles of which differ.
        origin: Where it comes from, a line.
    """

    title: str
    lead: Sequence[object]
    sections: Sequence[Section]
    origin: str

    def html(self) -> str:
        """Return the file."""
        head = element(
            "head",
            void("meta", charset="utf-8"),
            void("meta", name="viewport", content="width=device-width, initial-scale=1"),
            void("meta", name="color-scheme", content="light dark"),
            void("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            element("title", self.title),
            Markup(f"<style>{_STYLE.read_text(encoding='utf-8')}</style>"),
        )
        body = element("body", self._header(), self._contents(), element("main", *map(_shown, self.sections)))
        return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"

    def _header(self) -> Markup:
        lead = paragraphs(*self.lead)
        return element("header", element("h1", self.title), lead, element("p", self.origin, class_="origin"))

    def _contents(self) -> Markup:
        links = joined(
            element("li", element("a", section.title, href=f"#{section.anchor}")) for section in self.sections
        )
        return element("nav", element("ul", links), aria_label="Contents")


def _shown(section: Section) -> Markup:
    heading = element("h2", section.title, id=f"{section.anchor}-title")
    return element("section", heading, section.content, id=section.anchor, aria_labelledby=f"{section.anchor}-title")
