"""What is given away with a version: wheel and source archive from the last commit, a list of what a package holds.

``python -m systemd.packages.release --help``. The same commit gives the same bytes: times are the commit's, and
nothing of the machine that builds gets in.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from edge.compat import tomllib
from systemd.packages.deb import HOME, SOURCE, PackagingError, run, source_date


def main() -> int:
    """Make what the command line asks for."""
    parser = argparse.ArgumentParser(prog="make release", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for it all")
    parser.add_argument("--work", type=Path, required=True, help="folder to build in")
    parser.add_argument(
        "--trees", type=Path, nargs="*", default=[], help="folders that 'make deb' has built packages in"
    )
    asked = parser.parse_args()
    os.umask(0o022)
    try:
        epoch = int(source_date().timestamp())
        work, out = asked.work.resolve(), asked.out.resolve()
        out.mkdir(parents=True, exist_ok=True)
        build_python(work, out, epoch)
        for tree in asked.trees:
            list_contents(tree, work, out)
    except PackagingError as error:
        sys.stderr.write(f"make release: {error}\n")
        return 1
    return 0


def build_python(work: Path, out: Path, epoch: int) -> None:
    """The wheel and the source archive, from the last commit.

    Raises:
        PackagingError: something is not committed, or a build failed; its reason is on stderr.
    """
    if changed := _git("status", "--porcelain", "--untracked-files=no").decode().strip():
        raise PackagingError(f"not committed: {changed.split(maxsplit=1)[1]}; a release is made from a commit")
    source = work / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    # whatever git here makes of modes and this user of owners
    with tarfile.open(fileobj=io.BytesIO(_git("-c", "tar.umask=0022", "archive", "--format=tar", "HEAD"))) as archive:
        archive.extractall(source)  # noqa: S202 - our own commit
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)], source)
    for archive_path in out.glob("evenkeel-*.tar.gz"):
        settle(archive_path, epoch)


def settle(path: Path, epoch: int) -> None:
    """Pack a ``.tar.gz`` again without the times and owners of now, so that its contents alone decide its bytes."""
    with tarfile.open(path) as archive:
        entries = [(entry, archive.extractfile(entry)) for entry in archive]
        kept = sorted(((entry, file.read() if file else None) for entry, file in entries), key=lambda one: one[0].name)
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for entry, data in kept:
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = epoch
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            entry.pax_headers = {}
            archive.addfile(entry, None if data is None else io.BytesIO(data))


def list_contents(tree: Path, work: Path, out: Path) -> None:
    """A CycloneDX list of the Python packages and models in the package that ``tree`` was built into.

    Raises:
        PackagingError: ``tree`` is no such folder, or cyclonedx-py failed.
    """
    made = sorted(tree.glob("evenkeel_*.deb"))
    packages = sorted((tree / "evenkeel/stage" / HOME / "lib").glob("python3.*/site-packages"))
    if not made or not packages:
        raise PackagingError(f"{tree}: 'make deb' has built no package here")
    frame = work / "frame"
    shutil.rmtree(frame, ignore_errors=True)
    run([sys.executable, "-m", "venv", "--without-pip", str(frame)], SOURCE)
    # metadata is read, nothing is run: the packages of another processor and Python will do
    (seen,) = frame.glob("lib/python3.*/site-packages")
    seen.rmdir()
    seen.symlink_to(packages[0].resolve())
    listed = out / f"{made[0].stem}.cdx.json"
    program = Path(sys.executable).with_name("cyclonedx-py")
    command = [str(program), "environment", "--output-reproducible", "--pyproject", str(SOURCE / "pyproject.toml")]
    run([*command, "--output-file", str(listed), str(frame / "bin/python")], SOURCE)
    add_models(listed, packages[0] / "edge/vision/weights")


def add_models(listed: Path, folder: Path) -> None:
    """Add the models by their manifests; what they are verified against before they are loaded stands there."""
    contents: dict[str, Any] = json.loads(listed.read_text(encoding="utf-8"))
    for manifest in sorted(folder.glob("*.toml")):
        model = tomllib.loads(manifest.read_text(encoding="utf-8"))
        contents["components"].append(
            {
                "bom-ref": f"model-{manifest.stem}",
                "hashes": [{"alg": "SHA-256", "content": model["sha256"]}],
                "name": model["name"],
                "type": "machine-learning-model",
                "version": str(model["version"]),
            }
        )
    listed.write_text(json.dumps(contents, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=SOURCE, check=False, capture_output=True)  # noqa: S603, S607
    if done.returncode != 0:
        raise PackagingError(f"git: {done.stderr.decode(errors='replace').strip()}; a release is made from a commit")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
