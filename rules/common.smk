"""What the rules share: the run that the configuration describes. vgg/settings/ says what follows."""

import os
import re
import signal
import sys
import sysconfig
from pathlib import Path

from snakemake.exceptions import WorkflowError

if {"{", "}"} & set(str(workflow.basedir)):
    raise WorkflowError(
        f"{workflow.basedir}: Snakemake takes braces in its own path for wildcards; move the project"
    )

# A bare `snakemake` does not put its workflow on the path.
sys.path.insert(0, str(workflow.basedir))

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.settings import choice_rules, data_rules, evaluation_rules
from workflow_scripts.vgg.settings import export_rules, feature_choices, launching
from workflow_scripts.vgg.settings import localisation_rules, localised_choices, report_rules
from workflow_scripts.vgg.settings import test_time_choices, training_rules, transfer_rules
from workflow_scripts.vgg.settings.job_environment import check_python, job_environment
from workflow_scripts.vgg.settings.rule_options import one_of, options
from workflow_scripts.vgg.settings.run import CONFIG_SCHEMA, PAPER_TABLES, SPEED
from workflow_scripts.vgg.settings.run import read_run, split_of

# Jobs inherit Snakemake's environment.
OF_JOBS = job_environment(
    os.environ, sys.executable, sysconfig.get_path("platlib"), workflow.basedir
)
for name in os.environ.keys() - OF_JOBS.keys():
    del os.environ[name]
os.environ.update(OF_JOBS)

# Slurm's warning before a time limit is for the training; Snakemake itself would die of it.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)

OVERLAYS = workflow.overwrite_configfiles
CONFIG_FILES = [file for file in workflow.configfiles if file not in OVERLAYS] + list(OVERLAYS)
try:
    check_python(os.environ, sys.executable)
    RUN = read_run(config, CONFIG_FILES, workflow.config_settings.config)
except InputError as error:
    raise WorkflowError(str(error))

RESULTS, LOGS = RUN.results, RUN.logs
PAGE_TEMPLATES = sorted(map(str, Path("reports/templates").iterdir()))


wildcard_constraints:
    split="train|val|test",
    model="|".join(map(re.escape, RUN.models)),
    replicate=f"({'|'.join(RUN.replicates.values())})?",
    method="dense|multicrop|center",
    Q=r"\d+",
    store=rf"train_S\d+(-\d+)?|val|test|{one_of(RUN.data_sets)}",
    data_set=one_of(RUN.data_sets),
    number=r"\d+",
    shard=r"\d{5}",
    table="|".join(map(re.escape, RUN.tables)),
    choice=one_of(
        [
            *test_time_choices.MEASURED_BY,
            *localised_choices.stages(RUN.schema),
            *feature_choices.stages(RUN.schema),
            "precision",
        ]
    ),
    value="[a-z0-9.+-]+",


def choice_posteriors(wildcards):
    """The posteriors under every value of every test-time choice."""
    try:
        return report_rules.choice_posteriors(RUN)
    except InputError as error:
        raise WorkflowError(str(error))


def tuning_boxes(wildcards):
    """The boxes of training images that the threshold of merging is tuned with."""
    try:
        return choice_rules.tuning_paths(RUN)
    except InputError as error:
        raise WorkflowError(str(error))


def only_tells():
    """True if the targets of this run of Snakemake only tell how the work stands, or will be."""
    targets = set(workflow.dag_settings.targets)
    return bool(targets) and targets <= {"plan", "status"}


def pages_beside(*names):
    """Those pages that others may link to: this run makes them, or they are there already."""
    return report_rules.pages_beside(RUN, workflow.dag_settings.targets, *names)


def index_link(wildcards):
    """The option by which a page links to the index, if there is one."""
    return report_rules.index_link(RUN, workflow.dag_settings.targets)
