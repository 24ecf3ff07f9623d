"""Remove what keeps requests readable in one way, and what bounds how many there are."""

from scripts.drill_mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        check="encoded separators in a path",
        file="gate/paths.py",
        before="if segment != raw and _FORBIDDEN_DECODED.search(segment):",
        after="if False:",
        red=("path-confusion",),
    ),
    Mutation(
        check="result headers of the client removed",
        file="gate/hygiene.py",
        before="elif canonical in _STATED_HERE:",
        after="elif False:",
        red=("result-headers-spoofed",),
    ),
    Mutation(
        check="result headers in other spellings",
        file="gate/hygiene.py",
        before="elif canonical in _STATED_HERE:",
        after="elif name in _STATED_HERE:",
        red=("result-headers-spoofed",),
    ),
    Mutation(
        check="the token kept from the API",
        file="gate/hygiene.py",
        before="if canonical != TOKEN_HEADER:",
        after="if True:",
        red=("result-headers-spoofed",),
    ),
    Mutation(
        check="Connection ends at the gate",
        file="gate/hygiene.py",
        before='(options | {b"connection"}) - {b"upgrade"}',
        after='options - {b"upgrade"}',
        red=("result-headers-spoofed",),
    ),
    Mutation(
        check="form of the host",
        file="gate/hygiene.py",
        before="if not _is_authority(values[plan.host]):",
        after="if False:",
        red=("host-confusion",),
    ),
    Mutation(
        check="methods in upper case",
        file="gate/compiled.py",
        before='re.compile(r"[A-Z][A-Z-]{0,31}")',
        after='re.compile(r"[A-Za-z][A-Za-z-]{0,31}")',
        red=("method-override",),
    ),
    Mutation(
        check="the rate of an instance",
        file="gate/service.py",
        before="made if overrun is None else run_over(made, overrun, enforced=target.enforces(claims))",
        after="made",
        red=("scraping-with-instance", "stuffing-with-instance"),
    ),
    Mutation(
        check="the rate is the instance's, not the token's",
        file="gate/limits.py",
        before="subject = claims.subject",
        after="subject = claims.session_id",
        red=("scraping-with-instance", "stuffing-with-instance"),
    ),
    Mutation(
        check="a request without a token",
        file="gate/judgement.py",
        before="    enforced = target.enforces(claims)\n",
        after="    enforced = target.enforces(claims) and refusals[0].reason is not Reason.TOKEN_MISSING\n",
        red=("enumeration-by-script", "scraping-by-script", "stuffing-by-script"),
    ),
    Mutation(
        check="a request without a token by HEAD",
        file="gate/compiled.py",
        before="        unchecked=route.mode is Mode.OFF,",
        after='        unchecked=route.mode is Mode.OFF or method == "HEAD",',
        red=("method-override", "enumeration-by-script"),
    ),
    Mutation(
        check="a request without a token by OPTIONS",
        file="gate/compiled.py",
        before="        unchecked=route.mode is Mode.OFF,",
        after='        unchecked=route.mode is Mode.OFF or method == "OPTIONS",',
        red=("method-override",),
    ),
    Mutation(
        check="dots and empty segments of a path",
        file="gate/paths.py",
        before='if segment in {b"", b".", b".."}:',
        after="if False:",
        red=("path-confusion",),
    ),
    Mutation(
        check="path parameters and backslashes",
        file="gate/paths.py",
        before="if _FORBIDDEN.search(raw_path):",
        after="if False:",
        red=("path-confusion",),
    ),
)
