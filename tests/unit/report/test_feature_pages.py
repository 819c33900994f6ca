"""Features of other data sets on the report's pages: tables, provenance, claims, directions."""

import copy
import json
import re

import pytest

from tests.helpers.feature_results import NAMES, made_ledger, made_table, write_results
from tests.helpers.pages import Page, numbers
from tests.helpers.report_inputs import HOSTILE, cell, is_miniature, opening, record, spaced
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.report import inputs
from workflow_scripts.vgg.report import pages as rendered
from workflow_scripts.vgg.report.directions import Differences, directions
from workflow_scripts.vgg.results.feature_tables import FeatureCell

ANSWERS = {"features_E": {"map_voc2012": 83.25, "date": "2026-11-24"}}
FULL = pytest.mark.parametrize("config", ["ilsvrc2012"], indirect=True)
MINIATURE = pytest.mark.parametrize("config", ["miniature"], indirect=True)
# Places of a split are numbered from 0 in files and from 1 on pages.
NOT_SHOWN = ("split", "seeds")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Tables by name and the ledger of claims, of a run of one seed, which answers one file."""
    results = f"{tmp_path_factory.mktemp('features')}/results/m"
    write_results(results, (3,))
    tables = {name: made_table(name, results, answers=ANSWERS) for name in NAMES}
    return tables | {"claims": made_ledger(results)}


@pytest.fixture(scope="module")
def made_twice(tmp_path_factory):
    """The same of two seeds; E's weights are imported."""
    results = f"{tmp_path_factory.mktemp('features')}/results/m"
    imported = ["E_S256-512"]
    write_results(results, (3, 5), NAMES[:1], imported)
    return made_table("table11", results, (3, 5), imported=imported)


@pytest.fixture
def table11(made):
    return copy.deepcopy(made["table11"])


@pytest.fixture
def ledger(made):
    return copy.deepcopy(made["claims"])


@pytest.fixture
def of_seeds(made_twice, config):
    config["seeds"] = [3, 5]
    return copy.deepcopy(made_twice)


def shown(table, config, **more):
    return rendered.render_table(table, config, **more)


def heads(html):
    return [" ".join(head["text"].split()) for head in Page(html).elements["th"]]


def notes(html):
    section = html.partition('<section aria-labelledby="reading">')[2].partition("</section>")[0]
    return spaced(section)


def buttons(html):
    """The text and target of every button that opens something."""
    found = Page(html).elements["button"]
    own = [(" ".join(b["text"].split()), b["attributes"]) for b in found]
    return [(text, b["popovertarget"]) for text, b in own if "popovertargetaction" not in b]


# Names


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("map_voc2007", "mean average precision, VOC-2007"),
        ("mapval_voc2012", "mean average precision, VOC-2012 (val.)"),
        ("mapval_voc2012_action", "mean average precision, VOC-2012 actions (val.)"),
        ("recall_caltech101", "mean class recall, Caltech-101"),
        ("recall_mine", "mean class recall, mine"),
    ],
)
def test_measures_have_names(name, words, table11):
    assert rendered.metric(name, table11["data_sets"]) == words


def test_headings_name_measures_and_nothing_is_called_an_error(made, config):
    for name in ("table11", "feature_scales"):
        table = made[name]
        html = shown(table, config)
        own = [rendered.metric(metric, table["data_sets"]) for metric in table["metrics"]]
        labels = len(table["columns"])
        assert heads(html)[labels : labels + len(own)] == own
        assert "In percent, higher is better." in spaced(html)
        assert "Measured in percent, higher is better" in notes(html)
        body = html.partition("</style>")[2].partition("<script>")[0]
        assert "error" not in body.lower()
    html = rendered.render_index([made["table11"]], {"claims": []}, [], config)
    article = html.partition("<article")[2].partition("</article>")[0]
    assert "In percent, higher is better." in article
    assert "error" not in article


# Tables


def test_a_page_shows_every_number_of_its_file(made, config):
    left_out = [*NOT_SHOWN, *(["difference"] if is_miniature(config) else [])]
    for name in NAMES:
        missing = numbers(made[name], left_out) - Page(shown(made[name], config)).numbers()
        assert not missing, name


