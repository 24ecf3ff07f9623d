"""Ask a service over the operator's socket: where it is found, and what is made of a service that hangs up early."""

import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from watchword.apps.service.client import OperatorClient, operator_of, state_of
from watchword.apps.settings.document import OPERATOR_SOCKET, running_state
from watchword.apps.settings.faults import ConfigurationError
from watchword.reasons import RefusedError, UnavailableError

PROBLEM = {"reasons": ["request.path_ambiguous"], "details": ["got an encoded separator"]}
BROKEN = "version: 1\nservice:\n  state: kept\nnobody-knows-this: 1\n"


@pytest.fixture
def directory() -> Iterator[Path]:
    """Give a directory whose path fits into a socket's address."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name).resolve()


@contextmanager
def service(path: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Answer one request as soon as its head is there, and hang up; give what was read."""
    path.parent.mkdir(exist_ok=True)
    read: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            caller, _ = listener.accept()
            with caller:
                while b"\r\n\r\n" not in b"".join(read):
                    read.append(caller.recv(1))
                caller.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield read
        thread.join()


def answered(status: str, body: object) -> bytes:
    """Return an answer with a JSON body."""
    text = json.dumps(body).encode()
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status.encode(), len(text), text)


def test_a_refusal_that_came_before_the_body_was_sent_is_told(directory: Path) -> None:
    """The body is longer than any buffer: it can't have been sent when the service hangs up."""
    path = directory / OPERATOR_SOCKET
    with service(path, answered("400 Bad Request", PROBLEM)), pytest.raises(RefusedError) as told:
        OperatorClient(path).post("/v1/instances/x/revoke", {"because": "x" * 4_000_000})
    assert "request.path_ambiguous" in str(told.value)


def test_a_query_is_encoded_and_the_caller_named(directory: Path) -> None:
    """Values of a query can't become another path, and the person's name goes along."""
    path = directory / OPERATOR_SOCKET
    with service(path, answered("200 OK", {"found": 1})) as read:
        assert OperatorClient(path).get("/v1/x", app="a&b=c/d", limit=2) == {"found": 1}
    head = b"".join(read).decode()
    assert head.startswith("GET /v1/x?app=a%26b%3Dc%2Fd&limit=2 HTTP/1.1\r\n")
    assert "\r\nwatchword-operator: " in head


@pytest.mark.parametrize("answer", [b"", b"no http at all\r\n\r\n", answered("200 OK", [1])])
def test_what_is_no_answer_of_the_service_is_unavailable(directory: Path, answer: bytes) -> None:
    """A socket that hangs up, speaks something else, or answers anything but an object."""
    path = directory / OPERATOR_SOCKET
    with service(path, answer), pytest.raises(UnavailableError):
        OperatorClient(path).get("/v1/x")


def test_a_running_service_is_found_whatever_was_written_into_the_file_since(
    directory: Path,
) -> None:
    """Of the file its state directory alone is read, from the file's own directory, through links."""
    file = directory / "watchword.yaml"
    file.write_text(BROKEN)
    link = directory / "elsewhere"
    link.mkdir()
    (link / "watchword.yaml").symlink_to(file)
    with service(directory / "kept" / OPERATOR_SOCKET, answered("200 OK", {"a": 1})):
        for each in (file, link / "watchword.yaml"):
            assert running_state(each) == directory / "kept"
            assert state_of(each) == directory / "kept"
        with operator_of(file) as operator:
            assert operator.get("/v1/x") == {"a": 1}


@pytest.mark.parametrize("text", [BROKEN, "service: {state: 7}\n", "service: 1\n", "[]\n"])
def test_where_no_service_runs_the_faults_of_the_file_are_told(directory: Path, text: str) -> None:
    """What an operator needs to know then is what is wrong with the file."""
    file = directory / "watchword.yaml"
    file.write_text(text)
    assert running_state(file) is None
    with pytest.raises(ConfigurationError):
        operator_of(file)
