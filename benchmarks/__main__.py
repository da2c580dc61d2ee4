"""`python -m benchmarks`: every measure against the same private server, as one table."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks import machine, measures, report, servers, venvs
from benchmarks.contender import ROOT
from benchmarks.harness import Bench, Row

_PEERS_ARE_IN = {"enqueue_one", "drain"}


def main() -> None:
    asked = _arguments()
    names = asked.only or measures.NAMES
    wants_peers = not asked.no_peers and _PEERS_ARE_IN.intersection(names)
    peers = venvs.ready(asked.out / "peers") if wants_peers else {}
    rows: list[Row] = []
    with servers.running(servers.binary(asked.server)) as client:
        about = machine.described(client)
        about["form"] = f"{'quick' if asked.quick else 'full'}, {asked.rounds} rounds"
        about["peers"] = ", ".join(
            f"{peer.name} {venvs.version(python, peer)}" for peer, python in peers.items()
        )
        bench = Bench(client, asked.quick, asked.rounds, peers, asked.tasks)
        for name in names:
            print(f"{name} ...", flush=True)
            found = importlib.import_module(f"benchmarks.measures.{name}").measure(bench)
            rows += found
            print(report.markdown({}, found), flush=True)
            report.write(asked.out, about, rows)
    print(report.markdown(about, rows))
    print(f"Written to {asked.out / 'benchmarks.md'} and .json.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: some minutes")
    parser.add_argument("--only", nargs="+", choices=measures.NAMES, metavar="MEASURE")
    parser.add_argument("--rounds", type=int, help="7 unless told, 3 when quick")
    parser.add_argument("--tasks", type=int, help="how many the memory measure runs")
    parser.add_argument("--server", help="the server's program; redis-server unless told")
    parser.add_argument("--no-peers", action="store_true", help="only raw and ours")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "benchmarks")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (3 if asked.quick else 7)
    return asked


if __name__ == "__main__":
    main()
