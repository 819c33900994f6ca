"""The benchmarks: how contenders are compared, that rivals do the same work, what uses the result.

Nothing is timed here but to see that it can be; `make bench` measures.
"""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import simplejpeg
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers.clones import ROOT
from workflow_scripts import benchmark, render_benchmarks
from workflow_scripts.bench import (
    classification_speed,
    classifier_speed,
    description_speed,
    evaluation_speed,
    loading_speed,
    machine,
    measuring,
    merging_speed,
    orchestration_speed,
    packing_speed,
    photographs,
    process_scaling,
    speed_summary,
    speed_tables,
    training_speed,
)
from workflow_scripts.bench.evaluation_speed import Straightforward
from workflow_scripts.bench.measuring import Elsewhere, Growth, Line, Measured, alternate, fixed
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data import images
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.planning.plan_contents import measured_rates
from workflow_scripts.vgg.report.inputs import load_benchmarks
from workflow_scripts.vgg.training.guards import gradient_norm


def test_contenders_run_in_turn_and_warm_up_once():
    calls = []

    def contender(name):
        def run():
            calls.append(name)
            return float(len(calls))

        return run

    found = alternate({name: contender(name) for name in "ab"}, runs=3)
    assert "".join(calls) == "baabbaab"
    assert found["a"].values == [3.0, 6.0, 7.0]
    assert found["b"].values == [4.0, 5.0, 8.0]
    calls.clear()
    alternate({name: contender(name) for name in "ab"}, runs=2, warm=True)
    assert "".join(calls) == "abba"


def test_a_line_compares_the_fastest_runs():
    ours, rival = Measured("ours", [90.0, 100.0, 80.0]), Measured("rival", [19.0, 20.0])
    line = Line("p", "n", "images/s", ours, rival, Measured("limit", [125.0]), 5.0, 0.85)
    row = line.row()
    assert (row["ours_over_rival"], row["ours_over_limit"], row["met"]) == (5.0, 0.8, False)
    assert row["ours_spread_percent"] == pytest.approx(25)
    assert Line("p", "n", "images/s", ours, rival, least_over_rival=5.0).met
    assert Line("p", "n", "images/s", ours, rival).met is None


def test_fewer_seconds_are_better():
    ours, allowed = Measured("ours", [3.0, 2.0], seconds=True), fixed("at most", 8.0, True)
    line = Line("p", "n", "s", ours, limit=allowed, least_over_limit=1.0)
    assert line.row()["ours"] == 2.0
    assert line.row()["ours_over_limit"] == 4.0
    assert line.met


def test_a_limit_that_ours_exceeds_is_flagged():
    ours, over = Measured("ours", [100.0]), Measured("fastest kernel", [90.0])
    line = Line("p", "n", "images/s", ours, limit=over, least_over_limit=0.75)
    assert line.row()["exceeds_limit"]
    (table,) = speed_tables.tables([line], [])
    verdict = table.headings.index("aims")
    assert table.rows[0][verdict].text == "no limit here", "an aim against it is neither"
    faster = Measured("rival", [50.0])
    line = Line("p", "n", "images/s", ours, faster, over, 1.0, 0.75)
    assert speed_tables.tables([line], [])[0].rows[0][verdict].text == "met, no limit here"
    under = Line("p", "n", "images/s", ours, limit=Measured("k", [110.0]), least_over_limit=0.75)
    assert not under.row()["exceeds_limit"]
    stated = Line("p", "n", "s", Measured("ours", [1.0], True), limit=fixed("at most", 8, True))
    assert not stated.row()["exceeds_limit"], "to stay below what is allowed is no fault"


@pytest.fixture
def small_kernels(monkeypatch):
    """Kernels of a moment each."""
    for table, size in ((machine.SIDE, 256), (machine.ROWS, 4), (machine.IMAGES, 1)):
        monkeypatch.setitem(table, "cpu", size)


