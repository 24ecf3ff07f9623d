"""Do the least that any scan for secrets has to do: unzip all, read DEX strings, look for keywords, match the patterns.

Run: ``python -m benchmarks.scan_floor APP``; it prints how many matches there are.
"""

import bisect
import struct
import sys
import zipfile
from collections.abc import Iterator
from itertools import accumulate

from ahocorasick_rs import AhoCorasick

from watchword.scan.secrets.patterns import packaged

SHORTEST = 8


def strings_of(dex: bytes) -> Iterator[str]:
    """Yield a DEX file's strings."""
    count, at = struct.unpack_from("<II", dex, 0x38)
    for start in struct.unpack_from(f"<{count}I", dex, at):
        begin = start
        while dex[begin] & 0x80:
            begin += 1
        yield dex[begin + 1 : dex.index(0, begin + 1)].decode("utf-8", "replace")


def matches(app: str) -> int:
    """Count what the patterns match in an app's DEX strings."""
    texts: list[str] = []
    with zipfile.ZipFile(app) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith(".dex"):
                texts += (text for text in strings_of(data) if len(text) >= SHORTEST)
    patterns = packaged().patterns
    keywords = sorted({word for each in patterns for word in each.keywords})
    by_word = {word: [each for each in patterns if word in each.keywords] for word in keywords}
    joined = "\n".join(texts).lower()
    starts = list(accumulate((len(text) + 1 for text in texts), initial=0))
    found = {
        (bisect.bisect_right(starts, start) - 1, keywords[word])
        for word, start, _ in AhoCorasick(keywords).find_matches_as_indexes(joined)
    }
    return sum(
        pattern.finder().search(texts[index]) is not None
        for index, word in found
        for pattern in by_word[word]
    )


if __name__ == "__main__":
    print(matches(sys.argv[1]))