def test_a_row_reads_measured_splits_interval_paper_difference(table11, config):
    rows = [row for row in Page(shown(table11, config)).rows if row]
    own = table11["rows"][0]["metrics"]
    keys = ("measured", "split_sd", "low", "high", "paper", "paper_sd", "difference")
    if is_miniature(config):
        keys = keys[:-1]
    # The metrics in order; what is withheld has the paper's number alone, and the validation
    # examples none of the paper's.
    assert rows[0] == [c[key] for c in own.values() for key in keys if c[key] is not None]
    assert own["map_voc2012"]["measured"] is None
    assert own["mapval_voc2012"]["paper"] is None


def test_no_column_of_the_papers_stands_beside_validation_examples(made, config):
    own = heads(shown(made["table12"], config))
    assert own.count("paper") == 1
    assert own.count("measured") == 2
    for name in ("feature_scales", "random_features"):
        html = shown(made[name], config)
        assert "paper" not in heads(html)
        assert "The paper has none of these numbers." in notes(html)


def test_rows_are_as_wide_as_their_head(table11, config):
    head, body = shown(table11, config).partition("<thead>")[2].split("</thead>")
    spanned = sum(map(int, re.findall(r'colspan="(\d+)"', head)))
    assert spanned == len(re.findall("<th", head.split("</tr>")[1]))
    assert f'colspan="{1 + spanned}"' in body
    rows = [row.partition("</tr>")[0] for row in body.partition("</table>")[0].split("<tr>")[1:]]
    assert {len(re.findall("<t[dh]", row)) for row in rows if "colspan" not in row} == {1 + spanned}


def test_what_the_paper_adds_to_its_numbers_stands_with_them(table11, config):
    for html in (
        shown(table11, config),
        rendered.render_index([table11], {"claims": []}, [], config),
    ):
        text = spaced(html)
        assert "91.8 ± 1.0" in text
        assert "81.5 [85.2*] of nets that have seen more classes" in text
        assert "* of nets that have seen more classes than ILSVRC’s 1000." in text


def test_a_starred_number_alone_has_no_dash(made, config):
    html = shown(made["table12"], config)
    row = html.partition("Oquab et al.")[2].partition("</tr>")[0]
    assert 'class="none"' not in row
    assert "[70.2*" in " ".join(Page(f"<tr><th>{row}</tr>").text.split())


@FULL
def test_only_a_paper_number_outside_an_interval_is_marked(table11, config):
    cells = [c for row in table11["rows"] for c in row["metrics"].values()]
    outside = [
        c
        for c in cells
        if None not in (c["low"], c["paper"]) and not c["low"] <= c["paper"] <= c["high"]
    ]
    assert 0 < len(outside) < len(cells)
    html = shown(table11, config)
    assert Page(html).text.count("paper outside the interval") == len(outside)


def test_an_answer_without_interval_has_a_dagger_and_no_counts(table11, config):
    told = table11["rows"][1]["metrics"]["map_voc2012"]
    assert (told["measured"], told["low"], told["entered"]) == (83.25, None, True)
    html = shown(table11, config)
    (button,) = (b for b in buttons(html) if b[0].startswith("83.2"))
    assert button == ("83.2† entered by hand", "table11-2-voc2012")
    panel = Page(html).named("table11-2-voc2012")
    assert "VOC-2012: 83.25, by the answer of the organisers’ server, entered by hand (†)" in panel
    assert "The file for the organisers’ server is" in panel
    assert "features_E_voc2012.tar.gz" in panel
    assert "answer of 2026-11-24 to features_E" in notes(html)


