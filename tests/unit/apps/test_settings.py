"""Show that a good file is understood and that a bad one shows all of its faults."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.apps.deployment import enrolment_policy, gate_policy
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import MAX_ROUTES, FileConfig
from watchword.apps.settings.sections import SECTIONS, Address
from watchword.apps.settings.template import EXAMPLE_DIGEST, EXAMPLE_TEAM_ID, TEMPLATE
from watchword.attestation.interface import SEALED_PLATFORMS, AndroidApp, AppleApp
from watchword.vocabulary import (
    AppAttestEnvironment,
    ApplePlatform,
    Distribution,
    Environment,
    Level,
    Mode,
    Platform,
)

UPSTREAM = "apis.clinic.upstream"


def write(tmp_path: Path, text: str) -> Path:
    """Write a configuration file and return its path."""
    file = tmp_path / "watchword.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def faults_of(file: Path) -> dict[str, tuple[int | None, str, str]]:
    """Return the faults of a file by path."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    return {f.path: (f.line, f.got, f.expected) for f in caught.value.faults}


def test_keys_of_a_file_are_those_of_its_model() -> None:
    """Who reads one section knows a misspelt key without the models of all."""
    assert FileConfig.model_fields.keys() == SECTIONS


def test_template_is_understood(tmp_path: Path) -> None:
    """The file that ``init`` writes is whole, and each value arrives as its domain type."""
    settings = load_settings(write(tmp_path, TEMPLATE))
    assert settings.environment is Environment.LAB
    assert settings.trust_lab
    assert not settings.trust_vendors
    assert settings.service.state_dir == tmp_path.resolve() / ".watchword"
    assert settings.service.token_lifetime == 300
    ios, android = settings.apps["clinic-ios"], settings.apps["clinic-android"]
    assert ios.identity == AppleApp("ABCDE12345", "com.example.clinic")
    assert isinstance(ios.identity, AppleApp)
    assert ios.identity.environment is AppAttestEnvironment.PRODUCTION
    assert isinstance(android.identity, AndroidApp)
    assert {len(digest) for digest in android.identity.signing_digests} == {32}
    assert (android.platform, android.minimum_version) == (Platform.ANDROID, "100")
    api = settings.apis["clinic"]
    assert api.listen == Address("127.0.0.1", 8080)
    assert [(r.pattern, r.mode, r.level) for r in api.routes] == [
        ("/health", Mode.OFF, Level.HARDWARE),
        ("/**", Mode.ENFORCE, Level.HARDWARE),
    ]


def test_a_device_stands_for_sessions_where_the_api_says_so(tmp_path: Path) -> None:
    """No API does by itself; whoever writes its tokens, its bundle and its engine's configuration are told alike."""
    for written, said in (("", False), ("    device_for_session: true\n", True)):
        text = TEMPLATE.replace(
            "    listen: 127.0.0.1:8080\n", f"    listen: 127.0.0.1:8080\n{written}"
        )
        settings = load_settings(write(tmp_path, text))
        api = settings.apis["clinic"]
        audiences = {api.audience} if said else set()
        assert api.device_for_session is said
        assert enrolment_policy(settings).device_for_session == audiences
        assert gate_policy(settings, api).device_for_session is said
    for wrong in ("device", "1", '"true"', "[true]"):
        listen = "    listen: 127.0.0.1:8080\n"
        text = TEMPLATE.replace(listen, f"{listen}    device_for_session: {wrong}\n")
        file = write(tmp_path, text)
        assert faults_of(file).keys() == {"apis.clinic.device_for_session"}


def with_ios(written: str) -> str:
    """Return the template with members of the iOS app."""
    return TEMPLATE.replace(
        "bundle_id: com.example.clinic\n", f"bundle_id: com.example.clinic\n    {written}\n", 1
    )


