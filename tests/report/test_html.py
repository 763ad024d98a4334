"""Texts are shown as they are, whatever is in them."""

from hypothesis import given
from hypothesis import strategies as st

from lightning_modules.report.html import Markup, code, element, facts, folded, joined, listed, table, text
from lightning_modules.report.page import Page, Section
from tests.report.html_reading import read_report

HOSTILE = "<script>alert('1')</script>\" onload=\"x & </pre></style></table><!-- \x00 \ud800"


def page_of(content: Markup, title: str = "A report") -> str:
    return Page(title, ["A lead."], [Section("Part", content)], "from a test").html()


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc"))))
def test_any_text_reads_back(given_text: str) -> None:
    (found,) = read_report(page_of(code(given_text), given_text)).all("code")
    assert found.text == given_text


def test_hostile_text_is_text_everywhere() -> None:
    content = joined(
        [
            code(HOSTILE),
            table(HOSTILE, [HOSTILE, "b"], [[HOSTILE, HOSTILE]]),
            facts([(HOSTILE, HOSTILE)]),
            listed([HOSTILE]),
            folded(HOSTILE, HOSTILE),
            element("p", HOSTILE, title=HOSTILE),
        ]
    )
    report = read_report(page_of(content, HOSTILE))
    shown = HOSTILE.replace("\x00", "\N{REPLACEMENT CHARACTER}").replace("\ud800", "\N{REPLACEMENT CHARACTER}")
    for tag in ("code", "caption", "td", "dt", "dd", "li", "summary", "h1"):
        assert shown in [each.text for each in report.all(tag)], tag
    assert shown in [each.attributes.get("title") for each in report.all("p")]


def test_markup_is_not_escaped_again_but_what_is_joined_to_it_is() -> None:
    assert text(text("<")) == "&lt;"
    assert joined([element("b", "1"), "<"], " & ") == "<b>1</b> &amp; &lt;"
    assert not isinstance(element("b", "1") + "<", Markup)


def test_columns_of_numbers_stand_to_the_right() -> None:
    rows = [["BCE", "0.5", "+0.1 to +0.2"], ["MSE", "-", "-"]]
    (found,) = read_report(page_of(table("Losses", ["loss", "test", "interval"], rows))).all("table")
    assert [cell.attributes["class"] for cell in found.all("th")] == ["words", "number", "number"]


def test_nothing_may_be_loaded_or_run() -> None:
    metas = [each.attributes for each in read_report(page_of(code(""))).all("meta")]
    (policy,) = [each["content"] for each in metas if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
