"""The examples of Slurm sites, without Slurm: a rule that can have a GPU goes where GPUs are."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import OutputSettings, Quietness, ResourceSettings

from tests.helpers.clones import clone
from tests.helpers.sites import PROFILE, adapt, asked_for

KEYS = {path.stem: yaml.safe_load(path.read_text()) for path in (PROFILE / "sites").glob("*.yaml")}
# How a job with one GPU asks for it, as (gpu, gres), on sites whose partitions are separate.
ONE_GPU = {"gpus": ("1", None), "gres": ("0", "gpu:1")}


def gpus_of_rules(folder):
    """What each rule of a clone's workflow says of `gpu`: a number, or None for a function."""
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            snakefile=folder / "Snakefile",
            workdir=folder,
        )
        stated = {rule.name: rule.resources.get("gpu") for rule in workflow._workflow.rules}
    return {
        name: None if gpu.is_evaluable() else gpu.value or 0  # a target states nothing
        for name, gpu in stated.items()
    }


@pytest.fixture(scope="module")
def wanting(tmp_path_factory):
    """The rules that can have a GPU."""
    folder = clone(tmp_path_factory.mktemp("rules"))
    # Loading a workflow changes the process: its folder, its path, its signals.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        rules = pool.submit(gpus_of_rules, folder).result()
    return {rule for rule, gpus in rules.items() if gpus != 0}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """`asked(site)`: what the jobs of all targets with GPUs ask for, with an example appended."""
    found = {}

    def ask(site):
        if site not in found:
            folder = clone(tmp_path_factory.mktemp(site))
            adapt(folder, site)
            found[site] = asked_for(folder, "all", "choices", "threshold", "benchmarks")
        return found[site]

    return ask


def test_the_rules_that_can_have_gpus_are_found(wanting):
    assert wanting >= {"train_convnet", "evaluate_convnet", "evaluate_choice", "look_through_net"}
    assert wanting >= {"evaluate_boxes", "evaluate_box_choice", "evaluate_tuning_boxes"}
    assert wanting >= {"describe_images", "describe_choice"}
    assert not wanting & {"all", "tables", "pack_shard", "tabulate"}


def test_every_example_that_separates_partitions_is_tested():
    separate = {site for site, keys in KEYS.items() if "set-resources" in keys}
    assert separate == set(ONE_GPU)


@pytest.mark.parametrize("site", ONE_GPU)
def test_an_example_names_the_rules_that_can_have_gpus_and_no_other(site, wanting):
    assert set(KEYS[site]["set-resources"]) == wanting


@pytest.mark.parametrize("site", ONE_GPU)
def test_jobs_with_a_gpu_go_to_the_partition_that_has_them_and_no_other(site, wanting, asked):
    jobs = asked(site)
    assert set(jobs) >= wanting
    for rule, resources in ((rule, job) for rule, of_rule in jobs.items() for job in of_rule):
        found = resources["slurm_partition"], (resources["gpu"], resources.get("gres"))
        assert found == (("gpu", ONE_GPU[site]) if rule in wanting else ("cpu", ("0", None))), rule


def test_a_training_has_the_time_that_its_partition_allows(asked):
    assert {job["runtime"] for job in asked("gpus")["train_convnet"]} == {"1440"}
    assert {job["runtime"] for job in asked("gres")["train_convnet"]} == {"20160"}


def test_the_preemptible_example_has_one_partition_and_the_rules_own_gpus(wanting, asked):
    for rule, jobs in asked("preemptible").items():
        for job in jobs:
            expected = ("gpu", "1" if rule in wanting else "0", None)
            assert (job["slurm_partition"], job["gpu"], job.get("gres")) == expected, rule


SHARED = {  # train.processes, train.nodes → gpu, gres, nodes
    (4, 1): ("4", None, None),
    (8, 2): ("0", "gpu:4", "2"),  # as Slurm counts them by node, see vgg/settings/launching.py
}


@pytest.mark.parametrize(("processes", "nodes"), SHARED)
def test_a_training_shared_by_several_gpus_goes_to_the_same_partition(processes, nodes, tmp_path):
    folder = clone(tmp_path / "tree")
    adapt(folder, "gpus")
    shared = {"train": {"processes": processes, "nodes": nodes}}
    (folder / "shared.yaml").write_text(yaml.safe_dump(shared))
    weights = "results/ilsvrc2012/weights/A_S256.safetensors"
    files = ("--configfile", "config/ilsvrc2012.yaml", "shared.yaml")
    (job,) = asked_for(folder, weights, *files)["train_convnet"]
    assert job["slurm_partition"] == "gpu"
    assert (job["gpu"], job.get("gres"), job.get("nodes")) == SHARED[processes, nodes]
