"""Tell Dalvik's instructions apart (Dalvik bytecode, "Summary of bytecode set"): mnemonic and length of each."""

_KINDS = ("", "-wide", "-object", "-boolean", "-byte", "-char", "-short")
_MATHS = ("add", "sub", "mul", "div", "rem", "and", "or", "xor", "shl", "shr", "ushr")
_BINARY = [
    *(f"{what}-{of}" for of in ("int", "long") for what in _MATHS),
    *(f"{what}-{of}" for of in ("float", "double") for what in _MATHS[:5]),
]
_CALLS = [f"invoke-{kind}" for kind in ("virtual", "super", "direct", "static", "interface")]
_TESTS = ("eq", "ne", "lt", "ge", "gt", "le")
_LITERAL = ("add-int", "rsub-int", "mul-int", "div-int", "rem-int", "and-int", "or-int", "xor-int")
_MOVES = [f"move{kind}{form}" for kind in _KINDS[:3] for form in ("", "/from16", "/16")]
_CASTS = [f"{a}-to-{b}" for a in ("int", "long") for b in ("int", "long", "float", "double")]
_CASTS = [name for name in _CASTS if name not in ("int-to-int", "long-to-long")]
_UNARY = [
    *("neg-int", "not-int", "neg-long", "not-long", "neg-float", "neg-double"),
    *_CASTS,
    *("float-to-int", "float-to-long", "float-to-double"),
    *("double-to-int", "double-to-long", "double-to-float"),
    *("int-to-byte", "int-to-char", "int-to-short"),
]

_RUNS: tuple[tuple[int, int, list[str]], ...] = (
    # First opcode, length in units of 16 bits, names; moves, constants and jumps follow one by one.
    (0x0A, 1, ["move-result", "move-result-wide", "move-result-object", "move-exception"]),
    (0x0E, 1, ["return-void", "return", "return-wide", "return-object"]),
    (0x1C, 2, ["const-class"]),
    (0x1D, 1, ["monitor-enter", "monitor-exit"]),
    (0x1F, 2, ["check-cast", "instance-of"]),
    (0x21, 1, ["array-length"]),
    (0x22, 2, ["new-instance", "new-array"]),
    (0x24, 3, ["filled-new-array", "filled-new-array/range", "fill-array-data"]),
    (0x27, 1, ["throw", "goto"]),
    (0x29, 2, ["goto/16"]),
    (0x2A, 3, ["goto/32", "packed-switch", "sparse-switch"]),
    (0x2D, 2, ["cmpl-float", "cmpg-float", "cmpl-double", "cmpg-double", "cmp-long"]),
    (0x32, 2, [f"if-{test}" for test in _TESTS] + [f"if-{test}z" for test in _TESTS]),
    (0x44, 2, [f"{verb}{kind}" for verb in ("aget", "aput") for kind in _KINDS]),
    (0x52, 2, [f"{verb}{kind}" for verb in ("iget", "iput") for kind in _KINDS]),
    (0x60, 2, [f"{verb}{kind}" for verb in ("sget", "sput") for kind in _KINDS]),
    (0x6E, 3, _CALLS),
    (0x74, 3, [f"{name}/range" for name in _CALLS]),
    (0x7B, 1, _UNARY),
    (0x90, 2, _BINARY),
    (0xB0, 1, [f"{name}/2addr" for name in _BINARY]),
    (0xD0, 2, ["add-int/lit16", "rsub-int", *(f"{name}/lit16" for name in _LITERAL[2:])]),
    (0xD8, 2, [f"{name}/lit8" for name in (*_LITERAL, "shl-int", "shr-int", "ushr-int")]),
    (0xFA, 4, ["invoke-polymorphic", "invoke-polymorphic/range"]),
    (0xFC, 3, ["invoke-custom", "invoke-custom/range"]),
    (0xFE, 2, ["const-method-handle", "const-method-type"]),
    (0x00, 1, ["nop"]),
    *((0x01 + n, 1 + n % 3, [name]) for n, name in enumerate(_MOVES)),
    (0x12, 1, ["const/4"]),
    (0x13, 2, ["const/16"]),
    (0x14, 3, ["const"]),
    (0x15, 2, ["const/high16", "const-wide/16"]),
    (0x17, 3, ["const-wide/32"]),
    (0x18, 5, ["const-wide"]),
    (0x19, 2, ["const-wide/high16", "const-string"]),
    (0x1B, 3, ["const-string/jumbo"]),
)

MNEMONICS = {first + n: name for first, _, names in _RUNS for n, name in enumerate(names)}
"""The mnemonic of each opcode; those that aren't in it are unused."""

_LENGTHS = {first + n: units for first, units, names in _RUNS for n in range(len(names))}
UNITS = bytes(_LENGTHS.get(op, 0) for op in range(256))
"""The length of each opcode's instruction in units of 16 bits, 0 where it's unused."""

CONST_STRING = 0x1A
CONST_STRING_JUMBO = 0x1B

INVOKES = frozenset((*range(0x6E, 0x73), *range(0x74, 0x79), 0xFA, 0xFB))
"""Opcodes that call a method by its index, which stands in their second unit."""

USES = INVOKES | {CONST_STRING, CONST_STRING_JUMBO}
"""Opcodes that use a string or a method."""
