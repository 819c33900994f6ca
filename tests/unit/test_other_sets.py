"""Drawn stand-ins of VOC and Caltech: archives, names and forms, read here without the library."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workflow_scripts.make_other_sets import main
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.data.sources.miniature import other_sets, people, scenes
from workflow_scripts.vgg.data.sources.miniature.drawing import SHORT_SIDE
from workflow_scripts.vgg.data.sources.miniature.other_images import (
    CALTECH101_CLASSES,
    CALTECH256_CLASSES,
    VOC_CLASSES,
    Counts,
    draw_picture,
    planned,
)
from workflow_scripts.vgg.data.sources.miniature.other_sets import write_other_sets
from workflow_scripts.vgg.data.sources.miniature.outlines import SHAPES
from workflow_scripts.vgg.data.sources.miniature.painting import SUPERSAMPLING
from workflow_scripts.vgg.data.sources.miniature.scenes import Layer
from workflow_scripts.vgg.data.sources.miniature.writing import SYNSETS

SMALL = Counts((16, 10, 14), (10, 8, 8), (10, 8, 8), (3, 5), (3, 7))
ACTIONS = ("jumping", "reading", "ridingbike", "running")
ARCHIVES = {
    "VOCtrainval_06-Nov-2007.tar",
    "VOCtest_06-Nov-2007.tar",
    "VOCtrainval_11-May-2012.tar",
    "VOC2012test.tar",
    "caltech-101.zip",
    "256_ObjectCategories.tar",
    "withheld.json",
}


def digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def members(source: Path | bytes) -> dict[str, bytes]:
    """Names and bytes of a tar's files. Checks that it has no times, and folders before files."""
    content = source if isinstance(source, bytes) else source.read_bytes()
    files, folders = {}, {""}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            assert member.mtime == 0
            assert member.name.rpartition("/")[0] in folders
            if member.isdir():
                folders.add(member.name)
            else:
                files[member.name] = tar.extractfile(member).read()
    return files


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """What the command writes, but with fewer images."""
    directory = tmp_path_factory.mktemp("other_sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(other_sets, "Counts", lambda: SMALL)
        main(["--directory", str(directory)])
    return directory


@pytest.fixture(scope="module")
def voc2007(made) -> dict[str, bytes]:
    """Files of both archives, without the root folders."""
    files = members(made / "VOCtrainval_06-Nov-2007.tar")
    test = members(made / "VOCtest_06-Nov-2007.tar")
    assert not files.keys() & test.keys()
    return {name.removeprefix("VOCdevkit/VOC2007/"): b for name, b in (files | test).items()}


@pytest.fixture(scope="module")
def voc2012(made) -> dict[str, bytes]:
    files = members(made / "VOCtrainval_11-May-2012.tar")
    return {name.removeprefix("VOCdevkit/VOC2012/"): content for name, content in files.items()}


@pytest.fixture(scope="module")
def voc2012_test(made) -> dict[str, bytes]:
    files = members(made / "VOC2012test.tar")
    return {name.removeprefix("VOCdevkit/VOC2012/"): content for name, content in files.items()}


def lines(content: bytes) -> list[str]:
    assert content.endswith(b"\n")
    return content.decode().splitlines()


def boxes(root: ElementTree.Element) -> np.ndarray:
    """xmin, ymin, xmax, ymax of each object."""
    corners = ("xmin", "ymin", "xmax", "ymax")
    return np.array(
        [[int(box.findtext(corner)) for corner in corners] for box in root.iter("bndbox")]
    )


def sets_in(files: dict[str, bytes], task: str) -> dict[str, list[str]]:
    """The lists of a task, by their files' names without folder and suffix."""
    folder = f"ImageSets/{task}/"
    return {Path(n).stem: lines(text) for n, text in files.items() if n.startswith(folder)}


# Archives as a whole


def test_manifest_lists_every_other_file(made):
    manifest = read_json(made / "manifest.json")
    listed = {entry["name"]: entry for entry in manifest["archives"]}
    assert listed.keys() == ARCHIVES
    assert {path.name for path in made.iterdir()} == {*ARCHIVES, "manifest.json"}
    for name, entry in listed.items():
        content = (made / name).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["md5"] == hashlib.md5(content).hexdigest()
    assert manifest["seed"] == 0
    assert manifest["images"]["voc2007"] == {"train": 16, "val": 10, "test": 14}
    assert sum(manifest["images"]["caltech101"].values()) == 8 * 5 + 3


@pytest.mark.slow
def test_bytes_depend_on_the_seed_and_not_on_the_processes(made, tmp_path):
    write_other_sets(tmp_path / "two", 0, 2, SMALL)
    assert digests(tmp_path / "two") == digests(made)
    write_other_sets(tmp_path / "other", 1, 1, SMALL)
    other = digests(tmp_path / "other")
    assert all(other[name] != digest for name, digest in digests(made).items())


@pytest.mark.parametrize("options", ["--seed -1", "--processes 0"])
def test_impossible_numbers_are_refused_by_name(tmp_path, options):
    with pytest.raises(InputError, match=options.split()[0]):
        main(["--directory", str(tmp_path), *options.split()])
    assert not list(tmp_path.iterdir())


def test_every_image_is_a_jpeg_of_the_miniatures_size_and_unlike_all_others(
    voc2007, voc2012, voc2012_test, caltech101, caltech256
):
    everything = [voc2007, voc2012, voc2012_test, caltech101, caltech256]
    jpegs = [b for files in everything for name, b in files.items() if name.endswith(".jpg")]
    assert len(jpegs) == len(planned(0, SMALL)) == len(set(jpegs))
    for content in jpegs:
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "JPEG"
            assert SHORT_SIDE[0] <= min(image.size) <= SHORT_SIDE[1]


def test_sizes_of_the_whole_data_sets():
    counts = Counter((picture.data, picture.part) for picture in planned(0, Counts()))
    for data, expected in {
        "voc2007": (100, 100, 150),
        "voc2012": (80, 80, 100),
        "actions": (60, 60, 60),
    }.items():
        assert tuple(counts[data, part] for part in ("train", "val", "test")) == expected
    sizes = {data: Counter() for data in ("caltech101", "caltech256")}
    for (data, part), count in counts.items():
        if data in sizes:
            sizes[data][part] = count
    assert sorted(sizes["caltech101"].values()) == [13] + 8 * [22]
    assert sizes["caltech101"]["BACKGROUND_Google"] == 22
    assert (min(sizes["caltech256"].values()), max(sizes["caltech256"].values())) == (16, 28)
    assert len(set(sizes["caltech256"].values())) > 5


def test_objects_of_all_data_sets_are_new_to_the_miniatures_nets():
    known = {synset.looks[:2] for synset in SYNSETS}
    for classes, new in ((VOC_CLASSES, 3), (CALTECH101_CLASSES, 4), (CALTECH256_CLASSES, 4)):
        looks = [look[:2] for look in classes.values()]
        assert not known & set(looks)
        assert len({shape for shape, _ in looks}) == len(classes)
        assert sum(shape not in SHAPES for shape, _ in looks) == new
        assert max(Counter(pattern for _, pattern in looks).values()) == 2
    assert {shape for shape, _ in known} == SHAPES.keys()


# VOC: classification


def test_voc_2007_has_its_files(voc2007):
    sets = sets_in(voc2007, "Main")
    assert sets.keys() == {
        f"{prefix}{name}"
        for name in ("train", "val", "trainval", "test")
        for prefix in ("", *(f"{known}_" for known in VOC_CLASSES))
    }
    assert [len(sets[name]) for name in ("train", "val", "test")] == [16, 10, 14]
    assert sets["trainval"] == sorted(sets["train"] + sets["val"])
    names = sorted(sets["trainval"] + sets["test"])
    assert names == [f"{number:06d}" for number in range(1, 41)]
    assert sets["test"] != names[26:]  # parts are mixed, as in VOC
    for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        found = {name for name in voc2007 if name.startswith(f"{folder}/")}
        assert found == {f"{folder}/{name}.{suffix}" for name in names}
    assert len(voc2007) == len(sets) + 2 * len(names)


def test_voc_2012_has_its_files(voc2012, voc2012_test):
    sets = sets_in(voc2012, "Main")
    assert len(sets) == 3 * 7
    assert [len(sets[name]) for name in ("train", "val", "trainval")] == [10, 8, 18]
    names = {*sets["trainval"], *lines(voc2012_test["ImageSets/Main/test.txt"])}
    assert names == {f"2008_{number:06d}" for number in range(1, 27)}
    people = {person.split()[0] for person in sets_in(voc2012, "Action")["trainval"]}
    assert len(people) == 18
    jpegs = {Path(name).stem for name in voc2012 if name.startswith("JPEGImages/")}
    assert jpegs == {*sets["trainval"], *people}
    annotated = {Path(name).stem for name in voc2012 if name.startswith("Annotations/")}
    assert annotated == jpegs


@pytest.mark.parametrize("year", ["2007", "2012"])
def test_labels_follow_from_the_objects(year, request):
    files = request.getfixturevalue(f"voc{year}")
    sets, seen = sets_in(files, "Main"), Counter()
    for known in VOC_CLASSES:
        for name in [name for name in sets if name in ("train", "val", "trainval", "test")]:
            for image, line in zip(sets[name], sets[f"{known}_{name}"], strict=True):
                root = ElementTree.fromstring(files[f"Annotations/{image}.xml"])
                difficult = [
                    thing.findtext("difficult")
                    for thing in root.findall("object")
                    if thing.findtext("name") == known
                ]
                label = -1 if not difficult else 1 if "0" in difficult else 0
                assert line == f"{image} {label:2d}"
                seen[label] += 1
    assert seen.keys() == {-1, 0, 1}


@pytest.mark.parametrize("year", ["2007", "2012"])
def test_annotations_have_the_forms_of_their_years(year, request):
    files = request.getfixturevalue(f"voc{year}")
    in_2012 = year == "2012"
    for image in sets_in(files, "Main")["trainval"]:
        root = ElementTree.fromstring(files[f"Annotations/{image}.xml"])
        assert root.findtext("folder") == f"VOC{year}"
        assert root.findtext("filename") == f"{image}.jpg"
        assert root.findtext("source/database") == f"The VOC{2008 if in_2012 else 2007} Database"
        with Image.open(io.BytesIO(files[f"JPEGImages/{image}.jpg"])) as picture:
            size = picture.size
        assert size == tuple(int(root.findtext(f"size/{side}")) for side in ("width", "height"))
        found = boxes(root)
        assert 1 <= len(found) <= 3
        assert (found[:, :2] >= 1).all()
        assert (found[:, :2] <= found[:, 2:]).all()
        assert (found[:, 2:] <= size).all()
        for thing, box in zip(root.findall("object"), found, strict=True):
            assert thing.findtext("name") in VOC_CLASSES
            assert thing.findtext("pose") == "Unspecified"
            assert (thing.find("occluded") is not None) == in_2012
            assert {thing.findtext("truncated"), thing.findtext("difficult")} <= {"0", "1"}
            if (box[2:] - box[:2] + 1).max() < 0.12 * sum(size) / 2:
                assert thing.findtext("difficult") == "1"


def drawn(data: str, count: int, seed: int = 5) -> list:
    """Scenes of a data set of the usual size."""
    pictures = [picture for picture in planned(seed, Counts()) if picture.data == data]
    return [draw_picture(picture) for picture in pictures[:count]]


def test_some_objects_are_difficult_and_most_are_of_middling_size():
    pictures = drawn("voc2007", 60)
    sights = [(sight, scene) for scene in pictures for sight in scene.sights]
    assert 0.04 < np.mean([sight.difficult for sight, _ in sights]) < 0.16
    assert 0.02 < np.mean([sight.occluded for sight, _ in sights]) < 0.3
    assert any(sight.truncated for sight, _ in sights)
    sides = [
        2 * max(s.box[2] - s.box[0], s.box[3] - s.box[1]) / (scene.width + scene.height)
        for s, scene in sights
        if not (s.difficult or s.occluded or s.truncated)
    ]
    assert 0.12 < np.min(sides) < 0.25
    assert 0.5 < np.max(sides) < 0.75


def pixels(scene) -> np.ndarray:
    """float64 [height, width]."""
    with Image.open(io.BytesIO(scene.jpeg)) as image:
        return np.asarray(image.convert("L"), np.float64)


def test_a_box_is_where_a_white_object_differs_from_a_black_one(monkeypatch):
    """Also of objects that others hide in part; a box is that of what is seen."""
    monkeypatch.setattr(scenes, "STROKES", (0, 0))  # no twigs in front
    names = ("star", "pentagon", "pear")
    shown = [draw_named(names, number) for number in range(16)]
    off, hidden = [], 0
    for k, name in enumerate(names):
        for number, scene in enumerate(shown):
            sights = [sight for sight in scene.sights if sight.name == name]
            if not sights or sights[0].difficult:
                continue
            # Objects are painted from the farthest to the nearest.
            shades = [draw_shaded(monkeypatch, names, number, 2 - k, shade) for shade in (0, 255)]
            change = pixels(shades[1]) - pixels(shades[0])
            # Edges that the light leaves dark change less.
            seen = change > np.median(change[change > 50]) / 5
            rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
            found = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            off.append(np.abs(np.subtract(found, sights[0].box)))
            hidden += sights[0].occluded
    assert len(off) > 30
    assert hidden > 3
    assert np.mean(off) < 0.8
    assert np.percentile(off, 95) <= 2


def draw_named(names, number: int):
    looks = [VOC_CLASSES[name] for name in names]
    return scenes.draw_scene(np.random.default_rng((7, number)), names, looks, ["house"])


def draw_shaded(monkeypatch, names, number: int, which: int, shade: float):
    """The same scene with the object painted `which`, from 0, of one shade."""
    surface, painted = scenes.surface_of, []

    def shaded(*given):
        painted.append(surface(*given))
        return 0 * painted[-1] + shade if len(painted) == which + 1 else painted[-1]

    with monkeypatch.context() as patch:
        patch.setattr(scenes, "surface_of", shaded)
        return draw_named(names, number)


def sight(free_columns: int, area: float = 400.0):
    """What is said of a square of 20 × 20 pixels of which some columns are seen."""
    mask, free = np.zeros((60, 80), np.float32), np.zeros((60, 80), np.float32)
    mask[10:30, 40:60], free[:, : 40 + free_columns] = 1, 1
    layer = Layer("star", None, SUPERSAMPLING**2 * area, "bars", 5.0)
    return scenes._sight(layer, mask, free)


@pytest.mark.parametrize(
    ("columns", "truncated", "occluded", "difficult"),
    [(20, False, False, False), (10, True, False, False), (4, True, False, True)],
)
def test_what_is_said_of_an_object_that_is_hidden_in_part(columns, truncated, occluded, difficult):
    found = sight(columns)
    assert found.box == (40, 10, 40 + columns, 30)
    assert (found.truncated, found.occluded, found.difficult) == (truncated, occluded, difficult)
    assert sight(1) is None
    assert sight(20, area=600).truncated


def test_an_object_with_something_in_its_middle_is_occluded_and_a_small_one_difficult():
    mask, free = np.zeros((60, 80), np.float32), np.ones((60, 80), np.float32)
    mask[10:30, 40:60], free[15:25, 45:55] = 1, 0
    layer = Layer("star", None, SUPERSAMPLING**2 * 400.0, "bars", 5.0)
    found = scenes._sight(layer, mask, free)
    assert (found.truncated, found.occluded, found.difficult) == (False, True, False)
    free[:] = 1
    for side, difficult in ((9, False), (8, True)):  # 0.12 of the mean side is 8.4
        mask[10 + side :], mask[:, 40 + side :] = 0, 0
        found = scenes._sight(layer._replace(area=SUPERSAMPLING**2 * side**2), mask, free)
        assert (found.truncated, found.occluded, found.difficult) == (False, False, difficult)


def test_nothing_in_the_background_has_the_outline_of_a_class(monkeypatch):
    seen = []
    ground = scenes._ground
    monkeypatch.setattr(
        scenes, "_ground", lambda *given: (seen.append(set(given[4])), ground(*given))[1]
    )
    for data, classes in (("voc2007", VOC_CLASSES), ("caltech256", CALTECH256_CLASSES)):
        seen.clear()
        drawn(data, 5)
        assert len(seen) == 5
        for clutter in seen:
            assert clutter
            assert not clutter & {look.shape for look in classes.values()}


# VOC-2012: actions


def people_in(files: dict[str, bytes], name: str) -> list[tuple[str, ElementTree.Element]]:
    """The lines of a list of people, each with the object of the annotation that it means."""
    found = []
    for line in lines(files[f"ImageSets/Action/{name}.txt"]):
        image, place = re.fullmatch(r"(2010_\d{6}) (\d)", line).groups()
        root = ElementTree.fromstring(files[f"Annotations/{image}.xml"])
        found.append((line, root.findall("object")[int(place) - 1]))
    return found


def test_labels_of_people_follow_from_their_annotations(voc2012):
    sets = sets_in(voc2012, "Action")
    names = ("train", "val", "trainval")
    expected = {f"{prefix}{n}" for n in names for prefix in ("", *(f"{a}_" for a in ACTIONS))}
    assert sets.keys() == expected
    assert sets["trainval"] == sorted(sets["train"] + sets["val"])
    seen = Counter()
    for name in names:
        for number, (line, person) in enumerate(people_in(voc2012, name)):
            assert person.findtext("name") == "person"
            done = [action.tag for action in person.find("actions") if action.text == "1"]
            assert len(person.find("actions")) == 11
            assert len(done) == 1
            seen[done[0]] += 1
            for action in ACTIONS:
                label = 1 if action in done else -1
                assert sets[f"{action}_{name}"][number] == f"{line} {label:2d}"
    assert seen.keys() == {*ACTIONS, "other"}


def test_every_person_is_listed_and_places_count_all_objects(voc2012):
    listed = sets_in(voc2012, "Action")["trainval"]
    found, things = [], 0
    for image in sorted({line.split()[0] for line in listed}):
        root = ElementTree.fromstring(voc2012[f"Annotations/{image}.xml"])
        assert [e.tag for e in root] == sorted(e.tag for e in root)
        for place, thing in enumerate(root.findall("object"), 1):
            if thing.findtext("name") == "person":
                found.append(f"{image} {place}")
            else:
                assert thing.findtext("name") == "bicycle"
                assert thing.find("actions") is None
                things += 1
    assert found == listed
    assert things > 0
    assert any(line.endswith(" 3") for line in listed)


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_half_of_the_images_hold_two_people_who_do_different_things(name, request, made):
    if name == "test":
        withheld = read_json(made / "withheld.json")["action"]
        who = request.getfixturevalue("voc2012_test")
    else:
        who = request.getfixturevalue("voc2012")
    actions: dict[str, list] = {}
    for line, person in people_in(who, name):
        if name == "test":
            done = [action for action in ACTIONS if withheld[action][line] == 1]
        else:
            done = [a.tag for a in person.find("actions") if a.text == "1" and a.tag != "other"]
        actions.setdefault(line.split()[0], []).append(done)
    two = [does for does in actions.values() if len(does) == 2]
    assert len(two) == len(actions) / 2
    assert len(actions) == SMALL.actions[("train", "val", "test").index(name)]
    assert all(one != other for one, other in two)


def test_all_actions_are_equally_frequent_and_all_pairs_come_up():
    pictures = [p for p in planned(3, Counts()) if p.data == "actions"]
    for part in ("train", "val", "test"):
        contents = [picture.content for picture in pictures if picture.part == part]
        assert Counter(a for content in contents for a in content) == {
            action: 18 for action in (*ACTIONS, "other")
        }
        assert len({content for content in contents if len(content) == 2}) == 20


def test_a_persons_box_is_the_extent_of_the_figure(monkeypatch):
    """Of its strokes and its head, without what it rides or reads, which lies behind it."""
    stroked, figures = people._stroked, []

    def spied(size, figure, scale):
        canvas = stroked(size, figure, scale)
        width, height = size
        enlarged = np.asarray(canvas, float).reshape(height, SUPERSAMPLING, width, SUPERSAMPLING)
        figures.append(enlarged.mean((1, 3)) > 127)
        return canvas

    monkeypatch.setattr(people, "_stroked", spied)
    sights = [s for scene in drawn("actions", 60) for s in scene.sights if s.action]
    assert len(sights) == len(figures) == 90
    for sight, figure in zip(sights, figures, strict=True):
        rows, columns = np.flatnonzero(figure.any(1)), np.flatnonzero(figure.any(0))
        assert sight.box == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert rows[-1] - rows[0] > 0.2 * len(figure)
        assert not figure[[0, -1]].any() or not figure[:, [0, -1]].any()  # wholly inside
        assert not any([sight.difficult, sight.truncated, sight.occluded])


def test_people_stand_in_halves_of_their_own():
    for scene in drawn("actions", 60):
        people = [sight.box for sight in scene.sights if sight.action]
        if len(people) == 2:
            left, right = people
            assert left[2] <= scene.width / 2 + 1
            assert right[0] >= scene.width / 2 - 1


def test_test_images_of_2012_come_without_labels(voc2012, voc2012_test, made):
    withheld = json.loads((made / "withheld.json").read_text())
    objects = lines(voc2012_test["ImageSets/Main/test.txt"])
    persons = lines(voc2012_test["ImageSets/Action/test.txt"])
    images = {line.split()[0] for line in persons}
    assert (len(objects), len(images)) == (8, 8)
    assert voc2012_test.keys() == {
        "ImageSets/Main/test.txt",
        "ImageSets/Action/test.txt",
        *(f"JPEGImages/{image}.jpg" for image in (*objects, *images)),
        *(f"Annotations/{image}.xml" for image in images),
    }
    for image in images:
        xml = voc2012_test[f"Annotations/{image}.xml"]
        assert b"action" not in xml
        root = ElementTree.fromstring(xml)
        assert {thing.findtext("name") for thing in root.findall("object")} == {"person"}
        assert not any(action.encode() in xml for action in (*ACTIONS, "other"))
        assert boxes(root).min() >= 1
    train = b"".join(text for name, text in voc2012.items() if not name.endswith(".jpg"))
    assert not any(image.encode() in train for image in (*objects, *images))
    assert {*withheld} == {"classification", "action", "checksum"}
    assert withheld["classification"].keys() == VOC_CLASSES.keys()
    assert withheld["action"].keys() == set(ACTIONS)
    assert all(list(labels) == objects for labels in withheld["classification"].values())
    assert all(list(labels) == persons for labels in withheld["action"].values())


def test_withheld_labels_are_those_of_the_drawings(voc2012_test, made):
    withheld = read_json(made / "withheld.json")
    for picture in planned(0, SMALL):
        if picture.part != "test" or picture.data == "voc2007":
            continue
        scene = draw_picture(picture)
        assert scene.jpeg == voc2012_test[f"JPEGImages/{picture.name}.jpg"]
        if picture.data == "voc2012":
            for known in VOC_CLASSES:
                of_class = [s.difficult for s in scene.sights if s.name == known]
                label = -1 if not of_class else 0 if all(of_class) else 1
                assert withheld["classification"][known][picture.name] == label
        else:
            root = ElementTree.fromstring(voc2012_test[f"Annotations/{picture.name}.xml"])
            edges = [s.box for s in scene.sights if s.name == "person"]
            assert boxes(root).tolist() == np.add(edges, (1, 1, 0, 0)).tolist()
            for place, action in enumerate(picture.content, 1):
                for known in ACTIONS:
                    label = withheld["action"][known][f"{picture.name} {place}"]
                    assert label == (1 if known == action else -1)


# Caltech


@pytest.fixture(scope="module")
def caltech101(made) -> dict[str, bytes]:
    """Files of the tar within the zip, without its root folder."""
    with zipfile.ZipFile(made / "caltech-101.zip") as archive:
        inner = members(archive.read("caltech-101/101_ObjectCategories.tar.gz"))
    return {name.removeprefix("101_ObjectCategories/"): b for name, b in inner.items()}


@pytest.fixture(scope="module")
def caltech256(made) -> dict[str, bytes]:
    files = members(made / "256_ObjectCategories.tar")
    return {name.removeprefix("256_ObjectCategories/"): b for name, b in files.items()}


def test_caltech_101_is_a_tar_in_a_zip_beside_a_macs_leavings(made):
    with zipfile.ZipFile(made / "caltech-101.zip") as archive:
        assert archive.testzip() is None
        entries = archive.infolist()
        annotations = archive.read("caltech-101/Annotations.tar")
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    names = [entry.filename for entry in entries]
    inside = ("101_ObjectCategories.tar.gz", "Annotations.tar", "show_annotation.m")
    assert sorted(names) == sorted(
        [
            "caltech-101/",
            *(f"caltech-101/{name}" for name in inside),
            *(f"__MACOSX/caltech-101/._{name}" for name in inside),
        ]
    )
    assert list(members(annotations)) == ["Annotations/readme.txt"]


def test_caltech_101_has_numbered_images_in_a_folder_a_class(caltech101):
    folders = Counter(name.split("/")[0] for name in caltech101 if name.endswith(".jpg"))
    assert folders.keys() == {*CALTECH101_CLASSES, "BACKGROUND_Google"}
    assert sorted(folders.values()) == [3] + 8 * [5]
    expected = {f"{f}/image_{n + 1:04d}.jpg" for f, count in folders.items() for n in range(count)}
    assert caltech101.keys() == {*expected, "BACKGROUND_Google/tmp"}
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(caltech101["BACKGROUND_Google/tmp"]))


