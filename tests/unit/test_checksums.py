"""What the pipeline writes is verified when it is read: one changed byte never becomes a number."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from xxhash import xxh3_64_hexdigest

from tests.checks.flip_bytes import flip
from workflow_scripts import train
from workflow_scripts.vgg.core import checksums
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_frame, write_parquet
from workflow_scripts.vgg.core.text_artefacts import read_csv, read_json, write_csv, write_json
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation.posteriors import (
    mean_posteriors,
    outcomes,
    rank_of_class,
    write_posteriors,
)
from workflow_scripts.vgg.training.checkpoints import (
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)

IMAGES, CLASSES = 700, 10
IDS = [f"ILSVRC2012_val_{number:08d}" for number in range(1, IMAGES + 1)]


@pytest.fixture
def posteriors(tmp_path):
    """A posterior file, and what was written into it."""
    path = tmp_path / "posteriors/val/A_S256/dense_Q256.parquet"
    path.parent.mkdir(parents=True)
    values = np.random.default_rng(0).dirichlet(np.ones(CLASSES), IMAGES).astype(np.float32)
    labels = np.arange(IMAGES, dtype=np.int32) % CLASSES
    write_posteriors(path, IDS, labels, values, {"model": "A_S256", "Q": 256})
    return path, values


def test_other_programs_read_the_files_and_verify_the_pages(posteriors):
    path, values = posteriors
    table = pq.read_table(path, page_checksum_verification=True)
    assert np.array_equal(np.stack(table["posterior"].to_numpy()), values)
    content = bytearray(path.read_bytes())
    content[content.index(values.tobytes()[:40])] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"CRC"):
        pq.read_table(path, page_checksum_verification=True)


@pytest.mark.parametrize("value", [b"\xff", b"\x00"])
def test_damaged_posteriors_make_no_table(value, posteriors):
    """NaN counted as right answers, and gave errors of 11 instead of 26%."""
    path, _ = posteriors
    data, column = bytearray(path.read_bytes()), pq.read_metadata(path).row_group(0).column(2)
    first, size = column.data_page_offset, column.total_compressed_size
    data[first + size // 4 : first + 3 * size // 4] = value * (size // 2)
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"{path}: is damaged.* Is it the right file"):
        outcomes([path])


def sealed_rows(path, ids, labels, values):
    """A posterior file that is whole, whatever it holds."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.float32()), CLASSES)
    table = pa.table({"id": ids, "label": pa.array(labels, pa.int32()), "posterior": column})
    write_parquet(path, table)


@pytest.mark.parametrize(
    ("row", "slip"),
    [
        ([np.nan] + [0.1] * 9, "no distribution"),
        ([np.inf] + [0.1] * 9, "no distribution"),
        ([-0.1, 0.3] + [0.1] * 8, "no distribution"),
        ([0.0] * 10, "no distribution.* sum is 0"),
        ([0.11] * 10, "no distribution.* sum is 1.1"),
    ],
)
def test_posteriors_are_distributions(row, slip, tmp_path):
    values = np.full((3, CLASSES), 0.1, np.float32)
    values[1] = row
    sealed_rows(tmp_path / "p.parquet", ["a", "b", "c"], [0, 1, 2], values)
    with pytest.raises(InputError, match=rf"p\.parquet: is damaged: the posteriors of b .*{slip}"):
        list(mean_posteriors([tmp_path / "p.parquet"]))


PLACE = "posteriors/val/A_S256/dense_Q256.parquet"


def posteriors_of(folder, place, labels=(0, 1, 2), classes=CLASSES, **metadata):
    """Three images' posteriors at a place in the results; those of PLACE, if not stated."""
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full((len(labels), classes), 1 / classes)
    metadata = {"model": "A_S256", "method": "dense", "Q": 256} | metadata
    write_posteriors(path, [*"abc"][: len(labels)], np.array(labels), values, metadata)
    return path


@pytest.mark.parametrize(
    ("place", "found"),
    [
        (PLACE.replace("A_", "B_"), "A_S256/dense_Q256"),
        (PLACE.replace("dense", "multicrop"), "A_S256/dense_Q256"),
        (PLACE.replace("Q256", "Q288"), "A_S256/dense_Q256"),
    ],
)
def test_posteriors_copied_to_anothers_place_are_refused(place, found, tmp_path):
    assert outcomes([posteriors_of(tmp_path, PLACE)]).top1.tolist() == [False, True, True]
    path = posteriors_of(tmp_path / "results", place)
    with pytest.raises(InputError, match=rf"{path}: holds the posteriors of {found}.* rm {path}"):
        outcomes([path])


