"""The report in a browser, driven as a reader would: by mouse, keyboard, on a phone, on paper."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pypdf import PdfReader

from tests.helpers.browser import PHONE, WIDE, focused_by_tab, opened, violations

pytestmark = pytest.mark.browser
TABLES = [f"table{number}" for number in range(3, 13)]
LARGEST = 6_000_000  # bytes of a miniature's pages together


@pytest.fixture(scope="session")
def pages(finished) -> list[Path]:
    """The report's pages, the index first."""
    found = sorted((finished / "reports").glob("*.html"), key=lambda p: (p.stem != "index", p.name))
    names = {path.stem for path in found}
    others = {"index", "claims", "plan", "pictures", "fixed_boxes", "table1", "table2"}
    assert names >= {*others, *TABLES}
    return found


@pytest.fixture(scope="session")
def page_of(finished):
    return lambda name: finished / f"reports/{name}.html"


@pytest.fixture(scope="session")
def stored(finished_results):
    """`stored("table3")`: what the table's JSON file holds."""
    return lambda name: json.loads((finished_results / f"tables/{name}.json").read_text())


# Alone


@pytest.mark.parametrize("offline", [True, False])
def test_no_page_complains_or_asks_for_anything_but_itself(browser, pages, offline):
    for path in pages:
        with opened(browser, path, offline=offline) as page:
            page.wait_for_load_state("networkidle")
            assert page.title()
            assert page.locator("h1").count() == 1


def test_all_pages_together_are_small(pages, finished_results):
    assert finished_results.name in ("miniature", "tiny")
    assert sum(path.stat().st_size for path in pages) < LARGEST


REFERENCES = """() => {
  const named = ["aria-labelledby", "aria-describedby", "aria-controls", "for", "popovertarget"];
  return {
    ids: [...document.querySelectorAll("[id]")].map(e => e.id),
    links: [...document.querySelectorAll("a[href]")].map(e => e.getAttribute("href")),
    loads: [...document.querySelectorAll("[src], [srcset], link[href], use")]
      .map(e => e.getAttribute("src") ?? e.getAttribute("href") ?? e.outerHTML),
    names: named.flatMap(n => [...document.querySelectorAll(`[${n}]`)]
      .flatMap(e => e.getAttribute(n).split(/\\s+/))),
  };
}"""


def test_every_link_and_every_reference_has_its_target(browser, pages, finished):
    found = {}
    for path in pages:
        with opened(browser, path) as page:
            found[path.name] = page.evaluate(REFERENCES)
    problems, linked = [], set()
    for name, own in found.items():
        ids = own["ids"]
        problems += [f"{name}: two elements {i}" for i in {i for i in ids if ids.count(i) > 1}]
        problems += [f"{name}: no element {i}" for i in set(own["names"]) - set(ids)]
        problems += [f"{name}: {u}" for u in own["loads"] if not u.startswith(("data:", "#"))]
        for link in own["links"]:
            if link.startswith(("data:", "https://")):
                continue
            target, _, fragment = unquote(link).partition("#")
            target = target or name
            linked.add(target)
            if target in found:
                known = not fragment or fragment in found[target]["ids"]
            else:
                known = (finished / "reports" / target).is_file() and not fragment
            problems += [] if known else [f"{name}: {link} leads nowhere"]
    assert not problems
    assert linked >= found.keys() - {"index.html"}, "pages that nothing links to"


def test_downloads_are_the_files_of_the_results(browser, pages, finished_results):
    saved = set()
    for path in pages:
        with opened(browser, path) as page:
            for link in page.locator("a[download]").all():
                # In the middle of what is seen: words for screen readers have a place too.
                link.scroll_into_view_if_needed()
                box = link.evaluate("e => e.getBoundingClientRect().toJSON()")
                middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
                page.wait_for_timeout(120)  # Chromium drops what is over ten in a second
                with page.expect_download() as download:
                    page.mouse.click(*middle)
                name = download.value.suggested_filename
                folder = finished_results
                if not (folder / name).exists():
                    folder = finished_results / "tables"
                assert Path(download.value.path()).read_bytes() == (folder / name).read_bytes()
                saved.add((path.stem, name))
    for table in ("table1", "table2", *TABLES, "fixed_boxes"):
        names = {f"{table}.{suffix}" for suffix in ("csv", "json", "tex", "md")}
        assert {(page, name) for page in ("index", table) for name in names} <= saved
    others = {("claims", "claims.csv"), ("claims", "claims.json"), ("index", "evaluations.csv")}
    assert others <= saved


