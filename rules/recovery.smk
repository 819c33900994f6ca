"""Uses Snakemake's internals, `dag` and `persistence`: nothing else can add a job to its records.

Outputs that were finished while nobody watched, since Snakemake had been killed and its jobs not,
are whole, and profiles/default tells Snakemake to keep them. But it has no record of the settings
that made them, and without one it would not notice when a setting changes.
"""

from snakemake.logging import logger


def finished_unrecorded():
    """The jobs whose outputs are there, up to date, and unknown to Snakemake."""
    return [
        job
        for job in workflow.dag.jobs
        if not workflow.dag.needrun(job)
        and not workflow.persistence.has_metadata(job)
        and all(map(os.path.exists, job.output))
    ]


onstart:
    for job in finished_unrecorded():
        logger.warning(
            f"made by present settings while no Snakemake ran: {', '.join(job.output)}"
        )
        workflow.async_run(workflow.persistence.finished(job))
