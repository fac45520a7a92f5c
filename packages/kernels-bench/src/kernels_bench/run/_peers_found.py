"""Which peers are there."""

from collections.abc import Sequence

from .peers import PEERS


def peers_found(suites: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Names of the peers of these suites that are installed, and how to install the others."""
    wanted = [peer for peer in PEERS if set(peer.suites) & set(suites)]
    found = [peer.name for peer in wanted if peer.installed]
    return found, {peer.name: peer.install for peer in wanted if peer.name not in found}