# Sorting

# Rows between headings: their places in the unsorted table, and their keys in a column.
ROWS = """table => {
  const parts = [[]];
  for (const body of table.tBodies)
    if (body.classList.contains("heading")) parts.push([]);
    else parts.at(-1).push(...[...body.rows].map(row => Number(row.dataset.place)));
  return parts.filter(part => part.length);
}"""
NUMBER_ROWS = """table => [...table.tBodies].filter(b => !b.classList.contains("heading"))
  .flatMap(b => [...b.rows]).forEach((row, place) => { row.dataset.place = place; })"""


PUNCTUATION = " _-–,;:!?.'\"()[]{}@*/\\&#%"  # in the order of Unicode's collation


def words_and_numbers(text: str) -> list[tuple[int, float | str]]:
    """A key by which punctuation stands before numbers, numbers before letters, as readers sort."""
    tokens = re.findall(r"\d+|.", text.casefold())
    return [
        (1, int(t)) if t.isdigit() else (2, t) if t.isalpha() else (0, PUNCTUATION.find(t))
        for t in tokens
    ]


def in_order(values: pd.Series, descending: bool) -> list:
    """A column's values as a reader expects them sorted: empty ones last in either direction."""
    there = values.dropna().tolist()
    key = words_and_numbers if there and isinstance(there[0], str) else None
    return sorted(there, key=key, reverse=descending) + [None] * int(values.isna().sum())


def sortable_columns(table: dict) -> list[str]:
    """The CSV's names of the columns that sort, in the order of their headings in the document.

    Differences from the paper are no column of the miniature's pages, and of features, that
    beside which the paper has no number has no column for it.
    """
    columns, rows = list(table["columns"]), [row["metrics"] for row in table["rows"]]
    for metric in table["metrics"]:
        printed = [row[metric].get(key) for row in rows for key in ("paper", "paper_starred")]
        beside = not table.get("higher_is_better") or any(value is not None for value in printed)
        columns += [metric, f"{metric}_paper"] if beside else [metric]
    return columns


def lines_of(finished_results, table: dict) -> pd.DataFrame:
    """A table's CSV file; a number of the paper's that has a star alone stands as one without."""
    path = finished_results / f"tables/{table['name']}.csv"
    lines = pd.read_csv(path, dtype=dict.fromkeys(table["columns"], str))
    for metric in table["metrics"] if table.get("higher_is_better") else ():
        starred = lines[f"{metric}_paper_starred"]
        lines[f"{metric}_paper"] = lines[f"{metric}_paper"].fillna(starred)
    return lines


def check_sorted(page, lines: pd.DataFrame, column: str, order: str | None) -> None:
    """Hold the rows as they stand against the CSV's column."""
    parts = page.locator("table.evaluation").evaluate(ROWS)
    assert sorted(place for part in parts for place in part) == list(range(len(lines)))
    if order is None:
        assert parts == [sorted(part) for part in parts]
        return
    for part in parts:
        found = [None if pd.isna(value) else value for value in lines[column].iloc[part]]
        expected = in_order(lines[column].iloc[sorted(part)], order == "descending")
        assert found == expected, (column, order)


def headings(page):
    """The headings that sort."""
    return page.locator("table.evaluation thead th:has(button.sort)")


@pytest.mark.parametrize("name", TABLES)
def test_a_click_on_a_heading_sorts(browser, page_of, stored, finished_results, name):
    table = stored(name)
    lines = lines_of(finished_results, table)
    with opened(browser, page_of(name)) as page:
        grid = page.locator("table.evaluation")
        own_text = grid.inner_text()
        grid.evaluate(NUMBER_ROWS)
        columns = sortable_columns(table)
        assert headings(page).count() == len(columns)
        for place, column in enumerate(columns):
            heading = headings(page).nth(place)
            for order in ("ascending", "descending", None):
                heading.locator("button").click()
                assert heading.get_attribute("aria-sort") == order
                assert page.locator("[aria-sort]").count() == (order is not None)
                check_sorted(page, lines, column, order)
        assert grid.inner_text() == own_text
        # Another heading sorts anew.
        for place in (0, len(columns) - 1):
            headings(page).nth(place).locator("button").click()
            assert page.locator("[aria-sort]").count() == 1
        check_sorted(page, lines, columns[-1], "ascending")


