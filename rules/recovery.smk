"""Uses Snakemake's internals, `dag` and `persistence`: nothing else can do it.

Outputs that were finished while nobody watched, since Snakemake had been killed and its jobs not,
are whole, and profiles/default tells Snakemake to keep them. But it has no record of the settings
that made them, and without one it would not notice when a setting changes.

At its end Snakemake deletes all locks of the folder. Two of them may run in it if they make different
files, and `snakemake status` beside any: each is to leave the other's locks.
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


def release_own_locks():
    """Delete the locks of this run of Snakemake only."""
    for lock in workflow.persistence._lockfile.values():
        Path(lock).unlink(missing_ok=True)


onstart:
    if hasattr(workflow.persistence, "_lockfile"):  # of a data base as backend they are rows
        workflow.persistence.unlock = release_own_locks
    for job in finished_unrecorded():
        logger.warning(
            f"made by present settings while no Snakemake ran: {', '.join(job.output)}"
        )
        workflow.async_run(workflow.persistence.finished(job))
