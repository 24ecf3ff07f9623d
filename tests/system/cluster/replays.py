"""Record what phones send, as somebody on the way would, and send it again to every node."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
from tests.machine import patience
from tests.system.cluster.nodes import Balancer, Cluster, Node

REFUSED = {(409, "challenge-refused"), (403, "instance-unknown")}


class Recorder(Balancer):
    """Keep what phones send.

    :ivar sent: paths and bodies of what needs a challenge.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Send to these nodes in turn."""
        super().__init__(nodes)
        self.sent: list[tuple[str, bytes]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Keep it, and send it on."""
        if request.url.path != "/v1/challenges":
            self.sent.append((request.url.path, request.read()))
        return super().handle_request(request)


class Replays:
    """Send what was recorded to all nodes, and count what comes back.

    :ivar answers: by status and the problem's type; nothing where nobody answers.
    """

    def __init__(self, nodes: Cluster, recorded: Sequence[tuple[str, bytes]]) -> None:
        """Take what was recorded."""
        self.answers = Counter[tuple[int, str]]()
        self._nodes = nodes
        self._recorded = recorded

    def send(self) -> set[tuple[int, str]]:
        """Send all of it once to each node; return what came back."""
        came = [
            _sent(node, path, body) for node in self._nodes.nodes for path, body in self._recorded
        ]
        self.answers.update(came)
        return set(came)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send without a break until the block ends."""
        over = threading.Event()

        def send() -> None:
            while not over.wait(0.02):
                self.send()

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _sent(node: Node, path: str, body: bytes) -> tuple[int, str]:
    way = http.client.HTTPConnection("127.0.0.1", node.service, timeout=patience(30))
    try:
        way.request("POST", path, body, {"content-type": "application/json"})
        answer = way.getresponse()
        kind = str(json.loads(answer.read()).get("type", ""))
        return answer.status, kind.rpartition(":")[2]
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        way.close()