def test_a_mean_is_of_the_same_images_labels_and_classes(tmp_path):
    first = posteriors_of(tmp_path, PLACE)
    other = PLACE.replace("256.parquet", "288.parquet")
    for difference, told in (
        ({"labels": (0, 1, 3)}, "have other labels for the same images"),
        ({"classes": CLASSES + 1}, "are about different numbers of classes"),
        ({"labels": (0, 1)}, "hold different numbers of images"),
    ):
        with pytest.raises(InputError, match=told):
            outcomes([first, posteriors_of(tmp_path, other, Q=288, **difference)])
    with pytest.raises(InputError, match="holds no images"):
        outcomes([posteriors_of(tmp_path, PLACE, labels=())])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"a": NaN, "checksum": "0"}', "not JSON: Out of range float"),
        ('{"a": "\\ud800", "checksum": "0"}', "not JSON: .*surrogates not allowed"),
        ('{"a": ' + "[" * 100_000 + ', "checksum": "0"}', "not JSON: "),
        ('{"b": 1}', "has no mean_rgb; is it the right file"),
        ("[1]", "expected a mapping, found list"),
    ],
)
def test_json_that_is_not_what_is_looked_for_is_refused(content, told, tmp_path):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(InputError, match=rf"s\.json: .*{told}"):
        read_json(tmp_path / "s.json", ["mean_rgb"])


def test_a_parquet_file_of_another_kind_is_refused(packed):
    with pytest.raises(InputError, match=r"classes\.parquet: has no column file, offset"):
        read_frame(packed / "classes.parquet", ["label", "file", "offset"])


@pytest.mark.parametrize(
    ("ids", "labels", "slip"),
    [
        (["a", "b", "b"], [0, 1, 2], "b comes behind b"),
        (["b", "a", "c"], [0, 1, 2], "a comes behind b"),
        (["a", "b", "c"], [0, 10, 2], "label 10 of 10 classes"),
        (["a", "b", "c"], [0, -2, 2], "label"),
    ],
)
def test_images_are_named_once_and_have_a_class(ids, labels, slip, tmp_path):
    values = np.full((3, CLASSES), 0.1, np.float32)
    sealed_rows(tmp_path / "p.parquet", ids, labels, values)
    with pytest.raises(InputError, match=slip):
        list(mean_posteriors([tmp_path / "p.parquet"]))


def test_two_images_of_one_name_are_not_written(tmp_path):
    values = np.full((2, CLASSES), 0.1, np.float32)
    with pytest.raises(InputError, match=r"p\.parquet: two images are called a"):
        write_posteriors(tmp_path / "p.parquet", ["a", "a"], np.zeros(2, np.int32), values, {})
    assert not (tmp_path / "p.parquet").exists()


def test_what_is_no_number_has_no_rank():
    with pytest.raises(ValueError, match="not numbers"):
        rank_of_class(np.array([[0.5, np.nan]]), np.array([0]))


def test_a_shards_image_is_verified_when_it_is_read(packed, tmp_path):
    path = shutil.copy(next(packed.glob("shards/val/*.arrow")), tmp_path / "0.arrow")
    whole = Shards([path])
    image = bytes(whole.jpeg(7))
    content = bytearray(path.read_bytes())
    place = content.index(image) + len(image) // 2
    content[place : place + 64] = bytes(64)
    (tmp_path / "damaged.arrow").write_bytes(content)
    shards = Shards([tmp_path / "damaged.arrow"])
    assert bytes(shards.jpeg(6)) == bytes(whole.jpeg(6))
    with pytest.raises(
        InputError, match=rf"damaged\.arrow: is damaged: {shards.id(7)} has another"
    ):
        shards.jpeg(7)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("scratch", [False, True])
