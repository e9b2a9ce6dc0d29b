"""k8s/README.md: every command is known, every path exists, and its statements about the
installation are correct.
"""

import itertools
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer.main
import yaml

from orchestrator.cli.application import build_application
from orchestrator.config import Experiment
from tests.k8s.rendering import (
    K8S,
    OVERLAYS,
    Object,
    kubectl,
    named,
    of_kind,
    pod_template,
    render,
)

ROOT = K8S.parent
README = (K8S / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [
    line for block in BLOCKS for line in re.sub(r" *\\\n *", " ", block).splitlines() if line
]
# every program of a line, including those after pipes and &&
PARTS = [part for command in COMMANDS for part in re.split(r" \| | && ", command)]
# also within a pod
OURS = [part.rpartition(" -- ")[2] for part in PARTS if re.search("(^| -- )orchestrator ", part)]


def test_there_are_commands() -> None:
    assert {part.split()[0] for part in PARTS} <= {
        "docker",
        "kind",
        "helm",
        "kubectl",
        "make",
        "orchestrator",
        "base64",
        "grep",
        "sort",
        "tar",
    }
    assert len(COMMANDS) >= 30


@pytest.mark.parametrize("command", OURS)
def test_every_command_of_this_program_is_known_with_its_flags_and_files(command: str) -> None:
    words = shlex.split(command)[1:]
    group = typer.main.get_group(build_application())
    group.commands[words[0]].make_context(words[0], words[1:])
    for word in words:
        if word.startswith(("experiments/", "k8s/")):
            assert (ROOT / word).is_file(), word


@pytest.mark.parametrize(
    "path",
    sorted(
        set(re.findall(r"--(?:kustomize|filename|values|cluster-config) (k8s/[\w./-]*\w)", README))
    ),
)
def test_every_folder_and_file_of_a_command_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"`((?:base|overlays|components|image)/[\w./-]*|[\w]+\.py)`", README))),
)
def test_every_path_exists(path: str) -> None:
    assert (K8S / path).exists() or (K8S / "base" / "scripts" / path).exists()