def test_withheld_is_only_the_test_set_that_there_is_a_file_for(table11, config):
    html = shown(table11, config)
    assert [b for b in buttons(html) if b[0] == "withheld"] == [
        ("withheld", "table11-1-voc2012"),
        ("withheld", "table11-3-voc2012"),
    ]
    panel = Page(html).named("table11-1-voc2012")
    assert "mean average precision, VOC-2012: withheld" in panel
    assert "features_D_voc2012.tar.gz" in panel
    assert "features_D_voc2012.tar.gz" not in Page(html).named("table11-1-voc2007")
    # Neither a number that is missing for another reason, nor one of a set of a similar name.
    for row in table11["rows"][:3]:
        row["submission"] = "results/m/submission/features_D_voc2012_action.tar.gz"
    assert "withheld" not in [text for text, _ in buttons(shown(table11, config))]
    for row in table11["rows"][:3]:
        row["submission"] = None
    assert "withheld" not in [text for text, _ in buttons(shown(table11, config))]


def test_one_seed_has_one_kind_of_spread(table11, config):
    html = shown(table11, config)
    own = table11["rows"][0]["metrics"]["recall_caltech101"]
    assert f"{own['measured']:.1f} ± {own['split_sd']:.1f}" in [text for text, _ in buttons(html)]
    assert "± is the standard deviation over splits" in notes(html)
    assert "seeds" not in html.partition("<thead>")[2].partition("</table>")[0]


def test_several_seeds_and_splits_say_which_spread_is_which(of_seeds, config):
    html = shown(of_seeds, config)
    own, page = of_seeds["rows"][0]["metrics"], Page(html)
    recall, precision = own["recall_caltech101"], own["map_voc2007"]
    texts = [text for text, target in buttons(html) if target.startswith("table11-1-")]
    spread = f"± {recall['split_sd']:.1f} splits ± {recall['seed_sd']:.2f} seeds"
    assert f"{recall['measured']:.1f} {spread}" in texts
    assert f"{precision['measured']:.1f} ± {precision['seed_sd']:.2f} seeds" in texts
    assert "± that is marked “seeds” is the standard deviation between them" in notes(html)
    assert "“splits” is the standard deviation over random splits with the first" in notes(html)
    left_out = [*NOT_SHOWN, *(["difference"] if is_miniature(config) else [])]
    assert not numbers(of_seeds, left_out) - page.numbers()
    panel = page.named("table11-1-caltech101")
    for seed, value in zip((3, 5), recall["per_seed"], strict=True):
        assert f"{value:.2f} with seed {seed}" in panel
    # Imported weights have no seeds, and neither have numbers that are theirs alone.
    of_imported = [text for text, target in buttons(html) if target.startswith("table11-2-")]
    assert not any("seeds" in text for text in of_imported)


# Provenance