def test_a_job_that_meets_a_damaged_shard_names_it_and_the_cure(
    threads, scratch, evaluating, shard_paths, tmp_path
):
    """Whichever process reads it, and without a traceback."""
    words = evaluating()
    damaged = tmp_path / "my results/results/1.arrow"
    damaged.parent.mkdir(parents=True)
    content = bytearray(Path(shard_paths("val")[1]).read_bytes())
    image = bytes(Shards([shard_paths("val")[1]]).jpeg(3))
    content[content.index(image) + 500] ^= 255
    damaged.write_bytes(content)
    words[words.index(shard_paths("val")[1])] = str(damaged)
    words += ["--threads", str(threads), "--output", str(tmp_path / "p.parquet")]
    words += ["--local-scratch", str(tmp_path / "scratch")] if scratch else []
    job = [sys.executable, "-m", "workflow_scripts.evaluate", *words]
    done = subprocess.run(job, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith("error: ")
    assert "has another checksum" in last
    assert f"rm '{damaged}' && snakemake --cores all '{damaged}'" in last
    assert (f"this node's copy of {damaged}: rm {tmp_path}/scratch/" in last) == scratch
    assert not (tmp_path / "p.parquet").exists()


def test_what_somebody_else_wrote_without_checksums_is_read(tmp_path):
    (tmp_path / "s.json").write_text('{"mean_rgb": [1, 2, 3]}')
    assert read_json(tmp_path / "s.json") == {"mean_rgb": [1, 2, 3]}
    (tmp_path / "h.csv").write_text("a,b\n1,2\n")
    assert read_csv(tmp_path / "h.csv", {"a"}) == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("content", ["", "a,b,checksum\n", "a,b\n"])
def test_a_list_that_is_cut_before_its_first_row_is_damaged(content, tmp_path):
    (tmp_path / "h.csv").write_text(content)
    with pytest.raises(InputError, match=r"h\.csv: is damaged: it has no rows"):
        read_csv(tmp_path / "h.csv")


def test_checksums_are_xxh3_of_the_content(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1.5, "ä"]})
    assert read_json(tmp_path / "a.json") == {"b": [1.5, "ä"]}
    compact = '{"b":[1.5,"ä"]}'
    assert json.loads((tmp_path / "a.json").read_text())["checksum"] == xxh3_64_hexdigest(
        compact.encode()
    )
    write_csv(tmp_path / "a.csv", [{"x": 1, "y": None}], ["x", "y"])
    digest = xxh3_64_hexdigest(b"0\0001\0x\0y\0001\0")
    assert (tmp_path / "a.csv").read_text() == f"x,y,checksum\n1,,{digest}\n"


def test_a_file_of_before_checksums_is_named_with_its_cure(tmp_path):
    path = tmp_path / "results/i.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(InputError, match=r"i\.parquet: is damaged: .* or none.* rm .*i\.parquet"):
        read_frame(path)


def test_nobody_is_told_to_remove_a_file_that_no_run_has_made(tmp_path):
    (tmp_path / "results").write_bytes(b"a photograph" * 99)
    for path in (tmp_path / "results", tmp_path / "mine.parquet"):
        path.write_bytes(b"a photograph" * 99)
        with pytest.raises(
            InputError, match=r"is damaged: its end is missing\. Is it the"
        ) as raised:
            read_frame(path)
        assert "rm " not in str(raised.value)


@pytest.mark.slow
def test_no_changed_byte_goes_unnoticed(packed, posteriors, command, tmp_path):
    """A short form of `tests.checks.flip_bytes`, which CI runs on the finished miniature."""
    results = tmp_path / "results"
    shutil.copytree(packed, results)
    shutil.copytree(tmp_path / "posteriors", results / "posteriors")
    folders = {
        "history": results / "history/A_S256.csv",
        "output": results / "weights/A.safetensors",
    }
    train.main(command(tmp_path, iterations=4, validation_interval=2, **folders))
    found = flip(results, 120)
    assert set(found) == {".arrow", ".parquet", ".safetensors", ".json", ".csv"}
    for kind, outcomes_ in found.items():
        assert set(outcomes_) <= {"noticed", "harmless"}, kind
        assert outcomes_["noticed"], kind


def test_a_checkpoint_with_a_changed_byte_is_whole_or_passed_over(tmp_path, caplog):
    """By the sums that its zip file has; what holds no value, such as a time, may change."""
    state = {"settings": "s", "iteration": 7, "weight": torch.arange(3000.0)}
    save_checkpoint(tmp_path, 7, state)
    path = tmp_path / "000000007.pt"
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    passed_over = 0
    for _ in range(150):
        content = bytearray(whole)
        content[draw.integers(len(content))] ^= int(draw.integers(1, 256))
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        found = newest_checkpoint(tmp_path, "s")
        passed_over += found is None
        if found:
            loaded = load_checkpoint(found)
            assert torch.equal(loaded.pop("weight"), state["weight"])
            assert loaded == {"settings": "s", "iteration": 7}
    assert passed_over > 100


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_disk_that_fails_is_no_reason_to_delete_a_file(kind, packed, posteriors, monkeypatch):
    path = posteriors[0] if kind == "parquet" else next(packed.glob("shards/val/*.arrow"))

    def fails(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(checksums, "_footer", fails)
    with pytest.raises(OSError, match=r"Input/output error") as caught:
        outcomes([path]) if kind == "parquet" else Shards([path])
    assert caught.value.filename == str(path)