def test_where_an_ios_app_runs_and_how_it_comes_there(tmp_path: Path) -> None:
    """Phones and the store alone, unless more is listed; the words are those of the claims."""
    default = load_settings(write(tmp_path, TEMPLATE)).apps["clinic-ios"].identity
    assert isinstance(default, AppleApp)
    assert default.platforms == SEALED_PLATFORMS
    assert default.distributed_by == {Distribution.APP_STORE}
    every = (
        f"platforms: [{', '.join(ApplePlatform)}]\n    distribution: [{', '.join(Distribution)}]"
    )
    listed = load_settings(write(tmp_path, with_ios(every))).apps["clinic-ios"].identity
    assert isinstance(listed, AppleApp)
    assert listed.platforms == set(ApplePlatform)
    assert listed.distributed_by == set(Distribution)


@pytest.mark.parametrize(
    ("written", "member"),
    [
        ("platforms: []", "platforms"),
        ("platforms: [windows]", "platforms"),
        ("platforms: macos", "platforms"),
        ("distribution: []", "distribution"),
        ("distribution: [testflght]", "distribution"),
        ("distribution: [4]", "distribution"),
    ],
)
def test_unknown_systems_and_ways_are_faults(tmp_path: Path, written: str, member: str) -> None:
    """A typo would otherwise shut genuine phones out, or let others in."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write(tmp_path, with_ios(written)))
    assert member in str(caught.value)


@pytest.mark.parametrize("word", ["off", "monitor", "enforce"])
def test_mode_words_stay_words(tmp_path: Path, word: str) -> None:
    """YAML 1.1 would read ``off`` as false, which would be no mode at all."""
    text = TEMPLATE.replace("mode: enforce", f"mode: {word}")
    assert load_settings(write(tmp_path, text)).apis["clinic"].routes[1].mode is Mode(word)


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Faults of shape, of value and between sections stand in one answer, with their lines."""
    text = """\
version: 1
environment: prod
service:
  issuer: http://insecure.example
  listen: 0.0.0.0:99999
  token_lifetime: 2h
  sekret: 1
trust: {anchors: [lab]}
apps:
  a: {platform: ios, team_id: abc, bundle_id: com.x, bundel_id: y}
  b: {platform: symbian}
  b: {platform: android}
apis:
  c:
    audience: x
    apps: [a, nope]
    listen: 127.0.0.1:80
    routes:
      - {path: foo, mod: enforce, likelihood: 4}
      - {path: /**, proof: sessions}
"""
    faults = faults_of(write(tmp_path, text))
    assert {path: line for path, (line, _, _) in faults.items()} == {
        "service.issuer": 4,
        "service.listen": 5,
        "service.token_lifetime": 6,
        "service.sekret": 7,
        "trust.anchors": 8,
        "apps.a.team_id": 10,
        "apps.a.bundel_id": 10,
        "apps.b.platform": 11,
        "apps.b": 12,
        "apis.c.apps[1]": 16,
        "apis.c.listen": 17,
        "apis.c.routes[0].path": 19,
        "apis.c.routes[0].mod": 19,
        "apis.c.routes[0].likelihood": 19,
        "apis.c.routes[1].proof": 20,
    }
    assert faults["apps.a.bundel_id"][2].startswith("'bundle_id'?")
    assert faults["service.token_lifetime"][1:] == ("'2h'", "30s to 1h")


def test_an_api_says_how_long_its_tokens_live(tmp_path: Path) -> None:
    """Else it is what the service says; the longest is what keys and revocations are kept for; faults name their place."""
    settings = load_settings(write(tmp_path, TEMPLATE))
    api = settings.apis["clinic"]
    assert (settings.token_lifetime(api), settings.longest_lifetime) == (300, 300)
    longer = TEMPLATE.replace("    audience:", "    token_lifetime: 45m\n    audience:", 1).replace(
        "token_lifetime: 5m", "token_lifetime: 10m"
    )
    settings = load_settings(write(tmp_path, longer))
    assert settings.token_lifetime(settings.apis["clinic"]) == 2700
    assert settings.longest_lifetime == 2700
    policy = enrolment_policy(settings)
    assert policy.lifetime(settings.apis["clinic"].audience) == 2700
    assert policy.lifetime("https://nobody.example") == 600
    assert policy.longest_lifetime == 2700
    for wrong in ("29s", "61m"):
        faults = faults_of(write(tmp_path, longer.replace("45m", wrong)))
        assert faults["apis.clinic.token_lifetime"][1:] == (f"'{wrong}'", "30s to 1h")


