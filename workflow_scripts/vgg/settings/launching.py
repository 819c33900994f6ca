"""How a training is started: by how many processes, on how many nodes, with which GPUs."""

from __future__ import annotations

from ..core.files import InputError


def processes_per_node(processes: int, nodes: int) -> int:
    """A node's part of a training's processes. Raises InputError if the parts would differ."""
    if processes % nodes:
        raise InputError(f"train: {processes} processes cannot be shared evenly by {nodes} nodes")
    return processes // nodes


def launcher(processes: int, nodes: int) -> str:
    """The command that starts a training: one process, torchrun on a node, or srun on several.

    It replaces the shell, which would die of a signal that ends the job and take the training along
    before its checkpoint is written.
    """
    if processes == 1:
        return "exec python -m workflow_scripts.train"
    torchrun = (
        f"torchrun --nnodes={nodes} --nproc-per-node={processes_per_node(processes, nodes)}"
        " --signals-to-handle=SIGTERM,SIGINT,SIGUSR1"
    )
    if nodes == 1:
        return f"exec {torchrun} --standalone -m workflow_scripts.train"
    # The first node's address and a port are known to Slurm's tasks only, hence the shell.
    return (
        f"exec srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 bash -c 'exec {torchrun}"
        " --node-rank=$SLURM_NODEID --rdzv-backend=c10d --rdzv-id=$SLURM_JOB_ID"
        " --rdzv-endpoint=$SLURM_LAUNCH_NODE_IPADDR:$((20000 + SLURM_JOB_ID % 10000))"
        ' -m workflow_scripts.train "$@"\' torchrun'
    )


def training_gpus(processes: int, nodes: int) -> dict[str, int | str]:
    """A GPU for each process, as resources; on several nodes, as the Slurm plugin needs them.

    There is one task on each node, and GPUs are asked for by node: of a job's total, one node may
    get more than another.
    """
    if nodes == 1:
        return {"gpu": processes}
    gres = f"gpu:{processes_per_node(processes, nodes)}"
    tasks = {"nodes": nodes, "tasks": nodes, "tasks_per_gpu": 0}
    return {"gpu": 0, "gres": gres, **tasks, "mpi": "srun"}
