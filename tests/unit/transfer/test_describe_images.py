"""The command that describes images: a user's folder, the pipeline's shards, what it refuses."""

import json
import logging
import signal
import time

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from torch import nn
from torchvision.models.vgg import make_layers
from torchvision.transforms import functional as T

from tests.helpers import odd_images
from tests.helpers.box_windows import LAYERS, MEAN, net_of, saved
from tests.helpers.descriptors_by_hand import (
    assert_close,
    descriptor,
    normalised,
    put_together,
    rescaled,
)
from tests.helpers.paper_nets import picture
from tests.helpers.refusals import refusal, start
from workflow_scripts import describe_images
from workflow_scripts.vgg.core.files import InputError, sha256
from workflow_scripts.vgg.core.parquet import read_metadata
from workflow_scripts.vgg.data.examples import Examples, write_examples
from workflow_scripts.vgg.data.shards import write_shard
from workflow_scripts.vgg.nets.weights import load_weights
from workflow_scripts.vgg.transfer.descriptor_files import read_descriptors

FC = 16  # numbers of a descriptor
WIDTHS = (4, 4, 4, 4, 4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    nan = net_of("classes")
    with torch.no_grad():
        nan.fc_layers[0].bias.fill_(float("nan"))
    saved(folder / "boxes.safetensors", net_of("box-pcr"))
    saved(folder / "nan.safetensors", nan, "A_S256")
    saved(folder / "A.safetensors", net_of("classes"), "A_S256")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of a user's: JPEG, PNG, grey-scale, CMYK, one smaller than a crop, one elongated."""
    folder = tmp_path_factory.mktemp("mine") / "images"
    folder.mkdir()
    draw = np.random.default_rng(0)
    files = {
        "photo.jpg": odd_images.jpeg(picture(90, 130, 1)),
        "upright.png": odd_images.saved(picture(130, 90, 2), "PNG"),
        "grey.png": odd_images.saved(picture(80, 100, 3)[:, :, 0], "PNG"),
        "cmyk.jpg": odd_images.jpeg(255 - odd_images.inks(draw, 96, 112), mode="CMYK", invert=True),
        "tiny.png": odd_images.saved(picture(5, 7, 4), "PNG"),
        "long.PNG": odd_images.saved(picture(40, 300, 5), "PNG"),
        ".hidden": b"no image",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


NAMES = ["cmyk", "grey", "long", "photo", "tiny", "upright"]


@pytest.fixture
def words(weights, folder, tmp_path):
    """`words(**options)` is the command line for the user's folder at Q = 256."""

    def build(**changes):
        values = {
            "weights": weights / "A.safetensors", "images": folder, "Q": 256,
            "output": tmp_path / "out/d.parquet",
        } | changes  # fmt: skip
        found = []
        for name, value in values.items():
            if value is not None:
                found += [f"--{name.replace('_', '-')}", *map(str, np.atleast_1d(value))]
        return found

    return build


def made(words):
    """What the command writes: names, descriptors, and what is said of them."""
    describe_images.main(words)
    path = words[words.index("--output") + 1]
    if path.endswith(".parquet"):
        frame = pd.read_parquet(path)
        return frame["id"].tolist(), np.stack(frame["descriptor"]), read_metadata(path)
    with np.load(path) as archive:
        assert sorted(archive) == ["descriptors", "ids", "metadata"]
        said = json.loads(str(archive["metadata"]))
        return archive["ids"].tolist(), archive["descriptors"], said


def told(words, tmp_path):
    """What is said of a command that is refused and leaves nothing."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as raised:
        describe_images.main(words)
    left = [path for path in tmp_path.rglob("*") if path not in before]
    assert [path.name for path in left if path.name != "out"] == []
    return str(raised.value)


def file_of(folder, name):
    (found,) = folder.glob(f"{name}.*")
    return found


def by_hand(weights, path, Q, relu="after"):
    """An image's descriptor, by loops: Pillow decodes and rescales it."""
    net, _ = load_weights(weights / "A.safetensors")
    image = rescaled(Image.open(path).convert("RGB"), round(Q * 64 / 224))
    x = torch.tensor(np.array(image), dtype=torch.float32).permute(2, 0, 1)[None]
    x = x - torch.tensor(MEAN).view(1, 3, 1, 1)
    with torch.inference_mode():
        return descriptor(net.state_dict(), LAYERS, x, 2, relu)


# A user's folder


def test_a_folders_images_are_described_in_the_order_of_their_names(words, weights, folder):
    ids, found, said = made(words())
    assert ids == NAMES
    assert found.dtype == np.float32
    expected = np.stack([by_hand(weights, file_of(folder, name), 256) for name in NAMES])
    assert_close(found, normalised(expected))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    assert (said["model"], said["method"], said["Q"]) == ("A_S256", "image", 256)
    assert (said["pooling"], said["feature_l2"]) == (None, "each-and-whole")
    assert said["weights_sha256"] == sha256(weights / "A.safetensors")
    assert said["choices"] == {
        "feature_relu": "after", "action_box": "exact", "pool_rounding": "floor",
        "resize_filter": "bicubic",
    }  # fmt: skip


@pytest.mark.parametrize("feature_l2", ["each-and-whole", "whole", "none"])
@pytest.mark.parametrize("pooling", ["mean", "max", "stack"])
def test_several_scales_are_put_together_as_asked(pooling, feature_l2, words, weights, folder):
    scales = [256, 384, 224]
    ids, found, said = made(words(Q=scales, pooling=pooling, feature_l2=feature_l2))
    parts = [
        np.stack([by_hand(weights, file_of(folder, name), Q) for name in NAMES]) for Q in scales
    ]
    assert ids == NAMES
    assert found.shape == (6, 3 * FC if pooling == "stack" else FC)
    assert_close(found, put_together(parts, pooling, feature_l2))
    if feature_l2 != "none":
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    assert (said["Q"], said["pooling"], said["feature_l2"]) == (scales, pooling, feature_l2)


def test_descriptors_may_be_taken_before_the_relu(words, weights, folder):
    _, found, _ = made(words(feature_relu="before", feature_l2="none"))
    expected = [by_hand(weights, file_of(folder, name), 256, "before") for name in NAMES]
    assert_close(found, np.stack(expected))
    assert found.min() < 0


def test_both_forms_of_file_hold_the_same(words, tmp_path):
    parquet = made(words(Q=[256, 384], pooling="stack"))
    numpy = made(words(Q=[256, 384], pooling="stack", output=tmp_path / "out/d.npz"))
    assert parquet[0] == numpy[0]
    assert parquet[1].dtype == numpy[1].dtype == np.float32
    assert np.array_equal(parquet[1], numpy[1])
    assert parquet[2] == numpy[2]


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_the_same_command_writes_the_same_bytes(suffix, words, tmp_path):
    contents = []
    for _ in range(2):
        path = tmp_path / f"out/d.{suffix}"
        describe_images.main(words(output=path))
        contents.append(path.read_bytes())
        assert [own.name for own in path.parent.iterdir() if own.suffix != ".lock"] == [path.name]
        path.unlink()
    assert contents[0] == contents[1]


def test_images_in_folders_of_classes_are_called_by_both_names(words, folder, tmp_path):
    for place, own in enumerate(("cat", "dog")):
        for name in ("grey.png", "upright.png")[place:]:
            (tmp_path / f"in/{own}").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"in/{own}/{name}").write_bytes((folder / name).read_bytes())
    ids, found, _ = made(words(images=tmp_path / "in"))
    assert ids == ["cat/grey", "cat/upright", "dog/upright"]
    assert_close(found[1], found[2], 1e-6)
    (tmp_path / "in/dog/upright.png").rename(tmp_path / "in/dog/other.png")
    others = made(words(images=tmp_path / "in"))[0]
    assert others == ["cat/grey", "cat/upright", "dog/other"], "whether names are shared or not"


@pytest.fixture
def broken(folder, tmp_path):
    """The folder with a file that is no image, and one that is cut short."""
    copy = tmp_path / "in"
    copy.mkdir()
    for path in folder.glob("[a-z]*"):
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "broken.jpg").write_bytes(b"404 Not Found\n" * 20)
    (copy / "cut.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:900])
    return copy


def test_a_broken_image_is_named_with_what_can_be_done(words, broken, tmp_path):
    complaint = told(words(images=broken), tmp_path)
    assert complaint.startswith(f"{broken}/broken.jpg: ")
    assert "cannot be decoded as an image" in complaint
    assert "leave such images out with --on-bad-image skip" in complaint
    assert "data." not in complaint


def test_broken_images_are_left_out_if_asked(words, broken, folder, caplog):
    ids, found, _ = made(words(images=broken, on_bad_image="skip"))
    assert ids == NAMES
    assert np.array_equal(found, made(words(images=folder))[1])
    for name in ("broken", "cut"):
        assert f"left out: {broken}/{name}.jpg" in caplog.text


def test_what_is_odd_about_images_is_told(words, caplog):
    caplog.set_level(logging.INFO)
    made(words())
    for text in ("grey-scale: 1 images, such as grey", "cmyk: 1 images, such as cmyk"):
        assert text in caplog.text
    assert "smaller-than-crop: 2 images, such as long" in caplog.text
    assert "6 images, 16 numbers each" in caplog.text


@pytest.mark.slow
def test_threads_and_batches_change_nothing(words):
    plain = made(words(Q=[256, 384]))[1]
    assert_close(made(words(Q=[256, 384], threads=2))[1], plain, 1e-6)
    assert_close(made(words(Q=[256, 384], batch_size=1))[1], plain, 1e-6)


# Other sources' weights


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A narrow VGG of torchvision's layers at the paper's input, its file, and its definition."""
    folder = tmp_path_factory.mktemp("theirs")
    blocks = " | ".join(f"conv3-{width}" for width in WIDTHS)
    models = {"D_S256": {"net": "D", "S": 256, "learning_rate": 0.01}}
    text = yaml.safe_dump({"convnets": {"D": blocks, "E": blocks + " conv3-4"}, "models": models})
    (folder / "models.yaml").write_text(text)
    torch.manual_seed(0)
    net = nn.Module()
    net.features = make_layers([side for width in WIDTHS for side in (width, "M")])
    net.classifier = nn.Sequential(
        *(nn.Linear(WIDTHS[-1] * 49, 4096), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 1000)),
    )
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=(2 / parameter[0].numel()) ** 0.5)
    torch.save(net.state_dict(), folder / "vgg16.pth")
    return folder, net.eval()


def test_torchvisions_weights_are_read_as_they_are(words, theirs, tmp_path):
    folder, net = theirs
    (tmp_path / "in").mkdir()
    pixels = picture(224, 224, seed=3)
    Image.fromarray(pixels).save(tmp_path / "in/one.png")
    given = {"weights": folder / "vgg16.pth", "format": "torchvision", "net": "D"}
    given |= {"models": folder / "models.yaml", "images": tmp_path / "in", "Q": 224}
    ids, found, said = made(words(**given))
    x = T.normalize(T.to_tensor(pixels), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])[None]
    with torch.no_grad():
        maps = net.features(torch.cat([x, x.flip(3)]))
        both = net.classifier[:5](maps.flatten(1))
    assert ids == ["one"]
    assert_close(found, normalised(both.mean(0, keepdim=True).numpy()))
    assert (said["model"], said["iterations"], said["training"]) == ("D", None, None)
    assert (said["imported"]["file"], said["imported"]["format"]) == ("vgg16.pth", "torchvision")
    assert said["weights_sha256"] == sha256(folder / "vgg16.pth")
    for changes, complaint in (
        ({"net": "E"}, f"{folder}/vgg16.pth: "),
        ({"format": "caffe"}, f"{folder}/vgg16.pth: "),
        ({"net": "F"}, f"--net F: is not in {folder}/models.yaml, which has D, E; name the net"),
        ({"weights": folder / "none.pth"}, f"{folder}/none.pth: no such file"),
    ):
        assert told(words(**given | changes), tmp_path).startswith(complaint)


# What it refuses


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"output": "d.csv"}, "--output d.csv: expected a name that ends in .parquet or .npz"),
        ({"output": "d"}, "expected a name that ends in .parquet or .npz"),
        ({"Q": [256, 384, 256]}, "--Q: one is given twice"),
        ({"Q": "256.5"}, "invalid int value"),
        ({"images": None}, "one of the arguments --images --shards is required"),
        ({"shards": "s.arrow"}, "not allowed with argument"),
        ({"region": "box", "examples": "e.parquet"}, "--region box needs --shards"),
        ({"region": "box"}, "--examples goes with --region box, and only with it"),
        ({"examples": "e.parquet"}, "--examples goes with --region box, and only with it"),
        ({"format": "torchvision"}, "--net goes with another --format than own"),
        ({"net": "D"}, "--net goes with another --format than own, and only with it"),
        ({"format": "theirs"}, "invalid choice: 'theirs'"),
        ({"pooling": "median"}, "invalid choice: 'median'"),
        ({"local_scratch": "/tmp"}, "--local-scratch is for --shards"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, tmp_path, capsys, changes, complaint):
    with pytest.raises(SystemExit) as stopped:
        describe_images.main(words(**changes))
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_folder_is_refused_before_any_work(words, tmp_path):
    (tmp_path / "x.npz").mkdir()
    complaint = told(words(weights="none", output=tmp_path / "x.npz"), tmp_path)
    assert complaint == f"{tmp_path}/x.npz: is a folder; give the name of a file to write"


def test_a_scale_below_the_input_is_refused_before_any_work(words, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for scales in (200, [256, 200], [256, 0]):
        complaint = told(words(Q=scales), tmp_path)
        assert "is smaller than the net's input of 64 pixels" in complaint
    assert not caplog.text


def test_folders_that_hold_no_images_are_refused(words, folder, tmp_path):
    (tmp_path / "in").mkdir()
    assert "holds no images" in told(words(images=tmp_path / "in"), tmp_path)
    complaint = told(words(images=tmp_path / "none"), tmp_path)
    assert complaint == f"{tmp_path}/none: no such folder; name one that holds images"
    complaint = told(words(images=folder / "grey.png"), tmp_path)
    assert complaint.startswith(f"{folder}/grey.png: no such folder")
    (tmp_path / "in/a.jpg").write_bytes(b"x")
    complaint = told(words(images=tmp_path / "in", on_bad_image="skip"), tmp_path)
    assert complaint.startswith(f"{tmp_path}/in/a.jpg: a: cannot be decoded as an image")
    assert complaint.endswith("; none of the 1 images can be read")
    (tmp_path / "in/notes.txt").write_text("x")
    assert "notes.txt: not an image by its name" in told(words(images=tmp_path / "in"), tmp_path)
    (tmp_path / "nest/train/cat").mkdir(parents=True)
    complaint = told(words(images=tmp_path / "nest"), tmp_path)
    assert "nest/train/cat: is a folder in the folder of a class" in complaint
    assert f"or give {tmp_path}/nest/train if that is what holds the folders" in complaint


def test_two_images_of_one_name_are_refused(words, folder, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a.jpg"):
        (tmp_path / f"in/{name}").write_bytes((folder / "grey.png").read_bytes())
    complaint = told(words(images=tmp_path / "in"), tmp_path)
    assert complaint.endswith(f"{tmp_path}/in/a.png: both are called a; rename one")
    for place in "01":
        (tmp_path / "in" / place).mkdir()
        for name in ("a.png", "a.jpg"):
            (tmp_path / "in" / place / name).write_bytes((folder / "grey.png").read_bytes())
    for name in ("a.png", "a.jpg"):
        (tmp_path / f"in/{name}").unlink()
    assert "both are called 0/a; rename one" in told(words(images=tmp_path / "in"), tmp_path)


def test_weights_that_cannot_describe_are_blamed(words, weights, tmp_path):
    complaint = told(words(weights=weights / "boxes.safetensors"), tmp_path)
    assert complaint.startswith(f"{weights}/boxes.safetensors: predicts boxes; give weights of a")
    complaint = told(words(weights=weights / "nan.safetensors"), tmp_path)
    assert complaint.startswith(f"{weights}/nan.safetensors: the net's descriptors are not finite")
    complaint = told(words(weights=tmp_path / "none.safetensors"), tmp_path)
    assert complaint.startswith(f"{tmp_path}/none.safetensors: ")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
def test_a_command_that_ends_early_leaves_nothing(error, words, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/d.parquet").write_bytes(b"of an earlier run")
    seen = []

    def stopped(*given, **options):
        seen.extend(path.name for path in (tmp_path / "out").iterdir())
        raise error

    monkeypatch.setattr(describe_images, "describe", stopped)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(error):
        describe_images.main(words())
    assert [name[:17] for name in sorted(seen)] == [".describe_images-", "d.parquet"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["d.parquet"]
    assert (tmp_path / "out/d.parquet").read_bytes() == b"of an earlier run"
    assert signal.getsignal(signal.SIGTERM) == handler


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_an_interrupted_command_leaves_nothing(number, status, words, tmp_path):
    process = start("describe_images", *words(Q=[4000, 4001, 4002, 4003, 4004, 4005]))
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/.describe_images-*/images.arrow")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, log = process.communicate(timeout=60)
    assert process.returncode == status, log
    assert "Traceback" not in log
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_refusals_end_the_process_with_one_line_and_leave_nothing(words, broken, tmp_path):
    output = tmp_path / "out/d.parquet"

    def refused(**changes):
        return refusal("describe_images", *words(output=None, **changes), output=output)

    assert "broken.jpg: broken: cannot be decoded" in refused(images=broken)
    assert "is smaller than the net's input" in refused(Q=200)
    assert "no such folder; name one that holds images" in refused(images=tmp_path / "none")
    process = start("describe_images", *words(net="D"))
    assert "--net goes with another --format" in process.communicate()[1]
    assert process.returncode == 2


# The pipeline's shards, and persons


@pytest.fixture(scope="module")
def pictures():
    sizes = {"a": (96, 140), "b": (140, 96), "c": (70, 90)}
    return {name: picture(*size, seed=ord(name)) for name, size in sizes.items()}


@pytest.fixture(scope="module")
def shards(pictures, tmp_path_factory):
    """Two shards, the second of one image."""
    folder = tmp_path_factory.mktemp("shards")
    rows = [
        (name, -1, odd_images.saved(pixels, "PNG"), *pixels.shape[:2])
        for name, pixels in pictures.items()
    ]
    write_shard(folder / "0.arrow", rows[:2])
    write_shard(folder / "1.arrow", rows[2:])
    return [str(folder / "0.arrow"), str(folder / "1.arrow")]


BOXES = {
    "a:1": (10, 5, 90, 77), "a:2": (0, 0, 140, 96), "b:1": (3, 8, 60, 140), "b:3": (0, 20, 64, 64),
    "c:1": (7, 7, 30, 40), "left-out:1": (0, 0, 9, 9),
}  # fmt: skip


def persons(path, boxes=BOXES):
    names = sorted({name.split(":")[0] for name in boxes})
    examples = Examples(
        ids=list(boxes),
        image_ids=names,
        images=np.array([names.index(name.split(":")[0]) for name in boxes]),
        parts=["train"] * len(boxes),
        labels=np.ones((len(boxes), 1), np.int8),
        known=np.ones(len(boxes), bool),
        boxes=np.array(list(boxes.values()), float),
        classes=["running"],
        scored=np.ones(1, bool),
    )
    write_examples(path, examples, {})
    return path


def test_shards_are_described_in_their_order_and_not_normalised(words, pictures, shards, tmp_path):
    given = {"images": None, "shards": shards[::-1], "feature_l2": "none"}
    ids, found, said = made(words(**given))
    assert ids == ["c", "a", "b"]
    assert said["feature_l2"] == "none"
    (tmp_path / "in").mkdir()
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"in/{name}.png")
    as_folder = made(words(images=tmp_path / "in", feature_l2="none"))
    assert as_folder[0] == ["a", "b", "c"]
    assert_close(found[[1, 2, 0]], as_folder[1], 1e-5)
    assert read_descriptors(tmp_path / "out/d.parquet", ["b", "a", "c"]).shape == (3, FC)


def test_persons_are_described_as_their_boxes_cut_out(words, pictures, shards, tmp_path):
    """In the order of the examples; those whose image packing has left out are not there."""
    given = {"images": None, "shards": shards, "feature_l2": "none", "region": "box"}
    ids, found, said = made(words(**given, examples=persons(tmp_path / "e.parquet")))
    assert ids == ["a:1", "a:2", "b:1", "b:3", "c:1"]
    assert said["method"] == "box"
    (tmp_path / "in").mkdir()
    for name in ids:
        pixels = pictures[name[0]]
        Image.fromarray(pixels).crop(BOXES[name]).save(tmp_path / f"in/{name}.png")
    cut = made(words(images=tmp_path / "in", feature_l2="none"))
    assert cut[0] == ids
    assert_close(found, cut[1], 1e-5)
    margin = made(words(**given, examples=tmp_path / "e.parquet", action_box="with-margin"))
    assert np.abs(margin[1][0] - found[0]).max() > 1e-4
    assert_close(margin[1][1], found[1], 1e-6)  # there is no more of that image


def test_persons_of_other_images_are_refused(words, shards, tmp_path):
    given = {"images": None, "shards": shards, "region": "box"}
    boxes = {name: box for name, box in BOXES.items() if name[0] != "b"}
    path = persons(tmp_path / "e.parquet", boxes)
    complaint = told(words(**given, examples=path), tmp_path)
    assert f"{shards[0]}: holds b, which {path} does not know; index and pack" in complaint
    outside = persons(tmp_path / "o.parquet", BOXES | {"b:3": (100, 3, 120, 9)})
    complaint = told(words(**given, examples=outside), tmp_path)
    assert complaint.startswith(
        f"{outside}: the box of b:3 lies outside its image of 96×140 pixels; correct"
    )
    whole = Examples(
        ids=["a", "b", "c"], image_ids=["a", "b", "c"], images=np.arange(3), parts=["train"] * 3,
        labels=np.ones((3, 1), np.int8), known=np.ones(3, bool), boxes=None, classes=["cat"],
        scored=np.ones(1, bool),
    )  # fmt: skip
    write_examples(tmp_path / "w.parquet", whole, {})
    complaint = told(words(**given, examples=tmp_path / "w.parquet"), tmp_path)
    assert complaint == f"{tmp_path}/w.parquet: has no boxes; describe its images"
    complaint = told(words(images=None, shards=tmp_path / "none.arrow"), tmp_path)
    assert f"{tmp_path}/none.arrow: no such file" in complaint


def test_a_copy_on_a_nodes_disk_changes_nothing(words, shards, tmp_path):
    given = {"images": None, "shards": shards}
    plain = made(words(**given))
    other = made(words(**given, local_scratch=tmp_path / "scratch"))
    assert plain[0] == other[0]
    assert np.array_equal(plain[1], other[1])
    assert list((tmp_path / "scratch").rglob("*.arrow")) != []