def test_render_names_file_line_got_and_expected(tmp_path: Path) -> None:
    """A person reads where the fault is and what to write instead."""
    file = write(tmp_path, TEMPLATE.replace("mode: enforce", "mode: enforced"))
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    text = caught.value.render()
    line = TEMPLATE[: TEMPLATE.index("mode: enforce\n")].count("\n") + 1
    assert f"{file}:{line}  apis.clinic.routes[1].mode" in text
    assert "got       'enforced'" in text
    assert "expected  'enforce'? One of 'off', 'monitor', 'canary' or 'enforce'" in text


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("listen: 127.0.0.1:8440", "listen: 0.0.0.0:8440", "service.listen"),
        ("listen: 127.0.0.1:8080", "listen: 192.168.0.7:8080", "apis.clinic.listen"),
    ],
)
def test_lab_stays_on_loopback(tmp_path: Path, old: str, new: str, path: str) -> None:
    """A lab that others can reach would let anybody's simulated phone in."""
    assert set(faults_of(write(tmp_path, TEMPLATE.replace(old, new)))) == {path}


def test_lab_anchors_are_refused_in_prod(tmp_path: Path) -> None:
    """The lab's trust can't be switched on in production, and isn't on by default."""
    prod = TEMPLATE.replace("environment: lab", "environment: prod").replace(
        "issuer: http://127.0.0.1:8440", "issuer: https://attest.clinic.example"
    )
    prod = prod.replace(EXAMPLE_TEAM_ID, "ZYXWV98765").replace(EXAMPLE_DIGEST, "0f" * 32)
    settings = load_settings(write(tmp_path, prod))
    assert (settings.trust_vendors, settings.trust_lab) == (True, False)
    faults = faults_of(write(tmp_path, prod + "trust: {anchors: [vendors, lab]}\n"))
    assert set(faults) == {"trust.anchors"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        ("[1, 2]", ""),
        ("a: [", ""),
        ("a: !!python/object:os.system x", ""),
        ("\x00", ""),
        ("- " * 2000, ""),
        ("a: " + "[" * 5000, ""),
    ],
)
def test_unreadable_files_are_faults(tmp_path: Path, text: str, path: str) -> None:
    """Whatever stands in the file, the answer is a fault and never a stack trace."""
    faults = faults_of(write(tmp_path, text))
    assert path in faults or faults


def test_aliases_are_refused(tmp_path: Path) -> None:
    """A few lines of aliases can expand to gigabytes; they are refused without expanding."""
    rows = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for previous, name in zip("abcdefgh", "bcdefghi", strict=True):
        rows.append(f"{name}: &{name} [" + ", ".join([f"*{previous}"] * 9) + "]")
    faults = faults_of(write(tmp_path, "\n".join(rows)))
    assert any(got == "a YAML alias" for _, got, _ in faults.values())


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    """The cap holds before anything is parsed."""
    faults = faults_of(write(tmp_path, "#" * 5_000_000))
    assert faults[""][1] == "more than 4194304 bytes"


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    """The way out stands in the message."""
    assert "watchword init" in faults_of(tmp_path / "none.yaml")[""][2]


