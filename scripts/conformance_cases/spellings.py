"""Other spellings: what a server that ignores case, or normalises Unicode, takes for another row's path."""

from scripts.conformance_cases.words import Json, case, passed, refused, request

SOFTWARE = {"claims": {"lvl": "software"}}
SESSION = {"kind": "session"}
UNPROVED = refused("proof.missing", 401, 403)
"""A gate that can't tell which row judges refuses by 403."""

LOW = refused("gate.level", 403)
AMBIGUOUS = refused("gate.route_ambiguous", 403)
BAD = refused("request.path_ambiguous", 400, 403)


def cases() -> list[Json]:
    """Return the cases."""
    return [*_case(), *_unicode(), *_modes(), *_names(), *_separators()]


def _case() -> list[Json]:
    spelled = [
        ("upper", "/fold/SESS/x"),
        ("one-letter", "/fold/sesS/x"),
        ("encoded", "/fold/%53ess/x"),
        ("encoded-lower", "/fold/S%65ss/x"),
        ("alone", "/fold/SESS"),
        ("slash", "/fold/SESS/"),
        ("query", "/fold/Sess/x?y=/fold/health"),
        ("deep", "/fold/Sess/x/y/z"),
        ("of-any", "/fold/x/KISS/y"),
        ("of-any-both", "/fold/X/Kiss"),
    ]
    made = [
        case(
            f"fold/case-{name}",
            "The row of the same letters in another case judges: its level counts.",
            request(target, LOW, token=SOFTWARE),
        )
        for name, target in spelled
    ]
    made += [
        case(
            f"fold/case-{name}-high",
            "With what that row asks for, the path is served as it was sent.",
            request(target, passed()),
        )
        for name, target in spelled
    ]
    made += [
        case(
            "fold/case-rest",
            "A path in upper case that no row is alike to.",
            request("/fold/OTHER/X", passed(), token=SOFTWARE),
        ),
        case(
            "fold/case-behind",
            "Case behind the row's own segments means nothing.",
            request("/fold/sess/X/Y", passed()),
        ),
        case(
            "fold/case-prefix",
            "Without a row that has the path as it is written, none judges.",
            request("/FOLD/sess/x", refused("gate.route_unknown", 403, 404)),
        ),
        case(
            "fold/case-longer", "A longer segment is another one.", request("/fold/SESSX", passed())
        ),
        case(
            "fold/case-device",
            "A row that takes no DPoP, beside one that does.",
            request("/fold-device/IN/x", UNPROVED, proof={"kind": "dpop"}),
            needs=("device", "dpop"),
        ),
        case(
            "fold/case-device-proved",
            "With the proof that the stricter row takes.",
            request("/fold-device/IN/x", passed(), proof={"kind": "device"}),
            needs=("device", "dpop"),
        ),
        case(
            "fold/case-method",
            "The stricter row has other methods.",
            request("/fold/POST", passed(), token=SOFTWARE),
        ),
        case(
            "fold/case-method-same",
            "The stricter row has this method.",
            request("/fold/POST", LOW, method="POST", token=SOFTWARE),
        ),
        case(
            "fold/case-method-high",
            "With what the stricter row asks for.",
            request("/fold/Post", passed(), method="POST"),
        ),
        case(
            "fold/ambiguous",
            "Two rows, of which each asks for something more: none can judge.",
            request("/fold/mixed/IN/x", AMBIGUOUS),
        ),
        case(
            "fold/ambiguous-not",
            "As the table writes it, its first row judges.",
            request("/fold/mixed/in/x", passed(), token=SOFTWARE),
        ),
        case(
            "fold/session",
            "The row that asks for a proof judges.",
            request("/fold-session/IN/x", UNPROVED),
            needs=("session",),
        ),
        case(
            "fold/session-proved",
            "With its proof the path is served as it was sent.",
            request("/fold-session/IN/x", passed(), proof=SESSION),
            needs=("session",),
        ),
        case(
            "fold/session-unicode",
            "In another form of Unicode too.",
            request("/fold-session/%EF%BD%89n/x", UNPROVED),
            needs=("session",),
        ),
        case(
            "fold/ambiguous-outer",
            "The outer row's own segment in another case.",
            request("/fold/MIXED/x", LOW, token=SOFTWARE),
        ),
    ]
    return made