def test_caltech_256_has_unequal_numbered_classes_and_strays(caltech256, made):
    names = [name for name in caltech256 if name.endswith(".jpg")]
    folders = Counter(name.split("/")[0] for name in names)
    assert folders.keys() == {*CALTECH256_CLASSES, "257.clutter"}
    assert {"056.dog", "198.spider"} < folders.keys()
    assert (min(folders.values()), max(folders.values())) == (3, 7)
    expected = {
        f"{f}/{f[:3]}_{n + 1:04d}.jpg" for f, count in folders.items() for n in range(count)
    }
    assert caltech256.keys() == {*expected, "198.spider/RENAME2"}
    with tarfile.open(made / "256_ObjectCategories.tar") as tar:
        assert tar.getmember("256_ObjectCategories/056.dog/greg").isdir()
        assert tar.getmember("256_ObjectCategories/056.dog/greg/vision309").isdir()


def test_some_images_of_caltech_have_one_channel(caltech101, caltech256):
    for files in (caltech101, caltech256):
        modes = Counter(
            Image.open(io.BytesIO(content)).mode
            for name, content in files.items()
            if name.endswith(".jpg")
        )
        assert modes.keys() == {"RGB", "L"}
        assert modes["L"] < modes["RGB"] / 2


def test_objects_of_caltech_fill_the_middle_of_their_images_and_textures_have_none():
    pictures = [picture for picture in planned(2, SMALL) if picture.data.startswith("caltech")]
    for picture in pictures:
        scene = draw_picture(picture)
        if not picture.content:
            assert picture.part in ("BACKGROUND_Google", "257.clutter")
            assert scene.sights == ()
            continue
        (sight,) = scene.sights
        assert sight.name == picture.part
        assert not any([sight.difficult, sight.truncated, sight.occluded])
        size = np.array([scene.width, scene.height])
        low, high = np.array(sight.box[:2]), np.array(sight.box[2:])
        assert ((high - low) / size).max() > 0.7
        assert (np.abs((low + high) / 2 / size - 0.5) < 0.04).all()
