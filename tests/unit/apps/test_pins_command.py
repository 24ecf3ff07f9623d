"""Show `watchword pins` as an operator meets it: from the first key to a rotation, and every slip in between."""

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.adapters.ordinary_user import ordinary_user
from tests.unit.apps.pins_cli import Shell
from tests.unit.apps.pins_servers import HOST, Authority, new_key, public_pem, server, silent
from tests.unit.apps.pins_yard import APP, Yard, yard

from watchword.apps.pins.session import sources_of
from watchword.apps.settings.template import TEMPLATE

SECTION = f"pins:\n  report_first: 1s\n  hosts:\n    {HOST}: {{apps: [{APP}], mode: report}}\n"
PIN = "sha256/" + "A" * 43 + "="


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """Return a shell on a file without pins."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE)
    return Shell(file, monkeypatch, capsys)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Yard]:
    """Return a workspace with a current and a backup key."""
    with yard(tmp_path) as found:
        yield found


def test_from_nothing_to_a_rotation(shell: Shell, tmp_path: Path) -> None:
    """Each step says the next one, and the next one works."""
    authority, current, backup, following = Authority(), new_key(), new_key(), new_key()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    for name, key in (("backup.pub", backup), ("next.pub", following)):
        (tmp_path / name).write_bytes(public_pem(key))
    begun = shell("init")
    assert "Put this into" in begun.out
    assert "hosts:\n    # Begin with report" in begun.out
    shell.config.write_text(TEMPLATE + SECTION)
    with server(tmp_path) as running:
        running.show(current, authority.issue(current, HOST))
        at = ("--resolve", f"{HOST}=127.0.0.1:{running.port}", "--cafile", "ca.pem")
        assert "there is no root list" in shell("check", *at, code=1).out
        shell("root", "init", "-d", "roots", "--keys", "2", "--pin-key", "pins/pin-key.jwk")
        shell("root", "accept", "roots/roots-1.json")
        added = shell("add", HOST, "--from-live", "--role", "current", *at)
        assert "A backup is missing" in added.out
        refused = shell("publish", *at, code=1)
        assert "pins.publish_backup" in refused.out
        assert "Nothing is published." in refused.out
        shell("add", HOST, "--key", "backup.pub", "--role", "backup")
        assert "would be published" in shell("publish", "--dry-run", *at).out
        assert shell("show", "--json").json["published"] == {APP: None}
        assert "published. Changed: the first set." in shell("publish", *at).out
        assert "All is as it should be." in shell("check", *at).out
        shell("release", APP, "4.1.0", "-o", "builtin.json")
        assert json.loads((tmp_path / "builtin.json").read_text())["app_version"] == "4.1.0"
        shell("add", HOST, "--key", "next.pub", "--role", "next")
        shell("publish", *at)
        assert "Deploy the certificate" in shell("rotate", HOST, *at).out
        running.show(following, authority.issue(following, HOST))
        assert "pinned as next" in shell("check", *at).out
        assert "it is the current one now" in shell("rotate", HOST, *at).out
        shell("publish", *at)
        assert "All is as it should be." in shell("check", *at).out
        assert running.received == b""
    actions = [json.loads(line)["action"] for line in shell("log", "--json").out.splitlines()]
    assert actions == ["init", "root", "publish", "release", "publish", "rotate", "publish"]


def test_forced_steps_stand_in_the_log(shell: Shell, made: Yard) -> None:
    """With who and why; they can be listed alone."""
    at = made.options
    shell("remove", HOST, "backup")
    shell("publish", *at, code=1)
    shell("publish", "--force", *at, code=2)
    shell("publish", "--reason", "why", *at, code=2)
    shell("publish", "--force", "--reason", " ", *at, code=2)
    forced = shell("publish", "--force", "--reason", "key stolen", "--actor", "bob", *at)
    assert "FORCED" in forced.out
    (line,) = shell("log", "--forced").out.splitlines()
    assert "bob" in line
    assert line.endswith("FORCED: key stolen")


def test_an_edited_log_fails_loudly(shell: Shell, made: Yard) -> None:
    """`log`, `check` and `publish` all say so; nothing is published on top of it."""
    shell("publish", *made.options)
    log = made.workspace.log.path
    log.write_bytes(log.read_bytes().replace(b"alice", b"bobby", 1))
    for command in (["log"], ["check", *made.options], ["publish", *made.options]):
        assert "log.jsonl:2: this line was changed" in shell(*command, code=2).err


def test_a_key_in_every_form(shell: Shell, made: Yard, tmp_path: Path) -> None:
    """OkHttp's, curl's, bare base64, base64url and hexadecimal mean one key."""
    edit = made.config
    assert edit.exists()
    raw = bytes(range(3, 35))
    text = "sha256/AwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISI="
    for form in (
        text,
        text.replace("/", "//", 1),
        text.partition("/")[2],
        text.partition("/")[2].rstrip("="),
        raw.hex(),
        raw.hex(":").upper(),
    ):
        shell("add", HOST, "--spki", form, "--role", "next")
        keys = shell("show", "--json").json["hosts"][HOST]["keys"]
        assert [each["pin"] for each in keys if each["role"] == "next"] == [text]
    assert shell("remove", HOST, text[:20], "--json").json["host"] == HOST
    (tmp_path / "leaf.pem").write_bytes(made.authority.issue(new_key(), HOST))
    shell("add", HOST, "--cert", "leaf.pem", "--role", "next")
    shell("add", HOST, "--ca-bundle", "ca.pem")
    shell("add", HOST, "--from-live", "--role", "ca", *made.options)
    roles = [each["role"] for each in shell("show", "--json").json["hosts"][HOST]["keys"]]
    assert sorted(roles) == ["backup", "ca", "current", "next"]


BAD_ARGUMENTS: list[tuple[list[str], str]] = [
    (["add", HOST, "--spki", "sha256/AAAA", "--role", "next"], "expected 44 of base64"),
    (["add", HOST, "--spki", "A" * 43 + "!", "--role", "next"], "expected 44 of base64"),
    (["add", HOST, "--spki", "sha1/" + "A" * 43 + "=", "--role", "next"], "expected SHA-256"),
    (["add", HOST, "--spki", "f" * 66, "--role", "next"], "expected 44 of base64"),
    (["add", HOST, "--spki", "A" * 100_000, "--role", "next"], "got a pin of 100000 characters"),
    (["add", HOST, "--spki", PIN], "got no role that fits"),
    (["add", HOST, "--role", "next"], "got 0 sources"),
    (["add", HOST, "--spki", PIN, "--key", "junk", "--role", "next"], "got 2 sources"),
    (["add", HOST, "--spki", PIN, "--role", "current"], "got another current key, expected one"),
    (["add", "192.0.2.7", "--spki", PIN, "--role", "next"], "expected the name of a server"),
    (["add", "https://" + HOST, "--spki", PIN, "--role", "next"], "expected the name of a server"),
    (["add", HOST + ":443", "--spki", PIN, "--role", "next"], "expected the name of a server"),
    (["add", "*.example.com", "--spki", PIN, "--role", "next"], "expected the name of a server"),
    (["add", "", "--spki", PIN, "--role", "next"], "expected the name of a server"),
    (["add", "x" * 70 + ".com", "--spki", PIN, "--role", "next"], "expected the name of a server"),
    (["add", "\x1b[2Jx.example.com", "--spki", PIN, "--role", "next"], "expected the name of"),
    (["add", "b\u00fccher.example", "--spki", PIN, "--role", "next"], "got host xn--bcher-kva.example"),
    (["add", "other.example.com", "--spki", PIN, "--role", "next"], "expected one under pins.hosts"),
    (["add", HOST, "--cert", "junk", "--role", "next"], "got a certificate that can't be read"),
    (["add", HOST, "--cert", "cut.pem", "--role", "next"], "got a PEM block without its end"),
    (["add", HOST, "--cert", "many.pem", "--role", "next"], "got 100 certificates, expected at most 12"),
    (["add", HOST, "--key", "junk", "--role", "next"], "aren't a SubjectPublicKeyInfo"),
    (["add", HOST, "--key", "private.pem", "--role", "next"], "openssl pkey -in private.pem -pubout"),
    (["add", HOST, "--ca-bundle", "leaf.pem"], "which is no authority"),
    (["add", HOST, "--ca-bundle", "many.pem"], "got 100 certificates, expected at most 20"),
    (["remove", HOST, "next"], "which is 0 keys"),
    (["remove", HOST, "zzz"], "expected 44 of base64"),
    (["check", "--fail-within", "soon"], "expected a duration"),
    (["check", "--resolve", "nonsense"], "expected HOST=ADDRESS"),
    (["check", "--cafile", "junk"], "expected a file with certificates as PEM"),
    (["check", "--app", "clinic-ios"], "expected one that pins hosts"),
    (["check", "--sign", "ci.pem"], "--sign and --api go together"),
    (["rotate", "other.example.com"], "expected one under pins.hosts"),
    (["publish", "--app", "nobody"], "got app 'nobody'"),
    (["rehearse", "--scenario", "nonsense"], "got scenario 'nonsense'"),
    (["release", APP, "../../x"], "expected letters, digits, dots"),
    (["release", APP, "9", "--withdraw"], "expected a version that was released"),
    (["root", "show", "junk"], "junk: "),
    (["root", "accept", "junk"], "junk: "),
    (["root", "sign", "junk", "--key", "private.pem"], "junk: "),
    (["root", "init", "-d", ".watchword/roots", "--pin-key", "pins/pin-key.jwk"], "offline"),
    (["root", "init", "-d", "pins/roots2", "--pin-key", "pins/pin-key.jwk"], "offline"),
    (["root", "init", "-d", "away", "--pin-key", "pins/pin-key.pem"], "got a private key"),
    (["root", "init", "-d", "away", "--pin-key", "junk"], "expected a public key on P-256"),
    (["root", "init", "-d", "away", "--keys", "2", "--threshold", "3", "--pin-key", "pins/pin-key.jwk"], "threshold"),
    (["watch", "--listen", "0.0.0.0:9464"], "expected an address of this machine alone"),
    (["init"], "is a workspace already, and is never overwritten"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    BAD_ARGUMENTS,
    ids=[f"{a[0]}-{i}" for i, (a, _) in enumerate(BAD_ARGUMENTS)],
)
def test_what_cant_be_meant_is_told(
    shell: Shell, made: Yard, tmp_path: Path, arguments: list[str], told: str
) -> None:
    """Exit code 2, what was got and expected, and nothing is changed."""
    leaf = made.authority.issue(new_key(), HOST)
    (tmp_path / "junk").write_bytes(b"\x30\x82junk")
    (tmp_path / "leaf.pem").write_bytes(leaf.split(made.authority.pem)[0])
    (tmp_path / "cut.pem").write_bytes(leaf[:400])
    (tmp_path / "many.pem").write_bytes(made.authority.pem * 100)
    shutil.copy(made.workspace.key, tmp_path / "private.pem")
    before = made.workspace.read_pinned(), made.workspace.log.path.read_bytes()
    done = shell(*arguments, code=2)
    assert told in " ".join(done.err.split())
    assert "\x1b" not in done.err
    assert len(done.err) < 2000
    assert before == (made.workspace.read_pinned(), made.workspace.log.path.read_bytes())
    assert not (tmp_path / "away" / "roots-1.json").exists()


def test_a_server_that_never_answers(shell: Shell, made: Yard) -> None:
    """Exit code 3: it isn't known whether anything is wrong."""
    shell("publish", *made.options)
    with silent() as port:
        at = ("--resolve", f"{HOST}=127.0.0.1:{port}", "--timeout", "0.3")
        assert "got no handshake within 0.3 s" in shell("check", *at, code=3).out.replace(
            "\n      ", " "
        )
        assert (
            "got no handshake"
            in shell("add", HOST, "--from-live", "--role", "next", *at, code=3).err
        )
        assert "not every place answered" in shell("rotate", HOST, *at, code=1).err


