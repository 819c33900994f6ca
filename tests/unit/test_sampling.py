"""The batch sequence is a pure function of (seed, iteration)."""

import copy

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data import loader
from workflow_scripts.vgg.data.loader import READ_AHEAD, TrainingImages
from workflow_scripts.vgg.data.sampling import batch_at, colour_axes, epochs_done, held_out
from workflow_scripts.vgg.data.shards import Shards, write_shard
from workflow_scripts.vgg.nets.dropout import SequencedDropout, seek_dropout

AXES = np.diag([60.0, 20.0, 5.0])


def batch(iteration, seed=5, size=32, images=50, scales=(256, 512), **choices):
    return batch_at(seed, iteration, size, images, scales, AXES, **choices)


def test_each_epoch_visits_every_image_once_and_batches_wrap():
    places = np.concatenate([batch(i).images for i in range(25)])  # 800 places, 16 epochs of 50
    for epoch in range(16):
        assert sorted(places[epoch * 50 : (epoch + 1) * 50]) == list(range(50))
    assert len({tuple(places[e * 50 : (e + 1) * 50]) for e in range(16)}) == 16


def test_a_batch_is_the_same_whenever_it_is_asked_for():
    later = batch(7)
    for iteration in (3, 7, 1):
        again = batch(iteration)
    again = batch(7)
    for name in ("images", "scales", "tops", "lefts", "flips", "shifts"):
        assert np.array_equal(getattr(later, name), getattr(again, name))
        assert not np.array_equal(getattr(later, name), getattr(batch(8), name)), name
        assert not np.array_equal(getattr(later, name), getattr(batch(7, seed=6), name)), name


