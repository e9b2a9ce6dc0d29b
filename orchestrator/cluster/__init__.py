"""Run jobs on Kubernetes: write manifests from the configuration, check them against the rules of
KubeRay, send them to the cluster, and follow the jobs.
"""