def test_a_live_chain_of_100_certificates(shell: Shell, made: Yard) -> None:
    """It is told, bounded, and nothing of it is pinned."""
    key = new_key()
    chain = made.authority.issue(key, HOST) + made.authority.pem * 98
    made.running.show(key, chain)
    done = shell("add", HOST, "--from-live", "--role", "next", *made.options, code=3)
    assert "got a chain of 100 certificates, expected at most 12" in done.err


def test_nothing_is_pinned_from_a_chain_that_doesnt_hold(shell: Shell, made: Yard) -> None:
    """Who is in between now would be pinned for good."""
    at = made.options[:2]
    done = shell("add", HOST, "--from-live", "--role", "next", *at, code=1)
    assert "a chain that doesn't hold" in done.err
    assert "--cafile" in done.err


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda w: (w.directory / "sets").rename(w.directory / "gone"), "without sets"),
        (lambda w: w.pinned.unlink(), "without pins.yaml"),
        (lambda w: shutil.rmtree(w.directory), "watchword pins init"),
        (lambda w: w.key.unlink(), "pin-key.pem: isn't there"),
        (lambda w: w.key.chmod(0o644), "mode 0644, expected 0600"),
        (lambda w: w.key.write_text("junk"), "expected a private key on P-256"),
        (lambda w: (w.directory / "roots" / "1.json").write_text("{}"), "roots/1.json: "),
        (lambda w: (w.directory / "sets" / APP).joinpath("7.jws").write_text("a.b.c"), "7.jws: "),
        (lambda w: w.pinned.write_text("version: 1\nhosts: {api.example.com: [{pin: AAAA, role: next}]}"), "pins.yaml:2"),
        (lambda w: w.pinned.write_text("\tjunk"), "valid YAML"),
        (lambda w: w.directory.chmod(0o755), "mode 0755, expected 0700"),
        (lambda w: w.pinned.write_bytes(b"#" * 2_000_000), "got more than 1048576 bytes"),
    ],
)  # fmt: skip
def test_a_workspace_that_is_damaged(
    shell: Shell, made: Yard, break_it: Callable[[object], object], told: str
) -> None:
    """Exit code 2, the file and what to do; nothing is published."""
    (made.workspace.directory / "sets" / APP).mkdir(mode=0o700)
    break_it(made.workspace)
    done = shell("publish", *made.options, code=2)
    assert told in " ".join(done.err.split())
    assert not list(made.workspace.directory.glob("sets/*/2*.jws"))


