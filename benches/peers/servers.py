"""Starts and stops the servers of a comparison."""

from peers import Origin


class running:
    """The origin and the peers; they stop at the end of the block."""

    def __init__(self, *peers, delay_ms=0, photos=1):
        self.peers = [Origin(peers[0].work.parent, delay_ms, photos), *peers]

    def __enter__(self):
        # The origin is busy only while pictures are fetched, and shares the core of the load.
        self.peers[0].start(core="1")
        for peer in self.peers[1:]:
            peer.start()
        return self.peers

    def __exit__(self, *_):
        for peer in reversed(self.peers):
            peer.stop()
