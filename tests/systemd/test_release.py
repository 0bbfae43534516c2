"""What is given away: the same bytes from the same contents, what is inside, and whether it is what was signed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from systemd.packages.release import add_models, settle

SOURCE = Path(__file__).parents[2]
SUMS = SOURCE / "systemd/packages/sums.sh"
VERIFY = SOURCE / "systemd/verify.sh"


def packed(path: Path, names: list[str], mtime: int, user: str) -> bytes:
    """A source archive of these files, made then by this user, after ``settle``."""
    with gzip.GzipFile(path, "wb", mtime=mtime) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.uname, entry.uid = len(name), mtime, user, len(user)
            entry.mode = 0o700 if name.endswith(".sh") else 0o600
            archive.addfile(entry, io.BytesIO(name.encode()))
    settle(path, 1000)
    return path.read_bytes()


def test_an_archive_s_bytes_tell_neither_when_nor_by_whom_it_was_made(tmp_path: Path) -> None:
    first = packed(tmp_path / "a.tar.gz", ["b.sh", "a.py"], 5, "somebody")
    assert first == packed(tmp_path / "again.tar.gz", ["a.py", "b.sh"], 7, "else")
    assert first != packed(tmp_path / "other.tar.gz", ["a.py"], 5, "somebody")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert [(one.name, one.mode, one.mtime) for one in archive] == [("a.py", 0o644, 1000), ("b.sh", 0o755, 1000)]
        script = archive.extractfile("b.sh")
        assert script is not None
        assert script.read() == b"b.sh"


def test_the_models_are_listed_with_the_checksums_of_their_files(tmp_path: Path) -> None:
    listed = tmp_path / "evenkeel.cdx.json"
    listed.write_text(json.dumps({"components": [{"name": "pydantic", "type": "library"}]}))
    add_models(listed, SOURCE / "edge/vision/weights")
    _, *models = json.loads(listed.read_text())["components"]
    told = {model["bom-ref"].removeprefix("model-"): model["hashes"][0]["content"] for model in models}
    files = (SOURCE / "edge/vision/weights").glob("*.tflite")
    assert told == {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert {model["type"] for model in models} == {"machine-learning-model"}


def openssl(*arguments: str | Path) -> None:
    if shutil.which("openssl") is None:
        missing = "openssl is not installed; on Debian: apt-get install openssl"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)  # noqa: S603, S607


def key(folder: Path, name: str) -> tuple[Path, Path]:
    """A throw-away key: its private and its public half."""
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/bin/sh", *command], capture_output=True, text=True, check=False)  # noqa: S603


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that was signed, and the public key."""
    folder = tmp_path / "release"
    (folder / "systemd").mkdir(parents=True)
    (folder / "evenkeel-9.9.9+deb12 [a].whl").write_text("wheel")
    (folder / "systemd/install.sh").write_text("installer")
    private, public = key(tmp_path, "evenkeel")
    done = run(SUMS, folder, private)
    assert done.returncode == 0, done.stderr
    return folder, public


def test_what_was_signed_is_verified(signed: tuple[Path, Path]) -> None:
    folder, public = signed
    done = run(VERIFY, public, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{folder} is what the owner of {public} has signed" in done.stdout


def test_the_checksums_are_those_that_sha256sum_reads(signed: tuple[Path, Path]) -> None:
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=signed[0], check=False)  # noqa: S607
    assert done.returncode == 0


def change(folder: Path) -> None:
    (folder / "systemd/install.sh").write_text("another installer")


def remove(folder: Path) -> None:
    (folder / "systemd/install.sh").unlink()


def add(folder: Path) -> None:
    (folder / "numpy-9.9.9.whl").write_text("nobody's")


def link(folder: Path) -> None:
    (folder / "numpy-9.9.9.whl").symlink_to("/etc/passwd")


def take_the_sums_for_another(folder: Path) -> None:
    change(folder)
    (folder / "SHA256SUMS.sig").rename(folder.parent / "kept")
    run(SUMS, folder)
    (folder.parent / "kept").rename(folder / "SHA256SUMS.sig")


def unsign(folder: Path) -> None:
    (folder / "SHA256SUMS.sig").unlink()


Harm = Callable[[Path], None]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (change, "a file is not the one that was signed"),
        (remove, "a file is not the one that was signed"),
        (add, "nobody has signed numpy-9.9.9.whl"),
        (link, "nobody has signed numpy-9.9.9.whl"),
        (take_the_sums_for_another, "the signature is not by the owner"),
        (unsign, "holds no SHA256SUMS.sig: it is not signed"),
    ],
)
def test_what_was_harmed_is_refused(signed: tuple[Path, Path], harm: Harm, said: str) -> None:
    folder, public = signed
    harm(folder)
    done = run(VERIFY, public, folder)
    assert done.returncode == 1
    assert said in done.stderr
    assert "has signed" not in done.stdout


def test_another_s_signature_is_refused(signed: tuple[Path, Path], tmp_path: Path) -> None:
    folder, public = signed
    private, _ = key(tmp_path, "other")
    assert run(SUMS, folder, private).returncode == 0
    assert "the signature is not by the owner" in run(VERIFY, public, folder).stderr


def test_a_key_that_is_not_there_is_named_and_nothing_is_signed(tmp_path: Path) -> None:
    done = run(SUMS, tmp_path, tmp_path / "none.key")
    assert done.returncode == 1
    assert "none.key: no such key" in done.stderr
    assert not list(tmp_path.iterdir())