def test_the_keyboard_sorts(browser, page_of, stored, finished_results):
    lines = pd.read_csv(finished_results / "tables/table3.csv")
    with opened(browser, page_of("table3")) as page:
        page.locator("table.evaluation").evaluate(NUMBER_ROWS)
        focused_by_tab(page, "th.n.first > button.sort")
        heading = page.locator("th:has(> button:focus)")
        for key, order in (("Enter", "ascending"), ("Space", "descending"), ("Enter", None)):
            page.keyboard.press(key)
            assert heading.get_attribute("aria-sort") == order
            check_sorted(page, lines, "top1_val", order)


def test_the_plans_tables_sort_their_numbers(browser, page_of):
    with opened(browser, page_of("plan")) as page:
        tables = page.locator("table[data-sortable]").all()
        assert len(tables) >= 3
        numeric = 0
        for table in tables:
            for button in table.locator("thead button.sort").all():
                button.click()
                (numbers,) = table.evaluate(NUMBERS)
                assert numbers == sorted(numbers), button.inner_text()
                numeric += len(numbers) > 1
        assert numeric >= 10


# The numbers of the sorted column's cells, by body; cells without one are left out.
NUMBERS = """table => {
  const box = table.querySelector("[aria-sort]").getBoundingClientRect();
  const middle = (box.left + box.right) / 2;
  const below = cell => {
    const { left, right } = cell.getBoundingClientRect();
    return left <= middle && middle < right;
  };
  return [...table.tBodies].map(body => [...body.rows]
    .map(row => [...row.cells].find(below)?.querySelector("data"))
    .filter(Boolean).map(data => Number(data.value)));
}"""


# Provenance


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def weights_hash(finished):
    """`weights_hash(path)`: of the weights that a file is of by its place.

    Of posteriors, boxes or descriptors; those of random weights name them by an ending.
    """
    known = {}

    def of(path: str) -> str:
        parts = Path(path).parts
        (place,) = (i for i, p in enumerate(parts) if p in ("posteriors", "boxes", "descriptors"))
        model = parts[place + 2].removesuffix(".random")
        folder = "weights" if model == parts[place + 2] else "random"
        weights = Path(*parts[:place], folder, f"{model}.safetensors")
        if weights not in known:
            known[weights] = sha256(finished / weights)
        return known[weights]

    return of


@pytest.mark.parametrize("name", [*TABLES, "random_features"])
def test_a_click_on_a_number_shows_where_it_came_from(
    browser, page_of, stored, finished, weights_hash, name
):
    table, shown = stored(name), 0
    with opened(browser, page_of(name)) as page:
        for place, row in enumerate(table["rows"], start=1):
            for metric, cell in row["metrics"].items():
                split = metric.split("_", 1)[1]  # or the data set
                own = [e for e in row["evaluations"] if e["split"] == split]
                if cell["measured"] is None or cell["entered"]:
                    continue
                exact = f'data[value="{cell["measured"]}"]'
                number = page.locator(f"[popovertarget={name}-{place}-{split}]:has({exact})").first
                panel = page.locator(f"#{name}-{place}-{split}")
                assert not panel.is_visible()
                number.click()
                assert panel.is_visible()
                text = panel.text_content()
                files = set(re.findall(r"[\w./-]+\.parquet", text))
                behind = {g["guesses"] for g in row.get("guesses", []) if g["split"] == split}
                behind |= {
                    c["scores"] for c in row.get("classifiers", []) if c["data_set"] == split
                }
                assert {e["posteriors"] for e in own} | behind <= files
                assert all((finished / path).is_file() for path in files)
                hashes = set(re.findall(r"\b[0-9a-f]{64}\b", text))
                assert {weights_hash(e["posteriors"]) for e in own} <= hashes
                for part in (e["model"] for e in own):
                    assert part in text
                page.keyboard.press("Escape")
                assert not panel.is_visible()
                assert number.evaluate("e => e === document.activeElement")
                shown += 1
    assert shown == sum(
        c["measured"] is not None for r in table["rows"] for c in r["metrics"].values()
    )