def test_every_data_set_of_a_row_has_a_provenance_of_its_own(table11, config):
    html = shown(table11, config)
    page = Page(html)
    targets = [target for _, target in buttons(html)]
    wanted = [
        f"table11-{place}-{data_set}"
        for place in (1, 2, 3)
        for data_set in ("voc2007", "voc2012", "voc2012", "caltech101", "caltech256")
    ]
    assert targets == wanted
    identifiers = [value for _, name, value in page.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    assert set(wanted) == {i for i in identifiers if re.fullmatch(r"table11-\d-[a-z0-9]+", i)}
    assert "VGG Net-D & Net-E Table 11, Caltech-256" in page.named("table11-3-caltech256-title")
    of_2012 = page.named("table11-1-voc2012")
    assert "VOC-2012 (val.):" in of_2012
    assert "voc2007" not in of_2012


def test_provenance_names_classifiers_descriptors_and_weights(made, table11, config):
    folder = re.match(".*/results/m/", table11["rows"][0]["classifiers"][0]["scores"])[0]
    panel = Page(shown(table11, config)).named("table11-3-caltech101")
    for words in (
        "mean class recall, Caltech-101: ",
        "n = 1; the mean over random splits, between which the standard deviation is",
        "linear classifiers, one a class, which learned from the descriptors below",
        f"Scores: {folder}classifiers/caltech101/D_E.parquet",
        "scale pooling: mean; svm loss: squared-hinge; seed: 3",
        "C = 0.25 for the test examples of split 1, at an end of the grid",
        "C = 1 for the test examples of split 2 ",
        "25 to learn from, 6 to choose by, 18 to test on",
        "C = 0.25 51.62 C = 1 52.62 C = 4 53.62",
        f"whole image, Q = 256: {folder}descriptors/caltech101/D_S256-512/image_Q256.parquet",
        f"whole image, Q = 384: {folder}descriptors/caltech101/E_S256-512/image_Q384.parquet",
        "E_S256-512, seed 3 weights SHA-256 4534534534",
        "feature layer: after-relu",
        "results/m/tables/table11.csv",
    ):
        assert words in panel
    assert "average precision: none" not in panel
    assert "average precision: area" in Page(shown(table11, config)).named("table11-1-voc2012")
    actions = shown(made["table12"], config)
    assert "person’s box, Q = 256" in Page(actions).named("table12-2-voc2012_action")
    assert "person’s box" not in Page(actions).named("table12-1-voc2012_action")


def test_a_panel_has_every_class(table11, config):
    page = Page(shown(table11, config))
    own = table11["rows"][0]["per_class"]
    for metric, data_set in (("map_voc2007", "voc2007"), ("recall_caltech101", "caltech101")):
        panel = page.named(f"table11-1-{data_set}")
        words = " ".join(f"{name} {value:.1f}" for name, value in own[metric].items())
        assert f"By class {words}" in panel
    assert "By class (validation) bird" in page.named("table11-1-voc2012")
    own["map_voc2007"]["bird"] = None
    assert "By class bird –" in Page(shown(table11, config)).named("table11-1-voc2007")


def test_random_weights_are_called_so(made, config):
    records = {
        ("describe_images", "voc2007_D_S256-512_image_Q256"): record("describe_images", ["--of=w"]),
        ("describe_images", "voc2007_D_S256-512.random_image_Q256"): record(
            "describe_images", ["--of=r"]
        ),
        ("draw_weights", "D_S256-512"): record("draw_weights", ["--like", "w"]),
        ("train_convnet", "D_S256-512"): record("train", ["--model", "D"]),
    }
    page = Page(shown(made["random_features"], config, records=records))
    trained, drawn = (page.named(f"random_features-{place}-voc2007") for place in (1, 2))
    assert "D_S256-512 with random weights, seed 3" in drawn
    assert "random weights, seed" not in trained
    for words, where, elsewhere in (
        ("describe_images --of=w", trained, drawn),
        ("workflow_scripts.train --model D", trained, drawn),
        ("describe_images --of=r", drawn, trained),
        ("draw_weights --like w", drawn, trained),
    ):
        assert words in where
        assert words not in elsewhere


def test_commands_are_those_of_the_jobs_of_a_seed(of_seeds, config):
    records = {
        ("train_classifiers", "voc2007_D_E"): record("train_classifiers", ["--of=three"]),
        ("train_classifiers", "seed5/voc2007_D_E"): record("train_classifiers", ["--of=five"]),
        ("train_classifiers", "voc2012_D_E"): record("train_classifiers", ["--wrong"]),
        ("describe_images", "seed5/voc2007_D_S256-512_image_Q256"): record(
            "describe_images", ["--in=five"]
        ),
        ("import_weights", "E_S256-512"): record("import_weights", ["--from=file"]),
        ("tabulate", "table11"): record("tabulate", ["--table", "table11"]),
    }
    panel = Page(shown(of_seeds, config, records=records)).named("table11-3-voc2007")
    parts = re.split(r"(?=Classifiers, seed|[DE]_S256-512(?:, seed \d)? weights)", panel)[1:]
    classifiers = {part[:19]: part for part in parts if part.startswith("Classifiers")}
    assert "train_classifiers --of=three" in classifiers["Classifiers, seed 3"]
    assert "train_classifiers --of=five" in classifiers["Classifiers, seed 5"]
    assert "below, for each seed apart." in panel
    assert [part.partition(" weights")[0] for part in parts[2:]] == [
        "D_S256-512, seed 3",
        "E_S256-512",
        "D_S256-512, seed 5",
    ]
    assert panel.count("E_S256-512/image_Q256.parquet") == 1, "both seeds share it"
    assert "--in=five" in parts[-1]
    assert "imported from E.caffemodel" in panel
    assert "import_weights --from=file" in panel
    assert "tabulate --table table11" in panel
    assert "--wrong" not in panel


def test_tables_in_brief_link_to_the_provenance(made, table11, config):
    tables = [made[name] for name in NAMES]
    html = rendered.render_index(tables, {"claims": []}, [], config, pages=NAMES)
    inside = {link for link in Page(html).links() if ".html#" in link}
    for table in tables:
        known = {value for _, name, value in Page(shown(table, config)).attributes if name == "id"}
        own = {link.partition("#")[2] for link in inside if link.startswith(table["name"])}
        assert own
        assert own <= known
    assert "table11.html#table11-1-caltech256" in inside


# What is not measured


def test_what_a_run_cannot_measure_has_a_reason(table11, config):
    for place, row in enumerate(table11["rows"][:3]):
        for metric, own in row["metrics"].items():
            if "caltech256" in metric or place == 1:
                own |= {"measured": None, "low": None, "high": None, "entered": False}
        if place == 1:
            row |= {"evaluations": [], "classifiers": [], "submission": None, "per_class": {}}
    del table11["data_sets"]["caltech256"]
    config["transfer"] = {"data_sets": {"voc2012": {"test": "absent"}, "caltech256": None}}
    html = shown(table11, config)
    text = notes(html)
    assert "on caltech256, which this run leaves out: transfer.data_sets.caltech256 is null" in text
    assert "mean class recall, caltech256" in heads(html)
    assert "test set of VOC-2012, which this run leaves out" in text
    assert "for want of a net’s weights in this run: VGG Net-E (19 layers)." in text
    config["transfer"]["data_sets"]["voc2012"]["test"] = "withheld"
    assert "test set of VOC-2012, which" not in notes(shown(table11, config))


def test_a_table_of_no_data_set_lacks_no_weights(table11, config):
    for row in table11["rows"]:
        row |= {"evaluations": [], "classifiers": [], "submission": None, "per_class": {}}
        for own in row["metrics"].values():
            own |= {"measured": None, "low": None, "high": None, "entered": False}
    table11["data_sets"] = {}
    text = notes(shown(table11, config))
    assert text.count("which this run leaves out") == 4
    assert "for want" not in text


# The index


@FULL
def test_measures_with_an_interval_are_compared_with_the_papers_too(made, evaluations, config):
    # The three errors are counted in test_index_page.py; what a server answered has no interval.
    table = made["table11"]
    both = [
        c
        for row in table["rows"]
        for c in row["metrics"].values()
        if None not in (c["low"], c["paper"])
    ]
    assert len(both) == 9
    inside = sum(c["low"] <= c["paper"] <= c["high"] for c in both)
    html = rendered.render_index([evaluations, table], {"claims": []}, [], config)
    words = "numbers in all tables have the paper’s in their 95% interval."
    assert f"{2 + inside} of 12 {words}" in spaced(html)


def test_the_index_counts_descriptions_and_classifiers(run, table11, config):
    records = {
        ("describe_images", "a"): record("describe_images"),
        ("describe_images", "b"): record("describe_images"),
        ("train_classifiers", "a"): record("train_classifiers"),
    }
    text = spaced(rendered.render_index([table11], {"claims": []}, [], config, records=records))
    assert "2 descriptions of images, 1 trainings of classifiers" in text
    text = spaced(rendered.render_index([], {"claims": []}, [], config, records={}))
    assert "descriptions of images" not in text


# Claims


def test_the_ledger_names_measures_and_what_is_expected(made, claims, ledger, config):
    claims["claims"] += ledger["claims"]
    claims["family_of_features"] = ledger["family_of_features"]
    tables = [made[name] for name in NAMES]
    titles = made["table11"]["data_sets"]
    config["transfer"] = {"data_sets": {name: {"title": title} for name, title in titles.items()}}
    html = rendered.render_claims(claims, tables, config, pages=NAMES)
    text = spaced(html)
    for words in (
        "in points of top-1 error, on the same validation images. Of features on other data sets",
        "of which higher is better, on the same test images, or validation images where the name",
        "of features, p of the same bootstrap; and p as Holm raises it for 29 comparisons of",
        f"apart from them, {ledger['family_of_features']} of features, where a pair of rows that",
        "claims compare by the same measure counts once",
        "A higher measure is judged the other way round.",
        "appendix B. The paper compares on the validation sets",
    ):
        assert words in text
    assert "of localisation" not in text.partition("Ledger of claims")[0]
    assert "error, or measure named (%)" in heads(html)
    stubs = [head for head in heads(html.replace("<br>", " | ")) if "| expected" in head]
    assert [stub.split(" | ")[2:] for stub in stubs[1:4]] == [
        ["mean average precision, VOC-2007", "expected equal within 1.0 points"],
        ["mean average precision, VOC-2012 (val.)", "expected equal within 1.0 points"],
        ["mean average precision, VOC-2007", "expected higher"],
    ]
    for claim in ledger["claims"]:
        for each in claim["comparisons"]:
            keys = ("candidate_error", "baseline_error", "difference", "p_holm")
            assert {each[key] for key in keys} <= Page(html).values
    del claims["claims"][1:2]
    claims["claims"][0]["comparisons"][0]["metric"] = "top5loc_val"
    claims["family_of_localisation"] = 6
    text = spaced(rendered.render_claims(claims, tables, config))
    assert "apart from them, 6 of localisation and" in text


def test_sides_link_to_the_provenance_of_their_data_set(made, ledger, config):
    tables = [made[name] for name in NAMES]
    html = rendered.render_claims(ledger, tables, config, pages=NAMES)
    ids = {
        f"{table['name']}.html#{value}"
        for table in tables
        for _, name, value in Page(shown(table, config)).attributes
        if name == "id"
    }
    body = html.partition('id="claims-caption"')[2].partition("</table>")[0]
    links = re.findall(r'<a href="([^"]+)">([^<]+)</a>', body)
    assert len(links) == 2 * sum(len(claim["comparisons"]) for claim in ledger["claims"])
    assert {link for link, _ in links} <= ids
    assert ("table11.html#table11-2-caltech101", "Table 11: VGG Net-E (19 layers)") in links
    assert ("table11.html#table11-2-voc2007", "Table 11: VGG Net-E (19 layers)") in links
    assert {link for link, side in links if side.startswith("Table 12")} == {
        "table12.html#table12-1-voc2012_action",
        "table12.html#table12-2-voc2012_action",
    }
    assert (
        "<a href"
        not in rendered.render_claims(ledger, tables, config)
        .partition('id="claims-caption"')[2]
        .partition("</table>")[0]
    )


def test_directions_of_measures_are_upwards_and_told_apart_by_measure(claims):
    (comparison,) = claims["claims"][0]["comparisons"]

    def compared(metric, difference, low, high, expect="higher"):
        values = {"metric": metric, "difference": difference, "low": low, "high": high}
        return comparison | values | {"expect": expect, "verdict": "inconclusive"}

    comparisons = [
        compared("map_voc2007", 2.0, 1.0, 3.0),
        compared("map_voc2007", 2.0, 1.0, 3.0),  # as another claim compares them too
        compared("mapval_voc2012", 1.0, -1.0, 3.0),
        compared("recall_caltech101", -4.0, -6.0, -2.0),
        compared("recall_caltech256", 0.0, -1.0, 1.0),
        compared("map_voc2007", 0.5, 0.0, 1.0, "equivalent"),
        compared("top1_val", -1.0, -2.0, -0.5, "lower_error"),
        compared("recall_x", None, None, None),
    ]
    found = directions([claims["claims"][0] | {"comparisons": comparisons}])
    assert found.pairs == 5
    assert found.with_paper == Differences(all=3, clear=2)
    assert found.against == Differences(all=1, clear=1)
    assert found.equal == {"inconclusive": 1}


@MINIATURE
def test_the_miniature_subtracts_nothing_from_measures(table11, ledger, config):
    html = shown(table11, config)
    for own in (html, rendered.render_index([table11], {"claims": []}, [], config)):
        notice = " ".join(Page(own).notices.split())
        assert "not evidence about ILSVRC, VOC or Caltech" in notice
        assert "which of two nets or methods is better" in notice
    assert not re.search('[◇◆]|class="mark"|outside the', html.partition("</style>")[2])
    for row in table11["rows"]:
        for own in row["metrics"].values():
            assert own["difference"] not in Page(html).values
    assert not {"difference", "diff."} & set(heads(html))
    text = opening(rendered.render_index([table11], ledger, [], config))["Claims of the text"]
    found = directions(ledger["claims"])
    assert f"{found.with_paper.all} of {found.pairs} differences go the paper’s way" in text
    assert f"{found.against.all} the other way" in text


# Files


def test_keys_of_cells_are_those_of_the_tables():
    assert set(FeatureCell().__dataclass_fields__) == set(inputs.FEATURE_CELL_KEYS)
    assert set(cell(None, None, None, None, None)) < set(inputs.FEATURE_CELL_KEYS)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda table: table.pop("data_sets"), "data_sets"),
        (lambda table: table.update(data_sets=[]), "data_sets: expected a mapping"),
        (lambda table: table.pop("higher_is_better"), "higher_is_better"),
        (lambda t: t["rows"][0]["metrics"]["map_voc2007"].pop("split_sd"), "row 1, map_.*split_sd"),
        (lambda table: table["rows"][5]["metrics"]["map_voc2007"].pop("paper_sd"), "row 6.*paper_"),
        (lambda table: table["rows"][1].pop("classifiers"), "row 2.*classifiers"),
        (lambda table: table["rows"][1].pop("per_class"), "row 2.*per_class"),
        (
            lambda t: t["rows"][1]["per_class"].update(map_voc2007=3),
            "row 2, per_class, map_voc2007",
        ),
        (lambda t: t["rows"][0]["classifiers"][0].pop("options"), "row 1, classifiers.*options"),
        (
            lambda table: table["rows"][0]["classifiers"][0]["chosen"][0].pop("at_end"),
            "row 1, classifiers, chosen.*at_end",
        ),
        (lambda table: table["rows"][0]["evaluations"][0].pop("node"), "row 1, evaluations.*node"),
    ],
)
def test_a_damaged_table_of_features_is_named(tmp_path, table11, damage, message):
    path = tmp_path / "table11.json"
    path.write_text(json.dumps(table11))
    assert inputs.load_table(path) == table11
    damage(table11)
    path.write_text(json.dumps(table11))
    with pytest.raises(InputError, match=rf"table11\.json.*{message}"):
        inputs.load_table(path)


def test_a_ledger_says_how_many_comparisons_of_features_it_has(tmp_path, ledger):
    write_json(tmp_path / "claims.json", ledger)
    assert inputs.load_claims(tmp_path / "claims.json")["family_of_features"] > 0
    del ledger["family_of_features"]
    write_json(tmp_path / "claims.json", ledger)
    with pytest.raises(InputError, match="family_of_features"):
        inputs.load_claims(tmp_path / "claims.json")


def test_hostile_words_of_features_are_shown_as_text(table11, config):
    row = table11["rows"][0]
    row["labels"] = [HOSTILE]
    row["classifiers"][0]["options"] = {HOSTILE: HOSTILE}
    row["classifiers"][0]["scores"] = row["evaluations"][0]["model"] = HOSTILE
    row["per_class"]["map_voc2007"] = {HOSTILE: 1.0}
    table11["data_sets"]["voc2007"] = HOSTILE
    for html in (
        shown(table11, config),
        rendered.render_index([table11], {"claims": []}, [], config, pages=["table11"]),
    ):
        page = Page(html)
        assert page.tags["script"] == 1
        assert not page.tags["b"]
        assert page.text.count(HOSTILE) >= 2
