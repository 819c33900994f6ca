"""Read back a page of the report, or what is printed of it."""

import re
from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr", "col"}


class Page(HTMLParser):
    """A page's tags, attributes, text and `<data>` values; fails on tags that do not match.

    rows: of all tables, the values in each. elements: of each tag, in order, its attributes and the
    text within. The text leaves styles and scripts out.
    """

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.values, self.text = Counter(), [], set(), ""
        self.open, self.notices, self.rows, self.elements = [], "", [], {}
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        element = {"attributes": dict(attrs), "text": ""}
        self.elements.setdefault(tag, []).append(element)
        self.tags[tag] += 1
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "data":
            value = float(element["attributes"]["value"])
            self.values.add(value)
            if any(open_tag == "tr" for open_tag, _ in self.open):
                self.rows[-1].append(value)
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append((tag, element))

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()[0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        for _, element in self.open:
            element["text"] += data
        if any(tag in ("style", "script") for tag, _ in self.open):
            return
        self.text += data
        if any(element["attributes"].get("role") == "note" for _, element in self.open):
            self.notices += data

    def numbers(self):
        return self.values | {float(text) for text in re.findall(r"\d+(?:\.\d+)?", self.text)}

    def links(self):
        """The addresses of all links but those of files to save."""
        own = [link["attributes"] for link in self.elements.get("a", [])]
        return [link["href"] for link in own if "download" not in link]

    def named(self, identifier):
        """The text of the element with an id, its white space as a reader sees it."""
        found = [
            element["text"]
            for elements in self.elements.values()
            for element in elements
            if element["attributes"].get("id") == identifier
        ]
        assert len(found) == 1, f"{len(found)} elements {identifier}"
        return " ".join(found[0].split())


def numbers(content, without=()):
    """All numbers inside JSON-like `content`."""
    if isinstance(content, dict):
        content = [value for key, value in content.items() if key not in without]
    if isinstance(content, list):
        return {number for item in content for number in numbers(item, without)}
    is_number = isinstance(content, (int, float)) and not isinstance(content, bool)
    return {float(content)} if is_number else set()


def printed_table(text, title):
    """The lines of a printed table, its headings first."""
    return text.split(f"\n\n{title}\n")[1].split("\n\n")[0].splitlines()