@given(st.binary(max_size=200))
def test_any_bytes_are_faults_or_settings(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    """No bytes make the reader raise anything but its own error."""
    file = tmp_path_factory.mktemp("any") / "w.yaml"
    file.write_bytes(raw)
    with pytest.raises(ConfigurationError):
        load_settings(file)


def test_two_apis_may_not_share_audience_or_address(tmp_path: Path) -> None:
    """A token for one API must not open another."""
    extra = TEMPLATE[TEMPLATE.rindex("  clinic:\n") :].replace("  clinic:\n", "  second:\n")
    faults = faults_of(write(tmp_path, TEMPLATE + extra))
    assert set(faults) == {"apis.second.audience", "apis.second.listen"}


def test_level_none_is_no_requirement_one_can_write(tmp_path: Path) -> None:
    """A route can't ask for level none: ``mode: off`` says that, and says it openly."""
    text = TEMPLATE.replace("level: hardware", "level: none")
    assert set(faults_of(write(tmp_path, text))) == {"apis.clinic.routes[1].level"}
    assert Level.NONE.rank == 0


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("listen: 127.0.0.1:8440", "listen: 127.0.0.1:0", "service.listen"),
        ("listen: 127.0.0.1:8440", "listen: '127.0.0.1:\u00b2'", "service.listen"),
        ("listen: 127.0.0.1:8440", "listen: '127.0.0.1:\uff18\uff10'", "service.listen"),
        ("listen: 127.0.0.1:8440", f"listen: 127.0.0.1:{'9' * 5000}", "service.listen"),
        ("listen: 127.0.0.1:8440", "listen: '::1:8440'", "service.listen"),
        ("listen: 127.0.0.1:8440", "listen: '[::1:8440'", "service.listen"),
        ("issuer: http://127.0.0.1:8440", 'issuer: "http://a\\nb"', "service.issuer"),
        ("issuer: http://127.0.0.1:8440", "issuer: http://a?", "service.issuer"),
        ("upstream: http://127.0.0.1:9000", "upstream: http://ex\u00e4mple.com", UPSTREAM),
        ("upstream: http://127.0.0.1:9000", "upstream: 'http://a b'", UPSTREAM),
        ("upstream: http://127.0.0.1:9000", "upstream: http://127.0.0.1:8080", UPSTREAM),
        ("token_lifetime: 5m", 'token_lifetime: "5m\\n"', "service.token_lifetime"),
        ("state: .watchword", "state: ~/state", "service.state"),
        ("state: .watchword", 'state: "a\\0b"', "service.state"),
        ("state: .watchword", "state: loop", "service.state"),
        ("state: .watchword", "state: watchword.yaml/state", "service.state"),
        ("state: .watchword", f"state: {'a' * 5000}", "service.state"),
        ("path: /**", f"path: /{'a' * 20_000}", "apis.clinic.routes[1].path"),
    ],
)
def test_odd_values_are_faults_and_not_surprises(
    tmp_path: Path, old: str, new: str, path: str
) -> None:
    """What could not start, or would start as something else, is told with its line."""
    (tmp_path / "loop").symlink_to("loop")
    faults = faults_of(write(tmp_path, TEMPLATE.replace(old, new)))
    assert set(faults) == {path}
    assert faults[path][0] is not None


@pytest.mark.parametrize("host", ["[::1]", "127.0.0.1", "localhost"])
def test_loopback_has_many_names(tmp_path: Path, host: str) -> None:
    """Addresses of both families and the name are accepted."""
    text = TEMPLATE.replace("listen: 127.0.0.1:8440", f"listen: '{host}:8440'")
    assert load_settings(write(tmp_path, text)).service.listen == Address(host.strip("[]"), 8440)


def test_missing_revocation_list_is_a_fault(tmp_path: Path) -> None:
    """A list that can't be read is told before anything starts."""
    text = TEMPLATE + "trust:\n  anchors: [vendors]\n  revocation_lists: [status.json, .]\n"
    faults = faults_of(write(tmp_path, text))
    assert set(faults) == {"trust.revocation_lists[0]", "trust.revocation_lists[1]"}
    assert "No such file" in faults["trust.revocation_lists[0]"][1]


@pytest.mark.parametrize(
    ("host", "faulty"),
    [
        ("android.googleapis.com", True),
        ("10.0.0.1:81", True),
        ("[", True),
        ("127.0.0.1:8081", False),
        ("[::1]:8081", False),
        ("localhost", False),
    ],
)
def test_vendors_are_not_asked_in_the_clear(tmp_path: Path, host: str, faulty: bool) -> None:
    """Whoever sits on the way could hide a revocation; on this machine nobody does."""
    text = (
        TEMPLATE + f'trust:\n  anchors: [vendors]\n  revocation:\n    url: "http://{host}/list"\n'
    )
    file = write(tmp_path, text)
    if not faulty:
        assert load_settings(file).revocation.url == f"http://{host}/list"
        return
    assert set(faults_of(file)) == {"trust.revocation.url"}


