"""Kubernetes: manifests as pure functions of configuration, the rules of KubeRay, and the client
that sends manifests and follows jobs.
"""
