"""Show how root lists are made, signed by several, changed and brought in, offline and by hand."""

import json
import time
from pathlib import Path

import pytest
from tests.unit.apps.pins_cli import Shell
from tests.unit.apps.pins_yard import APP, DAY, Yard, yard

from watchword.adapters.pin_workspace import new_key as new_signing_key
from watchword.apps.pins.root_lists import Changes
from watchword.apps.settings.template import TEMPLATE
from watchword.pins.roots import add_signature, read_unverified, sign_roots, unsigned


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """Return a shell on a file, in whose directory a workspace was begun."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE + f"pins: {{hosts: {{api.example.com: {{apps: [{APP}]}}}}}}\n")
    made = Shell(file, monkeypatch, capsys)
    made("init")
    return made


PIN_KEY = ("--pin-key", "pins/pin-key.jwk")


def test_several_holders_sign_one_after_the_other(shell: Shell, tmp_path: Path) -> None:
    """Each makes a key at home; a list counts once as many as its threshold have signed."""
    for holder in ("alice", "bob", "carol"):
        (tmp_path / holder).mkdir()
        shell("root", "key", "-o", f"{holder}/{holder}.pem")
    public = [w for each in ("alice", "bob", "carol") for w in ("--public", f"{each}/{each}.jwk")]
    begun = shell("root", "init", "-d", "meeting", "--keys", "0", *public, *PIN_KEY)
    assert "Missing: 2 more of this list's 3 keys" in begun.out
    file = "meeting/roots-1.json"
    refused = shell("root", "accept", file, code=1)
    assert "pins.roots_threshold" in refused.err
    assert "Missing: 1 more" in shell("root", "sign", file, "--key", "alice/alice.pem").out
    shell("root", "accept", file, code=1)
    assert "Missing: 1 more" in shell("root", "sign", file, "--key", "alice/alice.pem").out
    assert "Signed. Take it" in shell("root", "sign", file, "--key", "carol/carol.pem").out
    shell("root", "accept", file)
    shown = shell("root", "--json").json
    assert (shown["version"], shown["threshold"], shown["signed"]) == (1, 2, 2)
    assert "is here already" in shell("root", "accept", file, code=2).err


def test_a_holder_leaves_and_another_comes(shell: Shell, tmp_path: Path) -> None:
    """The next list is signed by enough keys of the old list and of its own; then it is taken, in order."""
    shell("root", "init", "-d", "roots", "--keys", "3", *PIN_KEY)
    shell("root", "accept", "roots/roots-1.json")
    shell("root", "key", "-o", str(tmp_path / "dave.pem"))
    gone = shell("root", "show", "roots/roots-1.json", "--json").json["keys"][0]["kid"]
    change = ("--remove-key", gone[:8], "--add-key", "dave.jwk")
    first = "roots/roots-1.json"
    lone = shell("root", "rotate", first, *change, "--key", "roots/root-1.pem", "--json").json
    assert lone["signed"] == 0
    assert lone["previous"]["signed"] == 1
    second = "roots/roots-2.json"
    assert "pins.roots_threshold" in shell("root", "accept", second, code=1).err
    assert "expected one of the list or of the one before it" in " ".join(
        shell(
            "root", "sign", second, "--key", str(tmp_path / "pins" / "pin-key.pem"),
            "--previous", first, code=2,
        ).err.split()
    )  # fmt: skip
    shell("root", "sign", second, "--key", "dave.pem", "--previous", first)
    done = shell("root", "sign", second, "--key", "roots/root-2.pem", "--previous", first)
    assert "Signed. Take it" in done.out
    # Who signs sees what he answers for, and not just what the list says.
    marked = [line.split()[0] for line in done.out.splitlines() if line.endswith("NEW")]
    assert marked == [shell("root", "show", second, "--json").json["keys"][-1]["kid"]]
    assert f"gone       {gone}" in done.out
    shell("root", "rotate", second, "--key", "roots/root-2.pem", "--key", "dave.pem")
    skipped = shell("root", "accept", "roots/roots-3.json", code=2)
    assert "got list 3, expected 2" in skipped.err
    shell("root", "accept", second)
    shell("root", "accept", "roots/roots-3.json")
    assert [json.loads(line)["subject"] for line in shell("log", "--json").out.splitlines()] == [
        "pins",
        "list 1",
        "list 2",
        "list 3",
    ]


def test_a_list_that_expired_isnt_brought_in(shell: Shell) -> None:
    """It would authorise nothing."""
    shell("root", "init", "-d", "roots", "--keys", "1", "--expires", "1s", *PIN_KEY)
    # The file says 1s; whoever is slow enough to bring it in is too late.
    data = json.loads((shell.config.parent / "roots" / "roots-1.json").read_text())
    assert data["payload"]
    time.sleep(1.1)
    assert "has expired" in shell("root", "accept", "roots/roots-1.json", code=1).err


def test_passphrases_encrypt_root_keys(shell: Shell, tmp_path: Path) -> None:
    """From a file, where nobody is there to be asked; a wrong or short one is told."""
    for name, phrase in (("good", "correct horse battery"), ("wrong", "x" * 20), ("short", "x")):
        (tmp_path / name).write_text(phrase + "\n")
        (tmp_path / name).chmod(0o600)
    begin = ("root", "init", "-d", "roots", "--keys", "1", *PIN_KEY, "--passphrase-file")
    assert "expected 12 or more" in shell(*begin, "short", code=2).err
    assert "nobody is there" in shell(*begin[:-1], "--passphrase", code=2).err
    shell(*begin, "good")
    assert "ENCRYPTED" in (tmp_path / "roots" / "root-1.pem").read_text()
    rotate = ("root", "rotate", "roots/roots-1.json", "--key", "roots/root-1.pem")
    assert "nobody is there to be asked" in shell(*rotate, code=2).err
    assert "and its passphrase" in shell(*rotate, "--passphrase-file", "wrong", code=2).err
    assert "Signed. Take it" in shell(*rotate, "--passphrase-file", "good").out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["--remove-pin-key", "zz"], "expected the id of one of these"),
        (["--remove-key", ""], "expected the id of one of these"),
        (["--add-pin-key", "pins/pin-key.jwk"], "which the list has already"),
        (["--add-key", "pins/pin-key.jwk"], "a root key and a pin key"),
        (["--threshold", "3"], "threshold"),
        (["--floor", "clinic-android"], "expected APP=VERSION"),
        (["--floor", "clinic-android=0"], "expected 1 or more"),
        (["--floor", "clinic-android=9" + "9" * 20], "expected APP=VERSION"),
        (["--expires", "0d"], "expected a duration"),
        (["--key", "pins/pin-key.pem"], "expected keys of roots/roots-1.json or of the next list"),
        (["--key", "pins/pin-key.jwk"], "this is a public key"),
    ],
)
def test_changes_that_make_no_list(shell: Shell, change: list[str], told: str) -> None:
    """Exit code 2, and no file is written."""
    shell("root", "init", "-d", "roots", "--keys", "2", *PIN_KEY)
    done = shell("root", "rotate", "roots/roots-1.json", *change, code=2)
    assert told in " ".join(done.err.split())
    assert not (shell.config.parent / "roots" / "roots-2.json").exists()


def test_a_floor_never_falls(shell: Shell) -> None:
    """Raised once, it stays: it is what keeps a thief's sets out."""
    keys = ("--key", "roots/root-1.pem")
    shell("root", "init", "-d", "roots", "--keys", "1", *PIN_KEY)
    shell("root", "rotate", "roots/roots-1.json", "--floor", f"{APP}=20261127031500", *keys)
    lower = shell(
        "root", "rotate", "roots/roots-2.json", "--floor", f"{APP}=20251127031500", *keys, code=2
    )
    assert "a floor only rises" in lower.err
    shown = shell("root", "show", "roots/roots-2.json", "--previous", "roots/roots-1.json")
    assert f"{APP}: no set below version 20261127031500 counts" in shown.out


