"""What the test-time choices change: the target `choices` after a whole run."""

import shutil

import numpy as np
import pandas as pd
import pytest

from tests.helpers.clones import planned, snakemake


@pytest.fixture(scope="session")
def compared(run, tmp_path_factory):
    """A copy of the finished run in which `snakemake choices` has run, with its output."""
    assert 'href="choices.html"' not in (run / "reports/index.html").read_text()
    folder = shutil.copytree(run, tmp_path_factory.mktemp("compared") / "run", symlinks=True)
    (folder / "output.txt").write_text(snakemake(folder, "choices", "--cores", "2"))
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


def test_the_index_links_to_the_compared_choices_once_there_are_any(compared):
    page = (compared / "reports/choices.html").read_text()
    for value, _, _ in ALTERNATIVES.values():
        assert value in page
    assert planned(compared, "all") == {"render_index": 1, "all": 1}
    snakemake(compared, "all", "--cores", "2")
    assert 'href="choices.html"' in (compared / "reports/index.html").read_text()
    assert "Nothing to be done" in snakemake(compared, "all", "choices", "--cores", "2")
