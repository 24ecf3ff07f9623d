"""Fuzz what lies in the state directory (secrets, canaries, applied files), requests in which canaries are looked for, and where a store is."""

from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from fuzz import seeds
from watchword.adapters.applied_document import AppliedTexts, read_texts, write_texts
from watchword.adapters.applied_files import AppliedFile, read_index
from watchword.adapters.honeytoken_file import read_honeytokens
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.postgres.address import read_address
from watchword.adapters.sealed_rows import SECRETS, SealedRow, read_copy, write_copy
from watchword.adapters.secret_store import (
    Document,
    DocumentError,
    Entry,
    Kept,
    Sealed,
    Wrapped,
    read_document,
    write_document,
)
from watchword.broker.honeytokens import KINDS, RANDOM_BYTES, digest, make_honeytoken, spot
from watchword.broker.interface import HoneytokenWatch
from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError, RefusedError

_KEY = bytes(range(32))
_ISSUER = "https://a.example"
_WRAPPED = Wrapped("k", b"wrapped")
_CANARIES = {kind: make_honeytoken(kind, b"5" * RANDOM_BYTES).value for kind in KINDS}
_WATCH = HoneytokenWatch(_KEY, {digest(_KEY, value): kind for kind, value in _CANARIES.items()})


def read_secrets(data: bytes) -> None:
    """Read the file, check it, and write what it says again: the same bytes."""
    with suppress(DocumentError):
        document = read_document(data, _ISSUER).checked(_KEY)
        assert write_document(document, _KEY) == data


def read_planted(data: bytes) -> None:
    """Read the file of canaries; what isn't one raises what its reader turns into a fault."""
    with suppress(RefusedError, PrivateFileError, ValueError, KeyError, TypeError, AttributeError):
        read_honeytokens(data, "canaries.json")


def read_sealed(data: bytes) -> None:
    """Read a node's copy of a sealed row, write what it says, and read that again: the same row."""
    with suppress(RefusedError, PrivateFileError, ValueError, KeyError, TypeError, AttributeError):
        row, database = read_copy(SECRETS, data, "copy")
        assert read_copy(SECRETS, write_copy(row, database), "copy") == (row, database)


def read_applied(data: bytes) -> None:
    """Read the index of applied files, and what nodes share of them; what is neither raises what its reader turns into a fault."""
    faults = (MalformedError, PrivateFileError, ValueError, KeyError, TypeError, AttributeError)
    with suppress(*faults):
        for each in read_index(Path("applied.json"), data):
            str(each.as_dict())
    with suppress(*faults):
        kept = read_texts("row", data)
        assert read_texts("row", write_texts(kept)) == kept


def read_place(data: bytes) -> None:
    """Read where a PostgreSQL is; what is read has as many hosts as libpq will see."""
    with suppress(ValueError):
        read = read_address(data.decode("utf-8"))
        assert 0 < len(",".join(host for host, _ in read.hosts).split(",")) == len(read.hosts)


def places() -> Iterator[bytes]:
    """Yield places of each kind."""
    yield b"postgresql://node@db.example/watchword"
    yield b"postgres://node@%2Frun%2Fpostgresql,[::1]:5433,10.0.0.1:1/w"


def look_at(data: bytes) -> None:
    """Look for canaries in two headers and a query; a canary is found, and nothing else."""
    parts = (*seeds.split(data), b"", b"", b"")
    fields = [(b"authorization", parts[0]), (b"x-api-key", parts[1])]
    spot(_WATCH, fields, parts[2])


def files() -> Iterator[bytes]:
    """Yield files with nothing, with a revoked version, and with several values."""
    sealed = Sealed(_WRAPPED, b"nonce and ciphertext")
    several = (Entry(1, 5, 9, 7, None), Entry(2, 6, 9, None, sealed), Entry(3, 8, None, None, None))
    for secrets in (
        {},
        {"a": Kept(1, several[:1])},
        {"a": Kept(1, several[1:]), "b": Kept(7, several)},
    ):
        yield write_document(Document(_ISSUER, _WRAPPED, secrets), _KEY)


def plantings() -> Iterator[bytes]:
    """Yield files of no canary and of two."""
    entry = {
        "digest": base64url.encode(_KEY),
        "kind": "aws",
        "made_at": 5,
        "note": "n",
        "headers": ["x-a"],
        "parameters": [],
    }
    for canaries in ({}, {"a": entry, "b": {**entry, "parameters": ["p"]}}):
        yield strict_json.dumps({"v": 1, "key": base64url.encode(_KEY), "canaries": canaries})


def indexes() -> Iterator[bytes]:
    """Yield indexes of one file, and of a change with its rollback; and one file as nodes share it."""
    first = AppliedFile(1, "0" * 64, 5, "a", "b", widened=False)
    members = [
        {name: getattr(each, name) for name in AppliedFile.__dataclass_fields__}
        for each in (
            first,
            AppliedFile(4, "f" * 64, 9, "a", "", widened=True, parent=1, restores=2),
        )
    ]
    for count in (1, 2):
        yield strict_json.dumps({"v": 1, "files": members[:count]})
    shared = AppliedFile(1, sha256(b"version: 1").hexdigest(), 5, "a", "b", widened=False)
    yield write_texts(AppliedTexts([shared], [b"version: 1"]))


def requests() -> Iterator[bytes]:
    """Yield requests with a canary in each place, and with credentials that are cut."""
    value = _CANARIES["aws"].encode()
    yield seeds.join((b"Bearer " + value, b"a," + value, b"key=" + value))
    yield seeds.join((b"Basic QUtJQTpB", b"", b"%6bey=%41&;=&api_key"))


def copies() -> Iterator[bytes]:
    """Yield copies of sealed rows."""
    for version in (1, 2**40):
        row = SealedRow(SECRETS, version, f"{_ISSUER} (prod)", "local-00", b"wrapped", b"sealed")
        yield write_copy(row, 7)