def test_the_limit_is_the_fastest_of_several_kernels(small_kernels, monkeypatch):
    kernel = machine.FastestKernel(torch.device("cpu"), "float32")
    rates = kernel.rates()
    assert set(rates) > {"square matrices", "FC-4096", "conv3-256", "conv3-512", "conv1-512"}
    assert min(rates.values()) > 0
    # By the textbook: two for a multiply-add, each output a sum over 3×3×256 inputs.
    assert kernel.kernels["conv3-256"][0] == 2 * 9 * 256 * 256 * 56 * 56
    monkeypatch.setattr(kernel, "rates", lambda: {"a": 1.0, "b": 3.0, "c": 2.0})
    assert kernel() == 3.0


def test_layers_alone_do_a_training_steps_products_and_no_more():
    """Counted by PyTorch's own counter of FLOP."""
    layers = machine.LayersAlone(
        "D", 2, torch.device("cpu"), "float32", crop=32, classes=10, fc=64, width_divisor=8
    )
    with FlopCounterMode(display=False) as counted:
        layers.step()
    assert counted.get_total_flops() == 2 * layers.flop
    assert layers() > 0


def test_a_batch_that_does_not_fit_is_halved_and_other_errors_are_not(monkeypatch):
    """Whether it is ours or a rival, in a process of its own, that has no memory."""
    tried, full = [], torch.OutOfMemoryError("CUDA out of memory")

    def measure(size, error=full):
        tried.append(size)
        if size > 128:
            raise error
        if size > 64:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")  # as told by a rival
        return ["a line"]

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert training_speed.fitting(measure, 256) == ["a line"]
    assert tried == [256, 128, 64]
    monkeypatch.setattr(training_speed, "LEAST_BATCH", 128)
    with pytest.raises(RuntimeError, match="2 GiB"):
        training_speed.fitting(measure, 256)
    with pytest.raises(RuntimeError, match="illegal"):
        training_speed.fitting(
            lambda size: measure(size, RuntimeError("an illegal memory access")), 256
        )


@pytest.mark.parametrize("part", benchmark.PARTS)
def test_a_part_asks_for_the_packages_of_its_own_rivals_only(part, monkeypatch, tmp_path):
    real = benchmark.importlib.util.find_spec
    lacking = {"webdataset", "datasets"}
    monkeypatch.setattr(
        benchmark.importlib.util, "find_spec", lambda n: None if n in lacking else real(n)
    )

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "pick_device", stop)
    expected = InputError if part == "loading" else KeyboardInterrupt
    with pytest.raises(expected):
        benchmark.main(["--parts", part, "--output", str(tmp_path / "summary")])


def test_the_slope_is_that_of_the_logarithms():
    sizes = [1, 2, 4, 8]
    assert Growth("p", "n", "x", sizes, [3 * s**2 for s in sizes]).row()["slope"] == pytest.approx(
        2
    )


def test_waiting_is_the_time_in_which_no_batch_is_ready(tmp_path):
    """All of it for steps that take none, hardly any for steps that take far longer than loading.

    This cannot be measured without time passing; the two cases are a hundredfold apart.
    """
    shard = loading_speed.shard_of(tmp_path / "s.arrow", list(photographs.photographs(8)), 256)
    ours = object.__new__(training_speed.Ours)  # without a net
    ours.device = torch.device("cpu")
    ours.images = loading_speed.TrainingImages([shard], 0, 8, 224, (256, 256), np.zeros((3, 3)))
    ours.step = lambda batch: None
    assert min(ours.waiting(1)) > 0.5, "what was read ahead does not count"
    ours.step = lambda batch: time.sleep(0.5)
    shares = ours.waiting(1)
    assert len(shares) == measuring.RUNS
    assert min(shares) < 0.1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "gpu"], "gpu: no device of this name"),
        (["--threads", "0"], "at least one is needed"),
        (["--config", "config/missing.yaml"], "config/missing.yaml"),
        (["--config", "config/config.yaml"], "its nets are smaller than those that are measured"),
    ],
)
def test_bad_input_is_told_before_anything_is_measured(words, told, tmp_path):
    output = tmp_path / "summary"
    with pytest.raises(InputError, match=told):
        benchmark.main([*words, "--parts", "loading", "--output", str(output)])
    torch.set_num_threads(1)


