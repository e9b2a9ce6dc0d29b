"""`orchestrator cancel`: end a job on Kubernetes, or remove a schedule."""

from __future__ import annotations

from orchestrator.cli.options import ClusterFile, JobName, Namespace
from orchestrator.terminal.printable import say


def cancel(name: JobName, cluster_config: ClusterFile = None, namespace: Namespace = None) -> None:
    """End a job on Kubernetes, or remove a schedule.

    The stage store keeps its entries, so submitting the same command again reuses the finished
    stages.

    Example:
    `orchestrator cancel run-digits-0a1b2c3d4e`
    """
    from orchestrator.cluster.client import KubernetesClient
    from orchestrator.config import load_cluster
    from orchestrator.pipelines.cluster.submit import cancel as end
    from orchestrator.terminal.cluster import cancelled_lines

    client = KubernetesClient(load_cluster(cluster_config, namespace).namespace)
    say("\n".join(cancelled_lines(*end(client, name))))