def test_no_root_key_is_overwritten(shell: Shell) -> None:
    """Made twice, the first ones would be gone."""
    begin = ("root", "init", "-d", "roots", "--keys", "1", *PIN_KEY)
    shell(*begin)
    key = (shell.config.parent / "roots" / "root-1.pem").read_bytes()
    assert "never overwritten" in shell(*begin, code=2).err
    assert (shell.config.parent / "roots" / "root-1.pem").read_bytes() == key


def test_a_state_directory_is_known_without_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there's no watchword.yaml here, the service's key ring tells what the directory is."""
    with yard(tmp_path / "") as made:
        assert isinstance(made, Yard)
        public = made.workspace.public_key
        state = tmp_path / "elsewhere"
        state.mkdir(mode=0o700)
        (state / "keyring.json").write_text("{}")
        alone = Shell(tmp_path / "none.yaml", monkeypatch, capsys)
        told = alone("root", "init", "-d", state / "roots", "--pin-key", public, code=2).err
        assert "belongs to the running deployment" in told
        alone("root", "init", "-d", tmp_path / "stick", "--pin-key", public)


def test_a_list_that_was_slipped_in_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Signed by its own keys alone, and put into the directory by hand: every command refuses the workspace."""
    with yard(tmp_path) as made:
        stranger = Yard(tmp_path, made.running)
        data = stranger.next_roots(
            Changes(add_keys=[k.verification_key() for k in stranger.root_keys])
        )
        (made.workspace.directory / "roots" / "2.json").write_bytes(data)
        shell = Shell(made.config, monkeypatch, capsys)
        for command in (["show"], ["publish", *made.options], ["root"]):
            assert "roots/2.json: pins.roots_threshold" in shell(*command, code=2).err


