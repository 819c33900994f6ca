"""Inputs and options of the rules in evaluate.smk."""


def evaluation_options(**alternative):
    """All that decides an evaluation's posteriors, as options; `alternative` replaces a choice."""
    return options(**choices(*test_time_choices.MEASURED_BY) | alternative, **config["evaluate"])


def alternative_options(wildcards):
    """The same with an alternative of a test-time choice."""
    return evaluation_options(**{wildcards.choice: wildcards.value})