def test_draws_have_the_papers_distributions():
    many = batch(0, size=200_000, images=200_000)
    assert (many.scales.min(), many.scales.max()) == (256, 512), "both ends included"
    counts = np.bincount(many.scales - 256)
    assert len(counts) == 257
    assert counts.min() > 0.8 * counts.mean()
    assert counts.max() < 1.2 * counts.mean()
    assert many.flips.mean() == pytest.approx(0.5, abs=0.01)
    assert np.abs(np.quantile(many.tops, [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.01
    np.testing.assert_allclose(np.cov(many.shifts.T), (0.1 * AXES) ** 2, atol=0.5)
    assert abs(np.corrcoef(many.tops, many.lefts)[0, 1]) < 0.01


def test_a_fixed_s_is_always_that_s():
    for method in ("uniform-integer", "uniform-real"):
        assert set(batch(0, scales=(384, 384), scale_sampling=method).scales) == {384}


def philox(seed, stream, counter):
    """numpy's own generator with the key that the module documents."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, counter, 0, 0]))


def test_the_default_draws_are_those_of_earlier_weights():
    """Draw by draw with numpy alone: a change here would change every training."""
    found, draw = batch(7), philox(5, 2, 7)
    orders = [philox(5, 1, epoch).permutation(50) for epoch in (4, 5)]
    assert found.images.tolist() == [*orders[0][24:], *orders[1][:6]]
    assert np.array_equal(found.scales, draw.integers(256, 513, size=32))
    assert np.array_equal(found.tops, draw.random(32))
    assert np.array_equal(found.lefts, draw.random(32))
    assert np.array_equal(found.flips, draw.random(32) < 0.5)
    shifts = draw.normal(0, 0.1, size=(32, 3)) * [60.0, 20.0, 5.0]
    np.testing.assert_allclose(found.shifts, shifts, rtol=1e-6)


def test_a_real_s_is_uniform_over_the_range_and_drawn_for_each_image():
    many = batch(0, size=100_000, images=100_000, scale_sampling="uniform-real").scales
    assert many.dtype == np.float64
    assert kstest(many, "uniform", args=(256, 256)).pvalue > 0.001
    assert len(np.unique(many)) > 99_000
    again = batch(0, size=100_000, images=100_000, scale_sampling="uniform-real").scales
    assert np.array_equal(many, again)


def test_a_real_s_becomes_pixels_after_scaling(shard_paths, monkeypatch):
    sides = []

    def crop(pixels, *, smallest_side, **others):
        sides.append(smallest_side)
        return np.zeros((64, 64, 3), np.uint8)

    monkeypatch.setattr(loader, "crop_of_rescaled", crop)
    settings = (shard_paths("train"), 5, 16, 64, (256, 512), AXES)
    TrainingImages(*settings, scale_sampling="uniform-real")[3]
    scales = batch(3, size=16, images=60, scale_sampling="uniform-real").scales
    assert sides == np.rint(scales * 64 / 224).astype(int).tolist()


def test_dropped_images_are_those_left_over_at_an_epochs_end():
    """Against a loop over epochs that makes full batches of each epoch's order."""
    expected = []
    for epoch in range(4):
        order = philox(5, 1, epoch).permutation(50)
        expected += [order[i : i + 16].tolist() for i in (0, 16, 32)]
    found = [batch(i, size=16, last_batch="drop").images.tolist() for i in range(12)]
    assert found == expected
    assert batch(3, size=10, last_batch="drop").images.tolist() == batch(3, size=10).images.tolist()


def test_epochs_are_counted_with_and_without_the_images_left_over():
    assert [epochs_done(i, 16, 50, "drop") for i in (1, 3, 12)] == pytest.approx([1 / 3, 1, 4])
    assert [epochs_done(i, 16, 50, "wrap") for i in (1, 3, 25)] == [0.32, 0.96, 8]


def test_a_batch_that_no_epoch_can_fill_is_refused():
    with pytest.raises(InputError, match="batches of 51 cannot be filled from 50 training images"):
        batch(0, size=51, last_batch="drop")


def test_the_held_out_part_is_a_seeded_share_of_the_training_set():
    rest, places = held_out(0, 1_281_167)
    assert len(places) == 51_247
    assert np.array_equal(np.sort(np.concatenate([rest, places])), np.arange(1_281_167))
    # A random part: as many from each tenth of the training set, which is sorted by class.
    tenths = np.bincount(places * 10 // 1_281_167)
    assert abs(tenths - 5124.7).max() < 5 * 5124.7**0.5
    assert np.array_equal(held_out(0, 1_281_167)[1], places)
    assert not np.array_equal(held_out(1, 1_281_167)[1], places)
    assert [len(part) for part in held_out(0, 3)] == [2, 1]


@pytest.mark.parametrize("last_batch", ["wrap", "drop"])
def test_training_on_a_part_is_training_on_shards_of_that_part(shard_paths, tmp_path, last_batch):
    paths, (rest, _) = shard_paths("train"), held_out(3, 60)
    shards = Shards(paths)
    fields = (shards.labels, shards.heights, shards.widths)
    rows = [
        (shards.id(i), int(fields[0][i]), bytes(shards.jpeg(i)), *(int(f[i]) for f in fields[1:]))
        for i in rest
    ]
    write_shard(tmp_path / "part.arrow", rows)
    settings = (5, 16, 64, (256, 512), AXES)
    part = TrainingImages(paths, *settings, places=rest, last_batch=last_batch)
    alone = TrainingImages([tmp_path / "part.arrow"], *settings, last_batch=last_batch)
    assert part.images == alone.images == 58
    assert part.epochs_done(9) == alone.epochs_done(9)
    for iteration in (0, 3, 9):
        one, other = part[iteration], alone[iteration]
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


def test_colour_axes_are_numpys_principal_axes():
    values = np.random.default_rng(0).normal(size=(10_000, 3)) @ [
        [50, 40, 35],
        [0, 12, 6],
        [0, 0, 4],
    ]
    covariance = np.cov(values.T, bias=True)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    statistics = {
        "eigenvectors": vectors.T[::-1].tolist(),
        "eigenvalues": eigenvalues[::-1].tolist(),
    }
    axes = colour_axes(statistics, "pca-root-eigenvalues")
    # The sum of the axes' outer products is the covariance: shifts have a tenth of its spread.
    np.testing.assert_allclose(axes.T @ axes, covariance)
    literal = colour_axes(statistics, "pca-eigenvalues")
    np.testing.assert_allclose(np.linalg.norm(literal, axis=1), eigenvalues[::-1])
    assert not colour_axes(statistics, "none").any()


@pytest.fixture
def training_images(shard_paths):
    return TrainingImages(shard_paths("train"), 5, 16, 64, (256, 512), AXES)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_batches_do_not_depend_on_the_number_of_workers(training_images, workers):
    alone = list(training_images.batches(3, 9, workers=0, pin_memory=False))
    shared = list(training_images.batches(3, 9, workers=workers, pin_memory=False))
    assert len(alone) == len(shared) == 6
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.shifts, other.shifts)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_that_are_kept_are_not_overwritten_by_those_read_ahead(training_images, workers):
    number = 3 * (READ_AHEAD + 1) * workers + 1  # so that workers use their memory again
    kept = list(training_images.batches(0, number, workers, pin_memory=False))
    for iteration, batch in enumerate(kept):
        assert torch.equal(batch.images, training_images[iteration].images)
        assert not batch.images.is_shared()


def test_a_process_that_takes_some_rows_sees_those_of_the_whole_batch(shard_paths, training_images):
    whole = training_images[4]
    for rows in (slice(0, 8), slice(8, 16), slice(1, 16, 2)):
        part = TrainingImages(shard_paths("train"), 5, 16, 64, (256, 512), AXES, rows=rows)[4]
        assert torch.equal(part.images, whole.images[rows])
        assert torch.equal(part.labels, whole.labels[rows])
        assert torch.equal(part.shifts, whole.shifts[rows])


def test_flipped_samples_are_mirror_images(shard_paths, monkeypatch):
    def with_flips(flips):
        def batch(*arguments, **named):
            drawn = batch_at(*arguments, **named)
            drawn.flips[:] = flips
            return drawn

        monkeypatch.setattr(loader, "batch_at", batch)
        return TrainingImages(shard_paths("train"), 5, 16, 64, (256, 256), AXES)[0].images

    assert torch.equal(with_flips(True), with_flips(False).flip(3))


def test_dropout_masks_depend_on_iteration_and_place_only():
    layer = torch.nn.Sequential(SequencedDropout(0.5), SequencedDropout(0.5))
    x = torch.ones(8, 1000)

    def mask(iteration, rows=None, seed=1):
        seek_dropout(layer, seed, iteration, rows, 8)
        return layer[0](x if rows is None else x[rows])

    whole = mask(3)
    assert whole.unique().tolist() == [0.0, 2.0]
    assert (whole == 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    halves = torch.cat([mask(3, slice(0, 4)), mask(3, slice(4, 8))])
    assert torch.equal(whole, halves)
    assert not torch.equal(whole, mask(4))
    assert not torch.equal(whole, mask(3, seed=2))
    seek_dropout(layer, 1, 3, None, 8)
    assert not torch.equal(layer[0](x), layer[1](x)), "the two layers draw different masks"
    assert torch.equal(layer.eval()(x), x)


def test_dropout_masks_are_the_same_whatever_the_device():
    """They come from a CPU's generator; the meta device, which has none, stands for any other."""
    layer = SequencedDropout(0.5)
    layer.seek(7, slice(2, 6), 8)
    drawn = torch.rand((8, 1000), generator=torch.Generator().manual_seed(7))[2:6]
    assert torch.equal(layer.mask(torch.Size([1000])), drawn >= 0.5)
    assert torch.equal(layer(torch.ones(4, 1000)), 2.0 * (drawn >= 0.5))
    assert layer(torch.ones(4, 1000, device="meta")).shape == (4, 1000)
    with torch.device("meta"):  # a default device is not where masks are drawn
        assert layer.mask(torch.Size([1000])).device.type == "cpu"


def test_dropout_masks_drawn_ahead_are_those_of_their_iteration():
    """In order, after a jump, and in a copy of a net that has masks drawn already."""

    def masks(layer, iterations, width=1000):
        found = []
        for iteration in iterations:
            seek_dropout(layer, 1, iteration, None, 8)
            found.append(layer(torch.ones(8, width)))
        return found

    def alone(iteration, width=1000):
        return masks(SequencedDropout(0.3), [iteration], width)[0]

    layer, iterations = SequencedDropout(0.3), [3, 4, 5, 9, 10, 4]
    for iteration, found in zip(iterations, masks(layer, iterations), strict=True):
        assert torch.equal(found, alone(iteration))
    assert len(layer.drawn) == 2, "this iteration's and the next one's; no more are kept"
    copied = copy.deepcopy(layer)
    assert torch.equal(masks(copied, [5])[0], alone(5))
    assert torch.equal(masks(layer, [5], width=500)[0], alone(5, width=500))
