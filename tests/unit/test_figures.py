"""Drawings show the numbers of their files."""

import json
import os
import re
import subprocess
import sys
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.helpers.clones import ROOT
from workflow_scripts import draw_figures
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.report import figures
from workflow_scripts.vgg.results.cells import CELL_KEYS
from workflow_scripts.vgg.results.single_evaluations import MeasuredEvaluation, SingleError
from workflow_scripts.vgg.settings.experiments import all_evaluations, at_several_scales
from workflow_scripts.vgg.training.history import read_history
from workflow_scripts.vgg.training.schedule import Plateau

TABLES = yaml.safe_load((ROOT / "config/tables.yaml").read_text())
CLAIMS = yaml.safe_load((ROOT / "config/claims.yaml").read_text())
PAPER = yaml.safe_load((ROOT / "config/paper_tables.yaml").read_text())
DEFINITIONS = yaml.safe_load((ROOT / "config/models.yaml").read_text())
NEVER_OFF = 0.05  # pixels
COLUMNS = "iteration,epoch,learning_rate,train_loss,val_top1_error,val_top5_error,images_per_second"

# Histories and evaluations to draw


def write_history(path, seed, drops=(400, 440), rows=13, interval=40, model_rate=0.01):
    rng = np.random.default_rng(seed)
    iterations = interval * np.arange(1, rows + 1)
    made = pd.DataFrame(
        {
            "iteration": iterations,
            "epoch": iterations / 125,
            # What a row says held until its iteration, hence "<".
            "learning_rate": [model_rate * 10.0 ** -sum(d < i for d in drops) for i in iterations],
            "train_loss": 2.3 * np.exp(-np.arange(rows) / 6) + rng.random(rows) / 10,
            "val_top1_error": 80 * np.exp(-np.arange(rows) / 5) + 5 * rng.random(rows),
            "val_top5_error": 40 * np.exp(-np.arange(rows) / 4) + 2 * rng.random(rows),
            "images_per_second": 500.0,
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    made.to_csv(path, index=False)
    return made


def measured(model, method, Q, error=20.0, paper=None, seeds=1):
    entry = DEFINITIONS["models"][model]
    S = entry["S"] if isinstance(entry["S"], list) else [entry["S"]] * 2
    layers = PAPER["table1"]["weight_layers"].get(entry["net"], 8)
    fifth = error / 4
    return MeasuredEvaluation(
        model=model,
        net=entry["net"],
        weight_layers=layers,
        S=tuple(S),
        method=method,
        Q=Q,
        images=500,
        seeds=seeds,
        top1=SingleError(error, error - 1.5, error + 2.5, None, paper),
        top5=SingleError(fifth, fifth - 0.5, fifth + 0.75, None, paper and paper / 3),
    )


@pytest.fixture(scope="module")
def evaluations():
    """Everything that the paper's tables and claims need, with errors drawn at random."""
    rng = np.random.default_rng(3)
    needed = all_evaluations(TABLES, CLAIMS, None, ["val"], [])
    printed = {(net, str(S), Q): top1 for net, S, Q, top1, _ in PAPER["table3"]["rows"]}
    found = []
    for _, own in needed:
        entry = DEFINITIONS["models"][own.model]
        key = (entry["net"], str(entry["S"]), own.Q)
        paper = printed.get(key) if own.method == "dense" and "_fc" not in own.model else None
        found.append(measured(own.model, own.method, own.Q, rng.uniform(8, 45), paper))
    return found


@pytest.fixture(scope="module")
def evaluations_csv(evaluations, tmp_path_factory):
    """The same as a file."""
    lines = []
    for one in evaluations:
        line = vars(one) | {"S": "-".join(map(str, dict.fromkeys(one.S)))}
        for metric in ("top1", "top5"):
            errors = vars(line.pop(metric))
            line |= {f"{metric}_{key}".replace("_error", ""): v for key, v in errors.items()}
        lines.append(line)
    path = tmp_path_factory.mktemp("evaluations") / "evaluations.csv"
    pd.DataFrame(lines).to_csv(path, index=False)
    return path


# Reading a drawing back


def element(svg, name):
    (found,) = [e for e in ElementTree.fromstring(svg).iter() if e.get("id") == name]
    return found


def tag(element):
    return element.tag.rpartition("}")[2]


def coordinates(svg, name):
    """The pixels of a series' line as float [points, 2], or of its markers if it has no line."""
    group = element(svg, name)
    markers = [(float(e.get("x")), float(e.get("y"))) for e in group.iter() if tag(e) == "use"]
    paths = [e.get("d") for e in group if tag(e) == "path"]
    numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", paths[0])] if paths else []
    line = np.array(numbers or markers).reshape(-1, 2)
    assert all(min(np.abs(line - marker).max(1)) < NEVER_OFF for marker in markers)
    return visible(svg, line)


def segments(svg, name):
    """The ends of vertical lines as float [lines, 2 ends, 2]."""
    paths = [e.get("d") for e in element(svg, name).iter() if tag(e) == "path"]
    numbers = [re.findall(r"-?\d+(?:\.\d+)?", path) for path in paths]
    return visible(svg, np.array(numbers, dtype=float).reshape(-1, 2, 2))


def visible(svg, points):
    """The same points, if they lie in one of the panels, outside of which lines are cut off."""
    panels = [e for e in ElementTree.fromstring(svg).iter() if tag(e) == "rect"]
    for panel in panels:
        x, y, width, height = (float(panel.get(key)) for key in ("x", "y", "width", "height"))
        low, high = np.array([x, y]) - NEVER_OFF, np.array([x + width, y + height]) + NEVER_OFF
        if ((low <= points) & (points <= high)).all():
            return points
    raise AssertionError(f"cut off: {points}")


def ticks(svg, axis):
    """(pixel, label) of each labelled tick of the axis of that number: x 1, y 2, x 3, y 4."""
    found = []
    for group in element(svg, f"matplotlib.axis_{axis}"):
        words = " ".join(text for e in group.iter() if tag(e) == "text" for text in e.itertext())
        mark = next((e for e in group.iter() if tag(e) == "use"), None)
        if "tick" in group.get("id", "") and mark is not None and words:
            found.append((float(mark.get("x" if axis % 2 else "y")), words.strip()))
    return found


def scale(svg, axis):
    """A function from an axis's pixels to values, from its ticks alone."""
    pixels, labels = zip(*ticks(svg, axis), strict=True)
    values = [float(x[:-1]) * 1000 if x.endswith("k") else float(x) for x in labels]
    slope, offset = np.polyfit(pixels, values, 1)
    return lambda pixel: slope * np.asarray(pixel) + offset, abs(slope) * NEVER_OFF


def text_of(svg, name):
    return next(e.text for e in ElementTree.fromstring(svg) if tag(e) == name)


def shown(svg):
    return [" ".join(e.itertext()) for e in ElementTree.fromstring(svg).iter() if tag(e) == "text"]


# Learning curves


@pytest.mark.parametrize(("rows", "interval"), [(13, 40), (74, 5000)])
def test_learning_curves_show_the_histories_numbers(tmp_path, rows, interval):
    drops = tuple(interval * n for n in (rows // 2, rows - 2))
    files = [tmp_path / "r/history/A_S256.csv", tmp_path / "r/seed3/history/A_S256.csv"]
    written = [write_history(f, s, drops, rows, interval) for s, f in enumerate(files)]
    draw_figures.main(["--history", *map(str, files), "--output", str(tmp_path)])
    svg = (tmp_path / "learning_curves/A_S256.svg").read_text()
    to_iteration, iteration_off = scale(svg, 3)
    for history, seed in zip(written, ("seed0", "seed3"), strict=True):
        for gid, column, axis in (
            ("top1", "val_top1_error", 2),
            ("top5", "val_top5_error", 2),
            ("loss", "train_loss", 4),
        ):
            points = coordinates(svg, f"{gid}-{seed}")
            to_value, off = scale(svg, axis)
            np.testing.assert_allclose(
                to_iteration(points[:, 0]), history["iteration"], rtol=0, atol=iteration_off
            )
            np.testing.assert_allclose(to_value(points[:, 1]), history[column], rtol=0, atol=off)
        for drop in drops:
            lines = segments(svg, f"drop-{seed}-{drop}")
            np.testing.assert_allclose(to_iteration(lines[..., 0]), drop, atol=iteration_off)
    assert [words for words in shown(svg) if "rate" in words] == ["rate 10⁻³", "rate 10⁻⁴"]
    told = text_of(svg, "desc")
    for history in written:
        first, last = history.iloc[0], history.iloc[-1]
        assert (
            f"op-1 validation error goes from {first['val_top1_error']:.1f}% at iteration "
            f"{interval} to {last['val_top1_error']:.1f}% at iteration {rows * interval}"
        ) in told
        assert (
            f"{last['train_loss']:.2f} at iteration {rows * interval}; learning rate 0.01" in told
        )
    assert "Seed 3: top-1" in told


def test_all_models_of_a_run_share_their_axes(tmp_path):
    for seed, model in enumerate(("A_S256", "D_S256")):
        write_history(tmp_path / f"history/{model}.csv", seed, rows=10 + seed)
    files = sorted(map(str, tmp_path.glob("history/*.csv")))
    draw_figures.main(["--history", *files, "--output", str(tmp_path)])
    drawn = [p.read_text() for p in sorted(tmp_path.glob("learning_curves/*.svg"))]
    for axis in (2, 4):
        assert ticks(drawn[0], axis) == ticks(drawn[1], axis)


def write_box_history(path, seed, errors, loss=0.3):
    """A net of boxes' history: localisation errors in percent at every 40th iteration."""
    made = write_history(path, seed, rows=len(errors)).drop(columns="images_per_second")
    made[["val_top1_error", "val_top5_error"]] = np.nan
    made["train_loss"] *= loss / 2.3
    made["images_per_second"], made["val_gtloc_error"] = 500.0, errors
    made.to_csv(path, index=False)
    return made


def test_a_net_of_boxes_shows_its_localisation_error(tmp_path):
    files = [tmp_path / "r/history/D_pcr.csv", tmp_path / "r/seed3/history/D_pcr.csv"]
    # The second seed has not been validated yet.
    written = [
        write_box_history(files[0], 0, [81.5, 64.25, 40.125]),
        write_box_history(files[1], 1, [np.nan] * 3),
    ]
    draw_figures.main(["--history", *map(str, files), "--output", str(tmp_path)])
    svg = (tmp_path / "learning_curves/D_pcr.svg").read_text()
    (to_error, off), (to_loss, loss_off) = scale(svg, 2), scale(svg, 4)
    points = coordinates(svg, "gtloc-seed0")
    np.testing.assert_allclose(to_error(points[:, 1]), [81.5, 64.25, 40.125], rtol=0, atol=off)
    for history, seed in zip(written, ("seed0", "seed3"), strict=True):
        drawn = to_loss(coordinates(svg, f"loss-{seed}")[:, 1])
        np.testing.assert_allclose(drawn, history["train_loss"], rtol=0, atol=loss_off)
    assert not re.search('id="top[15]-', svg)
    assert "true-class localisation" in shown(svg)
    assert not {"top-1", "top-5"} & set(shown(svg))
    told = text_of(svg, "desc")
    assert (
        "True-class localisation validation error goes from 81.5% at iteration 40 to 40.1% at "
        "iteration 120; training loss"
    ) in told
    assert "Seed 3: true-class localisation validation error was not measured" in told
    assert "top-1" not in told


def test_nets_of_boxes_have_axes_of_their_own(tmp_path):
    def ticks_of(*models):
        files = [str(tmp_path / f"history/{model}.csv") for model in models]
        draw_figures.main(["--history", *files, "--output", str(tmp_path)])
        drawn = [(tmp_path / f"learning_curves/{m}.svg").read_text() for m in models]
        return [[ticks(svg, axis) for axis in (2, 4)] for svg in drawn]

    for seed, model in enumerate(("A_S256", "D_S256")):
        write_history(tmp_path / f"history/{model}.csv", seed, rows=10 + seed)
    write_box_history(tmp_path / "history/scr.csv", 2, [99.0] * 4, loss=400.0)
    write_box_history(tmp_path / "history/pcr.csv", 3, [30.0] * 5, loss=0.2)
    alone = ticks_of("A_S256", "D_S256")
    *classifiers, one, two = ticks_of("A_S256", "D_S256", "scr", "pcr")
    assert classifiers == alone
    assert one == two != alone[0]
    assert ticks_of("pcr") != [two]


@pytest.mark.parametrize(("last", "below"), [(70.0, True), (20.0, False)])
def test_rates_stand_where_a_curve_of_boxes_leaves_room(tmp_path, last, below):
    write_box_history(tmp_path / "D_pcr.csv", 0, np.linspace(80, last, 13))
    draw_figures.main(["--history", str(tmp_path / "D_pcr.csv"), "--output", str(tmp_path)])
    svg = (tmp_path / "learning_curves/D_pcr.svg").read_text()
    rates = re.findall(r'transform="translate\([\d.]+ ([\d.]+)\) rotate\(-90\)">rate', svg)
    heights = list(map(float, rates))
    middle = np.mean([y for y, _ in ticks(svg, 2)])
    assert len(heights) == 2
    assert all((y > middle) == below for y in heights)


def test_the_drops_are_where_the_schedule_made_them(tmp_path):
    rng = np.random.default_rng(0)
    plateau, made, lines = Plateau([150, 230, 300], patience=2), [], []
    for iteration in range(20, 400, 20):
        error, before = 90 * 0.9 ** (iteration / 20) + rng.normal(), plateau.factor
        lines.append(f"{iteration},1.0,{0.01 * before},1.0,{error},{error / 2},500")
        plateau.observe(iteration, error)
        if plateau.factor != before:
            made.append((iteration, 0.01 * plateau.factor))
    path = tmp_path / "A.csv"
    path.write_text("\n".join([COLUMNS, *lines]) + "\n")
    assert len(made) == 3
    assert read_history(path).drops == made


def test_what_was_not_measured_is_left_out_of_a_curve(tmp_path):
    history = write_history(tmp_path / "history/A.csv", 0)
    history["val_top1_error"] = history["val_top1_error"].mask(history.index % 3 == 1)
    text = history.to_csv(index=False, na_rep="")
    loss = str(history["train_loss"][3])
    assert loss in text
    (tmp_path / "history/A.csv").write_text(text.replace(loss, "nan"))
    draw_figures.main(["--history", str(tmp_path / "history/A.csv"), "--output", str(tmp_path)])
    svg = (tmp_path / "learning_curves/A.svg").read_text()
    assert len(coordinates(svg, "top1-seed0")) == history["val_top1_error"].notna().sum()
    assert len(coordinates(svg, "top5-seed0")) == len(history)
    assert len(coordinates(svg, "loss-seed0")) == len(history) - 1


@pytest.mark.parametrize("errors", ["81.25,50", ","])
def test_a_history_of_one_line_is_drawn(tmp_path, errors):
    path = tmp_path / "A.csv"
    path.write_text(f"{COLUMNS}\n40,0.1,0.01,2.25,{errors},500\n")
    draw_figures.main(["--history", str(path), "--output", str(tmp_path)])
    svg = (tmp_path / "learning_curves/A.svg").read_text()
    (loss,) = coordinates(svg, "loss-seed0")
    to_value, off = scale(svg, 4)
    assert to_value(loss[1]) == pytest.approx(2.25, abs=off)
    assert ("top-1 validation error was not measured" in text_of(svg, "desc").lower()) == (
        errors == ","
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"iteration,learning_rate\n40,0.01\n", "no column epoch, images_per_second, train_loss"),
        (b"", "no column epoch, images_per_second, iteration"),
        (f"{COLUMNS}\n4,1,.1,2,x,9,5\n".encode(), "line 2"),
        (f"{COLUMNS}\n4,.1,2".encode(), "line 2"),
    ],
)
def test_an_unreadable_history_is_named(tmp_path, content, message):
    path = tmp_path / "broken_A.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"broken_A\.csv.*{message}"):
        draw_figures.main(["--history", str(path), "--output", str(tmp_path / "figures")])
    assert not (tmp_path / "figures").exists()


# Errors against the paper's


def results_table(name, rows, metrics=("top1_val", "top5_val")):
    """A table as `tabulate` writes it, of rows of (labels, paper's errors, measured or None)."""
    cells = [
        {
            metric: dict.fromkeys(CELL_KEYS)
            | {"paper": paper, "entered": False, "bold": False}
            | own
            for metric, paper, own in zip(metrics, papers, measured, strict=True)
        }
        for _, papers, measured in rows
    ]
    row = {"literature": False, "evaluations": [], "submission": None}
    return {
        "name": name, "title": name, "section": "4", "experiment": "x", "kind": "evaluation",
        "notes": [], "columns": ["ConvNet"], "metrics": list(metrics), "reference": "paper",
        "seeds": [0],
        "rows": [
            row | {"labels": [labels], "metrics": own}
            for (labels, *_), own in zip(rows, cells, strict=True)
        ],
    }  # fmt: skip


def an_error(error, low, high):
    return {"measured": error, "low": low, "high": high, "seeds": 1}


# In the middle three of one number of the paper's, the second of which was not measured.
PRINTED = [
    ("table3", "A", 29.5, an_error(24.0, 21.5, 27.0)),
    ("table3", "B & <b>", 28.0, an_error(8.0, 6.5, 10.0)),
    ("table3", "C", 28.0, {}),
    ("table4", "B", 28.0, an_error(30.25, 29.0, 31.5)),
    ("table4", "D", 25.5, an_error(9.5, 8.0, 11.5)),
    ("table6", "D, E", 24.0, an_error(6.0, 4.5, 7.5)),
]


@pytest.fixture
def against_paper(tmp_path):
    """`against_paper(*words)`: drawings of errors against PRINTED, top-5 a quarter of top-1."""

    def quarter(own):
        return {key: v if key == "seeds" else v / 4 for key, v in own.items()}

    for name in dict.fromkeys(name for name, *_ in PRINTED):
        rows = [
            (labels, (paper, paper / 4), (own, quarter(own)))
            for table, labels, paper, own in PRINTED
            if table == name
        ]
        (tmp_path / f"{name}.json").write_text(json.dumps(results_table(name, rows)))

    def drawn(*words):
        tables = [str(tmp_path / f"{name}.json") for name in ("table3", "table4", "table6")]
        draw_figures.main(["--tables", *tables, *words, "--output", str(tmp_path / "drawn")])
        folder = tmp_path / "drawn/measured_against_paper"
        return {kind: (folder / f"{kind}.svg").read_text() for kind in ("top1", "top5")}

    return drawn


@pytest.mark.parametrize("words", [[], ["--other-data"]], ids=["same-data", "other-data"])
@pytest.mark.parametrize(("kind", "part"), [("top1", 1), ("top5", 0.25)])
def test_errors_are_drawn_against_the_papers_with_their_intervals(against_paper, kind, part, words):
    svg = against_paper(*words)[kind]
    to_paper, paper_off = scale(svg, 1)
    to_error, off = scale(svg, 2)
    expected = [(paper * part, own) for *_, paper, own in PRINTED if own]
    span = max(paper for paper, _ in expected) - min(paper for paper, _ in expected)
    points = np.concatenate([coordinates(svg, f"cell-{n}") for n in range(len(expected))])
    bars = np.concatenate([segments(svg, f"cell-{n}-interval") for n in range(len(expected))])
    for error, bar, (_, own) in zip(to_error(points[:, 1]), bars, expected, strict=True):
        assert error == pytest.approx(own["measured"] * part, abs=off)
        ends = sorted(to_error(bar[:, 1]))
        assert ends == pytest.approx([own["low"] * part, own["high"] * part], abs=off)
    # In the middle of what stands side by side, and an interval through its mark.
    np.testing.assert_allclose(bars[..., 0], points[:, [0, 0]], atol=NEVER_OFF)
    x = to_paper(points[:, 0])
    beside = [n for n, (paper, _) in enumerate(expected) if paper == 28.0 * part]
    assert np.ptp(x[beside]) > 0.005 * span
    x[beside] = x[beside].mean()
    np.testing.assert_allclose(x, [paper for paper, _ in expected], rtol=0, atol=paper_off)
    assert np.abs(to_paper(points[:, 0]) - x).max() < 0.02 * span


def test_on_the_papers_data_both_axes_are_alike_and_have_a_diagonal(against_paper):
    for svg in against_paper().values():
        across, up = ({label: x for x, label in ticks(svg, axis)} for axis in (1, 2))
        shared = sorted(across.keys() & up.keys(), key=float)
        assert len(shared) >= 3
        pairs = np.array([(across[label], up[label]) for label in shared])
        assert np.ptp(pairs[:, 0]) == pytest.approx(np.ptp(pairs[:, 1]), abs=NEVER_OFF)
        (to_paper, paper_off), (to_error, off) = scale(svg, 1), scale(svg, 2)
        line = coordinates(svg, "diagonal")
        np.testing.assert_allclose(
            to_paper(line[:, 0]), to_error(line[:, 1]), rtol=0, atol=paper_off + off
        )


def test_on_other_data_each_axis_has_its_own_ends_and_there_is_no_diagonal(against_paper):
    for svg, part in zip(against_paper("--other-data").values(), (1, 0.25), strict=True):
        assert 'id="diagonal"' not in svg
        papers, errors = ([float(label) for _, label in ticks(svg, axis)] for axis in (1, 2))
        assert min(papers) >= 23 * part
        assert min(errors) == 0


def test_a_mark_says_what_it_is(against_paper):
    drawn = against_paper()
    told = {
        kind: [
            text
            for e in ElementTree.fromstring(svg).iter()
            if tag(e) == "g" and re.fullmatch(r"cell-\d", e.get("id", ""))
            for text in (child.text for child in e if tag(child) == "title")
        ]
        for kind, svg in drawn.items()
    }
    assert told["top1"] == [
        "Table 3: A, top-1 validation error 24.0% [21.5, 27.0], paper 29.5%",
        "Table 3: B & <b>, top-1 validation error 8.0% [6.5, 10.0], paper 28.0%",
        "Table 4: B, top-1 validation error 30.2% [29.0, 31.5], paper 28.0%",
        "Table 4: D, top-1 validation error 9.5% [8.0, 11.5], paper 25.5%",
        "Table 6: D, E, top-1 validation error 6.0% [4.5, 7.5], paper 24.0%",
    ]
    assert told["top5"][0] == "Table 3: A, top-5 validation error 6.0% [5.4, 6.8], paper 7.4%"
    for kind, svg in drawn.items():
        assert text_of(svg, "desc") == " ".join(f"{words}." for words in told[kind])
        assert "Table 5" not in shown(svg)
        assert [words for words in shown(svg) if words.startswith("Table")] == [
            "Table 3", "Table 4", "Table 6",
        ]  # fmt: skip


def test_tables_differ_in_their_marks(against_paper):
    svg = against_paper()["top1"]
    marks = []
    for name in ("cell-0", "cell-2", "cell-4"):
        used = next(e for e in element(svg, name).iter() if tag(e) == "use")
        symbol = used.get("{http://www.w3.org/1999/xlink}href")[1:]
        marks.append(element(svg, symbol).get("d"))
    assert len(set(marks)) == 3


def test_errors_that_were_not_measured_are_not_drawn(tmp_path):
    rows = [("A", (29.5, 10.5), ({}, {})), ("B", (28.0, None), ({}, an_error(1, 0.5, 1.5)))]
    path = tmp_path / "table3.json"
    path.write_text(json.dumps(results_table("table3", rows)))
    draw_figures.main(["--tables", str(path), "--output", str(tmp_path)])
    for kind in ("top1", "top5"):
        svg = (tmp_path / f"measured_against_paper/{kind}.svg").read_text()
        assert "not measured in this run" in shown(svg)
        assert text_of(svg, "desc") == "Nothing was measured."
        assert "cell-0" not in svg


def test_a_table_without_the_papers_errors_has_no_drawing_of_them(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(results_table("mine", [("A", (None, None), ({}, {}))])))
    draw_figures.main(["--tables", str(path), "--output", str(tmp_path)])
    assert not list(tmp_path.rglob("*.svg"))


# Errors against depth and scale


def test_error_against_depth_shows_table_3(evaluations):
    svg = figures.error_against_depth(evaluations)
    places = {label.split()[0]: (x, int(label.split()[1])) for x, label in ticks(svg, 3)}
    assert {net: layers for net, (_, layers) in places.items()} == PAPER["table1"]["weight_layers"]
    # As far apart as they are deep, those of a depth on either side of it.
    mean = {
        n: np.mean([x for x, layers in places.values() if layers == n]) for n in (11, 16, 13, 19)
    }
    per_layer = (mean[19] - mean[11]) / 8
    for layers, x in mean.items():
        assert x == pytest.approx(mean[11] + per_layer * (layers - 11), abs=NEVER_OFF)
    assert 15 < places["D"][0] - places["C"][0] < per_layer
    own = {(t.net, t.S): t for t in evaluations if t.at_single_scale and "_fc" not in t.model}
    assert len(own) == len(PAPER["table3"]["rows"])
    for axis, metric in ((2, "top1"), (4, "top5")):
        to_value, off = scale(svg, axis)
        for S, nets in (
            ((256, 256), ["A", "B", "C", "D", "E"]),
            ((256, 256), ["A-LRN"]),
            ((384, 384), ["C", "D", "E"]),
            ((256, 512), ["C", "D", "E"]),
        ):
            name = f"{metric}-S{S[0]}-{S[1]}-{nets[0]}"
            errors = [getattr(own[net, S], metric) for net in nets]
            points, bars = coordinates(svg, name), segments(svg, f"{name}-interval")
            paper = coordinates(svg, f"{name}-paper")
            for drawn, values in (
                (points[:, 1], [e.error for e in errors]),
                (np.sort(bars[..., 1])[:, 1], [e.low for e in errors]),
                (np.sort(bars[..., 1])[:, 0], [e.high for e in errors]),
                (paper[:, 1], [e.paper for e in errors]),
            ):
                np.testing.assert_allclose(to_value(drawn), values, rtol=0, atol=off)
            for x in (points[:, 0], bars[:, 0, 0], bars[:, 1, 0], paper[:, 0]):
                np.testing.assert_allclose(x, points[:, 0], atol=NEVER_OFF)
            offsets = points[:, 0] - [places[net][0] for net in nets]
            assert np.abs(offsets).max() < 0.3 * per_layer
    told = text_of(svg, "desc")
    best = own["D", (256, 512)].top1
    assert f"D {best.error:.1f}% (paper {best.paper:.1f}%)" in told
    assert "D_S256-512_fc is not drawn" in told


def test_error_against_scale_shows_every_method_at_every_scale(evaluations):
    models = at_several_scales(evaluations)
    expected = {
        t.model
        for t in evaluations
        for u in evaluations
        if (t.model, t.method) == (u.model, u.method) and t.Q != u.Q
    }
    assert set(models) == expected
    assert len(models) == len(expected)
    assert {"D_S256-512", "B_S256"} <= expected
    two_methods = [measured("A_S256", "dense", 256, 20), measured("A_S256", "center", 224, 20)]
    assert at_several_scales(two_methods) == []
    limits = figures.error_limits([t for t in evaluations if t.model in models])
    for model in models:
        own = [t for t in evaluations if t.model == model]
        svg = figures.error_against_scale(own, limits)
        x_ticks = {int(label): x for x, label in ticks(svg, 3)}
        assert sorted(x_ticks) == sorted({t.Q for t in own})
        near = 0.1 * (max(x_ticks.values()) - min(x_ticks.values()))
        for method in {t.method for t in own}:
            line = sorted((t for t in own if t.method == method), key=lambda t: t.Q)
            for axis, metric in ((2, "top1"), (4, "top5")):
                to_value, off = scale(svg, axis)
                points = coordinates(svg, f"{metric}-{method}")
                errors = [getattr(t, metric) for t in line]
                np.testing.assert_allclose(
                    to_value(points[:, 1]), [e.error for e in errors], atol=off
                )
                assert np.abs(points[:, 0] - [x_ticks[t.Q] for t in line]).max() < near
                bars = np.sort(segments(svg, f"{metric}-{method}-interval")[..., 1])
                expected = [[e.high, e.low] for e in errors]
                np.testing.assert_allclose(to_value(bars), expected, rtol=0, atol=off)
            told = ", ".join(
                f"Q = {t.Q} {t.top1.error:.1f}%"
                + ("" if t.top1.paper is None else f" (paper {t.top1.paper:.1f}%)")
                for t in line
            )
            assert f"top-1 error: {told}." in text_of(svg, "desc")


@pytest.mark.parametrize(
    ("kept", "lines"),
    [
        (lambda t: False, []),
        (lambda t: t.method != "dense", []),
        (lambda t: t.S == (256, 512), ["S256-512-C"]),
        (lambda t: t.net == "A-LRN", ["S256-256-A-LRN"]),
        (lambda t: t.net in "AE" and t.S != (384, 384), ["S256-256-A", "S256-512-E"]),
    ],
)
def test_what_a_run_lacks_is_not_drawn_against_depth(evaluations, kept, lines):
    svg = figures.error_against_depth([t for t in evaluations if kept(t)])
    found = [e.get("id") for e in ElementTree.fromstring(svg).iter() if e.get("id")]
    assert [f"top1-{line}-interval" for line in lines] == [
        gid for gid in found if re.fullmatch(r"top1.*interval", gid)
    ]
    assert ("not measured in this run" in shown(svg)) == (lines == [])
    assert (text_of(svg, "desc") == "Nothing was measured.") == (lines == [])


def test_means_over_seeds_are_called_so(evaluations):
    one = figures.error_against_depth([measured("A_S256", "dense", 256)])
    three = figures.error_against_depth([measured("A_S256", "dense", 256, seeds=3)])
    assert "means of 3 trainings" in text_of(three, "desc")
    assert "trainings" not in text_of(one, "desc")


# The files themselves


def draw_all(folder, evaluations_csv):
    for seed, model in enumerate(("A_S256", "A-LRN_S256")):
        write_history(folder / f"history/{model}.csv", seed)
    histories = sorted(map(str, folder.glob("history/*.csv")))
    return ["--history", *histories, "--evaluations", str(evaluations_csv), "--output"]


@pytest.mark.slow
def test_the_same_data_give_the_same_bytes_whatever_a_user_sets(evaluations_csv, tmp_path):
    words = draw_all(tmp_path, evaluations_csv)
    (tmp_path / "matplotlibrc").write_text("axes.linewidth: 3\nfont.family: serif\n")
    for name, settings in (
        ("one", {"PYTHONHASHSEED": "1"}),
        ("two", {"PYTHONHASHSEED": "2", "MATPLOTLIBRC": str(tmp_path), "TZ": "Asia/Tokyo"}),
    ):
        subprocess.run(
            [sys.executable, "-m", "workflow_scripts.draw_figures", *words, str(tmp_path / name)],
            check=True, cwd=ROOT, env=os.environ | settings,
        )  # fmt: skip
    one, two = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.svg")}
        for name in ("one", "two")
    )
    assert one == two
    lines = pd.read_csv(evaluations_csv)
    scales = lines.groupby(["model", "method"])["Q"].nunique()
    several = scales[scales > 1].index.get_level_values("model")
    assert {str(path) for path in one} == {
        "learning_curves/A_S256.svg",
        "learning_curves/A-LRN_S256.svg",
        "error_against_depth.svg",
        *(f"error_against_scale/{model}.svg" for model in several),
    }


def test_drawings_of_other_data_have_nothing_else_of_the_papers(evaluations_csv, tmp_path):
    words = draw_all(tmp_path, evaluations_csv)
    for name, more in (("same", []), ("other", ["--other-data"])):
        draw_figures.main([*words, str(tmp_path / name), *more])
    same, other = (
        {path.stem: path.read_text() for path in (tmp_path / name).rglob("*.svg")}
        for name in ("same", "other")
    )
    assert set(other) == set(same)
    assert "paper" in shown(same["error_against_depth"])
    assert not [name for name, svg in other.items() if "paper" in svg]
    assert element(other["error_against_depth"], "top1-S256-256-A-interval") is not None


@pytest.fixture(scope="module")
def drawings(tmp_path_factory, evaluations_csv):
    folder = tmp_path_factory.mktemp("drawn")
    table = results_table("table3", [("A", (29.5, 10.5), (an_error(24, 21, 27),) * 2)])
    (folder / "table3.json").write_text(json.dumps(table))
    words = draw_all(folder, evaluations_csv)
    draw_figures.main(["--tables", str(folder / "table3.json"), *words, str(folder)])
    return {path.stem: path.read_text() for path in folder.rglob("*.svg")}


def test_a_drawing_stands_alone_and_takes_the_colour_of_its_page(drawings):
    for name, svg in drawings.items():
        root = ElementTree.fromstring(svg)
        assert [tag(e) for e in root][:2] == ["title", "desc"], name
        assert not {"style", "script", "image", "metadata"} & {tag(e) for e in root.iter()}
        assert set(re.findall(r'href="(.)', svg)) <= {"#"}
        assert "url(" not in re.sub(r"url\(#", "", svg)
        colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg))
        assert colours <= {"none", "currentColor", *figures.PALETTE}, name
        for text in root.iter("{http://www.w3.org/2000/svg}text"):
            assert "fill: currentColor" in text.get("style"), "else it would be black"


