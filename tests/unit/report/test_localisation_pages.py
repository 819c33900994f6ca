"""Localisation on the report's pages: tables, provenance, claims, curves, and the true boxes."""

import copy
import json
import re

import pytest

from tests.helpers.pages import Page
from tests.helpers.report_inputs import (
    HOSTILE,
    boxed_evaluation,
    cell,
    guesses,
    index_of,
    is_miniature,
    localised_row,
    localised_table,
    page_of,
    record,
    spaced,
)
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.sources.bounding_boxes import KINDS
from workflow_scripts.vgg.report import inputs
from workflow_scripts.vgg.report import pages as rendered
from workflow_scripts.vgg.results.paper_tables import KINDS as ERRORS

NOTHING = cell(None, None, None, None, None)
FIXED_BOX = [0.125, 0.25, 0.75, 0.875]


@pytest.fixture
def dense():
    """Table 9: one net at two scales, and two nets; a row of the literature."""
    one = [boxed_evaluation("D_S384_pcr", "dense", Q) for Q in (352, 384)]
    two = [*one, boxed_evaluation("D_S256_pcr", "dense", 256)]
    literature = localised_row(None, ["OverFeat", ""], {"top5loc_val": NOTHING | {"paper": 30.0}})
    rows = [
        localised_row(
            "S384_two_Q",
            ["384", "352, 384"],
            {"top5loc_val": cell(31.25, 26.5, 36.5, 130, 27.5)},
            one,
            [guesses("S384_two_Q")],
        ),
        localised_row(
            "fusion",
            ["both", "352, 384; 256"],
            {"top5loc_val": cell(28.5, 24.25, 33.0, 119, 26.9)},
            two,
            [guesses("fusion")],
        ),
        literature | {"literature": True},
    ]
    return localised_table("table9", rows, ["top5loc_val"])


@pytest.fixture
def central():
    """Table 8, of which one row is not measured."""
    rows = [
        localised_row(
            "pcr_all",
            ["all", "PCR"],
            {"gtloc_val": cell(33.375, 29.0, 38.125, 139, 33.1)},
            [boxed_evaluation("D_S384_pcr", "center", 384)],
            [guesses("pcr_all")],
        ),
        localised_row("scr_fc", ["FC", "SCR"], {"gtloc_val": NOTHING | {"paper": 36.4}}),
    ]
    return localised_table("table8", rows, ["gtloc_val"])


@pytest.fixture
def fixed():
    """One box for all images, which the paper does not have."""
    rows = [
        localised_row(
            "mean_true",
            ["mean", "true"],
            {"gtloc_val": cell(44.0, 39.0, 49.0, 183, None), "top5loc_val": NOTHING},
            own=[guesses("mean_true", seed=None, box=FIXED_BOX)],
        ),
        localised_row(
            "mean_likeliest",
            ["mean", "likeliest"],
            {"gtloc_val": NOTHING, "top5loc_val": cell(48.5, 43.5, 53.5, 202, None)},
            own=[guesses("mean_likeliest", seed=None, box=FIXED_BOX)],
        ),
    ]
    return localised_table("fixed_boxes", rows, ["gtloc_val", "top5loc_val"], section=None)


def heads(html):
    return [" ".join(head["text"].split()) for head in Page(html).elements["th"]]


def notes(html):
    """The list of notes below a table."""
    section = html.partition('<section aria-labelledby="reading">')[2].partition("</section>")[0]
    return spaced(section)


# Names of errors


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("top1_val", "top-1 error, val"),
        ("top5_test", "top-5 error, test"),
        ("gtloc_val", "true-class localisation error, val"),
        ("top5loc_test", "localisation error, test"),
        ("else_where", "else where"),
    ],
)
def test_errors_have_names(name, words):
    assert rendered.metric(name) == words
    assert set(ERRORS) == {"top1", "top5", "gtloc", "top5loc"}


# Tables


