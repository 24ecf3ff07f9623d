"""Addresses without TLS: those that the app asks, and those that are only read, by people or as a name of something."""

import pytest
from tests.unit.scan.simulated import Body, Call, Class, running, simulated

from watchword.scan.app import App, Resource, TextPart
from watchword.scan.interface import Verdict
from watchword.scan.rules.cleartext_urls import RULE
from watchword.scan.rules.hosts_and_urls import RULE as HOSTS
from watchword.scan.rules.third_party_hosts import RULE as THIRD_PARTIES
from watchword.scan.texts.lexer import MOST_LOOKS

URL = "http://api.bank.io/v1/pay"


def _in(file: str, text: str, kind: str = "cordova") -> App:
    return simulated(texts=(TextPart(file, kind, tuple(text.split("\n"))),))


def _exposed(app: App) -> set[str]:
    return {each.subject for each in RULE.run(app) if each.verdict is Verdict.EXPOSED}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("www/app.js", f"fetch('{URL}')"),
        ("www/app.js", f"const base = `{URL}/${{id}}`;"),
        ("www/app.js", f"x(/* '//' */ \"{URL}\"); // done"),
        ("www/app.js", f"var u = base + '{URL}';"),
        ("www/app.js", f"$.get('?next={URL}')"),
        ("www/app.js", f'a="//";b="{URL}"'),
        ("www/app.js", f"new WebSocket('{URL.replace('http', 'ws')}')"),
        ("www/app.js", f"el.innerHTML = '<img src=\"{URL}\">'"),
        ("www/app.js", f'"use strict";a=b/c;d="{URL}";e=f/g'),
        ("www/index.html", f"<script src='{URL}'></script>"),
        ("www/index.html", f"<!-- old --><form action={URL}>"),
        ("www/index.html", f"<script>// a\nvar u='{URL}'</script>"),
        ("www/index.html", f'<link rel="stylesheet" href="{URL}">'),
        ("www/config.json", f'{{"server": "{URL}"}}'),
        ("www/config.json", f'{{"profile": "{URL}", "context": "{URL}"}}'),
        ("assets/config.xml", f"<config><url>{URL}</url></config>"),
        ("assets/config.xml", f'<config url="{URL}"/>'),
        ("assets/config.xml", f"<config><![CDATA[{URL}]]></config>"),
        ("assets/.env", f"API_URL={URL}"),
        ("assets/a.properties", f"# the server\napi.url = {URL}"),
        ("assets/a.yaml", f"api:\n  url: '{URL}' # {URL}"),
        ("assets/servers.txt", f"{URL}\n"),
        ("Payload/A.app/Config.plist", f"Retries = 3\nServer URL = {URL}"),
        ("www/app.js", f'a=(w)/2+"/,";u="http://www.w3.org";v="{URL}";\nx'),
        ("www/app.js", f'a=(w)/2+"/,";t="image/*";u="{URL}";v="*/*";\nx'),
        ("www/app.js", f'a=/*c*//"/.test(b);t="image/*";u="{URL}";v="*/*";\nx'),
        ("www/app.js", 'u="http:\\/\\/api.bank.io\\/v1"'),
        ("www/config.json", '{"u": "http:\\/\\/api.bank.io\\/v1"}'),
        ("www/config.json", f'{{"$base": "{URL}"}}'),
        ("www/index.html", f"<!--><script>u='{URL}'</script>"),
        ("www/index.html", f"<!-- a --!><script>u='{URL}'</script>"),
        ("www/index.html", f"<a title='<!--'>x</a><script>u='{URL}'</script>"),
        ("www/index.html", f"<title><!--</title><script>u='{URL}'</script>"),
        ("www/index.html", f"<p title='<style>/*'></p><form action='{URL}'>"),
        ("www/index.html", f"<script src='a>b'>u='{URL}'</script>"),
        ("www/a.css", f"a{{b:url(x/*y)}} c{{d:url({URL})}}"),
        ("www/a.css", f"a{{content:'/*'}} c{{d:url({URL})}}"),
        ("www/history.html", f"<script>fetch('{URL}')</script>"),
        ("www/security.html", f"<form action='{URL}'></form>"),
        ("www/notices.json", f'{{"url": "{URL}"}}'),
        ("www/license.vue", f"<script>fetch('{URL}')</script>"),
        ("assets/license.json", f'{{"server": "{URL}"}}'),
        ("assets/third_party.properties", f"url={URL}"),
        ("assets/a.yaml", f"servers:\n  - {URL}"),
        ("assets/a.json", f'{{"servers": "{URL} http://localhost"}}'),
        ("assets/a.json", f'{{"servers": "http://localhost, {URL}"}}'),
        ("www/app.js", f'send("POST {URL} HTTP/1.1")'),
    ],
)
def test_an_address_that_may_be_asked_counts(file: str, text: str) -> None:
    """In scripts, pages, data and settings, whatever comments stand around it."""
    assert _exposed(_in(file, text)) == {"api.bank.io"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("www/lib/a.js", f"/*! (c) A, Inc. {URL}\n License: MIT */"),
        ("www/lib/a.js", f"f(); // see {URL}"),
        ("www/lib/a.js", f"throw new Error('Not allowed, see {URL}')"),
        ("www/lib/a.js", f"throw Error('{URL}')"),
        ("www/lib/a.js", f"warn('Please set the height. ' +\n  '{URL}');"),
        ("www/lib/a.js", f"t.warn(e+' is deprecated, instead: {URL}')"),
        ("www/lib/a.js", f"msg += '\\n{URL}/' + code"),
        ("www/lib/a.js", f"svg.createElementNS('{URL}', 'path')"),
        ("www/lib/a.js", f"el.innerHTML = '<a href=\"{URL}\">Help</a>'"),
        ("www/index.html", f"<!-- {URL} -->"),
        ("www/index.html", f'<!DOCTYPE html PUBLIC "-//A" "{URL}">'),
        ("www/index.html", f"<p>See <a class='b' href='{URL}'>our terms</a></p>"),
        ("www/index.html", f"<a href='#'>{URL}</a>"),
        ("www/index.html", f"<p>More is told at {URL} and elsewhere.</p>"),
        ("www/index.html", f'<link rel="canonical" href="{URL}">'),
        ("www/index.html", f"<script>/* {URL} */</script><style>/* {URL} */</style>"),
        ("www/index.html", f'<meta property="og:url" content="{URL}">'),
        ("assets/a.xml", f'<a xmlns:b="{URL}" xsi:schemaLocation="{URL} a.xsd"/>'),
        ("assets/a.xml", f'<wsdl targetNamespace="{URL}"/>'),
        ("assets/a.json", f'{{"$schema": "{URL}", "@context": "{URL}"}}'),
        ("assets/README.md", f"Use `{URL}`."),
        ("assets/LICENSE.txt", f"{URL}"),
        ("assets/NOTICE", f"{URL}"),
        ("assets/open_source_licenses.json", f'[{{"url":"{URL}"}}]'),
        ("assets/a.json", f'{{"$id": "{URL}"}}'),
        ("www/lib/a/package.json", f'{{"homepage": "{URL}"}}'),
        ("www/app.js.map", f'{{"sourcesContent": ["fetch(\'{URL}\')"]}}'),
        ("assets/a.properties", f"# api.url = {URL}"),
        ("assets/a.yaml", f"url: 'https://b.bank.io' # was {URL}"),
        ("assemblies/System.Xml.dll", URL),
        ("assemblies/Xamarin.Forms.Core.dll", URL),
    ],
)
def test_an_address_that_is_only_read_does_not(file: str, text: str) -> None:
    """Comments, licences, messages, links, names of schemas, descriptions of packages and what is a framework's."""
    kind = "xamarin" if file.endswith(".dll") else "cordova"
    assert _exposed(_in(file, text, kind)) == set()