def test_an_older_copy_of_a_set_is_told(shell: Shell, made: Yard) -> None:
    """A set under another version's name is no set of that version."""
    shell("publish", *made.options)
    (version,) = made.workspace.set_versions(APP)
    sets = made.workspace.directory / "sets" / APP
    shutil.copy(sets / f"{version}.jws", sets / f"{version + 5}.jws")
    assert f"got version {version} of {APP}" in shell("show", code=2).err


def test_a_directory_that_cant_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3: the file system refuses, whatever the user meant."""
    with ordinary_user() as place:
        file = place / "watchword.yaml"
        file.write_text(TEMPLATE)
        place.chmod(0o500)
        done = Shell(file, monkeypatch, capsys)("init", code=3)
        assert "Permission denied" in done.err
        assert [each.name for each in place.iterdir()] == ["watchword.yaml"]


def test_init_goes_on_where_it_was_interrupted(shell: Shell, tmp_path: Path) -> None:
    """What a killed one left is completed; what is foreign or was in use is never touched."""
    (tmp_path / "pins").mkdir(mode=0o700)
    (tmp_path / "pins" / "roots").mkdir(mode=0o700)
    (tmp_path / "pins" / "pin-key.pem").write_text("half a k")
    shell("init")
    assert "BEGIN PRIVATE KEY" in (tmp_path / "pins" / "pin-key.pem").read_text()
    (tmp_path / "pins" / "pins.yaml").unlink()
    assert "was in use and has lost pins.yaml" in shell("init", code=2).err
    (tmp_path / "other").mkdir(mode=0o700)
    (tmp_path / "other" / "letter.txt").write_text("mine")
    assert "'letter.txt'" in shell("init", "-d", "other", code=2).err
    assert "state directory" in shell("init", "-d", ".watchword", code=2).err


def test_the_section_is_written_to_a_file_of_its_own(shell: Shell, tmp_path: Path) -> None:
    """And it is one that the file takes as it is, but for the host's apps."""
    shell("init", "-o", "section.yaml")
    section = (tmp_path / "section.yaml").read_text()
    shell.config.write_text(TEMPLATE + section)
    shown = shell("show", "--json").json
    assert shown["hosts"][HOST]["apps"] == ["clinic-ios", "clinic-android"]