def test_what_only_the_server_knows_opens_its_file(browser, page_of, finished):
    with opened(browser, page_of("table12")) as page:
        cells = page.locator("button.number", has_text="withheld").all()
        assert len(cells) == 2
        for cell in cells:
            cell.click()
            text = page.locator("[popover]:popover-open").text_content()
            assert "only the organisers’ server has the labels" in text
            (file,) = re.findall(r"results/\S+?\.tar\.gz", text)
            assert (finished / file).is_file()
            page.keyboard.press("Escape")


def test_the_keyboard_opens_and_closes_provenance(browser, page_of):
    with opened(browser, page_of("table5")) as page:
        for key, close in (("Enter", "Escape"), ("Space", "button")):
            focused_by_tab(page, "button.number")
            target = page.evaluate("document.activeElement.getAttribute('popovertarget')")
            panel = page.locator(f"#{target}")
            page.keyboard.press(key)
            assert panel.is_visible()
            assert page.evaluate(
                "i => document.getElementById(i).contains(document.activeElement)", target
            )
            if close == "button":
                focused_by_tab(page, "button.close")
                page.keyboard.press("Enter")
            else:
                page.keyboard.press(close)
            assert not panel.is_visible()
            assert page.evaluate("document.activeElement.getAttribute('popovertarget')") == target


def test_provenance_opens_from_a_sorted_table_and_by_its_address(browser, page_of):
    with opened(browser, page_of("table3")) as page:
        headings(page).nth(3).locator("button").click()
        number = page.locator("button.number").first
        number.click()
        assert page.locator(f"#{number.get_attribute('popovertarget')}").is_visible()
    with opened(browser, page_of("table3"), fragment="table3-2-val") as page:
        assert page.locator("#table3-2-val").is_visible()


def test_a_number_of_the_index_leads_to_its_provenance(browser, page_of):
    with opened(browser, page_of("index")) as page:
        link = page.locator("a.number").first
        target = link.get_attribute("href").partition("#")[2]
        value = link.locator("data").get_attribute("value")
        link.click()
        assert page.locator(f"#{target}").is_visible()
        numbers = page.locator(f"[popovertarget={target}] data").all()
        assert value in [number.get_attribute("value") for number in numbers]


def test_the_index_covers_all_tables_and_claims(browser, page_of, stored):
    with opened(browser, page_of("index")) as page:
        contents = page.locator("nav[aria-label=Tables]")
        for number in range(1, 13):
            link = contents.get_by_role("link", name=f"Table {number}", exact=True)
            assert link.get_attribute("href") == f"#table{number}"
        counts = [float(d.get_attribute("value")) for d in page.locator("dl data").all()[:4]]
        assert sum(counts) == page.locator("ul.claims > li").count() == 19
        for name in ("table11", "table12"):
            article = page.locator(f"article[aria-labelledby={name}]")
            numbers = {float(d.get_attribute("value")) for d in article.locator("data").all()}
            cells = [cell for row in stored(name)["rows"] for cell in row["metrics"].values()]
            assert {c["measured"] for c in cells if c["measured"] is not None} <= numbers
            article.locator("a.number").first.click()
            assert f"/{name}.html#{name}-1-" in page.url
            assert page.locator("[popover]:popover-open").is_visible()
            page.go_back()


def test_every_measured_cell_has_a_mark_that_says_what_it_is(browser, page_of, stored):
    measured = [
        cell
        for name in ("table3", "table4", "table5", "table6")
        for row in stored(name)["rows"]
        for cell in row["metrics"].values()
        if None not in (cell["measured"], cell["low"], cell["paper"])
    ]
    with opened(browser, page_of("index")) as page:
        marks = page.locator("section.pictured svg g[id*='-cell-']:not([id$=interval])")
        assert marks.count() == len(measured)
        told = [mark.locator("title").text_content() for mark in marks.all()]
        for cell in measured:
            numbers = f"{cell['measured']:.1f}% [{cell['low']:.1f}, {cell['high']:.1f}]"
            assert any(f"{numbers}, paper {cell['paper']:.1f}%" in words for words in told)
        assert all(mark.bounding_box()["width"] >= 4 for mark in marks.all())


def test_a_claim_of_the_index_leads_to_its_comparisons(browser, page_of, finished_results):
    claims = json.loads((finished_results / "claims.json").read_text())["claims"]
    with opened(browser, page_of("index")) as page:
        for claim in (claims[4], claims[-1]):
            page.get_by_role("link", name=claim["short"], exact=True).click()
            assert page.url.endswith(f"/claims.html#claim-{claim['number']}")
            heading = page.locator(f"#claim-{claim['number']}")
            assert claim["claim"] in heading.inner_text()
            box = heading.bounding_box()
            assert 0 <= box["y"] <= WIDE["height"]
            page.go_back()


