"""The wheel holds one package, ``edge``; the models reach it by links that lead to them."""

from __future__ import annotations

from pathlib import Path

from edge.compat import tomllib

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "edge/vision/weights"


def test_every_model_and_its_manifest_has_a_link_and_no_link_leads_elsewhere() -> None:
    manifests = list((ROOT / "models").glob("*.toml"))
    wanted = {path for one in manifests for path in (one, one.with_name(tomllib.loads(one.read_text())["file"]))}
    links = list(WEIGHTS.iterdir())
    assert len(manifests) >= 2
    assert all(link.is_symlink() for link in links)
    assert {link.resolve() for link in links} == wanted


def test_nothing_but_edge_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["packages"]["find"] == {"include": ["edge*"]}