def test_rehearsals_say_who_survives(shell: Shell, made: Yard) -> None:
    """A renewal locks nobody out, the loss of all keys does; step by step where one is named."""
    shell("release", APP, "4.1.0")
    done = shell("rehearse", *made.options, "--json").json
    (host,) = done["hosts"]
    by_name = {each["name"]: each for each in host["scenarios"]}
    assert len(by_name) >= 12
    assert by_name["renewal"]["locked_out"] == []
    assert "4.1.0" in by_name["lost-keys"]["locked_out"]
    assert not by_name["swap-next"]["possible"]
    assert not host["assumed"]
    assert host["as_enforced"]
    shell("rehearse", "--offline", "--fail-on", "renewal")
    failed = shell("rehearse", HOST, "--offline", "--fail-on", "lost-keys", code=1)
    assert "lost-keys locks an installed app out" in failed.err
    steps = shell("rehearse", HOST, "--offline", "--scenario", "lost-key").out
    assert "2. the server shows the backup key" in " ".join(steps.split())
    assert "taken to show its current key" in " ".join(steps.split())


def test_watching_once_writes_metrics_and_tells(shell: Shell, made: Yard, tmp_path: Path) -> None:
    """A textfile for Prometheus, a line for each finding, and the exit code of a check."""
    shell("publish", *made.options)
    good = shell("watch", "--once", "--textfile", "m.prom", *made.options)
    assert good.out.rstrip().endswith("good: all is as it should be")
    assert 'watchword_pins_findings{weight="bad"} 0.0' in (tmp_path / "m.prom").read_text()
    bad = shell(
        "watch",
        "--once",
        "--alert-within",
        "120d",
        "--textfile",
        "m.prom",
        "--json",
        *made.options,
        code=1,
    )
    (line,) = map(json.loads, bad.out.splitlines())
    assert (line["event"], line["code"]) == ("begins", "set-expires")
    assert 'watchword_pins_findings{weight="bad"} 1.0' in (tmp_path / "m.prom").read_text()
    (tmp_path / "mine.txt").write_text("mine")
    assert (
        "isn't an earlier output"
        in shell("watch", "--once", "--textfile", "mine.txt", *made.options, code=1).err
    )