@pytest.mark.parametrize(
    "url",
    [
        "https://u:p@android.googleapis.com/attestation/status",
        "https://[zz/attestation",
        "https://[12]/attestation",
        "https://h:99999/x",
        "https://h:0x50/x",
        "https://h/x#fragment",
        "https://999.1.1.1/x",
        "https://-h/x",
        "https://a..b/x",
        "https:///x",
        "ftp://h/x",
        "https://h/x y",
    ],
)
def test_address_of_a_list_must_be_one_that_can_be_fetched(tmp_path: Path, url: str) -> None:
    """Else the service would start, and the list never come."""
    text = TEMPLATE + f'trust:\n  anchors: [lab]\n  revocation: {{url: "{url}"}}\n'
    faults = faults_of(write(tmp_path, text))
    assert faults["trust.revocation.url"][1].startswith("'")
    assert "u:p" not in faults["trust.revocation.url"][1]
    assert list(faults) == ["trust.revocation.url"]


@pytest.mark.parametrize("server", ["https://[12]", "https://a..b", "https://u@h", "https://1.2.3"])
def test_address_of_a_receipt_server_must_be_one_that_can_be_asked(
    tmp_path: Path, server: str
) -> None:
    """Else no receipt would ever be refreshed."""
    receipts = f'receipts: {{key_id: ABCDEFGHIJ, key: a.p8, server: "{server}"}}'
    text = TEMPLATE.replace("platform: ios", f"platform: ios\n    {receipts}")
    assert list(faults_of(write(tmp_path, text))) == ["apps.clinic-ios.receipts.server"]


@pytest.mark.parametrize(
    ("section", "path", "expected"),
    [
        ("records: {keep: 59m}", "records.keep", "a duration from 1h to 3650d"),
        ("records: {keep: 3651d}", "records.keep", "a duration from 1h to 3650d"),
        ("records: {keep: soon}", "records.keep", "a duration such as 90s, 5m, 1h or 30d"),
        ("records: {max_megabytes: 0}", "records.max_megabytes", "1 to 1000000"),
        ("records: {max_megabytes: 1000001}", "records.max_megabytes", "1 to 1000000"),
        (
            "trust: {anchors: [lab], revocation: {max_age: 9m}}",
            "trust.revocation.max_age",
            "a duration from 10m to 30d",
        ),
        (
            "trust: {anchors: [lab], revocation: {max_age: 31d}}",
            "trust.revocation.max_age",
            "a duration from 10m to 30d",
        ),
    ],
)
def test_bounds_are_told(tmp_path: Path, section: str, path: str, expected: str) -> None:
    """What is out of bounds is a fault that says where they are, and not a failure of the service."""
    faults = faults_of(write(tmp_path, f"{TEMPLATE}{section}\n"))
    assert {name: fault[2] for name, fault in faults.items()} == {path: expected}


@pytest.mark.parametrize(
    "section",
    [
        "records: {keep: 1h, max_megabytes: 1}",
        "records: {keep: 3650d, max_megabytes: 1000000}",
        "trust: {anchors: [lab], revocation: {max_age: 10m, url: 'https://h.example.:1/?a=b'}}",
        "trust: {anchors: [lab], revocation: {max_age: 30d, url: 'https://[2001:db8::1]/x'}}",
    ],
)
def test_bounds_themselves_are_good(tmp_path: Path, section: str) -> None:
    """Both ends belong to what is allowed."""
    assert load_settings(write(tmp_path, f"{TEMPLATE}{section}\n")).path.is_file()


