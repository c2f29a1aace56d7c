"""Layers of files as container engines make them: overlays of folders, seen by processes in a root of their own.

In place of a base image stands this machine: its /usr, read-only, a copy of its /etc, and a copy of its Python at
/usr/local, where the official images have theirs. Needs root and a mount namespace of its own, so that every mount ends
with the process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

FRESH = {"tmp": 0o1777, "root": 0o700, "opt": 0o755, "var": 0o755, "run": 0o755, "usr": 0o755}
FRESH |= {"dev": 0o755, "proc": 0o555}
LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # into /usr


class Layers:
    """The layers of an image's stages below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._system, self._python = self._empty_system(), self._own_python()

    def layer(self, stage: str) -> Path:
        """The folder with what a stage adds."""
        return self._made(f"layer-{stage}")

    def mount(self, stages: Sequence[str], binds: Sequence[Path]) -> Path:
        """A root with these stages on each other, the highest written to; folders in `binds` are this machine's."""
        lower = ":".join([*map(str, map(self.layer, reversed(stages[:-1]))), str(self._system)])
        root, work = self._made(f"root-{stages[-1]}"), self._made(f"work-{stages[-1]}")
        options = f"lowerdir={lower},upperdir={self.layer(stages[-1])},workdir={work}"
        _run("mount", "-t", "overlay", "overlay", "-o", options, str(root))
        for place in (Path("/usr"), Path("/dev"), *binds):
            (root / place.relative_to("/")).mkdir(parents=True, exist_ok=True)
            _run("mount", "--rbind", str(place), str(root / place.relative_to("/")))
        _run("mount", "--bind", str(self._python), str(root / "usr" / "local"))
        _run("mount", "-o", "remount,bind,ro", str(root / "usr"))
        _run("mount", "-t", "proc", "proc", str(root / "proc"))
        _run("chroot", str(root), "/sbin/ldconfig")  # libraries of /usr/local go before those of the machine
        return root

    def freeze(self, root: Path, volumes: Sequence[str]) -> None:
        """Make a root read-only but for /tmp and its volumes, which keep their owners and are empty."""
        _run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(root / "tmp"))
        for volume in volumes:
            inside = root / volume.lstrip("/")
            place, was = self._made("volume-" + volume.strip("/").replace("/", "-")), inside.stat()
            os.chown(place, was.st_uid, was.st_gid)
            _run("mount", "--bind", str(place), str(inside))
        _run("mount", "-o", "remount,ro", str(root))

    def _empty_system(self) -> Path:
        """A layer with the folders of a fresh system, and this machine's /etc."""
        layer = self._made("base-system")
        for name, mode in FRESH.items():
            (layer / name).mkdir()
            (layer / name).chmod(mode)
        for name in filter(os.path.islink, (f"/{link}" for link in LINKS)):
            (layer / name.lstrip("/")).symlink_to(Path(name).readlink())
        shutil.copytree("/etc", layer / "etc", symlinks=True, ignore=shutil.ignore_patterns("private"))
        return layer

    def _own_python(self) -> Path:
        """This interpreter as /usr/local of a fresh system: without tests and without packages."""
        place = self.folder / "base-python"
        skipped = shutil.ignore_patterns("test", "site-packages", "__pycache__", "*.a")
        shutil.copytree(sys.base_prefix, place, symlinks=True, ignore=skipped)
        (place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages").mkdir()
        return place

    def _made(self, name: str) -> Path:
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name


def run_inside(root: Path, command: Sequence[str], env: Mapping[str, str], user: str, folder: str) -> int:
    """Run a command in a root as UID:GID without any privilege to gain; its exit code."""
    uid, _, gid = user.partition(":")
    become = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs"]
    become += ["--inh-caps=-all", "--bounding-set=-all"] if uid != "0" else []
    entered = ["chroot", str(root), *become, "env", "--chdir", folder, "-i", *(f"{k}={v}" for k, v in env.items())]
    return subprocess.run([*entered, *command], check=False).returncode


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
