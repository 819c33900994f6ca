"""Subsets of the classes through the workflow, as users name them; the documented ones, planned."""

import pyarrow as pa
import pytest
import yaml

from tests.helpers.clones import TINY, clone, configured_clone, planned, snakemake
from tests.helpers.forms import read_archives, write_huggingface

# Appendix B's data sets, where the subject is ILSVRC's
LEFT_OUT = {"transfer": {"data_sets": dict.fromkeys(TINY["transfer"]["data_sets"])}}
LISTED = ["n00001561", "n00000205", "n00001207", "n00000347", "n00000951", "n00000812"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A clone in which the whole miniature, at its smallest, is packed."""
    folder = configured_clone(tmp_path_factory.mktemp("packed"), TINY, LEFT_OUT)
    snakemake(folder, "shards", "--cores", "2")
    return folder


@pytest.fixture(scope="module")
def by_tarfile(tree):
    return read_archives(tree / "resources/tiny")


def images_of(folder, store):
    """(id, label, content) of a store's images, by Arrow alone."""
    found = []
    for shard in sorted((folder / "shards" / store).glob("*.arrow")):
        with pa.ipc.open_file(shard) as file:
            rows = file.read_all().to_pylist()
        found += [(row["id"], row["label"], row["jpeg"]) for row in rows]
    return found


def check_packed(results, whole, splits, wnids):
    """Hold a subset's shards against the archives, and training images against the whole set's."""
    order = sorted(wnids)
    for split in ("val", "test"):
        expected = sorted(
            (i.id, order.index(i.wnid), i.content) for i in splits[split] if i.wnid in order
        )
        assert images_of(results, split) == expected
    labels = {i.id: order.index(i.wnid) for i in splits["train"] if i.wnid in order}
    for store in ("train_S256", "train_S384", "train_S256-512"):
        # Rescaled, so that the bytes are not the archives'
        rescaled = {name: content for name, _, content in images_of(whole, store)}
        expected = [(name, labels[name], rescaled[name]) for name in sorted(labels)]
        assert images_of(results, store) == expected


@pytest.mark.parametrize("form", ["list", "file", "number"])
def test_a_subset_of_the_miniature_is_packed_however_it_is_named(form, tree, by_tarfile):
    splits, words = by_tarfile
    (tree / "mine.txt").write_text("".join(f"{wnid} {words[wnid]}\n" for wnid in LISTED))
    (tree / "drawn.yaml").write_text("data: {classes: {number: 7, seed: 4}}")
    named = {
        "list": ("--config", "experiment=list", f"data={{classes: [{', '.join(LISTED)}]}}"),
        "file": ("--config", "experiment=file", "data={classes: mine.txt}"),
        "number": ("--configfile", "drawn.yaml", "--config", "experiment=number"),
    }[form]
    jobs = planned(tree, "shards", *named)
    assert "make_miniature" not in jobs  # nor is it drawn anew for the whole set's sake
    snakemake(tree, "shards", "--cores", "2", *named)
    results = tree / "results" / form
    lines = (results / "classes.txt").read_text().splitlines()
    wnids = [line.split()[0] for line in lines if not line.startswith("#")]
    assert wnids == sorted(LISTED) if form != "number" else len(set(wnids)) == 7
    assert lines[1:] == [f"{wnid} {words[wnid]}" for wnid in wnids]
    check_packed(results, tree / "results/tiny", splits, wnids)
    assert planned(tree, "shards") == {}
    if form == "list":  # what is written down names the same subset: nothing is made anew
        again = "data={classes: results/list/classes.txt}"
        assert planned(tree, "shards", "--config", "experiment=list", again) == {}


def test_rows_of_hugging_faces_files_are_unpacked_of_the_classes_alone(tree, by_tarfile, tmp_path):
    splits, words = by_tarfile
    folder = clone(tmp_path / "tree")
    write_huggingface(folder / "data", splits, words)
    data = {"source": "huggingface", "directory": "data", "archives": {"devkit": None}}
    data |= {"test": "absent", "classes": LISTED, "images": {"train": None, "val": None}}
    mine = TINY | LEFT_OUT | {"experiment": "mine", "data": TINY["data"] | data}
    (folder / "mine.yaml").write_text(yaml.safe_dump(mine))
    snakemake(folder, "shards", "--cores", "2", "--configfile", "mine.yaml")
    check_packed(folder / "results/mine", tree / "results/tiny", splits | {"test": []}, LISTED)
    log = (folder / "logs/mine/unpack_parquet/val_00000.log").read_text()
    assert f"{sum(i.wnid in LISTED for i in splits['val'])} images from 3 files" in log


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("data={classes: nowhere.txt}",), "data.classes: nowhere.txt is no file; give a number"),
        (("data={classes: [n00001561, n00001561]}",), 'data.classes: is ["n00001561", '),
        (("data={classes: {number: 7}}",), "data.classes.seed: is missing"),
        (
            ("data={classes: {number: 7, seed: 0}, test: withheld}",),
            "data.test: is withheld, so which test images are of the classes",
        ),
    ],
)
def test_a_subset_that_cannot_be_is_one_line(words, told, tree):
    output = snakemake(tree, "-n", "shards", "--config", *words, check=False)
    assert len([line for line in output.splitlines() if told in line]) == 1
    assert "Traceback" not in output


def test_a_class_that_the_data_set_lacks_stops_the_run_before_anything_is_indexed(tree):
    classes = ", ".join([*LISTED[:5], "n00000813"])
    named = ("--config", "experiment=wrong", f"data={{classes: [{classes}]}}")
    output = snakemake(tree, "shards", "--cores", "2", *named, check=False)
    assert "has no class n00000813, which data.classes names; did you mean n00000812?" in output
    assert not list((tree / "results/wrong").rglob("*.parquet"))


# Jobs of the whole run, by the configuration that is laid over the paper's
PLANNED = {
    "imagenet100": {"train_convnet": 18, "evaluate_convnet": 43, "evaluate_boxes": 6,
                    "verify_archive": 4, "read_boxes": 2, "index_images": 2, "pack_shard": 49},
    "imagenette": {"train_convnet": 14, "evaluate_convnet": 43, "index_images": 2,
                   "pack_shard": 13},
}  # fmt: skip


@pytest.mark.parametrize("name", PLANNED)
def test_the_documented_subsets_are_runs_of_the_papers_tables(name, tree):
    files = ("--configfile", "config/ilsvrc2012.yaml", f"config/{name}.yaml")
    jobs = planned(tree, "all", *files)
    of_boxes = ("verify_archive", "read_boxes", "evaluate_boxes", "localise", "guess_one_box")
    for rule in ("train_convnet", "evaluate_convnet", "index_images", "pack_shard", *of_boxes):
        if rule in PLANNED[name] or name == "imagenette":
            assert jobs.get(rule, 0) == PLANNED[name].get(rule, 0), rule
    assert jobs["render_table"] == 15
    assert not jobs.keys() & {"make_miniature", "write_submission", "index_examples"}


def test_the_released_nets_are_tested_on_imagenette_without_a_training(tree):
    files = ("--configfile", "config/released_weights.yaml", "config/imagenette.yaml")
    jobs = planned(tree, "reports/released_weights.html", *files)
    assert jobs["import_weights"] == 2
    assert jobs["evaluate_convnet"] == 8
    assert not jobs.keys() & {"train_convnet", "verify_archive", "unpack_parquet"}