@pytest.mark.parametrize(
    ("section", "path", "expected"),
    [
        ("records: {kepp: 1d}", "records.kepp", "'keep'? Known keys: keep, max_megabytes"),
        (
            "trust: {anchors: [lab], revocation: {fetsh: true}}",
            "trust.revocation.fetsh",
            "'fetch'? Known keys: fetch, url, max_age",
        ),
        (
            "trust: {anchors: [lab], revokation: {}}",
            "trust.revokation",
            "'revocation'? Known keys: anchors, revocation_lists, revocation, formats",
        ),
        (
            "  ios:\n    platform: ios\n    receipts: {servr: x}",
            "apps.ios.receipts.servr",
            "'server'? Known keys: key_id, key, server, share",
        ),
        (
            "  b:\n    platform: android\n    play_integrity: {servis_account: x}",
            "apps.b.play_integrity.servis_account",
            "'service_account'? Known keys: decryption_key, verification_key, service_account",
        ),
    ],
)
def test_unknown_keys_are_told_with_the_known_ones_beside_them(
    tmp_path: Path, section: str, path: str, expected: str
) -> None:
    """Those of the section where it stands, not of the one around it."""
    text = TEMPLATE.replace("\napps:\n", f"\napps:\n{section}\n") if section[0] == " " else ""
    faults = faults_of(write(tmp_path, text or f"{TEMPLATE}{section}\n"))
    assert faults[path][1:] == ("an unknown key", expected)


def test_unknown_key_of_a_route_is_told(tmp_path: Path) -> None:
    """Routes stand in a list inside of a mapping."""
    text = TEMPLATE.replace("mode: enforce", "mod: enforce")
    (fault,) = faults_of(write(tmp_path, text)).values()
    assert fault[2] == (
        "'mode'? Known keys: path, methods, level, proof, mode, canary, dpop, max_body, "
        "minimum_versions, secret"
    )


def test_route_that_never_matches_is_a_fault(tmp_path: Path) -> None:
    """A rule below the one that takes all its requests protects nothing."""
    text = TEMPLATE + "      - path: /admin/*\n        level: hardware\n"
    faults = faults_of(write(tmp_path, text))
    assert set(faults) == {"apis.clinic.routes[2].path"}
    _, got, expected = faults["apis.clinic.routes[2].path"]
    assert got == "'/admin/*', which never matches"
    assert expected == "it before routes[1] '/**', which takes all"


def test_too_many_routes_are_told_quickly(tmp_path: Path) -> None:
    """A generated table beyond reason is one fault, and the longest one is checked in a moment."""
    head = TEMPLATE[: TEMPLATE.index("      - path")]
    rows = [f"      - path: /r{number}\n" for number in range(MAX_ROUTES + 1)]
    faults = faults_of(write(tmp_path, head + "".join(rows)))
    assert {path: fault[1:] for path, fault in faults.items()} == {
        "apis.clinic.routes": (f"{MAX_ROUTES + 1} entries", f"at most {MAX_ROUTES}")
    }
    most = write(tmp_path, head + "".join(rows[:-1]))
    assert len(load_settings(most).apis["clinic"].routes) == MAX_ROUTES


def test_examples_that_nobody_replaced_are_faults_in_prod(tmp_path: Path) -> None:
    """A deployment that no real phone can pass isn't good, whatever its form."""
    prod = TEMPLATE.replace("environment: lab", "environment: prod").replace(
        "issuer: http://127.0.0.1:8440", "issuer: https://attest.clinic.example"
    )
    assert set(faults_of(write(tmp_path, prod))) == {
        "apps.clinic-ios.team_id",
        "apps.clinic-android.signing_digests[0]",
    }


HEAD = TEMPLATE[: TEMPLATE.index("      - path: /**")]
GATES = (
    "gates: {{listen: {listen}, certificate: a, key: b, client_ca: c, clients: {{edge: [{api}]}}}}"
)


