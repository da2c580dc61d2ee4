"""Virtual environments for the peers, made once under out/peers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.peers import PEERS, Peer


def ready(folder: Path) -> dict[Peer, Path]:
    """The Python of every peer that can be installed, making what is missing."""
    found = {peer: _python(folder, peer) for peer in PEERS}
    return {peer: python for peer, python in found.items() if python}


def version(python: Path, peer: Peer) -> str:
    """Which release of the peer that is."""
    package = peer.packages[0].partition("[")[0]
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def _python(folder: Path, peer: Peer) -> Path | None:
    home = folder / peer.name
    python, done = home / "bin" / "python", home / "made"
    if done.exists():
        return python
    print(f"Installing {peer.name} into {home} ...", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *peer.packages, "hiredis"],
            check=True,
            stderr=subprocess.PIPE,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        print(f"{peer.name} is left out: it does not install here. {' '.join(last)}")
        return None
    done.touch()
    return python
