"""Weights that know more classes than the data set: their answers about the data set's classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers.released_files import imported, own_file, refused, saved
from tests.helpers.released_nets import CLASSES, TorchvisionNet, filled
from workflow_scripts import list_classes
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.known_classes import ILSVRC, known_among, known_by_name
from workflow_scripts.vgg.nets.restriction import Restriction
from workflow_scripts.vgg.nets.weights import load_weights, save_weights

OF_ALL = ("n01440764", "n02102040", "n03000684", "n03417042", "n03425413", "n03888257")
KEPT = [5, 1, 3]  # classes of a source of CLASSES = 7, in another order than its own


def class_table(folder: Path, *names: str) -> Path:
    """classes.parquet of a folder with a folder for each of these classes."""
    for name in names:
        (folder / "tree" / name).mkdir(parents=True)
    words = ["--folders", str(folder / "tree"), "--output", str(folder / "classes.parquet")]
    list_classes.main([*words, "--classes", str(len(names))])
    return folder / "classes.parquet"


@pytest.fixture
def subset(tmp_path) -> Path:
    """Three of seven classes: those in places 1, 2 and 6 of a, b, c, other0 … other3."""
    for name in ("b", "c", "z", "other0", "other1", "other2", "a"):
        (tmp_path / "tree" / name).mkdir(parents=True)
    words = ["--folders", str(tmp_path / "tree"), "--only", "b", "z", "c"]
    list_classes.main([*words, "--output", str(tmp_path / "classes.parquet")])
    (known,) = known_among(tmp_path / "classes.parquet")
    assert known.places == [1, 2, 6]
    return tmp_path / "classes.parquet"


def logits(net, metadata, images):
    with torch.no_grad():
        inputs = images.float() - torch.tensor(metadata["mean_rgb"])
        return net.eval()(inputs.permute(0, 3, 1, 2))


@pytest.mark.parametrize("source", ["torchvision", "own"])
def test_posteriors_are_those_of_the_subsets_classes_renormalised(source, subset, images, tmp_path):
    file = tmp_path / "whole.safetensors"
    if source == "own":
        own_file(file)
    else:
        saved(file, filled(TorchvisionNet("D")).state_dict(), "safetensors")
    whole = imported(file, source, tmp_path / "all")
    part, metadata = imported(
        file, source, tmp_path / "part", classes=3, **{"known-classes": subset}
    )
    assert part.architecture.classes == 3
    posteriors = logits(*whole, images).softmax(1)[:, [1, 2, 6]]
    expected = posteriors / posteriors.sum(1, keepdim=True)
    torch.testing.assert_close(logits(part, metadata, images).softmax(1), expected)
    assert metadata["choices"]["subset_posteriors"] == "renormalised"
    assert (metadata["imported"]["classes"], metadata["kept"]) == (CLASSES, [1, 2, 6])


def test_or_those_of_all_classes_with_the_subsets_first(subset, images, tmp_path):
    file = saved(tmp_path / "whole", filled(TorchvisionNet("D")).state_dict(), "zip")
    whole = imported(file, "torchvision", tmp_path / "all")
    more = {"known-classes": subset, "subset-posteriors": "of-all-classes"}
    part, metadata = imported(file, "torchvision", tmp_path / "part", classes=3, **more)
    expected = logits(*whole, images)[:, [1, 2, 6, 0, 3, 4, 5]]
    torch.testing.assert_close(logits(part, metadata, images), expected)
    assert metadata["choices"]["subset_posteriors"] == "of-all-classes"


def test_weights_of_the_subset_itself_are_taken_as_they_are(subset, images, tmp_path):
    net = filled(TorchvisionNet("D"))
    net.classifier[-1] = torch.nn.Linear(64, 3)
    file = saved(tmp_path / "w", net.state_dict(), "zip")
    one = imported(file, "torchvision", tmp_path / "one", classes=3, **{"known-classes": subset})
    two = imported(file, "torchvision", tmp_path / "two", classes=3)
    assert torch.equal(logits(*one, images), logits(*two, images))
    assert "kept" not in one[1]
    assert one[1]["choices"] == {}


def test_ilsvrcs_classes_are_known_by_their_wnids(tmp_path):
    """As in Imagenette's tree, of which nothing tells that ILSVRC has more."""
    (known,) = known_among(class_table(tmp_path, *OF_ALL))
    listed = [line.split()[0] for line in ILSVRC.read_text().splitlines() if line[0] != "#"]
    assert known.classes == 1000
    assert [listed[place] for place in known.places] == list(OF_ALL)
    # torchvision's documentation: 0 is the tench, 217 the English springer.
    assert known.places[:2] == [0, 217]


