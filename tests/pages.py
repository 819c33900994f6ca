"""Read a page of the report back."""

import re
from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr", "col"}


class Page(HTMLParser):
    """A page's tags, attributes, text and `<data>` values; fails on tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.values, self.text = Counter(), [], set(), ""
        self.open, self.notices, self.rows = [], "", []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags[tag] += 1
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "data":
            self.values.add(float(attributes["value"]))
            if self.rows:
                self.rows[-1].append(float(attributes["value"]))
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append((tag, attributes.get("role")))

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()[0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if ("style", None) in self.open:
            return
        self.text += data
        if any(role == "note" for _, role in self.open):
            self.notices += data

    def numbers(self):
        return self.values | {float(text) for text in re.findall(r"\d+(?:\.\d+)?", self.text)}


def numbers(content, without=()):
    """All numbers inside JSON-like `content`."""
    if isinstance(content, dict):
        content = [value for key, value in content.items() if key not in without]
    if isinstance(content, list):
        return {number for item in content for number in numbers(item, without)}
    is_number = isinstance(content, (int, float)) and not isinstance(content, bool)
    return {float(content)} if is_number else set()