def test_headings_say_which_error_it_is(dense, central, fixed, config):
    of_dense, of_central, of_fixed = (
        heads(rendered.render_table(table, config)) for table in (dense, central, fixed)
    )
    assert "localisation error, val (%)" in of_dense
    assert "true-class localisation error, val (%)" in of_central
    assert of_fixed[2:4] == [
        "true-class localisation error, val (%)",
        "localisation error, val (%)",
    ]


def test_a_table_without_reference_has_no_column_for_it(dense, fixed, config):
    for table, columns in ((dense, {"paper"}), (fixed, set())):
        for html in (
            rendered.render_table(table, config),
            rendered.render_index([table], {"claims": []}, [], config),
        ):
            found = set(heads(html)) & {"paper", "difference"}
            assert found - {"difference"} == columns
    html = rendered.render_table(fixed, config)
    assert "The paper has none of them." in spaced(html)
    assert "the number that the paper prints" not in spaced(html)
    rows = [row for row in Page(html).rows if row]
    assert rows == [[44.0, 39.0, 49.0], [48.5, 43.5, 53.5]]


def test_a_row_reads_measured_interval_paper(dense, config):
    first, second, third = (row for row in Page(rendered.render_table(dense, config)).rows if row)
    difference = [] if is_miniature(config) else [31.25 - 27.5]
    assert first == [31.25, 26.5, 36.5, 27.5, *difference]
    assert second[:4] == [28.5, 24.25, 33.0, 26.9]
    assert third == [30.0]


def test_notes_say_how_boxes_became_guesses(dense, central, fixed, config):
    config["localise"] = {"labels": "table6/D_E_both"}
    of_dense = notes(rendered.render_table(dense, config, pages=["table6", "table8"]))
    for words in (
        "The five classes are the likeliest by Table 6, row D_E_both",
        "until all are further apart than 0.625 (merge distance: overlap-only; merge mean: plain)",
        "is guessed, clipped to the image. Its rating is the max of its members’ scores",
        "the guesses that it is the error of, the boxes and weights behind them",
        "Errors of Table 8 are of another test",
        "A note on it.",
    ):
        assert words in of_dense
    of_central = notes(rendered.render_table(central, config))
    assert "the box is the one that the net gives the true class" in of_central.lower()
    assert "five" not in of_central
    assert "0.625" not in of_central, "one box is not merged"
    of_fixed = notes(rendered.render_table(fixed, config))
    assert "do not look at the image; Table 8 and Table 9 are to be held against them" in of_fixed
    assert "0.625" not in of_fixed
    for text in (of_dense, of_central, of_fixed):
        assert "posteriors" not in text
    # Of errors on test images the paper's are its submission's.
    dense["metrics"] = ["top5loc_val", "top5loc_test"]
    for row in dense["rows"]:
        row["metrics"]["top5loc_test"] = NOTHING
    assert "its submission, which had seven nets" in notes(rendered.render_table(dense, config))


def test_tables_refer_to_each_other_where_their_pages_are(dense, fixed, config):
    def links(table, *beside):
        html = rendered.render_table(table, config, pages=beside)
        return [link for link in Page(html).links() if not link.startswith(("http", "#"))]

    config["localise"] = {"labels": "table6/D_E_both"}
    assert links(dense) == links(fixed) == []
    assert links(dense, "fixed_boxes", "table6") == ["table6.html", "fixed_boxes.html"]
    assert links(fixed, "table9") == ["table9.html"]


def test_rows_that_the_run_cannot_measure_have_a_reason(central, evaluations, config):
    text = notes(rendered.render_table(central, config))
    assert "for want of a net’s weights in this run: FC / SCR." in text
    config["data"]["archives"] = {"val_boxes": None}
    text = notes(rendered.render_table(central, config))
    assert "this run has no true boxes, for data.archives.val_boxes is null" in text
    assert "for want" not in text
    config["data"]["archives"]["val_boxes"] = "boxes.tgz"
    assert "no true boxes" not in notes(rendered.render_table(central, config))
    # Classification needs no boxes.
    config["data"]["archives"]["val_boxes"] = None
    assert "true boxes" not in notes(rendered.render_table(evaluations, config))
    evaluations["rows"][1]["metrics"] = {
        "top1_val": NOTHING | {"paper": 12.5},
        "top5_test": NOTHING,
    }
    assert "in this run: B." in notes(rendered.render_table(evaluations, config))