@pytest.mark.parametrize(
    ("strings", "found"),
    [
        ((URL,), True),
        ((f"{URL}?q=%s",), True),
        ((f'{{"api": "{URL}"}}',), True),
        ((f"Not allowed; see {URL} for more",), False),
        ((f"{URL} couldn't be reached",), False),
        ((URL, URL.replace("http", "https")), False),
    ],
)
def test_of_code_an_address_that_is_no_part_of_a_sentence_counts(
    strings: tuple[str, ...], found: bool
) -> None:
    """Who names it with TLS too asks with TLS first."""
    assert _exposed(running(strings=strings)) == ({"api.bank.io"} if found else set())


def test_names_of_schemas_and_features_in_code_are_not_asked() -> None:
    """Code hands them to what parses XML; handed to anything else too, they may be asked."""
    parse = Call("org.xmlpull.v1.XmlPullParser", "setFeature", (URL, None))
    only = simulated(Class("com.example.shop.A", (Body("a", (parse,), (URL,)),)))
    assert _exposed(only) == set()
    both = Body("a", (parse, Call("java.net.URL", "<init>", (URL,))), (URL,))
    assert _exposed(simulated(Class("com.example.shop.A", (both,)))) == {"api.bank.io"}


def test_a_value_of_a_property_may_be_asked() -> None:
    """Its name isn't; and what code keeps somewhere, or loads in too many places, isn't surely a name."""
    calls = {
        "name": Call("java.util.Properties", "setProperty", (URL, "on")),
        "value": Call("java.util.Properties", "setProperty", ("server", URL)),
    }
    asked = {
        name: _exposed(simulated(Class("com.example.shop.A", (Body("a", (call,), (URL,)),))))
        for name, call in calls.items()
    }
    assert asked == {"name": set(), "value": {"api.bank.io"}}
    kept = Body("a", (calls["name"],), (URL, URL))
    assert _exposed(simulated(Class("com.example.shop.A", (kept,)))) == {"api.bank.io"}
    many = tuple(Body(f"a{number}", (calls["name"],), (URL,)) for number in range(9))
    assert _exposed(simulated(Class("com.example.shop.A", many))) == {"api.bank.io"}


