"""What a table must say about where it was made."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import redis

from benchmarks import places


def described(client: redis.Redis) -> dict[str, str]:
    """Machine, versions and moment, as words."""
    told = client.info("server")
    name = "Valkey" if "valkey_version" in told else "Redis"
    packages = ("runqy-notebook", "redis", "hiredis", "ipykernel", "pandas")
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load": f"{os.getloadavg()[0]:.1f} at the start",
        "places": places.told(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "server": f"{name} {told.get('valkey_version') or told['redis_version']}, nothing saved",
        "packages": ", ".join(f"{package} {_version(package)}" for package in packages),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return "from the source tree"
