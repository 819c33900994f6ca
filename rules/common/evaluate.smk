"""Inputs and options of the rules in evaluate.smk."""


def evaluation_options(**alternative):
    """All that decides an evaluation's posteriors, as options; `alternative` replaces one."""
    configured = choices(*test_time_choices.MEASURED_BY) | config["evaluate"]
    return options(**configured | alternative)


def alternative_options(wildcards):
    """The same with an alternative of a test-time choice, or of the precision."""
    return evaluation_options(**{wildcards.choice: wildcards.value})


def evaluation_threads(wildcards):
    """Cores that keep a GPU in work, one of them for the GPU itself.

    Pillow rescales 250 photographs a second and core to Q = 256; at 100 TFLOP/s net D takes 900 of
    them by dense evaluation, and A 1,900, but 65 by 50 crops.
    """
    return by_size(4 if wildcards.method == "multicrop" else 16, 1)
