"""Which device is picked, what is refused and why, and which errors are explained."""

import contextlib
import os
import subprocess
import sys

import pytest
import torch

from tests.helpers.clones import ROOT
from tests.unit.test_files import NO_LOCKS
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.nets import devices, leases, precision
from workflow_scripts.vgg.nets.devices import explained_memory, pick_device

ASKED = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_JOB_ID")
DRIVER = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
    "GCC version:  gcc version 12.3.0\n"
)
OPEN_DRIVER = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"


@pytest.fixture(autouse=True)
def nobody_asks(monkeypatch):
    for name in ASKED:
        monkeypatch.delenv(name, raising=False)


class Card:
    """What CUDA says of a GPU."""

    def __init__(self, number):
        self.uuid = f"uuid-{number}"


@pytest.fixture
def cards(monkeypatch, tmp_path):
    """`cards(4)` makes torch believe in so many GPUs; gives the numbers that CUDA is set to."""

    def make(number):
        chosen = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        monkeypatch.setattr(torch.cuda, "get_device_properties", Card)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90", "compute_120"])
        # torch.cuda.set_device itself is the real one, which refuses a device without a number.
        monkeypatch.setattr(torch._C, "_cuda_setDevice", chosen.append, raising=False)
        monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
        monkeypatch.setattr(leases, "_held", [])
        return chosen

    return make


@pytest.mark.parametrize("name", ["cuda", "auto"])
def test_a_gpu_has_its_number(cards, name):
    chosen = cards(1)
    assert pick_device(name, 1) == torch.device("cuda:0")
    assert chosen == [0]