def test_resources_are_judged_by_their_value() -> None:
    """A text that people read isn't asked, and a link in it isn't either."""
    values = {
        "base": "http://a.bank.io/v1",
        "help": 'Read <a href="http://b.bank.io/help">more</a>',
        "text": "Go to http://c.bank.io now",
        "xmlns": "http://d.bank.io/ns",
    }
    resources = tuple(Resource(name, value) for name, value in values.items())
    assert _exposed(simulated(resources=resources)) == {"a.bank.io"}


def test_what_a_static_initialiser_builds_for_the_phone_itself_is_no_finding() -> None:
    """It's given nothing, and names the phone as the host; elsewhere the host may come from outside."""
    strings = ("http://", "localhost:8332")
    fixed = Body("<clinit>", strings=strings)
    given = Body("url", strings=strings)
    assert _exposed(simulated(Class("com.example.shop.A", (fixed,)))) == set()
    assert _exposed(simulated(Class("com.example.shop.A", (given,)))) == {
        "http://:com.example.shop.A"
    }


def test_a_begin_that_is_only_looked_for_is_no_address() -> None:
    """Code that asks whether a text begins so builds none; where it loads it once more, it may."""
    ask = Call("java.lang.String", "startsWith", ("http://",))
    only = Body("a", (ask,), ("http://",))
    both = Body("a", (ask,), ("http://", "http://"))
    assert _exposed(simulated(Class("com.example.shop.A", (only,)))) == set()
    assert _exposed(simulated(Class("com.example.shop.A", (both,)))) == {
        "http://:com.example.shop.A"
    }


def test_of_more_addresses_than_are_looked_at_each_counts() -> None:
    """A file that was made to take for ever hides nothing: what nobody looked at may be asked."""
    text = "// http://first.bank.io/a\n" * MOST_LOOKS + "// http://second.bank.io/a"
    assert _exposed(_in("www/a.js", text)) == {"second.bank.io"}


@pytest.mark.parametrize("host", ["flutter.dev", "pub.dev", "api.shop.dev", "get.beta"])
def test_a_top_level_domain_makes_no_host_internal(host: str) -> None:
    """Anybody may have a name below .dev."""
    app = _in("assets/flutter_assets/a.json", f'{{"a": "https://{host}/x"}}', "asset")
    assert {each.verdict for each in HOSTS.run(app)} == {Verdict.INFO}


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("ec2-3-8-1-2.eu-west-2.compute.amazonaws.com", False),
        ("ec2-3-8-1-2.compute-1.amazonaws.com", False),
        ("shop-123.eu-west-1.elb.amazonaws.com", False),
        ("a1b2.execute-api.eu-west-1.amazonaws.com", False),
        ("dynamodb.eu-west-1.amazonaws.com", True),
        ("sns.eu-west-1.amazonaws.com", True),
    ],
)
def test_an_own_server_at_a_provider_is_no_third_party(host: str, service: bool) -> None:
    """A host of AWS that runs the app's own backend asks for no key of AWS."""
    found = {each.verdict for each in THIRD_PARTIES.run(running(strings=(f"https://{host}/v1",)))}
    assert (Verdict.EXPOSED in found) is service


def test_a_service_in_a_comment_is_not_called() -> None:
    """The pictures of a library's documentation lie at AWS."""
    app = _in("www/lib/a.js", "/* ![x](http://a.s3.amazonaws.com/docs/x.gif) */")
    assert Verdict.EXPOSED not in {each.verdict for each in THIRD_PARTIES.run(app)}