def test_photographs_are_like_ilsvrcs():
    some = list(photographs.photographs(6, seed=3))
    assert some == list(photographs.photographs(6, seed=3))
    for content in some:
        height, width, _, subsampling = simplejpeg.decode_jpeg_header(content)
        assert {height, width} == {375, 500}
        assert subsampling == "420"
        assert 90_000 <= len(content) <= 110_000


@pytest.mark.slow
def test_a_rivals_process_is_its_own_and_its_error_is_told():
    other = Elsewhere(len_of, "abc")
    assert other() == 3
    assert other("de") == 5
    with pytest.raises(RuntimeError, match="concatenate"):
        other(1)
    other.close()


def len_of(word):
    return lambda more="": len(word + more)


@pytest.mark.parametrize("scales", [(256, 256), (384, 384), (256, 512)])
def test_all_loaders_give_crops_of_the_same_kind(scales, tmp_path):
    """Each rival's first batch: uint8 crops whose mean lies where that of ours does."""
    encoded = list(photographs.photographs(8))
    shard = loading_speed.shard_of(tmp_path / "o.arrow", encoded, None)
    ours = loading_speed.TrainingImages([shard], 0, 8, 224, scales, np.zeros((3, 3)))[0].images
    assert (ours.dtype, ours.shape) == (torch.uint8, (8, 3, 224, 224))
    transform = loading_speed.transforms(scales)
    theirs = torch.stack(
        [transform(images.Image.fromarray(images.decode(c, "x"))) for c in encoded]
    )
    assert (theirs.dtype, theirs.shape) == (ours.dtype, ours.shape)
    assert abs(theirs.float().mean() - ours.float().mean()) < 30


def test_the_loaders_crops_are_those_of_the_plain_path(tmp_path):
    """Decode all, resize all by Pillow, crop, flip: the same pixels within two levels."""
    encoded = list(photographs.photographs(8))
    for smallest_side, scales in ((None, (256, 512)), (256, (256, 256)), (384, (384, 384))):
        shard = loading_speed.shard_of(tmp_path / f"{smallest_side}.arrow", encoded, smallest_side)
        loader = loading_speed.TrainingImages([shard], 1, 16, 224, scales, np.zeros((3, 3)))
        crops, (batch, places) = loader[2].images, loader._sampled(2)
        for row, place in enumerate(places):
            pixels = images.decode_leniently(Shards([shard]).jpeg(int(place)), "x")
            whole = images.rescale(pixels, int(batch.scales[row]), "bicubic")
            top, left = (
                int(u * (side - 223))
                for u, side in zip((batch.tops[row], batch.lefts[row]), whole.shape, strict=False)
            )
            crop = whole[top : top + 224, left : left + 224].astype(int)
            crop = crop[:, ::-1] if batch.flips[row] else crop
            found = crops[row].permute(1, 2, 0).numpy()
            assert np.abs(found - crop).max() <= (2 if smallest_side is None else 0)


def test_the_bytes_of_a_shard_go_through_the_strict_decoder(tmp_path):
    shard = loading_speed.shard_of(tmp_path / "s.arrow", list(photographs.photographs(2)), None)
    assert images.decode_strictly(Shards([shard]).jpeg(1)) is not None


