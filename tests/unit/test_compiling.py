"""torch.compile of the conv layers: another rounding, and the same bits each time."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from tests.helpers.clones import ROOT
from tests.helpers.trainings import LONG, history, run, same_weights
from workflow_scripts import train
from workflow_scripts.vgg.core.signals import STOPPED
from workflow_scripts.vgg.nets.compiling import compile_features
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise

pytestmark = pytest.mark.slow

needs_compiler = pytest.mark.skipif(
    "CI" not in os.environ and shutil.which("g++") is None,
    reason="torch.compile needs g++",
)
SHORT = LONG | {"iterations": 8, "validation_interval": 4, "train_scale": 256}


def nets():
    net = ConvNet(Architecture("conv3-64 LRN conv1-64 | conv3-64", 10, 32, 16, 8), dropout=0.0)
    initialise(net, "he", 0)
    other = ConvNet(net.architecture, dropout=0.0)
    other.load_state_dict(net.state_dict())
    return [n.to(torch.float64, memory_format=torch.channels_last) for n in (net, other)]


@needs_compiler
def test_compiled_layers_compute_what_the_others_do():
    plain, compiled = nets()
    compile_features(compiled)
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64).contiguous(
        memory_format=torch.channels_last
    )
    for net in (plain, compiled):
        net.train()
        net(images).square().sum().backward()
    for one, two in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(two.grad, one.grad, rtol=1e-9, atol=1e-9)
    assert list(plain.state_dict()) == list(compiled.state_dict())


@needs_compiler
def test_a_compiled_training_repeats_its_bits_and_goes_on_with_them(command, tmp_path):
    """Each in a process of its own, as after an interruption."""
    words = {name: [*command(tmp_path / name, **SHORT), "--compile"] for name in ("one", "cut")}
    status, said = run(tmp_path, words["one"])
    assert status == 0, said
    status, said = run(tmp_path, words["cut"], "iteration", 6, "SIGTERM")
    assert status == STOPPED, said
    status, said = run(tmp_path, words["cut"])
    assert status == 0, said
    one, cut = (tmp_path / name for name in ("one", "cut"))
    assert same_weights(one / "w.safetensors", cut / "w.safetensors")
    assert history(one / "h.csv") == history(cut / "h.csv")


def test_without_a_compiler_the_cure_is_told(command, tmp_path):
    words = [sys.executable, "-m", "workflow_scripts.train", *command(tmp_path, **SHORT)]
    nothing = {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [*words, "--compile"], cwd=ROOT, capture_output=True, text=True, env=os.environ | nothing
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: torch.compile fails: "), done.stderr
    assert "no-such-compiler" in last
    assert last.endswith("Install what it needs, such as g++, or set train.compile to false")


def test_checkpoints_of_before_there_was_the_choice_are_used(command, tmp_path, monkeypatch):
    """Their fingerprint is that of a training without it; with it, it is another training."""
    seen = []
    monkeypatch.setattr(train, "fingerprint", lambda decides: seen.append(dict(decides)) or "f")
    for more in ([], ["--compile"]):
        train.main([*command(tmp_path / str(len(more)), iterations=1), *more])
    plain, compiled = seen
    assert "compile" not in plain
    assert compiled["compile"] is True
