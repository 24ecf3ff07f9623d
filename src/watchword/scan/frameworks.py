"""Recognise the frameworks whose code isn't in the DEX, and tell how far that code was read.

What lies between a reader of such code and the rules, in one place:

1. ``frameworks.toml`` says by which entries, symbols and first bytes each :class:`~watchword.scan.app.Framework` is recognised, and
   which entries hold its code.  :func:`recognise` puts what it finds into ``Coverage.frameworks``, with
   ``Depth.UNREAD`` for whatever no reader spoke of.
2. A **reader** that read the code of an entry calls ``notes.code(entry, Depth.STRINGS)`` (all its string constants, cut as the code has
   them) or ``notes.code(entry, Depth.CALLS)``.  It speaks only of what it read as a whole: an entry with a gap is unread.  A framework
   is as deep as its least read entry.  A reader that makes one entry of another's (an assembly of a store) speaks of the
   entry in the archive.
3. A **rule** says in ``reads`` how deep each framework's code must have been read for the rule to see it (:data:`STRINGS`,
   :data:`NO_CODE`, or a table of its own such as ``{Framework.DOTNET: Depth.CALLS}``).  What isn't named there is never seen by the
   rule, and a rule without ``reads`` sees none: the default is closed.
4. ``Coverage.unread(rule.reads)`` are the frameworks that a rule didn't see.  While there are any, the rule answers "not seen" where it
   would say "absent" or "clean", and none of its protections is proven (``Look``, ``outcome.standings_of``).

So a reader that lands later calls ``notes.code``; rules over texts see what it read at once, and a rule over calls when its table names
the framework.
"""

from collections.abc import Mapping
from typing import Final

from watchword.scan.app import Depth, Framework

NO_CODE: Final[Mapping[Framework, Depth]] = dict.fromkeys(Framework, Depth.UNREAD)
"""For a rule that asks no code: it looks at the manifest, a property list, a signature or headers alone."""

STRINGS: Final[Mapping[Framework, Depth]] = dict.fromkeys(Framework, Depth.STRINGS)
"""For a rule that looks for texts, in whatever language the code is written."""
