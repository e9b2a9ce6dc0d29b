"""Submit jobs to Kubernetes."""