@pytest.mark.parametrize(
    "block", re.findall(r"^```yaml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
)
def test_every_experiment_is_valid(block: str) -> None:
    Experiment.model_validate(yaml.safe_load(block))


@pytest.mark.parametrize(
    ("kind", "name"), sorted(set(re.findall(r"\b(cronjob|deployment|service)/([a-z-]+)", README)))
)
def test_every_object_of_a_command_is_installed(kind: str, name: str) -> None:
    kinds = {"cronjob": "CronJob", "deployment": "Deployment", "service": "Service"}
    named(render("local", "dashboard"), kinds[kind], name)


def test_every_policy_is_explained_and_no_other() -> None:
    explained = set(
        re.findall(
            r"`([a-z-]+)`",
            " ".join(re.findall(r"^\| (`[^|]*) \| .* \| .* \|$", README, flags=re.MULTILINE)),
        )
    )
    there = {
        policy["metadata"]["name"]
        for overlay in OVERLAYS
        for policy in of_kind(render(overlay), "NetworkPolicy")
    }
    assert there - explained == {"deny-all"}


def test_sizes_equal_those_of_the_manifests() -> None:
    sizes = dict(
        re.findall(
            r"^\| ([\w ]+) \| ([^|]+) \|", README.partition("## Sizes")[2], flags=re.MULTILINE
        )
    )
    objects = render("gpu")
    for row, (kind, name) in {
        "MLflow": ("Deployment", "mlflow"),
        "PostgreSQL": ("StatefulSet", "postgres"),
    }.items():
        template = pod_template(named(objects, kind, name))
        assert template is not None
        requests = template["spec"]["containers"][0]["resources"]["requests"]
        memory = re.sub(r"([MG]i)$", r" \1B", requests["memory"])
        assert f"{int(requests['cpu'].removesuffix('m')) / 1000:g} CPU, {memory}" in sizes[row]
    for row, claim in {
        "artifacts": "mlflow-artifacts",
        "stage store": "orchestrator-store",
    }.items():
        assert named(objects, "PersistentVolumeClaim", claim)["spec"]["resources"]["requests"][
            "storage"
        ] == sizes[row].replace(" GiB", "Gi")


def test_the_operators_namespace_is_allowed_by_the_network_policies() -> None:
    [namespace] = set(re.findall(r"helm install kuberay-operator .* --namespace (\S+)", README))
    ray = named(render("local"), "NetworkPolicy", "ray")
    selected = [
        peer["namespaceSelector"]["matchLabels"]
        for peer in ray["spec"]["ingress"][1]["from"]
        if "namespaceSelector" in peer
    ]
    assert selected == [{"kubernetes.io/metadata.name": namespace}]


def test_images_are_built_under_the_installed_names() -> None:
    built = set(re.findall(r"docker build --tag (continual-\S+)", README))
    used = {
        container["image"]
        for each in render("local")
        if (template := pod_template(each))
        for container in template["spec"]["containers"]
        if container["image"].startswith("continual-")
    }
    assert built == used
    assert all(
        f"--tag {image}" in (ROOT / "Dockerfile").read_text(encoding="utf-8") for image in built
    )


def test_an_image_with_an_extension_is_based_on_the_installed_one() -> None:
    """Its packages are installed into the orchestrator's own environment."""
    (folder,) = re.findall(r"docker build --tag my-orchestrator:\S+ (\S+)", README)
    dockerfile = (ROOT / folder / "Dockerfile").read_text(encoding="utf-8")
    (base,) = re.findall(r"^ARG ORCHESTRATOR=(\S+)$", dockerfile, re.MULTILINE)
    assert base in README
    (place,) = re.findall(r"^COPY --from=builder /extension (\S+)$", dockerfile, re.MULTILINE)
    assert place == "/opt/orchestrator/lib/python3.11/site-packages/"
    own = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "COPY --from=orchestrator-environment /opt/orchestrator /opt/orchestrator" in own
    assert "Debian's own Python 3.11" in own


@pytest.mark.parametrize(
    "command",
    [
        command
        for command in COMMANDS
        if re.match(r"kubectl create (secret|configmap|rolebinding) ", command)
    ],
)
def test_kubectl_accepts_the_commands_that_create_objects(command: str, tmp_path: Path) -> None:
    (tmp_path / "database-ca.pem").touch()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KUBECONFIG": os.devnull,
        "KEY": "a",
        "SECRET": "b",
        "URL": "c",
    }
    words = f"{kubectl()} {command.removeprefix('kubectl ')} --dry-run=client --output yaml"
    done = subprocess.run(
        ["sh", "-c", words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(done.stdout)
    assert made["metadata"]["name"] == command.split()[4 if " generic " in command else 3]
    assert all(made.get("data", {"": "-"}).values()) or made["kind"] == "ConfigMap", (
        "a value is empty"
    )


@pytest.mark.parametrize("backup", ["newest", "mlflow-20261129T013000Z.dump"])
def test_a_restore_is_given_the_backups_name(backup: str) -> None:
    """`kubectl set env --local` prints nothing, with success, if a variable has the value already:
    `kubectl apply` would then get no input.
    """
    [words] = [part for part in PARTS if part.startswith("kubectl set env --local")]
    assert re.search(r" BACKUP=mlflow-\d{8}T\d{6}Z\.dump$", words)
    job = named(render("local"), "CronJob", "postgres-restore")["spec"]["jobTemplate"]
    job |= {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "restore"}}
    done = subprocess.run(
        [kubectl(), *shlex.split(words)[1:-1], f"BACKUP={backup}"],
        input=yaml.safe_dump(job),
        capture_output=True,
        text=True,
        check=True,
    )
    [made] = [each for each in yaml.safe_load_all(done.stdout) if each] or [None]
    assert made is not None, "kubectl prints nothing"
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "BACKUP", "value": backup} in container["env"]


def test_a_restore_without_a_name_takes_the_newest(tmp_path: Path) -> None:
    restored = subprocess.run(
        ["bash", str(K8S / "base" / "scripts" / "restore.sh")],
        env={"PATH": os.environ["PATH"], "BACKUPS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert restored.returncode == 2
    assert f"no backup newest in {tmp_path}" in restored.stderr


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(OVERLAYS, 2)))
def test_fields_that_an_overlay_cannot_change_are_documented(before: str, after: str) -> None:
    section = README.partition("## Change the overlay")[2].partition("\n## ")[0]
    [row] = re.findall(rf"^\|[^|]*`{before}` → `{after}`[^|]*\|(.*)\|$", section, re.MULTILINE)
    there = {(each["kind"], each["metadata"]["name"]): each for each in render(before)}
    refused = {
        each["metadata"]["name"]
        for each in render(after)
        if (old := there.get((each["kind"], each["metadata"]["name"])))
        and _fixed_fields(old) != _fixed_fields(each)
    }
    assert refused == set(re.findall(r"`([a-z-]+)`", row))
    assert ("refused" in row) == bool(refused)


def _fixed_fields(each: Object) -> object:
    """Return the fields that Kubernetes never changes in an existing object. They include the size
    of a claim, as the storage classes of small clusters do not allow growth.
    """
    spec = each.get("spec", {})
    match each["kind"]:
        case "PersistentVolumeClaim":
            return spec
        case "StatefulSet":
            return [spec[name] for name in ("volumeClaimTemplates", "serviceName", "selector")]
        case "Deployment":
            return spec["selector"]
        case "Service":
            return spec.get("clusterIP")
        case "RoleBinding":
            return each["roleRef"]
        case _:
            return None