def test_processes_of_a_node_have_a_gpu_each_under_slurm(cards, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    chosen = cards(4)
    assert [pick_device("cuda", 1, place).index for place in range(4)] == [0, 1, 2, 3]
    assert chosen == [0, 1, 2, 3]
    with pytest.raises(InputError, match="cuda:4: the job has 4 GPUs on this node; every process"):
        pick_device("cuda", 1, 4)


def test_a_gpu_named_by_its_number_is_taken(cards):
    chosen = cards(2)
    assert pick_device("cuda:1", 1) == torch.device("cuda:1")
    assert chosen == [1]
    with pytest.raises(InputError, match="cuda:2: the job has 2 GPUs"):
        pick_device("cuda:2", 1)


def test_a_gpu_that_the_wheel_has_no_kernels_for_is_refused(cards, monkeypatch):
    """CUDA 13 has none for a V100: "no kernel image is available", at the first kernel."""
    chosen = cards(1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100")
    with pytest.raises(InputError) as raised:
        pick_device("auto", 1)
    assert "Tesla V100 has compute capability 7.0" in str(raised.value)
    assert "is built for 7.5 and later; install torch for an older CUDA" in str(raised.value)
    assert not chosen


def test_the_command_says_in_one_line_that_there_is_no_gpu(command, tmp_path):
    words = [sys.executable, "-m", "workflow_scripts.train", *command(tmp_path), "--device", "cuda"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    of_cpus = f"torch {torch.__version__} is built for CPUs only"  # make environment TORCH=cpu
    why = "CUDA cannot be used on " if torch.version.cuda else of_cpus
    assert done.stderr.startswith(f"error: cuda: {why}")
    assert "Traceback" not in done.stderr


@pytest.fixture
def no_cuda(monkeypatch, tmp_path):
    """`no_cuda(text)` is a node whose GPU torch cannot use, with this text about its driver."""

    def make(text):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(devices, "DRIVER", tmp_path / "version")
        if text:
            devices.DRIVER.write_text(text)

        def init():
            raise RuntimeError("The NVIDIA driver on your system is too old (found version 12020).")

        monkeypatch.setattr(torch.cuda, "init", init)

    return make


@pytest.mark.parametrize("variable", ["CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS"])
def test_a_gpu_that_was_given_and_cannot_be_used_is_an_error(no_cuda, monkeypatch, variable):
    no_cuda(DRIVER)
    monkeypatch.setenv(variable, "0")
    with pytest.raises(InputError) as raised:
        pick_device("auto", 1)
    message = str(raised.value)
    assert message.startswith(
        f"this job was given a GPU ({variable}=0), but CUDA cannot be used on"
    )
    assert "the NVIDIA driver is 535.104.05" in message
    assert f"torch {torch.__version__} is built for CUDA 13.0" in message
    assert "too old (found version 12020)" in message
    assert "Update the driver, or install torch for a CUDA that this driver knows" in message
    assert message.endswith("set device: cpu in the configuration (--device cpu)")
    assert pick_device("cpu", 1).type == "cpu"


@pytest.mark.parametrize("value", ["", "-1", "NoDevFiles"])
def test_a_job_without_a_gpu_computes_on_the_cpu_quietly(no_cuda, monkeypatch, caplog, value):
    no_cuda("")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert pick_device("auto", 1).type == "cpu"
    assert not caplog.records


def test_a_driver_that_nobody_allocated_is_a_warning(no_cuda, caplog):
    no_cuda(OPEN_DRIVER)
    assert pick_device("auto", 1).type == "cpu"
    assert "WARNING: computing on the CPU, because CUDA cannot be used" in caplog.text
    assert "the NVIDIA driver is 580.65.06" in caplog.text


def test_a_wheel_for_cpus_is_named_as_the_reason(no_cuda, monkeypatch):
    no_cuda(DRIVER)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(InputError, match=r"is built for CPUs only; install its build for CUDA"):
        pick_device("cuda", 1)


NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]
OTHERS = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"),
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    torch.distributed.DistBackendError("NCCL error: unhandled system error, NCCL version 2.27"),
    NotImplementedError('"slow_conv2d" not implemented for Half'),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"),
    RuntimeError("size mismatch"),
    torch.linalg.LinAlgError("singular"),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=str)
def test_out_of_memory_is_explained_whatever_raises_it(error):
    with (
        pytest.raises(InputError, match="out of memory with 256 samples: halve them") as raised,
        explained_memory("256 samples", "halve them"),
    ):
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_an_error_of_another_cause_is_not_explained(error):
    with pytest.raises(type(error)) as raised, explained_memory("256 samples", "halve them"):
        raise error
    assert raised.value is error


HOLDER = """
import sys
from pathlib import Path
from workflow_scripts.vgg.nets.leases import lease
cards, training, folder = sys.argv[1].split(","), sys.argv[2], Path(sys.argv[3])
try:
    print(lease(cards, training, folder), flush=True)
except Exception as error:
    print(error, flush=True)
"""


@pytest.fixture
def holder(tmp_path):
    """`holder(cards, training)` is a process that leases a card, and what it printed."""
    with contextlib.ExitStack() as stack:

        def start(cards, training="", before="", after=""):
            code = before + HOLDER + after + "sys.stdin.read()\n"
            words = [sys.executable, "-c", code, ",".join(cards), training, tmp_path / "leases"]
            process = subprocess.Popen(
                words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


FOUR = ("GPU-a", "GPU-b", "GPU-c", "GPU-d")


def told(process):
    return process.stdout.readline().strip()


def test_jobs_that_start_at_once_have_different_cards(holder):
    processes = [holder(FOUR) for _ in range(4)]
    assert sorted(map(told, processes)) == ["0", "1", "2", "3"]


def test_a_folder_without_locks_for_the_cards_is_named_with_the_cure(holder, tmp_path):
    assert told(holder(FOUR, before=NO_LOCKS)).startswith(
        f"{tmp_path}/leases: its file system knows no locks, by which processes share GPUs; set TMP"
    )


def test_more_jobs_than_cards_share_them_evenly(holder):
    processes = [holder(FOUR[:2]) for _ in range(6)]
    assert sorted(map(told, processes)) == ["0", "0", "0", "1", "1", "1"]


def test_a_killed_jobs_card_is_free_again(holder):
    killed, other = holder(FOUR[:2]), holder(FOUR[:2])
    card = told(killed)
    assert {card, told(other)} == {"0", "1"}
    killed.kill()
    killed.wait()
    assert told(holder(FOUR[:2])) == card


def test_a_killed_jobs_card_is_not_kept_by_its_forked_workers(holder):
    worker = "if not os.fork():\n    os.close(1)\n    sys.stdin.read()\n    os._exit(0)\n"
    killed = holder(FOUR[:2], before="import os\n", after=worker)
    card = told(killed)
    killed.kill()
    killed.wait()
    assert told(holder(FOUR[:2])) == card


def test_processes_of_a_training_never_share_a_card(holder):
    alone = holder(FOUR[:3])
    assert told(alone) == "0"
    together = [holder(FOUR[:3], "run") for _ in range(4)]
    said = sorted(map(told, together))
    assert said[:3] == ["0", "1", "2"]
    assert "fewer than the processes of a training; lower train.processes" in said[3]


def test_a_command_leases_its_card(cards, tmp_path, monkeypatch):
    cards(3)
    found = [pick_device("auto", 1).index for _ in range(4)]
    assert sorted(found[:3]) == [0, 1, 2]
    assert found[3] == 0
    folder = tmp_path / f"vgg-gpus-{os.getuid()}"
    assert sorted(path.name for path in folder.glob("uuid-0.*")) == ["uuid-0.0", "uuid-0.1"]
    # Under torchrun they are the processes of one training.
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run")
    assert sorted(pick_device("auto", 1).index for _ in range(3)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((9, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float16"), ((7, 0), "float16")],
)
def test_auto_is_16_bits_that_the_card_has(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    gpu = torch.device("cuda:0")
    assert precision.resolved("auto", gpu) == expected
    assert precision.resolved("float32", gpu) == "float32"
    modern = capability >= (8, 0)
    assert precision.resolved("tf32", gpu) == ("tf32" if modern else "float32")
    if not modern:
        with pytest.raises(InputError, match="Tesla T4 has no bfloat16"):
            precision.resolved("bfloat16", gpu)


def test_tf32_is_on_inside_its_block_only(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    seen = []
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    states = lambda: (  # noqa: E731
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    )  # fmt: skip
    before = states()
    for name in ("tf32", "float32", "bfloat16"):
        with precision.computing(torch.device("cuda:0"), name):
            seen.append(states())
    assert seen == [(True, True), (False, False), (False, False)]
    assert states() == before