def test_a_drawing_can_be_read_on_a_phone(drawings):
    for name, svg in drawings.items():
        width = float(ElementTree.fromstring(svg).get("viewBox").split()[2])
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
        assert sizes, name
        assert min(sizes) * 340 / width >= 8, name


def luminance(colour):
    """Relative luminance of #rrggbb by WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


def test_colours_are_seen_on_light_and_on_dark_pages():
    style = (ROOT / "reports/templates/style.css").read_text()
    light, dark = re.findall(r"--paper: (#[0-9a-f]{6});", style)[:2]
    assert luminance(light) > 0.9
    assert luminance(dark) < 0.05
    for page in (light, dark):
        for colour in figures.PALETTE:
            low, high = sorted((luminance(colour), luminance(page)))
            assert (high + 0.05) / (low + 0.05) >= 3, (page, colour)


# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
DEFICIENCIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(linear):
    """CIELAB of linear sRGB."""
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(matrix) @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_the_three_main_colours_differ_for_colour_blind_readers(deficiency):
    seen = []
    for colour in figures.PALETTE[:3]:
        channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        seen.append(lab(np.array(DEFICIENCIES[deficiency]) @ linear))
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(one - other) > 10


def test_series_differ_in_marker_and_dashes_too(evaluations):
    svg = figures.error_against_depth(evaluations)
    marks, dashes = [], []
    for name in ("top1-S256-256-A", "top1-S384-384-C", "top1-S256-512-C"):
        group = element(svg, name)
        line = next(e for e in group if tag(e) == "path")
        dashes.append(re.search(r"stroke-dasharray: [^;]+|$", line.get("style"))[0])
        used = next(e for e in group.iter() if tag(e) == "use")
        symbol = used.get("{http://www.w3.org/1999/xlink}href")[1:]
        marks.append(element(svg, symbol).get("d"))
    assert len(set(marks)) == len(set(dashes)) == 3
    for hollow in ("top1-S256-256-A-paper", "top1-S384-384-C-paper"):
        uses = [e for e in element(svg, hollow).iter() if tag(e) == "use"]
        assert uses
        assert all("fill-opacity: 0" in e.get("style") for e in uses)


def test_names_are_shown_as_they_are(tmp_path):
    name = "A & <b> $x^2$ _1"
    write_history(tmp_path / f"{name}.csv", 0)
    draw_figures.main(["--history", str(tmp_path / f"{name}.csv"), "--output", str(tmp_path)])
    svg = (tmp_path / f"learning_curves/{name}.svg").read_text()
    assert name in shown(svg)
    assert text_of(svg, "title") == f"Learning curves of {name}"


def test_the_command_loads_no_torch():
    code = (
        "import sys; from workflow_scripts import draw_figures;"
        "sys.exit(' '.join({'torch', 'matplotlib.pyplot'} & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
