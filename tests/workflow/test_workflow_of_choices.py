"""What the test-time choices change, and which threshold is best: `choices` and `threshold`."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.helpers.clones import ROOT, planned, snakemake
from tests.helpers.localised_errors import localised_wrong, overlaps, pixels
from tests.helpers.measured_features import mean_average_precision, told_of


@pytest.fixture(scope="session")
def compared(run, tmp_path_factory):
    """A copy of the finished run in which both targets have been made, with Snakemake's output."""
    assert 'href="choices.html"' not in (run / "reports/index.html").read_text()
    folder = shutil.copytree(run, tmp_path_factory.mktemp("compared") / "run", symlinks=True)
    (folder / "output.txt").write_text(snakemake(folder, "choices", "threshold", "--cores", "2"))
    return folder


ALTERNATIVES = {
    "score_average": ("after-softmax", "dense", {"score_average": "after-softmax"}),
    "pool_rounding": ("ceil", "dense", {}),
    "crop_grid": ("central-square", "multicrop", {"crop_grid": "central-square"}),
    "resize_filter": ("bilinear", "dense", {"resize_filter": "bilinear"}),
}


@pytest.mark.parametrize("choice", ALTERNATIVES)
def test_an_alternatives_errors_are_those_of_evaluating_with_it(compared, choice):
    from tests.helpers.evaluations import posteriors_of
    from workflow_scripts.vgg.data.shards import Shards
    from workflow_scripts.vgg.nets.weights import load_weights

    value, method, changes = ALTERNATIVES[choice]
    lines = pd.read_csv(compared / "results/tiny/choices.csv")
    configured, alternative = (lines.iloc[i] for i in lines.index[lines["choice"] == choice])
    assert (alternative["value"], alternative["method"]) == (value, method)
    assert (configured["configured"], alternative["configured"]) == (True, False)
    assert (
        f"{alternative['top1_error']:.2f} [{alternative['top1_low']:.2f}, "
        in (compared / "output.txt").read_text()
    )

    rounding = value if choice == "pool_rounding" else "floor"
    shards = [str(compared / "results/tiny/shards/val/00000.arrow")]
    labels, ranked, means = Shards(shards).labels, {}, {}
    for name, folder, own_rounding, own_changes in (
        ("configured", "", "floor", {}),
        ("alternative", f"choices/{choice}={value}/", rounding, changes),
    ):
        path = compared / "results/tiny/weights/D_S256-512.safetensors"
        net, metadata = load_weights(path, pool_rounding=own_rounding)
        mean = np.mean(
            [
                posteriors_of(
                    net, shards, method=method, smallest_side=round(Q * 96 / 224),
                    mean=metadata["mean_rgb"], **own_changes,
                )
                for Q in (256, 384, 512)
            ],
            axis=0,
        )  # fmt: skip
        files = (compared / f"results/tiny/{folder}posteriors/val/D_S256-512").glob(f"{method}_*")
        stored = [np.stack(pd.read_parquet(path)["posterior"]) for path in files]
        assert len(stored) == 3
        np.testing.assert_allclose(np.mean(stored, axis=0), mean, rtol=1e-3, atol=1e-6)
        means[name] = mean
        ranked[name] = np.argsort(-mean, axis=1, kind="stable")
    assert np.abs(means["configured"] - means["alternative"]).max() > 1e-5
    for line, name in ((configured, "configured"), (alternative, "alternative")):
        for k in (1, 5):
            wrong = ~(ranked[name][:, :k] == labels[:, None]).any(1)
            assert line[f"top{k}_error"] == pytest.approx(100 * wrong.mean())
    first = {name: order[:, 0] for name, order in ranked.items()}
    changed = first["configured"] != first["alternative"]
    assert alternative["changed_class"] == changed.sum()
    outcomes = [first[name] == labels for name in ("configured", "alternative")]
    assert alternative["changed_outcome"] == (outcomes[0] != outcomes[1]).sum()
    difference = alternative["top1_error"] - configured["top1_error"]
    assert alternative["top1_difference"] == pytest.approx(difference)