def api_with(text: str) -> str:
    """Return the template with more in its only API."""
    return TEMPLATE.replace("    routes:\n", f"    {text}\n    routes:\n")


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("dpop: true", "routes[1].dpop", "proof: device beside it"),
        ("proof: session, dpop: true", "routes[1].dpop", "proof: device beside it"),
        ("mode: canary", "routes[1].canary", "canary: {share: 5} beside mode: canary"),
        ("canary: {share: 5}", "routes[1].canary", "mode: canary beside it"),
        (
            "minimum_versions: {other: '1'}",
            "routes[1].minimum_versions",
            "one of its apps: clinic-ios, clinic-android",
        ),
        (
            "mode: canary, canary: {share: 5, from_versions: {other: '1'}}",
            "routes[1].canary",
            "one of its apps: clinic-ios, clinic-android",
        ),
    ],
)
def test_proofs_and_canary_that_say_nothing_where_they_stand(
    tmp_path: Path, text: str, path: str, expected: str
) -> None:
    """What is written and has no effect would be relied on."""
    faults = faults_of(write(tmp_path, f"{HEAD}      - {{path: /**, {text}}}\n"))
    assert {name: fault[2] for name, fault in faults.items()} == {f"apis.clinic.{path}": expected}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("replay: {mode: shared, store: valkey}", "replay"),
        ("replay: {mode: local, url: 'redis://127.0.0.1:6379'}", "replay"),
        ("replay: {mode: shared, url: 'redis://127.0.0.1:6379'}", "replay"),
        ("authz: {listen: 127.0.0.1:9001}", "authz.listen"),
        ("authz: {listen: 10.0.0.1:9001, credential: secret}", "authz.listen"),
        ("authz: {listen: 127.0.0.1:9001, certificate: a, key: b}", "authz"),
        ("authz: {certificate: a, key: b, client_ca: c}", "authz"),
        ("authz: {listen: 127.0.0.1:8080, credential: secret}", "authz.listen"),
    ],
)
def test_replay_and_forward_auth_are_whole(tmp_path: Path, text: str, path: str) -> None:
    """A store without an address, half of a TLS listener and a listener for anybody are faults."""
    assert set(faults_of(write(tmp_path, api_with(text)))) == {f"apis.clinic.{path}"}


@pytest.mark.parametrize(
    "text",
    [
        "replay: {mode: shared, store: valkey, url: 'redis://127.0.0.1:6379'}",
        "replay: {mode: shared}",
        "authz: {style: envoy}",
        "authz: {listen: 127.0.0.1:9001, credential: secret}",
        "authz: {listen: 127.0.0.1:9001, certificate: a, key: b, client_ca: c}",
    ],
)
def test_whole_ways_are_good(tmp_path: Path, text: str) -> None:
    """The pairs of the faults above."""
    assert load_settings(write(tmp_path, api_with(text))).apis["clinic"].name == "clinic"


@pytest.mark.parametrize(
    ("listen", "api", "path"),
    [
        ("127.0.0.1:8443", "other", "gates.clients.edge[0]"),
        ("10.0.0.1:8443", "clinic", "gates.listen"),
        ("127.0.0.1:8440", "clinic", "gates.listen"),
        ("127.0.0.1:8080", "clinic", "apis.clinic.listen"),
    ],
)
def test_gates_of_other_machines(tmp_path: Path, listen: str, api: str, path: str) -> None:
    """They fetch what is there, and their listener has an address of its own, in the lab ours."""
    good = TEMPLATE + GATES.format(listen="127.0.0.1:8443", api="clinic")
    gates = load_settings(write(tmp_path, good)).gates
    assert gates is not None
    assert gates.clients == {"edge": ["clinic"]}
    assert set(faults_of(write(tmp_path, TEMPLATE + GATES.format(listen=listen, api=api)))) == {
        path
    }


@pytest.mark.parametrize(
    ("old", "new", "path", "expected"),
    [
        ("version: 1", "version: 2", "version", "1"),
        (
            "version: 1",
            "version: 1\nreplay: {mode: shared}",
            "replay",
            "replay under apis.NAME; here ",
        ),
        ("service:\n", "service:\nother:\n", "service", "a mapping with issuer"),
    ],
)
def test_what_is_expected_is_what_is_meant(
    tmp_path: Path, old: str, new: str, path: str, expected: str
) -> None:
    """No choice of one, no guess from another section, and the key without which a section isn't one."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    found = {fault.path: fault.expected for fault in caught.value.faults}
    assert found[path].startswith(expected)
