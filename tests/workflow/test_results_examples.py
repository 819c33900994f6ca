"""The examples of docs/results.md, run as they stand; what they print is computed again."""

import contextlib
import io
import json
import math
import re
from collections import Counter

import matplotlib.pyplot as plt
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.helpers.clones import ROOT

DOCS = (ROOT / "docs/results.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
NUMBER = r"-?\d+(?:\.\d+)?(?:e-\d+)?|NaN"


@pytest.fixture
def printed(finished_results, tmp_path, monkeypatch):
    """`printed("table5")`: what the one example prints in which a word is.

    It runs in a folder where the finished run is the miniature's.
    """
    (tmp_path / "results").mkdir()
    (tmp_path / "results/miniature").symlink_to(finished_results)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")

    def of(word):
        (example,) = (text for text in EXAMPLES if word in text)
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            exec(compile(example, "docs/results.md", "exec"), {"__name__": "example"})
        return text.getvalue()

    return of


@pytest.fixture
def table(finished_results):
    """`table(5)`: the rows of a table of the paper's own, from its JSON file."""

    def rows(number):
        path = finished_results / f"tables/table{number}.json"
        return [row for row in json.loads(path.read_text())["rows"] if not row["literature"]]

    return rows


@pytest.fixture
def posteriors(finished_results):
    """`posteriors(model, Q)`: (id, label, posterior) of each validation image, dense."""

    def of(model, Q):
        path = finished_results / f"posteriors/val/{model}/dense_Q{Q}.parquet"
        columns = pq.read_table(path).select(["id", "label", "posterior"]).to_pydict()
        return list(zip(*columns.values(), strict=True))

    return of


def numbers(text):
    return [float(number) for number in re.findall(NUMBER, text)]


def lines_of(text, count):
    """The words of the last lines."""
    return [line.split() for line in text.rstrip().splitlines()[-count:]]


def best(posterior, count=1):
    """The classes of the highest posteriors; of equal ones the first."""
    return sorted(range(len(posterior)), key=lambda label: (-posterior[label], label))[:count]


def listed():
    """The files and folders right below results/<experiment>/ that are said to be there."""
    names = set()
    for cell in re.findall(r"^\| (`.*?`) \|", DOCS.partition("\n## ")[0], flags=re.M):
        last = ""
        for words in re.findall("`(.*?)`", cell):
            other_form = words.startswith(".")
            last = last.rpartition(".")[0] + words if other_form else words
            last = last.removeprefix("results/<experiment>/")
            names.add(last.partition("/")[0])
    return names


def test_all_that_lies_in_the_results_is_listed(finished_results):
    there = {path.name for path in finished_results.iterdir() if path.name[0] != "."}
    assert there >= {"config.yaml", "index", "shards", "statistics.json", "claims_throughput.csv"}
    assert there - listed() == set()


def test_all_that_a_rule_makes_in_the_results_is_listed():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    made = set(re.findall(r"\{RESULTS\}/(\w+)", rules))
    assert made >= {"config", "index", "shards", "packing", "unpacked", "tuning", "weights"}
    assert made - {name.partition(".")[0] for name in listed()} == set()


def test_examples_are_short():
    assert len(EXAMPLES) == 8
    for example in EXAMPLES:
        assert len([line for line in example.splitlines() if line]) <= 10
        assert max(map(len, example.splitlines())) <= 100


def test_a_table_stands_beside_the_papers(printed, table):
    shown = lines_of(printed("table5.csv"), 6)
    keys = ("measured", "low", "high", "paper", "difference")
    for words, row in zip(shown, table(5), strict=True):
        cell = row["metrics"]["top1_val"]
        assert [float(word) for word in words[-5:]] == [round(cell[key], 1) for key in keys]


def test_errors_are_held_against_the_papers(printed, table):
    *counts, (*_, correlation) = lines_of(printed("spearman"), 5)
    cells = {n: [row["metrics"]["top1_val"] for row in table(n)] for n in (3, 4, 5, 6)}
    inside = {n: sum(c["low"] <= c["paper"] <= c["high"] for c in own) for n, own in cells.items()}
    assert [[int(word) for word in line] for line in counts] == [
        [n, inside[n], len(own)] for n, own in cells.items()
    ]
    pairs = [(c["measured"], c["paper"]) for own in cells.values() for c in own]
    assert float(correlation) == pytest.approx(spearman(*zip(*pairs, strict=True)))


def spearman(one, two):
    """Pearson's correlation of ranks, equal values sharing theirs."""
    ranks = [
        [(sum(b < a for b in values) + sum(b <= a for b in values)) / 2 for a in values]
        for values in (one, two)
    ]
    means = [sum(own) / len(own) for own in ranks]
    apart = [[r - mean for r in own] for own, mean in zip(ranks, means, strict=True)]
    products = [sum(a * b for a, b in zip(x, y, strict=True)) for x in apart for y in apart]
    return products[1] / math.sqrt(products[0] * products[3])


def test_images_that_d_is_surest_of_are_wrong(printed, table, posteriors, finished_results):
    head, text = printed("sure=").split("\n", 1)
    images = posteriors("D_S256-512", 384)
    missed = sum(label not in best(posterior, 5) for _, label, posterior in images)
    (row,) = (row for row in table(3) if row["labels"] == ["D", "[256;512]", "384"])
    assert float(head.split()[-1]) == pytest.approx(100 * missed / len(images))
    assert float(head.split()[-1]) == pytest.approx(row["metrics"]["top5_val"]["measured"])
    wrong = {
        name: (label, *best(posterior), max(posterior))
        for name, label, posterior in images
        if best(posterior) != [label]
    }
    words = pq.read_table(finished_results / "classes.parquet")["words"].to_pylist()
    found = [line.split(maxsplit=1) for line in text.splitlines()[1:]]
    assert len(found) == min(20, len(wrong))
    sures = [float(rest.split()[-1]) for _, rest in found]
    highest = sorted((sure for *_, sure in wrong.values()), reverse=True)[: len(found)]
    assert sures == pytest.approx(highest, abs=1e-5)
    for (name, rest), sure in zip(found, sures, strict=True):
        label, seen, own = wrong[name]
        assert sure == pytest.approx(own, abs=1e-5)
        assert " ".join(rest.split()[:-1]) == f"{words[label]} {words[seen]}"


def test_images_that_most_nets_get_wrong(printed, posteriors, finished_results):
    shown = [line.split() for line in printed("glob").splitlines() if line.startswith("ILSVRC")]
    paths = list(finished_results.glob("posteriors/val/*/dense_Q*.parquet"))
    assert len(paths) > 30
    wrong, images = Counter(), set()
    for path in paths:
        for name, label, posterior in posteriors(path.parent.name, path.stem[len("dense_Q") :]):
            images.add(name)
            wrong[name] += best(posterior) != [label]
    shares = {name: float(share) for name, share in shown}
    assert len(shares) == min(20, len(images))
    for name, share in shares.items():
        assert share == pytest.approx(wrong[name] / len(paths), abs=1e-5)
    highest = sorted((wrong[name] / len(paths) for name in images), reverse=True)
    assert sorted(shares.values(), reverse=True) == pytest.approx(highest[:20], abs=1e-5)


def test_two_nets_are_fused_and_compared(printed, table, posteriors, finished_results):
    fused, alone, p = numbers(printed("binomtest"))
    own = {name: table(number)[row] for name, number, row in (("DE", 6, 1), ("E", 5, 3))}
    errors = {name: row["metrics"]["top1_val"]["measured"] for name, row in own.items()}
    assert (100 * fused, 100 * alone) == pytest.approx((errors["DE"], errors["E"]))

    def outcomes(*models):
        files = [posteriors(model, Q) for model in models for Q in (256, 384, 512)]
        for same in zip(*files, strict=True):
            mean = [math.fsum(values) for values in zip(*(each[2] for each in same), strict=True)]
            yield best(mean) != [same[0][1]]

    pairs = list(zip(outcomes("D_S256-512", "E_S256-512"), outcomes("E_S256-512"), strict=True))
    worse, better = (sum(one > two for one, two in each) for each in (pairs, map(reversed, pairs)))
    assert p == pytest.approx(mcnemar(worse, better))
    claims = json.loads((finished_results / "claims.json").read_text())["claims"]
    (claim,) = (each for each in claims if each["number"] == 8)
    assert p == pytest.approx(claim["comparisons"][1]["p"])


def mcnemar(one, other):
    """Two-sided p of the exact test on the images that one side alone has wrong."""
    total, least = one + other, min(one, other)
    tail = sum(math.comb(total, k) for k in range(least + 1))
    return min(1, 2 * tail / 2**total)


def test_claims_that_were_not_reproduced_are_listed(printed, finished_results):
    claims = json.loads((finished_results / "claims.json").read_text())["claims"]
    text = printed("claims.json")
    failed = [claim for claim in claims if claim["verdict"] == "not reproduced"]
    listed, _, compared = text.partition("difference")
    shown = re.findall(r"^\d+ +(\d+) +(.*)$", listed, flags=re.M)
    assert [(int(n), words.strip()) for n, words in shown] == [
        (claim["number"], claim["short"]) for claim in failed
    ]
    against = [
        comparison
        for claim in claims
        for comparison in claim["comparisons"]
        if comparison["verdict"] == "not reproduced"
    ]
    lines = re.findall(r"^\d+ +\d+ +(.*)$", compared, flags=re.M)
    assert len(lines) == len(against)
    for line, comparison in zip(lines, against, strict=True):
        keys = ("difference", "low", "high", "p_holm", "paper_difference")
        expected = [math.nan if comparison[key] is None else comparison[key] for key in keys]
        assert numbers(line) == pytest.approx(expected, rel=1e-3, abs=1e-5, nan_ok=True)


def test_a_learning_curve_is_drawn(printed, tmp_path):
    printed("savefig")
    figure = plt.gcf()
    drawn = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    lines = (tmp_path / "results/miniature/history/D_S256.csv").read_text().splitlines()
    heads, *rows = (line.split(",") for line in lines)
    columns = dict(zip(heads, map(list, zip(*rows, strict=True)), strict=True))
    for name in ("val_top1_error", "val_top5_error"):
        pairs = zip(columns["iteration"], columns[name], strict=True)
        assert drawn[name] == [[float(x), float(y)] for x, y in pairs]
    rates = list(map(float, columns["learning_rate"]))
    drops = [i for i in range(1, len(rates)) if rates[i] < rates[i - 1]]
    assert len(drawn) == 2 + len(drops)
    assert Image.open(tmp_path / "D_S256.png").size == (640, 480)
    plt.close(figure)


def test_objects_are_ordered_by_average_precision(printed, table):
    shown = [line.split() for line in printed("table11.json").splitlines()[1:]]
    nets = [row["per_class"]["map_voc2007"] for row in table(11)]
    assert {name for name, *_ in shown} == nets[2].keys()
    for name, *precisions in shown:
        assert [float(each) for each in precisions] == [round(net[name], 1) for net in nets]
    both = [nets[2][name] for name, *_ in shown]
    assert both == sorted(both)