def _without_first_pin_key(made: Yard, **floors: int) -> bytes:
    """Return the next list as another tool would make it: another pin key, and floors as told."""
    new = new_signing_key()
    return sign_roots(
        unsigned(
            version=2,
            expires=int(made.now + 365 * DAY),
            keys=[each.public for each in made.root_keys],
            threshold=2,
            pin_keys=[new.public],
            floors=floors,
        ),
        made.root_keys[:2],
    )


def test_a_list_that_opens_a_rollback_is_not_brought_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes a pin key out and leaves the floors: refused with what to do; forcing it is in the log with its reason."""
    with yard(tmp_path) as made:
        (published,) = made.publish()
        version = published.draft.version
        file = tmp_path / "next.json"
        shell = Shell(made.config, monkeypatch, capsys)
        for floors in ({}, {APP: version - 1}):
            file.write_bytes(_without_first_pin_key(made, **floors))
            told = " ".join(shell("root", "accept", file, code=1).err.split())
            assert f"expected {version}" in told
            assert "watchword pins root rotate" in told
        assert "go together" in shell("root", "accept", file, "--force", code=2).err
        assert (
            "printable"
            in shell("root", "accept", file, "--force", "--reason", "a\x1b[1mb", code=2).err
        )
        assert made.workspace.root_versions() == (1,)
        shell("root", "accept", file, "--force", "--reason", "no app took that set")
        assert made.workspace.root_versions() == (1, 2)
        (line,) = shell("log", "--forced", "--json").out.splitlines()
        step = json.loads(line)
        assert (step["action"], step["reason"]) == ("root", "no app took that set")
        assert step["detail"]["forced"]


def test_floors_follow_what_the_workspace_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Taking a pin key out raises them by itself; a lower one is refused, and offline each app has to be named."""
    with yard(tmp_path) as made:
        (published,) = made.publish()
        version = published.draft.version
        shell = Shell(made.config, monkeypatch, capsys)
        first = tmp_path / "first.json"
        first.write_bytes(made.workspace.read_roots(1))
        hint = shell("init", "--new-pin-key").out
        assert f"--floor {APP}={version} " in f"{hint} ".replace("\n", " ")
        rotate = ("root", "rotate", first, "--only-pin-key", made.workspace.public_key)
        low = ("--floor", f"{APP}={version - 1}", "-o", tmp_path / "no.json")
        assert f"expected {version}" in shell(*rotate, *low, code=2).err
        made_here = shell(*rotate, "-o", tmp_path / "here.json", "--json").json
        assert made_here["floors"] == {APP: version}
        away = tmp_path / "away"
        away.mkdir()
        offline = Shell(away / "watchword.yaml", monkeypatch, capsys)
        told = offline(*rotate, "-o", tmp_path / "no.json", code=2).err
        assert "expected one for each app" in " ".join(told.split())
        named = offline(
            *rotate, "--floor", f"{APP}={version + 9}", "-o", tmp_path / "there.json", "--json"
        ).json
        assert named["floors"] == {APP: version + 9}
        assert not (tmp_path / "no.json").exists()


def _signed(file: Path, made: Yard) -> Path:
    data = file.read_bytes()
    for key in made.root_keys[:2]:
        data = add_signature(data.strip(), key)
    file.write_bytes(data)
    return file


def test_a_pin_key_is_exchanged_without_withdrawing_a_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named beside the old one, it publishes, and only then the old one goes; the other way round needs a reason."""
    with yard(tmp_path) as made:
        made.publish()
        shell = Shell(made.config, monkeypatch, capsys)
        first, second, third, rash = (tmp_path / f"{name}.json" for name in ("1", "2", "3", "rash"))
        first.write_bytes(made.workspace.read_roots(1))
        shell("init", "--new-pin-key")
        new = made.workspace.public_key
        shell("root", "rotate", first, "--only-pin-key", new, "-o", rash)
        told = " ".join(shell("root", "accept", _signed(rash, made), code=1).err.split())
        assert "the newest one" in told
        assert "publish, and take the old one out then" in told
        shell("root", "rotate", first, "--add-pin-key", new, "-o", second)
        shell("root", "accept", _signed(second, made))
        made.publish(after=60)
        (old,) = read_unverified(first.read_bytes()).pin_keys
        shell("root", "rotate", second, "--remove-pin-key", old, "-o", third)
        shell("root", "accept", _signed(third, made))
        assert made.workspace.root_versions() == (1, 2, 3)
        assert shell("log", "--forced", "--json").out == ""
