"""What holds for every page: it stands alone, escapes its text, links to what is there."""

import base64
import hashlib
import re
import subprocess
import sys
from collections import Counter

from tests.helpers.pages import Page
from tests.helpers.report_inputs import (
    HOSTILE,
    claims_of,
    downloads,
    index_of,
    page_of,
    record,
)
from workflow_scripts.vgg.report import inputs
from workflow_scripts.vgg.report import pages as rendered


def test_downloads_are_the_files_beside_the_table(run, tmp_path, figures):
    files = {
        "table7.csv": b"a,b\r\n1,\xc3\xa9\n",
        "table7.tex": b"\\toprule \x00 %",
        "table7.md": b"| a |\n",
        "claims.csv": b"number\n9\n",
        "evaluations.csv": b"model\nA\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "table7.html").write_text("no form of the table")
    own = [name for name in files if name.startswith("table7")] + ["table7.json"]
    page = downloads(page_of(run, "table7"))
    assert page.keys() == set(own)
    index = downloads(index_of(run, "--figures", *figures, "--evaluations", run("evaluations.csv")))
    assert index.keys() == {*own, "table1.json", "table2.json", "evaluations.csv"}
    claims = downloads(claims_of(run))
    assert claims.keys() == {"claims.csv", "claims.json"}
    for offered in (page, index, claims):
        for name, (_, content) in offered.items():
            assert content == (tmp_path / name).read_bytes()
    assert {name: head for name, (head, _) in page.items()} == {
        "table7.csv": "data:text/csv;charset=utf-8",
        "table7.json": "data:application/json;charset=utf-8",
        "table7.tex": "data:application/x-tex;charset=utf-8",
        "table7.md": "data:text/markdown;charset=utf-8",
    }
    assert downloads(page_of(run, "table1")).keys() == {"table1.json"}


def test_every_page_is_called_a_miniature_if_and_only_if_it_is_one(pages, config):
    for html in pages:
        notice = " ".join(Page(html).notices.split())
        if config["data"]["source"] == "miniature":
            assert "not evidence about ILSVRC. What they show is directions" in notice
        else:
            assert "iniature" not in html


def test_pages_load_nothing_and_their_tags_and_identifiers_are_sound(pages):
    for html in pages:
        page = Page(html)
        assert not page.tags.keys() & {"link", "img", "iframe", "object", "image"}
        for tag, name, value in page.attributes:
            if tag != "a" and name in {"src", "href", "xlink:href", "srcset", "data", "poster"}:
                assert value.startswith("#")
            assert not name.startswith("on")
        assert not re.search(r"@import|url\((?!#)", html)
        identifiers = Counter(value for _, name, value in page.attributes if name == "id")
        assert identifiers.most_common(1)[0][1] == 1
        referring = {"aria-labelledby", "aria-describedby", "popovertarget"}
        named = {value for _, name, value in page.attributes if name in referring}
        assert named <= identifiers.keys()
        assert {link[1:] for link in page.links() if link[0] == "#"} <= identifiers.keys()
        assert all(head["text"].strip() for head in page.elements["th"])
        regions = page.elements.get("section", []) + page.elements["div"]
        names = [region["attributes"].get("aria-labelledby") for region in regions]
        labels = Counter(page.named(name) for name in names if name)
        assert labels.most_common(1)[0][1] == 1, "two regions of the same name"


def test_the_one_script_of_a_page_is_the_only_one_that_it_allows(pages):
    for html in pages:
        page = Page(html)
        (script,) = page.elements["script"]
        assert not script["attributes"]
        digest = base64.b64encode(hashlib.sha256(script["text"].encode()).digest()).decode()
        (policy,) = (
            meta["attributes"]["content"]
            for meta in page.elements["meta"]
            if meta["attributes"].get("http-equiv") == "Content-Security-Policy"
        )
        assert "default-src 'none'" in policy
        assert re.findall(r"script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]


def test_hostile_labels_are_shown_as_text(evaluations, claims, config):
    evaluations["rows"][0]["labels"] = [HOSTILE]
    evaluations["rows"][0]["evaluations"][0] |= {"model": HOSTILE, "node": HOSTILE}
    evaluations |= {"title": HOSTILE, "notes": [HOSTILE]}
    claims["claims"][0] |= {"claim": HOSTILE, "short": HOSTILE, "note": HOSTILE}
    config["choices"]["resize_filter"] = HOSTILE
    offered = [inputs.Download(HOSTILE, HOSTILE, "text/csv", b"")]
    kept = {("evaluate_convnet", HOSTILE): record(HOSTILE, [HOSTILE])}
    for html in (
        rendered.render_table(evaluations, config, downloads=offered, records=kept),
        rendered.render_claims(claims, [evaluations], config, downloads=offered),
        rendered.render_index(
            [evaluations],
            claims,
            [],
            config,
            drawn=["table7"],
            records=kept,
            downloads={"evaluations": offered},
        ),
    ):
        page = Page(html)
        assert page.tags["script"] == 1
        assert not page.tags["b"]
        assert page.text.count(HOSTILE) >= 3


def test_pages_link_only_to_pages_that_are_there(run):
    def links(html):
        return [link for link in Page(html).links() if not link.startswith(("https:", "#"))]

    assert links(page_of(run, "table7")) == []
    assert links(page_of(run, "table7", "--index")) == ["index.html"]
    neighbours = ("--previous", "table6", "--next", "mine", "--index")
    assert links(page_of(run, "table7", *neighbours)) == ["table6.html", "index.html", "mine.html"]
    assert links(claims_of(run)) == []
    assert links(claims_of(run, "--index")) == ["index.html"]
    assert links(index_of(run)) == []
    given = ("claims", "table7", "pictures", "plan", "choices")
    found = links(index_of(run, "--pages", *given))
    assert {link.partition("#")[0] for link in found} == {f"{name}.html" for name in given}
    # Numbers of a table in brief lead to their provenance.
    ids = {value for _, name, value in Page(page_of(run, "table7")).attributes if name == "id"}
    inside = {link.partition("#")[2] for link in found if link.startswith("table7.html#")}
    assert inside == {"table7-1-val", "table7-1-test", "table7-2-val", "table7-2-test"}
    assert inside <= ids
    # A claim of the list leads to its comparisons.
    ids = {value for _, name, value in Page(claims_of(run)).attributes if name == "id"}
    inside = {link.partition("#")[2] for link in found if link.startswith("claims.html#")}
    assert inside == {"claim-1", "claim-9"}
    assert inside <= ids


def test_the_same_inputs_give_the_same_bytes(run, figures):
    words = ("--figures", *figures, "--records", run("logs"))
    assert index_of(run, *words) == index_of(run, *words)
    assert page_of(run, "table7", *words[-2:]) == page_of(run, "table7", *words[-2:])


def test_the_commands_start_without_heavy_libraries():
    code = (
        "import sys, workflow_scripts.render_table, workflow_scripts.render_index;"
        "import workflow_scripts.render_claims;"
        "sys.exit(' '.join({'torch', 'matplotlib', 'pandas'} & set(sys.modules)) or None)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
