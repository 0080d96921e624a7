"""Times many requests at once for faces that are not in the cache."""

import subprocess

import peers
from peers import LOAD_CORE


def latencies(peer, numbers, length, in_flight, within=0):
    """The seconds that each picture took, over `in_flight` connections that are open before the first request.

    The first requests of the connections are spread over `within` seconds."""
    paths = "".join(peer.path(number, length) + "\n" for number in numbers)
    herd = [peers.built("herd"), str(peer.port), str(in_flight), str(int(within * 1000))]
    command = ["taskset", "-c", LOAD_CORE, *herd]
    done = subprocess.run(command, input=paths, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{peer.name}: {done.stderr}")
    return [int(line) / 1e6 for line in done.stdout.split()]