ROW = ("D_S256_pcr/dense_Q256", "D_S384_pcr/dense_Q352", "D_S384_pcr/dense_Q384")
THRESHOLDS = yaml.safe_load((ROOT / "config/config.yaml").read_text())["localise"]["thresholds"]
T = THRESHOLDS["centres-and-overlap"]
MERGED = {  # alternative → the options of merging that it changes
    "box_flip=mirrored": {},
    **{
        f"merge_distance={name}": {"merge_distance": name, "merge_threshold": THRESHOLDS[name]}
        for name in ("literal", "overlap-only")
    },
    **{f"merge_threshold={T * factor}": {"merge_threshold": T * factor} for factor in (0.5, 2)},
    "merge_mean=plain": {"merge_mean": "plain"},
    "box_rating=mean": {"box_rating": "mean"},
    "box_rating=max": {"box_rating": "max"},
    "box_clipping=as-predicted": {},
}
SCORED = {
    "overlap_bound=more-than-half": {"bound": "more-than-half"},
    "overlap_pixels=continuous": {"last": 0},
    "blacklisted=kept": {"blacklisted": "kept"},
}


@pytest.mark.parametrize("alternative", [*MERGED, *SCORED])
def test_an_alternatives_localisation_errors_are_those_of_guessing_with_it(compared, alternative):
    from workflow_scripts.vgg.localisation.box_files import joined
    from workflow_scripts.vgg.localisation.guesses import Clipping, guess
    from workflow_scripts.vgg.localisation.merging import Merging

    results = compared / "results/tiny"
    lines = pd.read_csv(results / "choices_localisation.csv")
    choice, _, value = alternative.partition("=")
    (line,) = lines[(lines["choice"] == choice) & (lines["value"] == value)].to_dict("records")
    before = results / "localisation/val/fusion.parquet"
    after, truth = before, results / "truth/val.parquet"
    if alternative in MERGED:
        own = results / f"choices/{alternative}"
        after = own / "localisation/val/fusion.parquet"
        of_boxes = own if choice == "box_flip" else results
        paths = [of_boxes / f"boxes/val/{name}.parquet" for name in ROW]
        merging = Merging(**{"merge_threshold": T, **MERGED[alternative]})
        clipping = Clipping(value if choice == "box_clipping" else "clipped")
        expected = [guess(images, merging, clipping) for images in joined(paths)]
        stored = pd.read_parquet(after)
        for (boxes, ratings), row in zip(expected, stored.itertuples(), strict=True):
            np.testing.assert_array_equal(np.stack(row.boxes), boxes)
            np.testing.assert_array_equal(row.ratings, ratings)
    wrong = localised_wrong(truth, after, **SCORED.get(alternative, {}))
    assert line["images"] == len(wrong)
    assert line["top5loc_error"] == pytest.approx(100 * np.mean(list(wrong.values())))
    assert f"{line['top5loc_error']:.2f} [" in (compared / "output.txt").read_text()
    configured = localised_wrong(truth, before)
    if wrong.keys() == configured.keys():
        changed = sum(wrong[name] != configured[name] for name in wrong)
        assert line["changed_outcome"] == changed
    else:
        assert choice == "blacklisted"
        assert np.isnan(line["changed_outcome"])


def test_a_mirrored_pass_adds_as_many_boxes(compared):
    for name in ROW:
        plain, both = (
            pd.read_parquet(compared / f"results/tiny/{folder}boxes/val/{name}.parquet")
            for folder in ("", "choices/box_flip=mirrored/")
        )
        assert both["id"].equals(plain["id"])
        assert both["rows"].equals(2 * plain["rows"])
        for before, after in zip(plain["boxes"], both["boxes"], strict=True):
            size = len(before) // 5  # of a class: its own boxes, then those of the mirror image
            first = after.reshape(5, 2, size)[:, 0].ravel()
            np.testing.assert_array_equal(first, before)


OF_DESCRIPTORS = {  # alternative → the regions that it describes anew
    "resize_filter=bilinear": ["image"],
    "pool_rounding=ceil": ["image"],
    "feature_relu=before": ["image"],
    "action_box=with-margin": ["box"],
}
OF_CLASSIFIERS = ["feature_l2=whole", "svm_loss=hinge", "svm_refit=learnt"]
OF_CLASSIFIERS += ["svm_difficult=negatives"]
OF_MEASURING = ["average_precision=eleven-point", "average_precision=area"]


