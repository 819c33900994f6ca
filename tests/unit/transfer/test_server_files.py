"""Files for PASCAL VOC's evaluation server, read as its checker does, and scored by loops."""

import io
import re
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.classified import area, images_of, persons_of
from tests.helpers.refusals import refusal
from workflow_scripts import write_server_file as command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.examples import write_examples
from workflow_scripts.vgg.results.feature_measures import Measure
from workflow_scripts.vgg.results.server_files import write_server_file
from workflow_scripts.vgg.transfer import scores as files

# Of the checker: no exponents, no inf, no nan, and a line break behind the last line, too.
OF_IMAGES = re.compile(r"(\S+)[ \t]+([-.0-9]+)\n")
OF_PERSONS = re.compile(r"(\S+)[ \t]+([0-9]+)[ \t]+([-.0-9]+)\n")
VOC = images_of(["aeroplane", "cat", "tvmonitor"], counts=(10, 20, 60))
ACTIONS = persons_of(["other", "reading", "ridingbike"], images=90)


def withheld(examples):
    """The same with the test examples' labels kept by the organisers."""
    tested = np.array(examples.parts) == "test"
    labels = np.where(tested[:, None], np.int8(0), examples.labels)
    return replace(examples, labels=labels, known=~tested)


def scored(examples, seed=0, scale=1.0):
    """Scores of validation and test examples, the latter in no order."""
    draw = np.random.default_rng(seed)
    found = []
    for part in ("test", "val"):
        places = draw.permutation(np.flatnonzero(np.array(examples.parts) == part))
        values = examples.labels[places] + 2 * draw.normal(size=(len(places), 3))
        values = (scale * values * examples.scored).astype(np.float32)
        ids = [examples.ids[place] for place in places]
        found.append(files.Tested(part, 0, ids, values))
    return found


def written(folder, examples, tested):
    """What the command writes."""
    write_examples(folder / "e.parquet", withheld(examples), {})
    told = {"classes": examples.classes, "descriptors": [], "options": {}, "chosen": []}
    files.write_scores(folder / "s.parquet", tested, told)
    words = ["--scores", folder / "s.parquet", "--examples", folder / "e.parquet"]
    words += ["--folder", "VOC2012", "--output", folder / "out/x.tar.gz"]
    command.main([*map(str, words)])
    return folder / "out/x.tar.gz"


def read(path, form):
    """{file: [fields of each line]} of the archive."""
    found = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            assert member.isfile()
            lines = io.TextIOWrapper(archive.extractfile(member), "ascii", newline="")
            text = lines.read()
            matches = list(form.finditer(text))
            assert "".join(match[0] for match in matches) == text, member.name
            found[member.name] = [match.groups() for match in matches]
    return found


def precision_of(lines, name, examples):
    """A class's average precision by the lines of a file and labels that the organisers have."""
    column = examples.classes.index(name)
    label_of = dict(zip(examples.ids, examples.labels[:, column], strict=True))
    ids = [":".join(fields[:-1]) for fields in lines]
    scores = np.array([float(fields[-1]) for fields in lines])
    return area(scores, np.array([label_of[own] for own in ids]))


@pytest.mark.parametrize(
    ("examples", "form", "place"),
    [
        (VOC, OF_IMAGES, "results/VOC2012/Main/comp2_cls_test_{}.txt"),
        (ACTIONS, OF_PERSONS, "results/VOC2012/Action/comp10_action_test_{}.txt"),
    ],
    ids=["images", "persons"],
)
@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e4], ids=["plain", "tiny", "large"])
def test_the_server_measures_what_we_do(examples, form, place, scale, tmp_path):
    tested = scored(examples, scale=scale)
    found = read(written(tmp_path, examples, tested), form)
    classes = [own for own in examples.classes if own != "other"]
    assert list(found) == [place.format(own) for own in classes]
    measure = Measure(examples, "area", "test", 0)
    of_class = dict(zip(examples.classes, measure.per_class(tested), strict=True))
    theirs = [precision_of(found[place.format(own)], own, examples) for own in classes]
    assert theirs == pytest.approx([of_class[own] for own in classes], abs=1e-9)
    assert np.mean(theirs) == pytest.approx(measure.interval([tested]).value, abs=1e-9)


@pytest.mark.parametrize(
    ("examples", "form"), [(VOC, OF_IMAGES), (ACTIONS, OF_PERSONS)], ids=["images", "persons"]
)
def test_every_test_example_has_one_line_in_the_set_files_order(examples, form, tmp_path):
    tested = scored(examples)
    found = read(written(tmp_path, examples, tested), form)
    wanted = [n for n, part in zip(examples.ids, examples.parts, strict=True) if part == "test"]
    value_of = dict(zip(tested[0].ids, tested[0].scores, strict=True))
    for path, lines in found.items():
        assert [":".join(fields[:-1]) for fields in lines] == wanted
        column = examples.classes.index(path.split("_test_")[1].removesuffix(".txt"))
        values = [np.float32(fields[-1]) for fields in lines]
        assert values == [value_of[name][column] for name in wanted], "to the last digit"


