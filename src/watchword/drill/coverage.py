"""Say of techniques that no attack executes what it would take."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_APP: Final = "the built app, which a scan reads"
_PHONE: Final = "a phone with the app on it, and hands on the phone"
_USER: Final = "a user's phone with something else installed beside the app"
_PAYS: Final = "a request that pays, and a place to book it that isn't real"
_PARTNER: Final = "a partner's certificate, which this drill hasn't got"
_CHANNEL: Final = "a place between an app and the API, and an app that talks there"

NEEDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "MT-A01": _APP,
        "MT-A02": _APP,
        "MT-A03": _APP,
        "MT-A04": "a rooted phone with the app on it; what its evidence is worth is attacked: phone-rooted, phone-mac",
        "MT-A05": "an emulator or a shelf of phones; what its evidence is worth is attacked: phone-emulator",
        "MT-A06": "a cloning app on a phone",
        "MT-A07": f"{_PHONE}, with an instrumentation tool",
        "MT-A08": f"{_PHONE}, with a debugger",
        "MT-A09": f"{_PHONE}, with an instrumentation tool",
        "MT-A10": f"{_PHONE}, or a copy of its storage",
        "MT-A11": "a changed app on a phone; what its evidence is worth is attacked: phone-repackaged",
        "MT-A12": f"{_PHONE}, with an instrumentation tool",
        "MT-A13": _PHONE,
        "MT-A14": _USER,
        "MT-A15": _USER,
        "MT-A16": _USER,
        "MT-A17": _USER,
        "MT-A18": _USER,
        "MT-A19": _USER,
        "MT-A20": _PHONE,
        "MT-A21": f"{_APP}, with its list of dependencies",
        "MT-A22": "an old release on a phone; what its evidence is worth is attacked: phone-old-app",
        "MT-A23": "a backup or the logs of a phone",
        "MT-A24": _USER,
        "MT-A25": _USER,
        "MT-A26": "a card or a wallet, and a terminal that isn't real",
        "MT-A27": _USER,
        "MT-B01": "a description of the API, or a scanner that may send anything: this drill sends nothing destructive",
        "MT-B02": "a list of the endpoints that should be there, which the route table isn't",
        "MT-B05": "a sample request that signs in",
        "MT-B06": "a sample request that signs in",
        "MT-B07": "a request that opens an account, which would leave accounts behind",
        "MT-B08": "two users of the API and what belongs to each: your own tests know them",
        "MT-B09": "users of two roles and the functions of each: your own tests know them",
        "MT-B10": "the fields that the API should leave out: a scan of its description knows them",
        "MT-B11": "a load that could do harm, which this drill never sends",
        "MT-B12": "a request that takes card numbers, and a place to book them that isn't real",
        "MT-B13": "an account with something stored in it, and a flow that pays it out",
        "MT-B14": "a flow that sells something scarce",
        "MT-B15": "a request that takes voucher codes",
        "MT-B16": "a request that takes an address to be fetched, and a host inside to be found",
        "MT-B17": "the third party, or somebody who answers in its place",
        "MT-B18": "a third party's key, and its bill",
        "MT-B19": "a genuine phone in the hands of a cheat; a limit bounds it: scraping-with-instance",
        "MT-B21": f"{_PAYS}, and an account with payees",
        "MT-B22": "the operator of the phone's number",
        "MT-B23": "a customer's password and code, and a second phone",
        "MT-B24": "the bank's side of a wallet, and a card that isn't real",
        "MT-B25": f"{_PHONE}, and a script that asks it",
        "MT-B26": f"{_PAYS}, and a person who is shown the wrong number",
        "MT-B27": "a person who is talked to",
        "MT-B28": _PAYS,
        "MT-B29": "a person who is talked to",
        "MT-B30": "a partner's machines",
        "MT-B31": _PARTNER,
        "MT-B32": f"{_PARTNER}, and what its contract holds",
        "MT-B33": f"{_PARTNER}, that was taken back",
        "MT-B34": f"{_PARTNER}, and every way that leads to the API",
        "MT-C01": _CHANNEL,
        "MT-C02": f"{_PHONE}, with an instrumentation tool",
        "MT-C03": _CHANNEL,
        "MT-C04": _CHANNEL,
        "MT-C06": _CHANNEL,
        "MT-C07": _CHANNEL,
    }
)
"""What each of them needs that a drill from here hasn't got; where an attack executes one all the same, its line isn't used."""