def test_classes_that_are_no_part_of_anything_are_known_by_nobody(tmp_path, images):
    table = class_table(tmp_path, "cat", "dog", "cow")
    assert known_among(table) == []
    file = saved(tmp_path / "w", filled(TorchvisionNet("D")).state_dict(), "zip")
    text = refused(file, "torchvision", tmp_path, classes=3, **{"known-classes": table})
    assert "its classes must be the data set's" in text


def test_without_known_classes_the_cure_is_to_name_them(tmp_path):
    file = tmp_path / "whole.safetensors"
    own_file(file)
    text = refused(file, "own", tmp_path, classes=3)
    assert "classes 7, not 3: give the model's own weights, or name the data set's" in text
    assert "data.classes" not in refused(file, "own", tmp_path, classes=9)


def test_a_part_of_a_part_of_ilsvrc_is_known_too(tmp_path):
    """Three of Imagenette's folders: weights may know these ten, or all 1,000."""
    class_table(tmp_path, *OF_ALL)
    words = ["--folders", str(tmp_path / "tree"), "--only", *OF_ALL[:3]]
    list_classes.main([*words, "--output", str(tmp_path / "three.parquet")])
    known = known_among(tmp_path / "three.parquet")
    assert [(each.classes, each.places[1]) for each in known] == [(6, 1), (1000, 217)]


def named(path: Path, *wnids: str) -> Path:
    """Weights of this pipeline whose seven classes have these names."""
    own_file(path)
    net, metadata = load_weights(path)
    save_weights(path, net, 1.0, {**metadata, "wnids": list(wnids)})
    return path


def test_weights_that_name_their_classes_are_restricted_by_name(subset, images, tmp_path):
    """Wherever the classes are among theirs."""
    file = named(tmp_path / "w.safetensors", "z", "k", "b", "l", "c", "m", "n")
    whole = imported(file, "own", tmp_path / "all")
    part, metadata = imported(
        file, "own", tmp_path / "part", classes=3, **{"known-classes": subset}
    )
    expected = logits(*whole, images)[:, [2, 4, 0]]  # b, c, z
    torch.testing.assert_close(logits(part, metadata, images), expected)
    assert (metadata["kept"], metadata["wnids"]) == ([2, 4, 0], ["b", "c", "z"])


def test_as_many_classes_need_not_be_the_same(tmp_path):
    """ImageNet-100 is three lists, of which each has a hundred."""
    table = class_table(tmp_path, "a", "b", "c")
    assert known_by_name(table, ["c", "a", "b"], "w").places == [1, 2, 0]
    with pytest.raises(InputError, match=r"w: knows 3 classes, but not 1 .* 3, such as b;"):
        known_by_name(table, ["a", "c", "z"], "w")


def test_weights_that_lack_a_class_are_refused(subset, tmp_path):
    file = named(tmp_path / "w.safetensors", "b", "c", *"klmno")
    text = refused(file, "own", tmp_path, classes=3, **{"known-classes": subset})
    assert "knows 7 classes, but not 1 of the data set's 3, such as z" in text


@pytest.mark.parametrize("value", ["renormalised", "of-all-classes"])
def test_kept_classes_by_hand(value):
    kept = Restriction(value).kept(KEPT, CLASSES)
    assert kept == {"renormalised": [5, 1, 3], "of-all-classes": [5, 1, 3, 0, 2, 4, 6]}[value]
