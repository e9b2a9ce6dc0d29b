# Two images from one file. From the repository's folder:
#   docker build --tag continual-orchestrator:0.2.0 .                            runs, sweeps, retrainings: Ray's head and workers
#   docker build --tag continual-orchestrator-mlflow:0.2.0 --target mlflow .     the MLflow server
# Arguments: VARIANT=cpu leaves CUDA out; UV_DEFAULT_INDEX and PIP_INDEX_URL name a mirror of PyPI.
# k8s/replay_dockerfile.py carries these instructions out without Docker.

# Debian's own Python 3.11, the version that is tested, with Debian's security fixes. Everything else comes from lock files.
FROM docker.io/library/debian:12.15-slim AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
# A number, so that Kubernetes can see that it is not root. Its home is where a read-only container can write.
RUN groupadd --gid 1000 orchestrator \
    && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin orchestrator

# --- what builds: stays behind ---------------------------------------------------------------------------------------
FROM base AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
ARG PIP_INDEX_URL
WORKDIR /build
COPY k8s/image/build.lock build.lock
RUN python3 -m venv tools && tools/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement build.lock
# Wheels only (no-build): a compiler is needed nowhere. Compiled at build time, as nobody can write there later.
ENV PATH=/build/tools/bin:$PATH UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_BUILD=1 UV_PYTHON_DOWNLOADS=never

FROM tools AS mlflow-environment
ARG UV_DEFAULT_INDEX
COPY k8s/image/mlflow.lock mlflow.lock
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv --python /usr/bin/python3 /opt/mlflow \
    && uv pip sync --python /opt/mlflow --require-hashes mlflow.lock

FROM tools AS orchestrator-environment
ARG UV_DEFAULT_INDEX
# cuda: torch as PyPI has it, by hash; also runs where there is no GPU. cpu: a fraction of the size; PyPI has no such torch, so
# torch and torchvision, in the locked versions, come from PyTorch's own index, over TLS and without a hash.
ARG VARIANT=cuda
ARG CPU_INDEX=https://download.pytorch.org/whl/cpu
COPY k8s/requirements.lock requirements.lock
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv --python /usr/bin/python3 /opt/orchestrator \
    && case "$VARIANT" in \
        cuda) uv pip sync --python /opt/orchestrator --require-hashes requirements.lock ;; \
        cpu) awk '/^[^ #]/ {skip = /^(torch|torchvision|triton|nvidia-[a-z0-9-]+|cuda-[a-z]+)==/} !skip' requirements.lock > cpu.lock \
            && uv pip sync --python /opt/orchestrator --require-hashes cpu.lock \
            && uv pip install --python /opt/orchestrator --no-deps --default-index "$CPU_INDEX" \
                $(grep --only-matching --extended-regexp '^(torch|torchvision)==[0-9.]+' requirements.lock) ;; \
        *) echo "VARIANT is $VARIANT: set it to cuda or cpu" >&2; exit 2 ;; \
    esac
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY orchestrator orchestrator
COPY experiments experiments
COPY search_spaces search_spaces
RUN hatchling build --target wheel \
    && uv pip install --python /opt/orchestrator --no-deps --no-index dist/*.whl

# --- the MLflow server -----------------------------------------------------------------------------------------------
FROM base AS mlflow
LABEL org.opencontainers.image.title="Continual orchestrator: MLflow server" \
    org.opencontainers.image.description="MLflow with basic-auth, PostgreSQL and S3, for the continual orchestrator" \
    org.opencontainers.image.version="0.2.0" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=mlflow-environment /opt/mlflow /opt/mlflow
ENV PATH=/opt/mlflow/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MLFLOW_DISABLE_TELEMETRY=true
WORKDIR /tmp
USER 1000:1000
RUN mlflow --version
EXPOSE 5000
CMD ["mlflow", "server", "--help"]

# --- runs, sweeps, retrainings: the image of `docker build .`, as it stands last ------------------------------------
FROM base AS orchestrator
LABEL org.opencontainers.image.title="Continual orchestrator" \
    org.opencontainers.image.description="Runs, sweeps and retrainings of image classifiers that keep learning new classes" \
    org.opencontainers.image.version="0.2.0" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=orchestrator-environment /opt/orchestrator /opt/orchestrator
COPY experiments /opt/orchestrator/experiments
COPY search_spaces /opt/orchestrator/search_spaces
# Relative paths of experiments (.orchestrator, out) end up in /tmp: with --read-only, mount a volume there.
ENV PATH=/opt/orchestrator/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    MLFLOW_DISABLE_TELEMETRY=true RAY_USAGE_STATS_ENABLED=0 GIT_PYTHON_REFRESH=quiet MPLBACKEND=agg
WORKDIR /tmp
USER 1000:1000
# The build fails where the image is not whole: the program, its files, Ray's command line, which KubeRay calls.
RUN orchestrator validate /opt/orchestrator/experiments/*.yaml /opt/orchestrator/search_spaces/*.yaml && ray --version
CMD ["orchestrator", "--help"]
