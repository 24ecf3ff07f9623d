"""Code told from comments and literals: in each language, in what looks like another, and in anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.scan.texts.lexer import Language, Span, language_of, lexed
from watchword.scan.texts.runs import LONGEST_LINE, lines_of


def _spans(language: Language, text: str) -> list[tuple[str, str]]:
    found = lexed(language, text)
    told = zip(found.begins, found.ends, found.kinds, strict=True)
    return [(kind.value, text[begin:end]) for begin, end, kind in told if kind is not Span.CODE]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a(); // b 'c'\nd", [("comment", "// b 'c'")]),
        ("/* 'a\n*/'b // c'", [("comment", "/* 'a\n*/"), ("literal", "b // c")]),
        (r"""'a\'//b' "c\"/*d" """, [("literal", r"a\'//b"), ("literal", r"c\"/*d")]),
        (r"x=/['\"]\/\//g;y='z'", [("literal", "z")]),
        (r"if(a)/\/*'/.test(b)&&c('d')", [("literal", "d")]),
        ("a=b/c;d='e/f';g=(h)/i", [("literal", "e/f")]),
        ("return /'/.test(a)?'b':c", [("literal", "b")]),
        (
            "`a${b+`c`+'d'}e`//f",
            [
                ("literal", "a"),
                ("literal", "c"),
                ("literal", "d"),
                ("literal", "e"),
                ("comment", "//f"),
            ],
        ),
        ("`a\n//b`", [("literal", "a\n//b")]),
        ("'a\n// b", [("literal", "a"), ("comment", "// b")]),
        ("a /* b", []),
        ('{"a": "//b", "c": 1}', [("literal", "a"), ("literal", "//b"), ("literal", "c")]),
        ("x;//" + "a" * 3_000, []),
        ("  //" + "a" * 3_000, [("comment", "//" + "a" * 3_000)]),
    ],
)
def test_scripts(text: str, expected: list[tuple[str, str]]) -> None:
    """A comment in a literal is none, nor a literal in a comment; nothing swallows what it can't close."""
    assert _spans(Language.SCRIPT, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<a><!-- b --></a>", [("comment", "<!-- b -->")]),
        ('<!DOCTYPE a "http://b"><c/>', [("comment", '<!DOCTYPE a "http://b">')]),
        (
            "<!DOCTYPE a [<!ENTITY b 'c'>]><d/>",
            [("comment", "<!DOCTYPE a [<!ENTITY b 'c'>]>")],
        ),
        (
            "<script>'a<!--'//b\n</SCRIPT><!--c-->",
            [("literal", "a<!--"), ("comment", "//b"), ("comment", "<!--c-->")],
        ),
        ("<style>a{}/*b*/</style>", [("comment", "/*b*/")]),
        ("<![CDATA[<a>]]>", []),
    ],
)
def test_markup(text: str, expected: list[tuple[str, str]]) -> None:
    """Comments, types of documents, and what stands in scripts and styles."""
    assert _spans(Language.MARKUP, text) == expected


def test_settings_and_styles() -> None:
    """A hash within a value begins no comment."""
    text = "# a\nb=http://c#d\n! e\nf: g # h\n"
    expected = [("comment", "# a"), ("comment", "! e"), ("comment", "# h")]
    assert _spans(Language.SETTINGS, text) == expected
    assert _spans(Language.STYLE, "a{}/*b") == [("comment", "/*b")]


@pytest.mark.parametrize("sure", [True, False], ids=["at a separator", "with an overlap"])
def test_a_literal_that_a_reader_cut_is_whole(sure: bool) -> None:
    """Minified scripts are one line of megabytes; readers cut it anywhere, in a string too."""
    filling = "a; " if sure else "ab"
    line = f"x='{filling * LONGEST_LINE}';y=z//'http://a.example'\n"
    text = "\n".join(lines_of(line))
    found = lexed(Language.SCRIPT, text)
    assert found.at(len(text) // 2)[0] is Span.LITERAL
    assert found.at(text.index("http"))[0] is Span.COMMENT


def test_no_more_is_told_apart_than_allowed() -> None:
    """What lies behind counts as code: nothing is hidden by many literals."""
    found = lexed(Language.SCRIPT, "'a'\n" * 10 + "// b", most=10)
    assert len(found.begins) == 10
    assert found.at(len(found.text) - 1)[0] is Span.CODE


@pytest.mark.parametrize(
    ("file", "kind", "language"),
    [
        ("assets/www/lib/a/README.md", "cordova", Language.PROSE),
        ("assets/LICENSE", "asset", Language.PROSE),
        ("assets/open_source_licenses.html", "asset", Language.PROSE),
        ("assets/www/lib/a/package.json", "cordova", Language.PROSE),
        ("assets/www/app.min.js.map", "cordova", Language.PROSE),
        ("assets/www/license.js", "cordova", Language.SCRIPT),
        ("assets/www/index.html", "cordova", Language.MARKUP),
        ("assets/.env.production", "asset", Language.SETTINGS),
        ("assets/.env", "asset", Language.SETTINGS),
        ("assets/a.properties", "asset", Language.SETTINGS),
        ("assets/index.android.bundle", "react-native", Language.SCRIPT),
        ("assets/index.android.bundle", "hermes", Language.STRINGS),
        ("assets/servers.txt", "asset", Language.OTHER),
    ],
)
def test_languages(file: str, kind: str, language: Language) -> None:
    """By the file's name, unless what read it knows better."""
    assert language_of(file, kind) is language


_PIECES = st.lists(
    st.sampled_from(
        (
            "'",
            '"',
            "`",
            "/",
            "*",
            "\\",
            "${",
            "}",
            "{",
            "[",
            "]",
            "\n",
            " ",
            "a",
            "//",
            "<!--",
            "-->",
            "<script>",
            "</script>",
            "<!DOCTYPE",
            ">",
            "#",
            "http://a.b/c",
        )
    )
)


@given(st.sampled_from(Language), _PIECES.map("".join) | st.text(st.characters()))
def test_anything_is_told_apart(language: Language, text: str) -> None:
    """Spans lie in the text, in order, and no place is lost."""
    found = lexed(language, text)
    last = 0
    for begin, end in zip(found.begins, found.ends, strict=True):
        assert last <= begin <= end <= len(text)
        last = end
    assert len(found.text) == len(text)
    for place in range(len(text)):
        _, begin, end = found.at(place)
        assert begin <= place <= end
