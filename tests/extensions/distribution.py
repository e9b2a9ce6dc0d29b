"""Install a distribution with extensions into a folder of `sys.path`, as an installer would."""

import importlib
import shutil
from collections.abc import Mapping
from pathlib import Path


def install(
    site: Path,
    entry_points: Mapping[str, Mapping[str, str]],
    modules: Mapping[str, str],
    name: str = "example-images",
    version: str = "1.0",
) -> None:
    """Write a distribution into a folder; replace another version of it.

    Args:
        site: A folder that is on `sys.path` or will be.
        entry_points: Target of each name, by group.
        modules: Text of each top-level module, by name.
        name: Name of the distribution.
        version: Version of the distribution.
    """
    site.mkdir(exist_ok=True)
    stem = name.replace("-", "_")
    for old in site.glob(f"{stem}-*.dist-info"):
        shutil.rmtree(old)
    for module, text in modules.items():
        (site / f"{module}.py").write_text(text, encoding="utf-8")
    information = site / f"{stem}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    lines = [
        line
        for group, offered in entry_points.items()
        for line in (f"[{group}]", *(f"{kind} = {target}" for kind, target in offered.items()))
    ]
    (information / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    importlib.invalidate_caches()


def install_npz(site: Path, version: str = "1.0") -> None:
    """Install the image source `npz`."""
    text = Path(__file__).with_name("npz_images.py").read_text(encoding="utf-8")
    install(
        site,
        {"orchestrator.image_sources": {"npz": "npz_images:NpzSource"}},
        {"npz_images": text},
        version=version,
    )


def install_block_means(site: Path, version: str = "1.0") -> None:
    """Install the backbone `block_means`, and the invalid one `no_backbone`, which builds
    nothing.
    """
    text = Path(__file__).with_name("block_means.py").read_text(encoding="utf-8")
    wrong = "class NoBackbone:\n    config = BlockMeansConfig\n    format = 1\n"
    offered = {
        "block_means": "block_means:BlockMeans",
        "no_backbone": "block_means:NoBackbone",
    }
    install(
        site,
        {"orchestrator.backbones": offered},
        {"block_means": f"{text}\n\n{wrong}"},
        name="example-backbones",
        version=version,
    )