# Provenance


def test_provenance_names_guesses_boxes_and_how_they_were_merged(dense, config):
    panel = Page(rendered.render_table(dense, config)).named("table9-2-val")
    for words in (
        "localisation error, val: 119 of 417 images wrong",
        "An error is that of the guesses below. They are made of the boxes below",
        "results/m/localisation/val/fusion.parquet",
        "merge threshold: 0.625; merge distance: overlap-only",
        "results/m/boxes/val/D_S384_pcr/dense_Q352.parquet",
        "results/m/boxes/val/D_S256_pcr/dense_Q256.parquet",
        "results/m/tables/table9.csv",
    ):
        assert words in panel
    assert "posteriors" not in panel


def test_provenance_of_a_central_crop_and_of_one_box_for_all(central, fixed, config):
    panel = Page(rendered.render_table(central, config)).named("table8-1-val")
    assert "of each image one, the box that the net gives its true class in the central" in panel
    assert "choices box clipping: clipped" in panel
    assert "merge" not in panel
    page = Page(rendered.render_table(fixed, config))
    panel = page.named("fixed_boxes-2-val")
    assert "the same box for every image" in panel
    assert "results/m/localisation/val/mean_likeliest.parquet" in panel
    assert "0.125, 0.250, 0.750, 0.875" in panel
    assert "boxes below" not in panel
    identifiers = {value for _, name, value in page.attributes if name == "id"}
    assert "table8-2-val" not in identifiers


def test_commands_are_those_of_the_jobs_of_localisation(dense, fixed, config):
    dense["seeds"] = config["seeds"] = [3, 5]
    row = dense["rows"][0]
    row["evaluations"] += [boxed_evaluation("D_S384_pcr", "dense", 352, seed=5)]
    row["guesses"] += [guesses("S384_two_Q", seed=5)]
    records = {
        ("localise", "val_S384_two_Q"): record("localise", ["--of", "three"]),
        ("localise", "seed5/val_S384_two_Q"): record("localise", ["--of", "five"]),
        ("evaluate_boxes", "seed5/val_D_S384_pcr_dense_Q352"): record("evaluate_boxes", ["--a"]),
        ("evaluate_convnet", "val_D_S384_pcr_dense_Q352"): record("evaluate", ["--wrong"]),
        ("train_convnet", "D_S384_pcr"): record("train", ["--head", "box-pcr"]),
        ("guess_one_box", "val_mean_true"): record("guess_one_box", ["--mean-of", "t"]),
        ("localise", "val_mean_true"): record("localise", ["--wrong"]),
    }
    page = Page(rendered.render_table(dense, config, records=records))
    panel = page.named("table9-1-val")
    parts = {
        part[:16]: part for part in re.split(r"(?=Guesses, seed \d|D_S384_pcr, seed \d)", panel)
    }
    assert "workflow_scripts.localise --of three" in parts["Guesses, seed 3 "]
    assert "workflow_scripts.localise --of five" in parts["Guesses, seed 5 "]
    assert "seed5/localisation/val/S384_two_Q.parquet" in parts["Guesses, seed 5 "]
    assert "below, taken for each seed apart. They are made" in panel
    assert "workflow_scripts.evaluate_boxes --a" in panel
    assert "workflow_scripts.train --head box-pcr" in panel
    assert "--wrong" not in panel
    page = Page(rendered.render_table(fixed, config, records=records))
    assert "workflow_scripts.guess_one_box --mean-of t" in page.named("fixed_boxes-1-val")
    assert "--wrong" not in page.text


