"""Spoilt data sets, changed indexes and other forms of the data set, through the workflow."""

import io
import json
import os
import shutil
import tarfile

import pytest
import yaml

from tests.helpers.clones import TINY, clone, planned, snakemake
from tests.helpers.forms import WRITERS, read_archives
from workflow_scripts.vgg.core.parquet import read_frame, write_frame

# Appendix B's data sets, where the subject is ILSVRC's
LEFT_OUT = {"transfer": {"data_sets": dict.fromkeys(TINY["transfer"]["data_sets"])}}


def with_members(path, change):
    """Write a tar anew, its members' contents changed by `change(name, content)`; None drops."""
    mode = "gz" if path.suffix == ".gz" else ""
    with tarfile.open(path) as archive:
        members = [(m.name, archive.extractfile(m).read()) for m in archive if m.isfile()]
    with tarfile.open(path, f"w:{mode}") as archive:
        for name, content in members:
            if (content := change(name, content)) is not None:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def cut(folder):
    archive = folder / "ILSVRC2012_img_val.tar"
    archive.write_bytes(archive.read_bytes()[:50_000])


def empty_an_image(folder):
    name = "ILSVRC2012_test_00000007.JPEG"
    with_members(
        folder / "ILSVRC2012_img_test_v10102019.tar",
        lambda member, content: b"" if member.endswith(name) else content,
    )


def shorten_the_ground_truth(folder):
    with_members(
        folder / "ILSVRC2012_devkit_t12.tar.gz",
        lambda member, content: (
            content[: -len(content.split(b"\n")[-2]) - 1]
            if member.endswith("ground_truth.txt")
            else content
        ),
    )


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, ("ILSVRC2012_img_val.tar", "truncated")),
        (empty_an_image, ("img_test_v10102019.tar: ILSVRC2012_test_00000007 has no bytes",)),
        (shorten_the_ground_truth, ("devkit_t12.tar.gz: 23 lines for 24 images",)),
    ],
)
def test_a_spoilt_data_set_stops_the_run_by_name_before_anything_is_packed(
    spoil, words, run, tmp_path
):
    """On one core: more would begin to pack a split whose index is there already."""
    folder = clone(tmp_path / "broken")
    shutil.copy(run / "config/config.yaml", folder / "config/config.yaml")
    shutil.copytree(run / "resources", folder / "resources")
    (folder / "left_out.yaml").write_text(yaml.safe_dump(LEFT_OUT))
    spoil(folder / "resources/tiny")
    words_given = ("shards", "--cores", "1", "--configfile", "left_out.yaml")
    output = snakemake(folder, *words_given, check=False)
    for word in words:
        assert word in output
    assert "Traceback" not in output
    results = folder / "results/tiny"
    assert (results / "classes.parquet").exists()
    assert not list(results.rglob("*.arrow"))
    assert not list(results.rglob("*.tmp"))


def cut_the_test_images(folder):
    archive = folder / "VOCtest_06-Nov-2007.tar"
    archive.write_bytes(archive.read_bytes()[:50_000])


def drop_an_image(folder):
    name = "VOCdevkit/VOC2007/JPEGImages/000007.jpg"
    for part in ("trainval", "test"):
        archive = folder / f"VOC{part}_06-Nov-2007.tar"
        with_members(archive, lambda member, content: None if member == name else content)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut_the_test_images, ("VOCtest_06-Nov-2007.tar: ", "damaged", "download it again")),
        (drop_an_image, ("VOC2007", "000007", "JPEGImages")),
    ],
)
def test_a_spoilt_set_of_others_stops_what_is_made_of_it_alone(spoil, words, run, tmp_path):
    folder = clone(tmp_path / "broken")
    shutil.copy(run / "config/config.yaml", folder / "config/config.yaml")
    shutil.copytree(run / "resources", folder / "resources")
    spoil(folder / "resources/other_sets")
    stores = [f"results/tiny/shards/{name}/00000.arrow" for name in ("voc2007", "caltech101")]
    output = snakemake(folder, *stores, "--cores", "2", "--keep-going", check=False)
    for word in words:
        assert word in output
    assert "Traceback" not in output
    assert [(folder / path).exists() for path in stores] == [False, True]
    results = folder / "results/tiny"
    assert not list(results.rglob("voc2007*"))
    assert not list(results.rglob("*.tmp"))