def test_packing_packs_what_the_archive_holds(tmp_path):
    encoded = list(photographs.photographs(3))
    index = packing_speed.archive_of(tmp_path / "a.tar", encoded)
    assert packing_speed.pack(index, tmp_path / "o.arrow", 256) == 3
    shards = Shards([tmp_path / "o.arrow"])
    assert min(shards.heights[0], shards.widths[0]) == 256
    files = [tmp_path / "x.jpg"]
    files[0].write_bytes(encoded[0])
    (tmp_path / "saved").mkdir()
    assert packing_speed.pillow_loop(files, tmp_path / "saved", 256) == 1
    saved = images.decode((tmp_path / "saved/x.jpg").read_bytes(), "x").astype(int)
    assert np.abs(saved - images.decode(shards.jpeg(0), "x")).mean() < 2


def test_the_gradients_norm_is_pytorchs():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, 4))
    net = net.double().to(memory_format=torch.channels_last)
    net(torch.randn(2, 3, 3, 3).double()).square().sum().backward()
    expected = torch.nn.utils.get_total_norm([p.grad for p in net.parameters()])
    torch.testing.assert_close(gradient_norm(net), expected)


@pytest.mark.slow
@pytest.mark.parametrize("command", orchestration_speed.WITHOUT_TORCH)
def test_commands_that_need_no_net_import_no_torch(command):
    assert imported(command) == "False False"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "evaluate", "plan", "look_through_net"])
def test_torchvision_is_on_no_path(command):
    assert imported(command).endswith("False")