def test_tables_in_brief_link_to_the_provenance(dense, fixed, config):
    html = rendered.render_index(
        [dense, fixed], {"claims": []}, [], config, pages=["table9", "fixed_boxes"]
    )
    inside = {link.partition("#")[2] for link in Page(html).links() if ".html#" in link}
    of_fixed = {"fixed_boxes-1-val", "fixed_boxes-2-val"}
    assert inside == {"table9-1-val", "table9-2-val", *of_fixed}
    assert inside - of_fixed <= set(
        re.findall('id="([^"]+)"', rendered.render_table(dense, config))
    )


def test_hostile_words_of_localisation_are_shown_as_text(dense, config):
    row = dense["rows"][0]
    row["labels"][0] = row["name"] = row["guesses"][0]["guesses"] = HOSTILE
    row["evaluations"][0]["model"] = HOSTILE
    config["localise"] = {"labels": f"{HOSTILE}/{HOSTILE}"}
    truth = {"val": TRUTH | {"oddities": {HOSTILE: [HOSTILE, HOSTILE]}}}
    for html in (
        rendered.render_table(dense, config),
        rendered.render_index([dense], {"claims": []}, [], config, truth=truth),
    ):
        page = Page(html)
        assert page.tags["script"] == 1
        assert not page.tags["b"]
        assert page.text.count(HOSTILE) >= 3


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda table: table.pop("localisation"), "localisation"),
        (lambda table: table["localisation"].pop("scoring"), "localisation: .*scoring"),
        (lambda t: t["localisation"]["images"]["val"].pop("scored"), "localisation, val: .*scored"),
        (lambda table: table["rows"][1].pop("guesses"), "row 2.*guesses"),
        (lambda table: table["rows"][0]["guesses"][0].pop("box"), "row 1, guesses.*box"),
    ],
)
def test_a_damaged_table_of_localisation_is_named(tmp_path, dense, damage, message):
    path = tmp_path / "table9.json"
    path.write_text(json.dumps(dense))
    assert inputs.load_table(path) == dense
    damage(dense)
    path.write_text(json.dumps(dense))
    with pytest.raises(InputError, match=rf"table9\.json.*{message}"):
        inputs.load_table(path)


# Claims


def test_the_ledger_says_which_errors_are_compared(dense, central, claims, config):
    one = claims["claims"][0]
    (comparison,) = one["comparisons"]
    text = spaced(rendered.render_claims(claims, [dense, central], config))
    assert "in points of top-1 error, on the same validation images" in text
    assert "top-1 error, val (%)" in text
    assert "for 29 comparisons, where a pair" in text
    own = [
        comparison | {"metric": "top5loc_val", "candidate": c, "baseline": b}
        for c, b in (
            ("Table 9: both / 352, 384; 256", "Table 9: 384 / 352, 384"),
            ("Table 9: 384 / 352, 384", "Table 8: all / PCR"),
            ("Table 8: all / PCR", "Table 8: FC / SCR"),
        )
    ]
    own[2]["metric"] = "gtloc_val"
    claims["claims"].append(one | {"number": 12, "comparisons": own})
    claims["family_of_localisation"] = 3
    html = rendered.render_claims(claims, [dense, central], config, pages=["table8", "table9"])
    text = spaced(html)
    assert "of top-1 error, or of the localisation error that a comparison names, on the" in text
    assert "for 29 comparisons of classification and, apart from them, 3 of localisation" in text
    assert "error, val (%)" in heads(html)
    assert "top-1 error, val (%)" not in heads(html)
    stubs = [head for head in heads(html.replace("<br>", " | ")) if "| expected" in head]
    assert [stub.split(" | ")[1:-1] for stub in stubs] == [
        ["against A"],
        ["against Table 9: 384 / 352, 384", "localisation error"],
        ["against Table 8: all / PCR", "localisation error against true-class localisation error"],
        ["against Table 8: FC / SCR", "true-class localisation error"],
    ]
    assert '<a href="table8.html#table8-1-val">Table 8: all / PCR</a>' in html


# Learning curves