def test_another_index_of_one_split_packs_nothing_of_another(run, tmp_path):
    more = tmp_path / "more.yaml"
    more.write_text(f"data: {{md5: {{test: '{0:032}'}}}}")  # the test set's alone is verified
    assert planned(run, "shards", "--configfile", str(more)) == {
        "verify_archive": 1, "index_images": 1, "pack_shard": 1, "report_packing": 1, "shards": 1,
    }  # fmt: skip
    more.write_text("data: {test: absent}")  # a split less
    jobs = planned(run, "shards", "--configfile", str(more))
    assert not jobs.keys() & {"index_images", "pack_shard"}


@pytest.mark.parametrize("data", [{"test": "absent"}, {"md5": {"test": f"{0:032}"}}])
def test_a_change_of_one_split_hides_no_other_change(data, run, tmp_path):
    """Behind an edge that is `ancient`, Snakemake would look at nothing if its job ran."""
    more = tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump({"train": {"momentum": 0.8}}))
    alone = planned(run, "models", "--configfile", str(more))["train_convnet"]
    more.write_text(yaml.safe_dump({"train": {"momentum": 0.8}, "data": data}))
    for target in ("models", "all"):
        assert planned(run, target, "--configfile", str(more))["train_convnet"] == alone


def test_a_missing_file_is_made_whatever_else_has_changed(run, tmp_path):
    more = tmp_path / "more.yaml"
    more.write_text("data: {test: absent}")
    weights = run / "results/tiny/weights/E_S384.safetensors"
    weights.rename(tmp_path / weights.name)
    try:
        jobs = planned(run, str(weights.relative_to(run)), "--configfile", str(more))
    finally:
        (tmp_path / weights.name).rename(weights)
    assert jobs["train_convnet"] == 1


def test_an_index_of_an_interrupted_run_is_packed(run):
    """Once, the job behind all indexes hid that one was newer than its shards."""
    path = run / "results/tiny/index/val.parquet"
    content, times = path.read_bytes(), path.stat()
    index = read_frame(path)
    try:
        write_frame(path, index.assign(label=index["label"][::-1].to_numpy()))
        jobs = planned(run, "shards")
        assert jobs == {"pack_shard": 1, "report_packing": 1, "shards": 1}
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("source", sorted(WRITERS))
def test_every_source_gives_the_same_shards_through_the_workflow(run, tmp_path, source):
    folder = clone(tmp_path / source)
    shutil.copy(run / "config/config.yaml", folder / "config/config.yaml")
    splits, words = read_archives(run / "resources/tiny")
    WRITERS[source](folder / "data", splits, words)
    data = {"source": source, "directory": "data", "archives": {"devkit": None}, "test": "absent"}
    (folder / "mine.yaml").write_text(
        yaml.safe_dump({"experiment": "mine", "data": data} | LEFT_OUT)
    )
    snakemake(folder, "shards", "--cores", "2", "--configfile", "mine.yaml")
    made = sorted((folder / "results/mine/shards").rglob("*.arrow"))
    assert len(made) == 3 * 2 + 1
    for path in made:
        same = run / "results/tiny/shards" / path.relative_to(folder / "results/mine/shards")
        assert path.read_bytes() == same.read_bytes(), path
    assert not list((folder / "results/mine").rglob("*.images")), "unpacked images stay"
    packing = json.loads((folder / "results/mine/packing.json").read_text())["stores"]
    assert packing["val"]["images"] == TINY["data"]["images"]["val"]
