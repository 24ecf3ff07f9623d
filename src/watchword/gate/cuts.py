"""Say which tokens count no more though they haven't ended, whoever holds them: an operator cut them off.

A cut is how a whole fleet is made to renew: genuine instances get another token, and those that the service refuses by now
don't.  A renewal for every instance at once would be a storm, so a cut goes in steps.
"""

from dataclasses import dataclass
from typing import Final

from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Level

BUCKETS: Final = 64
"""Into so many parts instances fall by the first character of their subject, which is an HMAC in base64url."""

MOST_CUTS: Final = 64
"""Most cuts in force at once."""

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""First characters of subjects, in the order in which a cut takes them."""

_BUCKET_OF: Final = {character: index for index, character in enumerate(ALPHABET)}


def bucket_of(subject: str) -> int:
    """Return in which of :data:`BUCKETS` parts an instance falls; 0 for what is no base64url."""
    return _BUCKET_OF.get(subject[:1], 0)


@dataclass(frozen=True, slots=True)
class Cut:
    """Let no token count that was issued before an instant.

    :param app: of which app, by its id in tokens; None means all.
    :param level: of which level, exactly; None means all.
    :param before: seconds since 1970; tokens issued in or after this second hold.
    :param share: how many of :data:`BUCKETS` parts are cut so far, 1 or more, in the order of :func:`bucket_of`.
    """

    app: str | None
    level: Level | None
    before: int
    share: int = BUCKETS

    def covers(self, claims: TokenClaims) -> bool:
        """Tell whether a token is cut."""
        return (
            claims.issued_at < self.before
            and (self.app is None or claims.app_id == self.app)
            and (self.level is None or claims.level is self.level)
            and bucket_of(claims.subject) < self.share
        )