def test_the_curve_of_a_net_of_boxes_ends_with_its_localisation_error(run, tmp_path, figures):
    text = spaced(index_of(run, "--figures", *figures))
    assert "Below, the last top-1 error." in text
    (tmp_path / "A-LRN_S256.csv").write_text(
        "iteration,epoch,learning_rate,train_loss,val_top1_error,val_top5_error,"
        "images_per_second,val_gtloc_error\n10,0.1,0.01,2.3,,,9,71.5\n20,0.2,0.01,2.0,,,9,64.125\n"
    )
    page = Page(index_of(run, "--figures", *figures))
    text = " ".join(page.text.split())
    told = "of a net of boxes the last localisation error (one guess, the true class)"
    assert f"Below, the last top-1 error, {told}." in text
    captions = [" ".join(c["text"].split()) for c in page.elements["figcaption"]]
    assert captions == [
        "23.8% after 30 iterations",
        "localisation error 64.1% after 20 iterations",
    ]
    assert 64.125 in page.values


# True boxes

TRUTH = {
    "images": 4013,
    "boxed_images": 2417,
    "boxes": 2659,
    "blacklisted": 0,
    "oddities": {"swapped": ["n1_7"], "no-size": [f"n2_{n}" for n in range(1, 132)]},
}
OF_VAL = {"images": 998, "boxed_images": 997, "boxes": 1093, "blacklisted": 29}


def test_the_index_tells_what_was_read_of_true_boxes(run, tmp_path):
    assert "True boxes" not in spaced(index_of(run))
    for split, report in (
        ("train", TRUTH),
        ("val", OF_VAL | {"oddities": {"swapped": ["v3", "v4"]}}),
    ):
        (tmp_path / f"{split}.json").write_text(json.dumps(report))
    html = index_of(run, "--truth", run("train.json"), run("val.json"))
    page = Page(html)
    assert "#boxes" in page.links()
    rows = [row for row in page.rows if row]
    for split in (TRUTH, OF_VAL):
        assert [float(v) for v in split.values() if isinstance(v, int)] in rows
    # Kinds in the order of their list, each with what it is.
    assert -1 < page.text.find(KINDS["no-size"]) < page.text.find(KINDS["swapped"])
    assert [131.0] in rows
    assert rows.count([1.0]) == 1
    assert [2.0] in rows
    # The first is seen, those up to the hundredth open, the rest is in the file.
    details = [" ".join(each["text"].split()) for each in page.elements["details"]]
    of_size = next(each for each in details if each.startswith("n2_1,"))
    listed = [f"n2_{n}" for n in range(2, 101)]
    assert of_size == f"n2_1, … {', '.join(listed)}, …"
    assert "n1_7" in details
    assert "v3, … v4" in details


def test_blacklisted_images_are_said_to_count_if_they_do(config):
    truth = {"val": OF_VAL | {"oddities": {}}}
    text = spaced(rendered.render_index([], {"claims": []}, [], config, truth=truth))
    assert "have no part in it, nor have blacklisted ones." in text
    assert "No annotation was odd." in text
    config["choices"]["blacklisted"] = "kept"
    text = spaced(rendered.render_index([], {"claims": []}, [], config, truth=truth))
    assert "blacklisted ones count." in text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda report: report.pop("blacklisted"), "blacklisted"),
        (lambda report: report.update(oddities=[]), "oddities"),
        (lambda report: report["oddities"].update(swapped=3), "oddities, swapped: expected a list"),
    ],
)
def test_a_damaged_report_of_true_boxes_is_named(tmp_path, damage, message):
    path, damaged = tmp_path / "val.json", copy.deepcopy(TRUTH)
    path.write_text(json.dumps(damaged))
    assert inputs.load_truth(path) == TRUTH
    damage(damaged)
    path.write_text(json.dumps(damaged))
    with pytest.raises(InputError, match=rf"val\.json.*{message}"):
        inputs.load_truth(path)


def test_a_tables_page_is_made_of_its_file(run, tmp_path, dense, config):
    (tmp_path / "table9.json").write_text(json.dumps(dense))
    html = page_of(run, "table9", "--pages", "fixed_boxes", "table6")
    assert "fixed_boxes.html" in Page(html).links()