def test_features_are_pictured_and_their_choices_compared(browser, page_of, finished_results):
    with opened(browser, page_of("pictures")) as page:
        page.locator("nav[aria-label=Contents]").get_by_role("link", name="Features").click()
        section = page.locator("section[aria-labelledby=features]")
        assert section.locator("h2").is_visible()
        curves = section.locator("svg").first
        assert curves.bounding_box()["width"] > 300
        pictured = json.loads((finished_results / "pictures/features.json").read_text())
        numbers = {float(d.get_attribute("value")) for d in section.locator("data").all()}
        assert pictured["recalled"]["mean"] in numbers
        photos = section.locator("img").all()
        assert len(photos) == 2 * 3 * 4  # classes, kinds, images
        assert all(p.evaluate("e => e.complete && e.naturalWidth > 0") for p in photos)
    path = finished_results / "choices_features.csv"
    if not path.exists():  # in a run in which choices were not compared
        return
    lines = pd.read_csv(path)
    with opened(browser, page_of("choices")) as page:
        section = page.locator("section[aria-labelledby=features]")
        numbers = {float(d.get_attribute("value")) for d in section.locator("data").all()}
        assert set(lines["measure"]) <= numbers


def test_commands_of_a_number_make_it_again(browser, page_of, finished, tmp_path):
    with opened(browser, page_of("table3"), fragment="table3-1-val") as page:
        texts = page.locator("#table3-1-val pre").all_text_contents()
    commands = {re.search(r"-m workflow_scripts\.(\w+)", text)[1]: text for text in texts}
    assert commands.keys() >= {"tabulate", "train", "evaluate"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    made = {"evaluate": tmp_path / "again.parquet", "tabulate": tmp_path / "again"}
    for name, output in made.items():
        again = f"{commands[name]} --output {output}"  # the last one counts
        subprocess.run(again, shell=True, cwd=finished, env=os.environ | {"PATH": path}, check=True)
    stored = re.search(r"--output (\S+\.parquet)", commands["evaluate"])[1]
    one, two = (pd.read_parquet(file) for file in (finished / stored, made["evaluate"]))
    assert one["id"].tolist() == two["id"].tolist()
    np.testing.assert_allclose(np.stack(one["posterior"]), np.stack(two["posterior"]), atol=1e-5)
    table = re.search(r"--output (\S+)", commands["tabulate"])[1]
    for suffix in (".csv", ".json", ".tex", ".md"):
        assert (tmp_path / f"again{suffix}").read_bytes() == (
            finished / f"{table}{suffix}"
        ).read_bytes()


# Everyone, everywhere

OVERFLOW = "document.scrollingElement.scrollWidth - innerWidth"


def test_no_page_is_wider_than_a_phone(browser, pages):
    wide = {}
    for path in pages:
        with opened(browser, path, viewport=PHONE, has_touch=True, is_mobile=True) as page:
            wide[path.name] = page.evaluate(OVERFLOW)
            if page.locator("button.number").count():
                page.locator("button.number").first.tap()
                panel = page.locator("[popover]:popover-open")
                box = panel.bounding_box()
                assert 0 <= box["x"] <= box["x"] + box["width"] <= PHONE["width"]
                wide[f"{path.name}, provenance"] = max(
                    page.evaluate(OVERFLOW), panel.evaluate("e => e.scrollWidth - e.clientWidth")
                )
    assert {name: pixels for name, pixels in wide.items() if pixels > 0} == {}


@pytest.mark.parametrize("width", [1216, 1280, 1920])  # from the first on, tables take the margin
def test_no_page_is_wider_than_a_desktop(browser, pages, width):
    for path in pages:
        with opened(browser, path, viewport={"width": width, "height": 900}) as page:
            assert page.evaluate(OVERFLOW) <= 0, path.name


@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", WIDE), ("dark", WIDE), ("light", PHONE)],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_no_serious_violation(browser, pages, scheme, viewport):
    found = {}
    for path in pages:
        with opened(browser, path, color_scheme=scheme, viewport=viewport) as page:
            found[path.name] = violations(page)
            if path.stem == "table7":
                page.locator("button.number").first.click()
                page.locator("[popover]:popover-open details").evaluate_all(
                    "all => all.forEach(details => { details.open = true })"
                )
                found["provenance"] = violations(page)
                page.keyboard.press("Escape")
                page.locator("button.sort").first.click()
                found["sorted"] = violations(page)
    assert found.keys() >= {"provenance", "sorted"}
    assert {name: own for name, own in found.items() if own} == {}


def test_axe_sees_what_is_wrong(browser, tmp_path):
    """A page that is bad on purpose, so that silence above means something."""
    (tmp_path / "bad.html").write_text(
        "<!DOCTYPE html><title>bad</title><style>p { color: #ccc; background: #fff }</style>"
        '<p>pale</p><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
    )
    with opened(browser, tmp_path / "bad.html") as page:
        found = {text.split(" ")[0] for text in violations(page)}
    assert {"color-contrast", "image-alt", "html-has-lang"} <= found


def test_a_page_that_complains_or_leaves_its_file_fails(browser, tmp_path):
    for content, complaint in (
        ("<script>console.error('oh')</script>", "complained"),
        ("<script>nothing.here</script>", "complained"),
        ('<img src="https://example.org/a.png">', "asked for|complained"),
        ('<img src="other.png">', "asked for|complained"),
    ):
        (tmp_path / "bad.html").write_text(f"<!DOCTYPE html><title>bad</title>{content}")
        with (
            pytest.raises(AssertionError, match=complaint),
            opened(browser, tmp_path / "bad.html") as page,
        ):
            page.wait_for_load_state("networkidle")


def test_tables_and_provenance_do_without_scripts(browser, pages, page_of):
    for path in pages:
        with opened(browser, path) as page:
            with_scripts = page.locator("table").all_inner_texts()
        with opened(browser, path, java_script_enabled=False) as page:
            tables = page.locator("table")
            assert tables.all_inner_texts() == with_scripts
            hidden = page.locator("details table, [popover] table").count()
            assert sum(table.is_visible() for table in tables.all()) >= tables.count() - hidden
    with opened(browser, page_of("table3"), java_script_enabled=False) as page:
        page.locator("button.number").first.click()
        assert page.locator("#table3-1-val").is_visible()


# Pictures for people to look at


@pytest.fixture(scope="session")
def pictures(request) -> Path:
    folder = request.config.getoption("--pictures")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def brightness(path: Path) -> float:
    """Mean of a picture's grey values, 0 to 255."""
    return float(np.asarray(Image.open(path).convert("L")).mean())


def test_pictures_of_all_pages(browser, pages, pictures):
    for path in pages:
        with opened(browser, path) as page:
            for viewport in (WIDE, PHONE):
                page.set_viewport_size(viewport)
                bright = []
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    file = pictures / f"{path.stem}-{viewport['width']}-{scheme}.png"
                    page.screenshot(path=file, full_page=True)
                    bright.append(brightness(file))
                assert bright[0] > 170 > 85 > bright[1], (file.name, bright)
            page.set_viewport_size(WIDE)
            # Still dark on the screen; paper is white nevertheless.
            page.emulate_media(media="print")
            file = pictures / f"{path.stem}-print.png"
            page.screenshot(path=file, full_page=True)
            assert brightness(file) > 170
            page.pdf(path=file.with_suffix(".pdf"), prefer_css_page_size=True)


def test_pictures_of_provenance(browser, page_of, pictures):
    for viewport in (WIDE, PHONE):
        with opened(browser, page_of("table5"), viewport=viewport) as page:
            page.locator("button.number").first.click()
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.screenshot(path=pictures / f"provenance-{viewport['width']}-{scheme}.png")


def test_a_printed_table_has_all_its_numbers(pictures, page_of, browser, stored):
    for name in TABLES:
        file = pictures / f"{name}-print.pdf"
        with opened(browser, page_of(name)) as page:
            page.pdf(path=file, prefer_css_page_size=True)
        text = " ".join(p.extract_text() for p in PdfReader(file).pages)
        numbers = set(re.findall(r"\d+\.\d", text))
        for row in stored(name)["rows"]:
            for cell in row["metrics"].values():
                values = [cell[key] for key in ("measured", "low", "high", "paper")]
                assert {f"{value:.1f}" for value in values if value is not None} <= numbers