def _unicode() -> list[Json]:
    spelled = [
        ("full-width", "/fold/%EF%BD%93ess/x"),
        ("full-width-upper", "/fold/se%EF%BC%B3s/x"),
        ("all-full-width", "/fold/%EF%BD%93%EF%BD%85%EF%BD%93%EF%BD%93/x"),
        ("long-s", "/fold/ses%C5%BF/x"),
        ("long-s-lower-hex", "/fold/ses%c5%bf/x"),
        ("sharp-s", "/fold/se%C3%9F/x"),
        ("circled", "/fold/%E2%93%A2ess/x"),
        ("mathematical", "/fold/%F0%9D%93%BCess/x"),
        ("kelvin", "/fold/x/%E2%84%AAiss/y"),
        ("dotless-i", "/fold/x/k%C4%B1ss/y"),
        ("dotted-i", "/fold/x/K%C4%B0SS/y"),
        ("dotted-i-apart", "/fold/x/KI%CC%87SS/y"),
        ("superscript", "/fold/x/ki%CB%A2s/y"),
        ("with-case", "/fold/SE%EF%BD%93S/x"),
    ]
    made = [
        case(
            f"fold/nfkc-{name}",
            "A sign that Unicode's normal form or case makes a letter of a stricter row.",
            request(target, LOW, token=SOFTWARE),
        )
        for name, target in spelled
    ]
    made += [
        case(
            f"fold/nfkc-{name}-high",
            "With what the stricter row asks for, the path is served as it was sent.",
            request(target, passed()),
        )
        for name, target in spelled
    ]
    made += [
        case(
            "fold/nfkc-low",
            "The stricter row's level counts.",
            request("/fold/%C5%BFe%C5%BFs/x", LOW, token=SOFTWARE),
        ),
        case(
            "fold/nfkc-behind",
            "Such a sign behind the rows' own segments means nothing.",
            request("/fold/x/y/z/%EF%BC%A1%C2%B2", passed(), token=SOFTWARE),
        ),
        case(
            "fold/nfkc-accent",
            "A letter with an accent is another letter.",
            request("/fold/s%C3%A9ss/x", passed(), token=SOFTWARE),
        ),
        case(
            "fold/nfkc-accent-apart",
            "An accent of its own makes another letter.",
            request("/fold/ses%CC%81s/x", passed(), token=SOFTWARE),
        ),
        case(
            "fold/nfkc-script",
            "Letters of another script are no others.",
            request("/fold/%D1%95ess/%E5%B1%B1", passed(), token=SOFTWARE),
        ),
        case(
            "fold/nfkc-other-row",
            "Where all rows ask for the same, such a sign means nothing.",
            request("/bearer/%EF%BD%93ess", passed()),
        ),
        case(
            "fold/nfkc-ambiguous",
            "None of the rows is the strictest.",
            request("/fold/mixed/%EF%BD%89n/x", AMBIGUOUS),
        ),
        case(
            "fold/nfkc-device",
            "A row that takes no DPoP, beside one that does.",
            request("/fold-device/%EF%BD%89n/x", UNPROVED, proof={"kind": "dpop"}),
            needs=("device", "dpop"),
        ),
    ]
    return made


def _modes() -> list[Json]:
    watched = passed(results=False)
    return [
        case(
            "fold/off",
            "A row that is off, as it is written.",
            request("/fold/health", watched, token=None),
        ),
        case(
            "fold/off-upper",
            "In another case the row that asks for a token judges.",
            request("/fold/HEALTH", refused("token.missing", 401), token=None),
        ),
        case("fold/off-upper-token", "And takes one.", request("/fold/HEALTH", passed())),
        case(
            "fold/off-unicode",
            "In another form too.",
            request("/fold/h%EF%BD%85alth", refused("token.missing", 401, 403), token=None),
        ),
        case(
            "fold/off-beside-guarded",
            "A row that is off doesn't open what another guards.",
            request("/fold/free/AT/x", refused("token.missing", 401), token=None),
        ),
        case(
            "fold/off-beside-guarded-unicode",
            "In another form neither.",
            request("/fold/free/%EF%BD%81t/x", refused("token.missing", 401, 403), token=None),
        ),
        case(
            "fold/off-beside-guarded-token",
            "With a token it is served.",
            request("/fold/free/At/x", passed()),
        ),
        case(
            "fold/off-beside-watched",
            "Of a row that is off and one that watches, the latter reports and refuses nobody.",
            request("/fold/free/IN/x", watched, token=None),
        ),
        case(
            "fold/off-beside-watched-token",
            "And says who is there.",
            request("/fold/free/IN/x", passed()),
        ),
        case(
            "fold/off-case",
            "Case alone means nothing where no row is alike.",
            request("/fold/free/X", watched, token=None),
        ),
        case(
            "fold/monitor-ambiguous",
            "Where nobody is refused, a path of two rows is only reported.",
            request("/fold/seen/IN/x", watched, token=None),
        ),
        case(
            "fold/monitor-ambiguous-token",
            "The row of the path as it is written says who is there.",
            request("/fold/seen/IN/x", passed()),
        ),
        case(
            "fold/monitor-unicode",
            "In another form too.",
            request("/fold/seen/%EF%BD%89n/x", watched, token=None),
        ),
        case(
            "fold/monitor-beside-enforced",
            "A row that watches doesn't open what another guards.",
            request("/fold/SEEN/x", refused("token.missing", 401), token=None),
        ),
    ]