def test_a_port_in_use_is_told(shell: Shell, made: Yard) -> None:
    """Metrics can't be served where something else listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "in use" in shell("watch", "--once", "--listen", where, *made.options, code=3).err


@pytest.mark.parametrize("platform", ["android", "ios", "okhttp", "trustkit", "typescript"])
def test_a_set_in_a_platforms_own_format(shell: Shell, made: Yard, platform: str) -> None:
    """Enforced pins stand in it; it can be written over, and nothing else can."""
    assert "nothing is published" in shell("render", platform, code=2).err
    shell("publish", *made.options)
    made.write(mode="enforce")
    pins = [each["pin"] for each in shell("show", "--json").json["hosts"][HOST]["keys"]]
    done = shell("render", platform, "--draft", "-o", "out.txt")
    assert "out.txt: version" in done.out
    text = (made.directory / "out.txt").read_text()
    assert all(each.removeprefix("sha256/") in text for each in pins)
    shell("render", platform, "--draft", "-o", "out.txt")
    assert shell("render", platform, "--draft").out.startswith(text[:20])
    shell("render", platform, "-o", "watchword.yaml", code=1)
    assert json.loads(shell("render", platform, "--json").out)["version"] > 2026


def test_what_a_platform_cant_say_is_told(shell: Shell, made: Yard) -> None:
    """A host that only reports is no host that is refused."""
    shell("publish", *made.options)
    done = shell("render", "android")
    assert f"left out: {HOST}: report mode" in done.err


def test_of_certificates_of_one_key_the_first_is_named(tmp_path: Path) -> None:
    """An authority has several certificates of a key, cross-signed ones among them: it is one pin."""
    first = Authority("The first")
    file = tmp_path / "roots.pem"
    file.write_bytes(first.pem + Authority("The second", first.key).pem)
    ((_, note),) = sources_of("ca_bundle", file)
    assert note == "roots.pem: CN=The first"
