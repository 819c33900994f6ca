"""check_report.py on the tests' own run: it finds no difference, and notices a changed digit."""

import json
import re
import shutil
from importlib import import_module

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import stats

from tests.checks.check_report import Check, Number, main
from tests.checks.recomputed import Run, exact_p, percentile, wilson
from workflow_scripts.vgg.core.parquet import write_parquet


@pytest.fixture
def copy(finished, finished_results, tmp_path):
    """A tree with copies of the finished run's report and of the files behind it."""
    folder = tmp_path / "copy"
    results = folder / "results" / finished_results.name
    shutil.copytree(finished / "config", folder / "config")
    shutil.copytree(finished / "reports", folder / "reports")
    (folder / "logs").symlink_to(finished / "logs")
    results.mkdir(parents=True)
    for path in finished_results.iterdir():
        if path.name in (
            "tables",
            "posteriors",
            "localisation",
            "classifiers",
            "history",
            "figures",
        ):
            shutil.copytree(path, results / path.name)
        elif path.name in ("config.yaml", "packing.json", "plan.json") or path.suffix == ".csv":
            shutil.copy(path, results / path.name)
        else:
            (results / path.name).symlink_to(path)
    return folder


def test_the_reports_numbers_are_those_of_the_posteriors(finished, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--tree", str(finished)])
    assert ended.value.code == 0
    counts = dict(re.findall(r"^(\S+) +(\d+) numbers$", capsys.readouterr().out, flags=re.M))
    tables = [f"table{n}" for n in range(1, 13)]
    tables += ["fixed_boxes", "feature_scales", "random_features"]
    pages = {f"{name}.html" for name in tables} | {"index.html", "claims.html"}
    files = {f"{name}.csv" for name in tables[2:]} | {"claims.csv", "evaluations.csv"}
    assert counts.keys() == pages | files
    assert min(map(int, counts.values())) > 10


# A file, and what precedes the digit that is changed in it.
DIGITS = [
    ("reports/table3.html", r'<button[^>]*class="number"[^>]*><data value="[^"]*">'),
    ("reports/table3.html", r'<button[^>]*class="number"[^>]*><data value="'),
    ("reports/table4.html", r'<td class="interval">\[<data value="[^"]*">'),
    ("reports/table4.html", r'<td class="interval">\[<data [^,]*, <data value="'),
    ("reports/table5.html", r'<td class="n paper last"><data value="[^"]*">'),
    ("reports/table6.html", r'<ul class="counts">\s*<li>[^<]*<data value="[^"]*">'),
    ("reports/table6.html", r"<summary>[^<]*<code>results/\w+/posteriors/val/\w_S"),
    ("reports/table7.html", r'<tbody class="literature">(?s:.*?)<data value="[^"]*">'),
    ("reports/table8.html", r'<button[^>]*class="number"[^>]*><data value="[^"]*">'),
    ("reports/table9.html", r'<td class="interval">\[<data value="[^"]*">'),
    ("reports/table9.html", r"<summary><code>results/\w+/localisation/val/S"),
    ("reports/table9.html", r"<summary>[^<]*<code>results/\w+/boxes/val/\w_S"),
    ("reports/table10.html", r'<tbody class="literature">(?s:.*?)<data value="[^"]*">'),
    ("reports/fixed_boxes.html", r'<ul class="counts">\s*<li>[^<]*<data value="[^"]*">'),
    ("reports/table11.html", r'<button[^>]*class="number"[^>]*><data value="[^"]*">'),
    ("reports/table11.html", r'<td class="interval">\[<data value="[^"]*">'),
    ("reports/table11.html", r'<td class="n paper last"><data value="[^"]*">'),
    (
        "reports/table11.html",
        r'<td class="n paper last"><data value="[^>]*>[^<]*</data> ± <data value="',
    ),
    ("reports/table11.html", r'<tbody class="literature">(?s:.*?)<data value="[^"]*">'),
    ("reports/table12.html", r'<button[^>]*class="number"[^>]*><data value="'),
    ("reports/table12.html", r'<ul class="counts">(?s:.*?)<data value="[^"]*">'),
    ("reports/table12.html", r"<summary>Scores: <code>results/\w+/classifiers/voc"),
    ("reports/feature_scales.html", r'<button[^>]*class="number"[^>]*><data value="[^"]*">'),
    ("reports/random_features.html", r'<button[^>]*class="number"[^>]*><data value="[^"]*">'),
    ("reports/table1.html", r'<data value="'),
    ("reports/table2.html", r'<data value="[^"]*">'),
    # The count of pairs in the paper's order, or, if no intervals are apart, of errors.
    ("reports/index.html", r'<section class="opening pictured"(?s:.*?)<data value="[^"]*">'),
    ("reports/index.html", r'<p class="caption">(?s:.*?)<data value="[^"]*">'),
    ("reports/index.html", r'-cell-0"><title>[^<]*? error '),
    ("reports/index.html", r'<dl class="verdict-counts">(?s:.*?)<data value="[^"]*">'),
    ("reports/index.html", r'<dl class="verdict-counts">(?s:.*?)</dl>(?s:.*?)<data value="'),
    ("reports/index.html", r'<ul class="claims">(?s:.*?)<data value="-?'),
    ("reports/index.html", r'<ul class="claims">(?s:.*?)<span class="interval">\[<data value="-?'),
    ("reports/index.html", r'<a class="number"[^>]*><data value="[^"]*">'),
    ("reports/claims.html", r'<tr class="claim"(?s:.*?)<td class="n first"><data value="'),
    ("reports/claims.html", r'<tr class="claim"(?s:.*?)<td class="interval first">\[<data value="'),
    (
        "reports/claims.html",
        r'class="drawing">(?s:.*?)</svg>\s*</td>\s*<td class="n"><data value="',
    ),
    ("reports/index.html", r'<figcaption>\s*<data value="[^"]*">'),
    ("reports/index.html", r'<figcaption>\s*localisation error <data value="[^"]*">'),
    ("reports/index.html", r'caption">True boxes(?s:.*?)<data value="'),
    ("reports/index.html", r'caption">Odd annotations(?s:.*?)<data value="'),
    ("results/*/tables/table3.csv", r"\nA,256,256,False,"),
    ("results/*/tables/table6.csv", r"\npost-submission.*?dense,False,[^,]*,"),
    ("results/*/tables/table8.csv", r"\nall,PCR,False,"),
    ("results/*/tables/table11.csv", r"\nVGG Net-E[^,]*,False,"),
    ("results/*/tables/random_features.csv", r"\nD at Q = 256,random,False,"),
    ("results/*/claims.csv", r"\n1,[^\n]*?top1_val,"),
    ("results/*/claims.csv", r"\n11,[^\n]*?gtloc_val,"),
    ("results/*/claims.csv", r"\n19,[^\n]*?mapval_voc2012_action,"),
    ("results/*/evaluations.csv", r"\nA_S256,[^\n]*?,dense,256,\d+,1,"),
]
OTHERS = [
    ("reports/table3.html", r"(<td class=\"interval\">)", r'\1<data value="1">1</data>'),
    ("reports/table3.html", r'(<td class="n paper last">)', r"\1paper outside the interval "),
    ("reports/table7.html", r'(<tbody class="measured">\s*)<tr>(?s:.*?)</tr>', r"\1"),
    (
        "reports/claims.html",
        r"(<tr class=\"claim\"(?s:.*?)</span>) [\w ]+</span>",
        r"\1 unknown</span>",
    ),
    (
        "reports/index.html",
        r"(<ul class=\"claims\">(?s:.*?)</span>) [\w ]+</span>",
        r"\1 unknown</span>",
    ),
    ("reports/index.html", r"(<ul class=\"claims\">\s*)<li>(?s:.*?)</li>", r"\1"),
    ("reports/index.html", r'(<g id="[^"]*-cell-0">)<title>[^<]*</title>', r"\1"),
    ("results/*/claims.csv", r",(inconclusive|reproduced|not reproduced)\n", ",unmeasured\n"),
]


def test_a_changed_digit_is_noticed(copy):
    run = Run(copy)
    assert Check(run).differences == []

    def other(match):
        return match[1] + str((int(match[2]) + 1) % 10)

    edits = [(file, rf"({before})(\d)", other) for file, before in DIGITS]
    for file, pattern, replacement in edits + OTHERS:
        (path,) = copy.glob(file)
        text = path.read_text()
        edited = re.sub(pattern, replacement, text, count=1)
        assert edited != text, (file, pattern)
        path.write_text(edited)
        found = Check(run).differences
        path.write_text(text)
        assert found, (file, pattern)
        assert any(path.name in difference or path.stem in difference for difference in found)


def test_another_posterior_is_noticed(copy):
    (path,) = copy.glob("results/*/posteriors/val/C_S384/dense_Q384.parquet")
    write_rolled(path, path, 1)
    found = "\n".join(Check(Run(copy)).differences)
    for place in ("table3.html, row 5", "table3.csv, row 5", "evaluations.csv, ('C_S384', 'dense'"):
        assert place in found
    assert "table5.html" not in found, "it has no C"


def test_another_guess_is_noticed(copy):
    (path,) = copy.glob("results/*/localisation/val/S384.parquet")
    write_rolled_guesses(path, path, 1)
    found = "\n".join(Check(Run(copy)).differences)
    for place in ("table9.html, row 2", "table9.csv, row 2", "claims.csv, claim 12"):
        assert place in found
    assert "table8" not in found


def test_another_score_is_noticed(copy):
    (path,) = copy.glob("results/*/classifiers/voc2007/D_E.parquet")
    write_rolled_scores(path, path, 1)
    found = "\n".join(Check(Run(copy)).differences)
    for place in ("table11.html, row 3", "table11.csv, row 3", "claims.csv, claim 16"):
        assert place in found
    assert "table12" not in found


def write_rolled(source, target, places):
    """Posteriors as those of `source`, but each image has another one's."""
    table = pq.read_table(source)
    rolled = np.roll(np.arange(len(table)), places)
    values = table["posterior"].combine_chunks().take(pa.array(rolled))
    column = table.schema.get_field_index("posterior")
    table = table.set_column(column, table.schema.field(column), values)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(target, table)


def write_rolled_guesses(source, target, places, seed=None):
    """Guesses as those of `source`, but each image has another one's.

    seed: whose boxes they are made of; those of the first if None.
    """
    table = pq.read_table(source)
    rolled = pa.array(np.roll(np.arange(len(table)), places))
    for name in ("guesses", "boxes", "ratings"):
        column = table.schema.get_field_index(name)
        values = table[name].combine_chunks().take(rolled)
        table = table.set_column(column, table.schema.field(column), values)
    if seed is not None:
        metadata = dict(table.schema.metadata)
        metadata[b"boxes"] = metadata[b"boxes"].replace(b"/boxes/", b"/seed%d/boxes/" % seed)
        table = table.replace_schema_metadata(metadata)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(target, table)


def write_rolled_scores(source, target, places, seed=None):
    """Classifiers' scores as those of `source`, but each example has another one's of its part.

    seed: whose descriptors they are made of; those of the first if None.
    """
    table = pq.read_table(source)
    rolled, parts = np.arange(len(table)), table.select(["part", "split"]).to_pandas()
    for own in parts.groupby(["part", "split"]).indices.values():
        rolled[own] = np.roll(own, places)
    column = table.schema.get_field_index("scores")
    values = table["scores"].combine_chunks().take(pa.array(rolled))
    table = table.set_column(column, table.schema.field(column), values)
    if seed is not None:
        metadata, old = dict(table.schema.metadata), b"/descriptors/"
        metadata[b"descriptors"] = metadata[b"descriptors"].replace(old, b"/seed%d%s" % (seed, old))
        table = table.replace_schema_metadata(metadata)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(target, table)


def run_again(folder, rules, changed):
    """The commands of rules again, as their jobs recorded them; `changed` edits their words."""
    for rule in rules:
        records = sorted(folder.glob(f"logs/*/{rule}/*.json")) or folder.glob(
            f"logs/*/{rule}.log.json"
        )
        for record in records:
            content = json.loads(record.read_text())
            words = changed(rule, list(content["arguments"]))
            import_module(f"workflow_scripts.{content['command']}").main(words)


REPORTING = ("tabulate", "judge_claims", "list_evaluations", "draw_figures", "render_table")
REPORTING += ("render_claims", "render_index")


def configure(folder, **changes):
    (path,) = folder.glob("results/*/config.yaml")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def test_the_numbers_of_several_seeds(copy, monkeypatch):
    """With made-up posteriors of two more seeds, in which images have each other's."""
    (results,) = copy.glob("results/*")
    for seed, places in ((5, 1), (7, 5)):
        for path in results.glob("posteriors/*/*/*.parquet"):
            target = results / f"seed{seed}" / path.relative_to(results)
            write_rolled(path, target, places)
        for path in results.glob("localisation/*/*.parquet"):
            if json.loads(pq.read_schema(path).metadata[b"boxes"]):  # else without a seed
                target = results / f"seed{seed}" / path.relative_to(results)
                write_rolled_guesses(path, target, places, seed)
        for path in results.glob("classifiers/*/*.parquet"):
            target = results / f"seed{seed}" / path.relative_to(results)
            write_rolled_scores(path, target, places, seed)
        shutil.copytree(results / "history", results / f"seed{seed}/history")
    configure(copy, seeds=[0, 5, 7])

    def changed(rule, words):
        if "--seeds" in words:
            place = words.index("--seeds") + 2
            words[place:place] = ["5", "7"]
        if "--trainings" in words:  # there are none to time
            place = words.index("--trainings")
            del words[place : words.index("--paper")]
        if "--history" in words:
            own = [word for word in words if "/history/" in word]
            place = words.index("--history") + 1
            words[place:place] = [
                word.replace("/history", f"/seed{seed}/history") for seed in (5, 7) for word in own
            ]
        return words

    monkeypatch.chdir(copy)
    run = Run(copy)
    assert Check(run).differences
    run_again(copy, REPORTING, changed)
    assert Check(run).differences == []
    for name in ("table3", "table12"):
        assert "±" in (copy / f"reports/{name}.html").read_text()
    # Mean and deviation of the seeds, in brief and in full; both are noticed.
    for name in ("table3", "index"):
        path = copy / f"reports/{name}.html"
        text = path.read_text()
        path.write_text(re.sub(r'(± <data value="[^"]*">)\d', r"\g<1>7", text, count=1))
        assert Check(run).differences
        path.write_text(text)


def test_numbers_that_the_test_server_answered(copy, monkeypatch):
    (results,) = copy.glob("results/*")
    shutil.rmtree(results / "posteriors/test")
    shutil.rmtree(results / "localisation/test")
    (copy / "answers.yaml").write_text(
        "E_both: {top5_test: 25.5, date: 2026-11-24}\n"
        "actions_image: {map_voc2012_action: 71.5, date: 2026-11-24}\n"
    )
    configure(copy, server_answers="answers.yaml")

    def changed(rule, words):
        if rule == "tabulate":
            words += ["--splits", "val", "--answers", "answers.yaml"]
        return words

    monkeypatch.chdir(copy)
    run_again(copy, REPORTING, changed)
    for name in ("table7", "table12"):
        assert "†" in (copy / f"reports/{name}.html").read_text()
    assert Check(Run(copy)).differences == []


# The check's own arithmetic


@pytest.mark.parametrize(("errors", "images"), [(0, 24), (3, 300), (24, 24), (17_000, 50_000)])
def test_wilsons_equation(errors, images):
    expected = stats.binomtest(errors, images).proportion_ci(0.95, method="wilson")
    assert wilson(errors / images, images) == pytest.approx([100 * e for e in expected], abs=1e-9)


def test_the_exact_test_of_one_seed_is_mcnemars():
    differences = np.repeat([1, -1, 0], [7, 19, 274])
    assert exact_p(differences) == pytest.approx(stats.binomtest(7, 26).pvalue)
    assert exact_p(np.zeros(5, int)) == 1


def test_a_percentile_is_where_the_bootstrap_finds_it():
    differences = np.repeat([2, 1, -1, 0], [9, 31, 17, 243])
    rng = np.random.default_rng(0)
    draws = rng.choice(differences, (10_000, len(differences))).sum(1)
    for level in (0.025, 0.975):
        low, high = percentile(differences, level)
        assert low <= np.percentile(draws, 100 * level) <= high
        assert high - low <= 4


@pytest.mark.parametrize(
    ("number", "value", "text"),
    [
        (Number(-0.04, signed=True), -0.04, "0.0"),
        (Number(-1.25, 2, signed=True), -1.25, "−1.25"),
        (Number(1234, 0), 1234, "1,234"),
    ],
)
def test_numbers_as_they_are_written(number, value, text):
    assert number.is_shown(value, text)
    assert not number.is_shown(value + 1e-3, text)
    assert not number.is_shown(value, text[:-1] + "9")