def _names() -> list[Json]:
    return [
        case(
            "fold/me",
            "As the table writes it, its own row judges.",
            request("/fold/users/me", passed(), token=SOFTWARE),
        ),
        case(
            "fold/me-upper",
            "A name in other letters isn't served by the laxer row.",
            request("/fold/users/ME", LOW, token=SOFTWARE),
        ),
        case(
            "fold/me-upper-high",
            "And it is served with what its own row asks for.",
            request("/fold/users/ME", passed()),
        ),
        case(
            "fold/me-unicode-high",
            "A name of such signs as well.",
            request("/fold/users/%EF%BD%8De", passed()),
        ),
        case("fold/user", "Another name.", request("/fold/users/you", passed())),
        case(
            "fold/user-low",
            "Another name at a low level.",
            request("/fold/users/you", LOW, token=SOFTWARE),
        ),
        case(
            "fold/users-upper",
            "The collection in other letters.",
            request("/fold/USERS/you", LOW, token=SOFTWARE),
        ),
        case(
            "fold/users-upper-me",
            "Both in other letters: the strictest of three judges.",
            request("/fold/USERS/me", LOW, token=SOFTWARE),
        ),
        case(
            "fold/users-upper-high",
            "With what it asks for.",
            request("/fold/USERS/you", passed()),
        ),
    ]


def _separators() -> list[Json]:
    signs = [
        ("slash", "%EF%BC%8F"),
        ("backslash", "%EF%BC%BC"),
        ("small-backslash", "%EF%B9%A8"),
        ("semicolon", "%EF%BC%9B"),
        ("greek-question", "%CD%BE"),
        ("percent", "%EF%BC%85"),
        ("hash", "%EF%BC%83"),
        ("question", "%EF%BC%9F"),
        ("care-of", "%E2%84%85"),
    ]
    made = [
        case(
            f"fold/separator-{name}",
            "A sign that becomes a separator where a server normalises.",
            request(f"/fold/a{sign}b", BAD),
        )
        for name, sign in signs
    ]
    dots = [
        ("two", "/open/%EF%BC%8E%EF%BC%8E/bearer/x"),
        ("one", "/open/%EF%BC%8E/x"),
        ("half", "/open/.%EF%BC%8E/bearer/x"),
        ("half-first", "/open/%EF%BC%8E%2e/bearer/x"),
        ("leader", "/open/%E2%80%A5/bearer/x"),
        ("one-leader", "/open/%e2%80%a4%e2%80%a4/bearer/x"),
        ("end", "/open/x/%EF%BC%8E%EF%BC%8E"),
        ("small", "/open/%EF%B9%92%EF%B9%92/x"),
    ]
    made += [
        case(
            f"fold/dots-{name}",
            "Dots of another form are dots where a server normalises, also behind a row that is off.",
            request(target, BAD, token=None),
        )
        for name, target in dots
    ]
    made += [
        case(
            "fold/dots-inside",
            "A dot of another form inside of a name is a letter.",
            request("/bearer/a%EF%BC%8Eb", passed()),
        ),
        case("fold/fraction", "A fraction has no separator.", request("/bearer/%C2%BD", passed())),
        case(
            "fold/separator-query",
            "In a query such signs mean nothing.",
            request("/bearer/x?a=%EF%BC%8F%EF%BC%8E%EF%BC%8E", passed()),
        ),
        case(
            "fold/separator-watched",
            "A watching row is no way around.",
            request("/watched/a%EF%BC%8Fb", BAD),
        ),
    ]
    return made