@pytest.mark.parametrize("alternative", [*OF_DESCRIPTORS, *OF_CLASSIFIERS, *OF_MEASURING])
def test_an_alternatives_measure_is_that_of_classifiers_that_learned_under_it(
    compared, alternative
):
    results = compared / "results/tiny"
    choice, _, value = alternative.partition("=")
    lines = pd.read_csv(results / "choices_features.csv")
    (line,) = lines[(lines["choice"] == choice) & (lines["value"] == value)].to_dict("records")
    data_set, row, part = "voc2007", "D_E", "test"
    if choice == "action_box":
        data_set, row, part = "voc2012_action", "D_E_image_box", "val"
    folder = results if alternative in OF_MEASURING else results / f"choices/{alternative}"
    path = folder / f"classifiers/{data_set}/{row}.parquet"
    told = told_of(path)
    behind = told["descriptors"]
    assert len(behind) == 2 * (2 if choice == "action_box" else 1)  # nets, and regions
    for source, said in behind:
        anew = said["method"] in OF_DESCRIPTORS.get(alternative, [])
        assert source.startswith(f"results/tiny/choices/{alternative}/descriptors/") == anew
        if choice in said["choices"]:
            assert (said["choices"][choice] == value) == anew
    assert alternative not in OF_CLASSIFIERS or told["options"][choice] == value

    definition = "area" if choice == "action_box" or value == "area" else "eleven-point"
    examples = results / f"examples/{data_set}.parquet"
    expected = mean_average_precision(path, examples, part, definition)
    assert line["measure"] == pytest.approx(expected)
    assert line["examples"] == (pd.read_parquet(path)["part"] == part).sum()
    assert f"{line['measure']:.2f} [" in (compared / "output.txt").read_text()
    (C,) = {one["C"] for one in told["chosen"] if one["part"] == part}
    assert float(line["C"]) == C


def test_the_threshold_is_tuned_on_boxed_training_images(compared):
    from workflow_scripts.vgg.data.shards import Shards
    from workflow_scripts.vgg.localisation.box_files import joined
    from workflow_scripts.vgg.localisation.guesses import Clipping, guess
    from workflow_scripts.vgg.localisation.merging import Merging

    results = compared / "results/tiny"
    paths = [results / f"tuning/boxes/train/{name}.parquet" for name in ROW]
    shards = Shards(sorted((results / "shards/train_S384").glob("*.arrow")))
    sizes = dict(zip(shards.ids(), zip(shards.widths, shards.heights, strict=True), strict=True))
    true = pd.read_parquet(results / "truth/train.parquet").set_index("id")["boxes"]
    images = list(joined(paths))
    assert [own[0].id for own in images] == [name for name in true.index if len(true[name])]
    assert 0 < len(images) < 60
    assert all((own[0].width, own[0].height) == sizes[own[0].id] for own in images)
    lines = pd.read_csv(results / "threshold.csv")
    assert sorted(lines.loc[lines["best"], "distance"]) == sorted(set(lines["distance"]))
    assert set(lines["images"]) == {len(images)}
    assert lines["configured"].sum() == 3
    for line in lines[lines["best"] | lines["configured"]].itertuples():
        wrong = 0
        for own in images:
            merging = Merging(line.threshold, line.distance)
            ((box,), _) = guess(own, merging, Clipping())
            size = own[0].width, own[0].height
            wrong += not any(overlaps(box, pixels(b, *size)) for b in true[own[0].id])
        assert line.error == pytest.approx(100 * wrong / len(images))
    of_best = lines[lines["best"]].set_index("distance")["error"]
    assert (of_best == lines.groupby("distance")["error"].min()).all()
    written = json.loads((results / "threshold.json").read_text())["distances"]
    setting = ", ".join(f"{name}: {own['best']:g}" for name, own in written.items())
    assert f"thresholds: {{{setting}}}" in (compared / "output.txt").read_text()


def test_the_index_links_to_the_compared_choices_once_there_are_any(compared):
    page = (compared / "reports/choices.html").read_text()
    for value, _, _ in ALTERNATIVES.values():
        assert value in page
    for alternative in (*OF_DESCRIPTORS, *OF_CLASSIFIERS):
        assert alternative.partition("=")[2] in page
    assert planned(compared, "all") == {"render_index": 1, "all": 1}
    snakemake(compared, "all", "--cores", "2")
    assert 'href="choices.html"' in (compared / "reports/index.html").read_text()
    assert "Nothing to be done" in snakemake(compared, "all", "choices", "--cores", "2")
