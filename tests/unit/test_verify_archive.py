"""The check of an archive's MD5 sum: what it says of an archive that is missing, or another."""

import hashlib

import pytest

from tests.helpers.refusals import refusal
from workflow_scripts import verify_archive
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.data.sources.archives import check_verified

# Archives by the names that their organisers gave, and the site that distributes each.
SITES = {
    "ILSVRC2012_img_val.tar": "ILSVRC-2012 is distributed by https://image-net.org/download",
    "ILSVRC2014_devkit.tgz": "ILSVRC-2012 is distributed by https://image-net.org/download",
    "LOC_val_solution.csv": "ILSVRC-2012 is distributed by https://image-net.org/download",
    "VOCtrainval_06-Nov-2007.tar": "PASCAL VOC is distributed by http://host.robots.ox.ac.uk",
    "VOC2012test.tar": "VOC2012test.tar is the evaluation server's alone, after",
    "caltech-101.zip": "Caltech-101 and Caltech-256 are distributed by https://data.caltech.edu",
    "101_ObjectCategories.tar.gz": "are distributed by https://data.caltech.edu",
    "256_ObjectCategories.tar": "mirrors have archives of the same MD5 sums",
    "flowers.zip": "Get it, or correct its folder or its name in the configuration",
}
SUM = "c52e279531787c972589f7e41ab4ae64"


def words(archive, output, md5=SUM):
    return ["--archive", str(archive), "--md5", md5, "--output", str(output)]


@pytest.mark.parametrize("name", list(SITES))
def test_a_missing_archive_is_named_with_where_to_get_it(name, tmp_path):
    with pytest.raises(InputError) as raised:
        verify_archive.main(words(tmp_path / name, tmp_path / "out/r.json"))
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / name}: no such file. ")
    assert SITES[name] in message
    assert ("ILSVRC" in message) == ("ILSVRC" in SITES[name])
    assert "\n" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", list(SITES))
def test_an_archive_of_another_sum_is_named_with_where_to_get_it(name, tmp_path):
    (tmp_path / name).write_bytes(b"a page that asks to log in")
    found = hashlib.md5(b"a page that asks to log in").hexdigest()
    with pytest.raises(InputError) as raised:
        verify_archive.main(words(tmp_path / name, tmp_path / "out/r.json"))
    assert str(raised.value).startswith(
        f"{tmp_path / name}: its MD5 sum is {found}, published is {SUM}; download it again, or set "
        "its `md5` in the configuration to null if you packed it yourself. "
    )
    assert SITES[name] in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_sum_may_be_in_capitals_and_an_archive_that_vanishes_is_named(tmp_path):
    archive, record = tmp_path / "VOCtest_06-Nov-2007.tar", tmp_path / "r.json"
    archive.write_bytes(b"x")
    md5 = hashlib.md5(b"x").hexdigest()
    verify_archive.main(words(archive, record, md5.upper()))
    content = read_json(record)
    assert (content["archive"], content["md5"], content["bytes"]) == (str(archive), md5, 1)
    check_verified(record)
    archive.unlink()
    with pytest.raises(InputError, match=r"VOCtest_06-Nov-2007\.tar: no such file\. PASCAL VOC is"):
        check_verified(record)


@pytest.mark.slow
def test_a_refusal_is_one_line_and_leaves_nothing(tmp_path):
    archive = tmp_path / "caltech-101.zip"
    given = ["--archive", archive, "--md5", SUM]
    message = refusal("verify_archive", *given, output=tmp_path / "out/r.json")
    assert message.startswith(f"error: {archive}: no such file. Caltech-101 and Caltech-256 are")