def test_people_whom_an_actions_list_leaves_out_have_no_line_in_its_file(tmp_path):
    """As the devkit's example: it writes a line for each of the list, and knows no others."""
    tests = np.flatnonzero(np.array(ACTIONS.parts) == "test")
    listed = np.ones(ACTIONS.labels.shape, bool)
    listed[tests[::3], 1] = False
    labels = np.where(listed, ACTIONS.labels, np.int8(0))
    found = read(
        written(tmp_path, replace(ACTIONS, listed=listed, labels=labels), scored(ACTIONS)),
        OF_PERSONS,
    )
    ids = {
        path.split("_test_")[1]: [":".join(fields[:-1]) for fields in lines]
        for path, lines in found.items()
    }
    wanted = [ACTIONS.ids[place] for place in tests]
    assert ids["ridingbike.txt"] == wanted
    assert ids["reading.txt"] == [own for place, own in enumerate(wanted) if place % 3]


def test_persons_of_an_image_with_a_colon_in_its_name_are_told_apart(tmp_path):
    names = ["a:b:1", "a:b:12"]
    examples = replace(
        ACTIONS, ids=names, image_ids=["a:b"], images=np.zeros(2, int), parts=["test"] * 2,
        labels=np.zeros((2, 3), np.int8), known=np.zeros(2, bool), boxes=ACTIONS.boxes[:2],
    )  # fmt: skip
    own = files.Tested("test", 0, names, np.ones((2, 3), np.float32))
    write_server_file(tmp_path / "x.tar.gz", [own], examples, "VOC2012")
    for lines in read(tmp_path / "x.tar.gz", OF_PERSONS).values():
        assert lines == [("a:b", "1", "1.0"), ("a:b", "12", "1.0")]


@pytest.mark.parametrize("value", [1e-30, -2.5e-12, 0.0, -0.0, 123456789.0, 1 / 3])
def test_no_score_has_an_exponent(value, tmp_path):
    wanted = [n for n, part in zip(VOC.ids, VOC.parts, strict=True) if part == "test"]
    own = files.Tested("test", 0, wanted, np.full((60, 3), value, np.float32))
    write_server_file(tmp_path / "x.tar.gz", [own], VOC, "VOC2012")
    for lines in read(tmp_path / "x.tar.gz", OF_IMAGES).values():
        assert {np.float32(score) for _, score in lines} == {np.float32(value)}


def test_the_same_scores_give_the_same_bytes(tmp_path):
    contents = [written(tmp_path, VOC, scored(VOC)).read_bytes() for _ in range(2)]
    assert contents[0] == contents[1]
    with tarfile.open(tmp_path / "out/x.tar.gz") as archive:
        assert {(member.mtime, member.uid, member.uname) for member in archive} == {(0, 0, "")}


def test_a_missing_test_score_is_refused(tmp_path):
    tested = scored(VOC)
    few = [replace(tested[0], ids=tested[0].ids[:-1], scores=tested[0].scores[:-1]), tested[1]]
    with pytest.raises(InputError) as raised:
        written(tmp_path, VOC, few)
    complaint = f"x.tar.gz: there is no score of {tested[0].ids[-1]}, but the server wants one for"
    assert f"{complaint} each of 60 test examples" in str(raised.value)
    with pytest.raises(InputError, match="there is no score of"):
        written(tmp_path, VOC, tested[1:])
    assert not list((tmp_path / "out").glob("*"))


def test_a_data_set_without_organisers_tests_has_no_such_file(tmp_path):
    own = replace(VOC, parts=["train" if part == "test" else part for part in VOC.parts])
    with pytest.raises(InputError, match="has no test examples that its organisers have drawn"):
        write_server_file(tmp_path / "x.tar.gz", [], own, "VOC2012")


@pytest.mark.parametrize(
    ("name", "value"),
    [("--folder", ""), ("--folder", "../etc"), ("--folder", ".."), ("--output", "x.zip")],
)
def test_names_that_the_server_would_not_take_are_refused(name, value, tmp_path, capsys):
    words = {"--folder": "VOC2012", "--output": f"{tmp_path}/x.tar.gz", name: value}
    given = ["--scores", "s", "--examples", "e", *(own for pair in words.items() for own in pair)]
    with pytest.raises(SystemExit, match="2"):
        command.main(given)
    assert f"{name} {value}: expected" in capsys.readouterr().err


@pytest.mark.slow
def test_a_refusal_ends_the_process_with_one_line_and_leaves_nothing(tmp_path):
    write_examples(tmp_path / "e.parquet", withheld(VOC), {})
    words = ["--scores", tmp_path / "none.parquet", "--examples", tmp_path / "e.parquet"]
    message = refusal(
        "write_server_file", *words, "--folder", "VOC2012", output=tmp_path / "out/x.tar.gz"
    )
    assert message.startswith(f"error: {tmp_path}/none.parquet: no such file")