def imported(command):
    """Whether a command's import brings torch, and torchvision."""
    code = (
        f"import sys; import workflow_scripts.{command};"
        "print('torch' in sys.modules, 'torchvision' in sys.modules)"
    )
    words = [sys.executable, "-c", code]
    return subprocess.run(
        words, capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()


@pytest.fixture
def quick(monkeypatch):
    """Benchmarks of a few images, each run once."""
    monkeypatch.setattr(measuring, "RUNS", 1)
    monkeypatch.setattr(training_speed, "RUNS", 1)
    monkeypatch.setattr(loading_speed, "IMAGES", 24)
    monkeypatch.setattr(loading_speed, "BATCH", 8)
    monkeypatch.setattr(loading_speed, "BATCHES", 2)
    monkeypatch.setattr(loading_speed, "GROWING", (8, 16))
    yield
    torch.set_num_threads(1)


@pytest.mark.slow
def test_the_command_writes_a_summary_and_its_page(quick, tmp_path, capsys):
    output = tmp_path / "summary"
    benchmark.main(["--parts", "loading", "--threads", "2", "--output", str(output)])
    printed = capsys.readouterr().out
    assert "ours/rival" in printed
    measured = json.loads(output.with_suffix(".json").read_text())
    names = {(line["rival_is"], line["name"]) for line in measured["lines"]}
    assert ("torchvision, S in [256;512]", "shards, S in [256;512]") in names
    assert ("WebDataset, S = 256", "original bytes, S = 256") in names
    assert ("Hugging Face datasets, S = 384", "original bytes, S = 384") in names
    assert all(line["ours"] > 0 and line["rival"] > 0 for line in measured["lines"])
    assert output.with_suffix(".csv").read_text().count("\n") == 1 + len(measured["lines"])
    assert measured["projected"] == [], "without trainings nothing can be projected"
    page = tmp_path / "benchmarks.html"
    words = ["--summary", str(output.with_suffix(".json")), "--config", "config/config.yaml"]
    render_benchmarks.main([*words, "--output", str(page)])
    assert "WebDataset, S = 256" in page.read_text()


@pytest.mark.slow
def test_training_and_evaluation_are_measured_in_small_form(
    quick, small_kernels, tmp_path, monkeypatch, capsys
):
    """Real nets, processes and rivals, with one image and two crops; torch.compile is left out."""
    monkeypatch.setattr(training_speed, "BATCH", {"cpu": {"A": 1, "D": 1}})
    plain = training_speed.Plain
    monkeypatch.setattr(
        training_speed,
        "fastest_plain",
        lambda *words: ("torchvision", Elsewhere(plain, *words), ""),
    )
    monkeypatch.setattr(evaluation_speed, "SCALES", (256,))
    monkeypatch.setattr(evaluation_speed, "MULTICROP_SCALES", {"cpu": (256,)})
    monkeypatch.setattr(evaluation_speed, "BOX_SCALE", 256)
    monkeypatch.setattr(evaluation_speed.methods, "GRID_SIDE", 2)
    for part in (evaluation_speed, process_scaling):
        monkeypatch.setattr(part, "growth", lambda *_: [])
    output = tmp_path / "summary"
    words = ["--parts", "training", "evaluation", "--threads", "2", "--output", str(output)]
    benchmark.main([*words, "--device", "cpu"])
    measured = json.loads(output.with_suffix(".json").read_text())
    found = [line["name"] for line in measured["lines"]]
    for name in ("A", "D"):
        assert found.count(f"{name}, forward, backward and update of 1 images") == 2
    assert {"dense, D, Q = 256", "multicrop, D, Q = 256, the net alone"} <= set(found)
    (boxes,) = (line for line in measured["lines"] if line["name"].startswith("boxes at every"))
    assert (boxes["rival_is"], boxes["flop"]) == ("dense evaluation", None)
    assert boxes["target_over_rival"] == pytest.approx(1 / 1.05)
    machine_ = measured["machine"]
    assert (machine_["precision"], machine_["evaluate_precision"]) == ("float32", "float32")
    assert len(measured["projected"]) == 18
    printed = capsys.readouterr().out
    assert "fastest kernel" in printed
    heading = printed.split("Projected for one")[1].splitlines()[1]
    assert heading.split() == ["training", "time", "needs", "images/s", "loader", "gives"]


def test_dense_forms_of_nets_are_made_once_where_images_are_few(tmp_path, monkeypatch):
    """What a run over many images does once counts for neither boxes nor dense evaluation."""
    made = []

    def net_of(name, device, head="classes"):
        return ConvNet(Architecture(" | ".join(["conv3-4"] * 5), fc=16, classes=10, head=head))

    class Counted(evaluation_speed.methods.DenseConvNet):
        def __init__(self, net):
            made.append(net.architecture.head)
            super().__init__(net)

    monkeypatch.setattr(evaluation_speed, "net_of", net_of)
    for module in (evaluation_speed.methods, evaluation_speed.windows):
        monkeypatch.setattr(module, "DenseConvNet", Counted)
    shard = loading_speed.shard_of(tmp_path / "s.arrow", list(photographs.photographs(4)), None)
    ours = evaluation_speed.Ours(shard, torch.device("cpu"), "float32")
    line = evaluation_speed._line_on_boxes(ours, np.arange(1))
    assert sorted(made) == ["box-pcr", "classes"]
    assert len(line.ours.values) == len(line.rival.values) == measuring.RUNS
    assert evaluation_speed.methods.DenseConvNet is evaluation_speed.windows.DenseConvNet is Counted


def test_merging_is_measured_by_the_places_of_its_grids(monkeypatch):
    monkeypatch.setattr(merging_speed, "GRIDS", ((2, 4), (2, 8)))
    monkeypatch.setattr(merging_speed, "IMAGES", 1)
    monkeypatch.setattr(merging_speed, "JUDGED", 16)
    few, judged = merging_speed.lines()
    assert few.name == "5 classes of an image × 8 places"
    assert (few.met, judged.met) == (None, True), "50 ms are allowed, for many more"
    (grown,) = merging_speed.growth()
    assert grown.sizes == [8, 16]
    assert benchmark.PARTS["merging"] == ()


@pytest.fixture
def few_vectors(monkeypatch):
    """Classifiers of a moment each."""
    for name, size in (("LEARNT", 80), ("TESTED", 40), ("CLASSES", 3), ("LENGTH", 256)):
        monkeypatch.setattr(classifier_speed, name, size)
    monkeypatch.setattr(classifier_speed, "SIGNAL", 1.0)


def test_classifiers_are_those_of_scikit_learn(few_vectors):
    vectors, labels = classifier_speed.descriptors(120)
    assert (vectors.shape, labels.shape, vectors.min()) == ((120, 256), (120, 3), 0)
    ours = classifier_speed.by_ours(vectors, labels)
    theirs = classifier_speed.by_scikit_learn(vectors, labels, threads=2)
    assert ours.shape == (3, 40, 3)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    right = ((ours > 0) == (labels[80:] > 0)).mean((1, 2))
    assert (labels[80:] > 0).mean() + 0.01 < right[-1], "there is something to learn"
    (line,) = classifier_speed.lines(1)
    assert "; 100.000% of 360 decisions" in line.note
    assert line.name == "SVMs, 80 × 256, 3 classes, 3 C"


def test_classifiers_that_decide_otherwise_are_not_compared(few_vectors, monkeypatch):
    monkeypatch.setattr(
        classifier_speed, "by_scikit_learn", lambda *words: -classifier_speed.by_ours(*words[:2])
    )
    with pytest.raises(RuntimeError, match=r"only 0\.000% of decisions"):
        classifier_speed.lines(1)


def test_two_descriptors_differ_by_their_distance_over_a_length():
    theirs = np.array([[[3.0, 4.0], [0.0, 1.0]]], np.float32)
    ours = np.array([[[3.0, 4.5], [0.2, 1.0]]], np.float32)
    assert description_speed.difference(ours, theirs) == pytest.approx(0.2)
    assert description_speed.difference(theirs, theirs) == 0


@pytest.mark.parametrize("wrong", ["order", "numbers", None])
def test_descriptors_that_are_not_the_rivals_are_not_compared(wrong, tmp_path, monkeypatch):
    """Such as another image's, or what is no number; those that are have a line."""

    def net_of(name, device):
        torch.manual_seed(0)
        return ConvNet(Architecture(" | ".join(["conv3-4"] * 5), fc=16, classes=10))

    class Script:
        def __init__(self, factory, files, device, threads, precision):
            assert factory is description_speed.plain
            shard = tmp_path / "s.arrow"
            self.same = description_speed.Ours(shard, np.array(places), device, precision)

        def __call__(self, scales):
            found = self.same.descriptors(scales)
            changed = {"order": found[:, ::-1], "numbers": found * np.float32("nan")}
            return 0.001, changed.get(wrong, found)

        def close(self):
            closed.append(True)

    closed = []
    monkeypatch.setattr(description_speed, "net_of", net_of)
    monkeypatch.setattr(description_speed, "Elsewhere", Script)
    encoded = list(photographs.photographs(6))
    shard = loading_speed.shard_of(tmp_path / "s.arrow", encoded, None)
    shards = Shards([shard])
    places = [p for p in range(6) if shards.widths[p] > shards.heights[p]][:2]
    words = shard, tmp_path, torch.device("cpu"), 1, "float32"
    if wrong:
        with pytest.raises(RuntimeError, match=r"descriptors differ from the rival's by"):
            description_speed.lines(*words)
        return
    (line,) = description_speed.lines(*words)
    assert closed
    assert (line.name, line.least_over_rival) == ("descriptors, D, Q = 256, 384, 512", 1.3)
    assert len(line.ours.values) == measuring.RUNS
    assert line.note == "the same within 0e+00 of a descriptor's length"


@pytest.mark.slow
def test_features_are_measured_in_small_form(quick, few_vectors, tmp_path, monkeypatch):
    """The real net and rival, whose descriptors of an image of one window are the same."""
    monkeypatch.setattr(description_speed, "SCALES", (224,))
    monkeypatch.setattr(description_speed, "IMAGES", {"cpu": 1})
    output = tmp_path / "summary"
    words = ["--parts", "features", "--threads", "2", "--device", "cpu", "--output", str(output)]
    benchmark.main(words)
    described, classified = json.loads(output.with_suffix(".json").read_text())["lines"]
    assert (described["name"], described["rival_is"]) == (
        "descriptors, D, Q = 224",
        "torchvision's net",
    )
    assert described["target_over_rival"] == 1.3
    assert min(described["ours"], described["rival"], classified["ours"], classified["rival"]) > 0
    assert classified["rival_is"] == "scikit-learn's LinearSVC"


@pytest.mark.slow
def test_pictures_are_classified_in_small_form(quick, tmp_path, monkeypatch):
    """The whole command and the whole script, whose answers are the same."""
    monkeypatch.setattr(classification_speed, "PICTURES", {"cpu": 2})
    monkeypatch.setattr(classification_speed, "SCALE", 224)
    output = tmp_path / "summary"
    words = ["--parts", "classify", "--threads", "2", "--device", "cpu", "--output", str(output)]
    benchmark.main(words)
    (line,) = json.loads(output.with_suffix(".json").read_text())["lines"]
    assert line["name"] == "2 pictures of one's own, A, dense, Q = 224"
    assert (line["rival_is"], line["target_over_rival"]) == ("a torchvision script", 1.2)
    assert min(line["ours"], line["rival"]) > 0


def test_hours_are_projected_from_rates_and_the_plan_uses_them(tmp_path):
    rows = [
        {"part": "training", "name": "D", "ours": 2.0, "flop": 1e12},
        {"part": "training", "name": "A", "ours": 6.0, "flop": 1e12},
        {"part": "evaluation", "name": "dense", "ours": 1.0, "flop": 1e12},
        {"part": "loading", "name": "shards, S = 256", "ours": 500.0, "flop": None},
    ]
    rates = {key: speed_summary.sustained(rows, part) for key, part in speed_summary.RATES.items()}
    # 2 TFLOP in 1/2 + 1/6 seconds
    assert rates == {"train_tflops": pytest.approx(3.0), "evaluate_tflops": pytest.approx(1.0)}
    found = speed_summary.projected(rows, rates, 3, "config/ilsvrc2012.yaml")
    by_model = {row["model"]: row for row in found}
    assert len(by_model) == 18
    assert by_model["A_S256"]["delivered"] == 1000.0  # two loaders
    assert by_model["E_S256"]["needed"] < by_model["A_S256"]["needed"]
    at_stated = {"train_tflops": 100.0, "evaluate_tflops": 10.0, "check_tflops": 5.0}
    stated = speed_summary.projected(rows, at_stated, 3, "config/ilsvrc2012.yaml")
    assert found[0]["hours"] == pytest.approx(stated[0]["hours"] * 100 / 3)

    path = tmp_path / "summary.json"
    content = {"rates": rates, "lines": [], "growth": [], "projected": found}

    def used(configured, device, measured):
        own = {"hardware": "an H", "device": device, "evaluate_precision": measured}
        path.write_text(json.dumps(content | {"machine": own}))
        return measured_rates(load_benchmarks(path), at_stated, configured)

    # A rate counts for the precision that it was measured in, and for float32's checks if in that.
    here, checks = rates | {"measured_on": "an H"}, {"check_tflops": rates["evaluate_tflops"]}
    stated = {"evaluate_tflops": 10.0}
    assert used("tf32", "cuda", "tf32") == here | {"check_tflops": 5.0}
    assert used("float32", "cuda", "float32") == here | checks
    assert used("tf32", "cuda", "float32") == here | checks | stated
    assert used("tf32", "cpu", "float32") == here | checks, "which tf32 is on a CPU"
    assert used("bfloat16", "cuda", "tf32") == here | stated | {"check_tflops": 5.0}


@pytest.mark.slow
def test_the_straightforward_script_computes_what_ours_does(tmp_path):
    """Its dense net gives the scores of torchvision's net on one crop."""
    script = Straightforward([], torch.device("cpu"))
    crop = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(
            script.dense_net(crop)[:, :, 0, 0], script.net(crop), rtol=1e-3, atol=1e-4
        )
