"""Reads a report as a browser would, and refuses what a browser would have to guess at."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link"}
LOADING = {"src", "srcset", "data", "poster", "action", "formaction", "background", "cite", "manifest", "ping"}
RUNNING = {"script", "iframe", "object", "embed", "link", "base", "form"}


@dataclass
class Node:
    """An element.

    Attributes:
        tag: Its name.
        attributes: Its attributes.
        parts: Texts and elements in it.
    """

    tag: str
    attributes: dict[str, str]
    parts: list["Node | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def all(self, tag: str) -> list["Node"]:
        """Return the elements of a name in it, in their order."""
        inner = [part for part in self.parts if isinstance(part, Node)]
        return [found for part in inner for found in [*([part] if part.tag == tag else []), *part.all(tag)]]

    def table(self, caption: str) -> list[list[str]]:
        """Return the cells of the table with a caption, its header first."""
        (found,) = [each for each in self.all("table") if each.all("caption")[0].text == caption]
        return [[cell.text for cell in row.parts if isinstance(cell, Node)] for row in found.all("tr")]

    def section(self, anchor: str) -> "Node":
        (found,) = [each for each in self.all("section") if each.attributes["id"] == anchor]
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        assert tag not in RUNNING, f"there is a {tag}"
        given = {name: value or "" for name, value in attrs}
        for name, value in given.items():
            assert name not in LOADING, f"{tag} loads {value}"
            assert not name.startswith("on"), f"{tag} runs {value}"
            assert "javascript:" not in value.lower()
            assert "http" not in value or name == "content", f"{tag} names {value}"
        assert "href" not in given or given["href"].startswith("#"), given["href"]
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name].removeprefix("#") for name in ("href", "aria-labelledby") if name in given]
        node = Node(tag, given)
        self.open[-1].parts.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def read_report(html: str) -> Node:
    """Return the tree of a report, which must be whole, and must need nothing from elsewhere."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == [reader.root], "an element is not closed"
    assert len(reader.ids) == len(set(reader.ids)), "an id is there twice"
    assert {*reader.links} <= {*reader.ids}, "a link leads nowhere"
    root = reader.root
    assert "url(http" not in html
    assert "@import" not in html
    assert [each.attributes.get("lang") for each in root.all("html")] == ["en"]
    assert len(root.all("h1")) == 1
    assert root.all("title")[0].text == root.all("h1")[0].text
    for picture in root.all("svg"):
        assert picture.attributes["role"] == "img"
        assert picture.all("title")[0].text
    for cell in root.all("th"):
        assert cell.attributes["scope"] == "col"
    return root
