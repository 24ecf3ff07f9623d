"""Describe ``watchword.yaml`` as it is written; ``watchword schema`` prints it for editors."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from watchword.apps.settings.written_apis import WrittenApi, WrittenRate
from watchword.apps.settings.written_drill import WrittenDrill
from watchword.apps.settings.written_pins import WrittenPins
from watchword.apps.settings.written_plan import WrittenPlan
from watchword.apps.settings.written_secrets import WrittenSecrets
from watchword.apps.settings.written_types import (
    Digest,
    Duration,
    FilePath,
    ListenAddress,
    Name,
    Origin,
    ProxyNetwork,
    Url,
    Written,
    within,
)

_HostName: TypeAlias = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}(\.[a-z0-9][a-z0-9-]{0,62})*)$", max_length=253)
]


class WrittenReceipts(Written):
    """Say how Apple is asked for newer App Attest receipts, which carry the risk metric."""

    key_id: Annotated[
        str, Field(pattern=r"^[A-Z0-9]{10}$", description="id of your DeviceCheck key at Apple")
    ]
    key: Annotated[FilePath, Field(description="that key as Apple gave it to you, a .p8 file")]
    server: Annotated[Origin, Field(description="Apple's server, or a simulated one")] = (
        "https://data.appattest.apple.com"
    )


class WrittenPlayIntegrity(Written):
    """Say how Play Integrity tokens are read: by your own keys, or decoded by Google."""

    decryption_key: Annotated[
        FilePath | None, Field(description="file with the base64 AES key from the Play Console")
    ] = None
    verification_key: Annotated[
        FilePath | None, Field(description="file with the base64 public key from the Play Console")
    ] = None
    service_account: Annotated[
        FilePath | None, Field(description="JSON key of a service account, to let Google decode")
    ] = None


class WrittenIosApp(Written):
    """Describe an iOS app by what Apple signs: its App ID, team id and bundle id."""

    platform: Literal["ios"]
    team_id: Annotated[str, Field(pattern=r"^[A-Z0-9]{10}$", description="Apple team id")]
    bundle_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,155}$")]
    app_attest: Annotated[
        Literal["production", "development"],
        Field(description="Apple's App Attest environment; one never passes for the other"),
    ] = "production"
    minimum_version: Annotated[
        str | None,
        Field(pattern=r"^[0-9]+(\.[0-9]+){0,3}$", description="lowest CFBundleVersion accepted"),
    ] = None
    platforms: Annotated[
        list[
            Literal[
                "ios",
                "ipados",
                "macos",
                "mac_catalyst",
                "visionos",
                "tvos",
                "watchos",
                "unknown",
            ]
        ],
        Field(min_length=1, description="systems that instances may run on; a Mac must be listed"),
    ] = ["ios", "ipados", "visionos"]
    distribution: Annotated[
        list[
            Literal[
                "operating_system",
                "testflight",
                "development",
                "app_store",
                "enterprise",
                "developer_id",
                "other",
                "unknown",
            ]
        ]
        | None,
        Field(
            min_length=1,
            description="ways by which the app comes onto devices, since OS 27; "
            "left out, app_store alone, or development in Apple's development environment",
        ),
    ] = None
    receipts: Annotated[
        WrittenReceipts | None, Field(description="refresh Apple's receipts for their risk metric")
    ] = None


class WrittenAndroidApp(Written):
    """Describe an Android app by what the system signs: package and signing certificates."""

    platform: Literal["android"]
    package: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$")]
    signing_digests: Annotated[
        list[Digest],
        Field(min_length=1, description="SHA-256 of each certificate that may sign the app"),
    ]
    minimum_version: Annotated[
        int | None, Field(ge=0, le=2**63 - 1, description="lowest versionCode accepted")
    ] = None
    play_integrity: Annotated[
        WrittenPlayIntegrity | None,
        Field(description="accept Play Integrity tokens of this app beside key attestation"),
    ] = None


WrittenApp: TypeAlias = Annotated[
    WrittenIosApp | WrittenAndroidApp, Field(discriminator="platform")
]


class WrittenEnrolments(Written):
    """Say how many new instances there may be; what is beyond is told when to come again."""

    address: Annotated[
        WrittenRate | None,
        Field(description="from one address prefix, of all apps; left out: 100 in 10m"),
    ] = None
    app: Annotated[
        WrittenRate | None,
        Field(description="of one app, from all addresses; left out: 6000 in 1m"),
    ] = None


class WrittenService(Written):
    """Describe the service that attests instances and issues tokens."""

    issuer: Annotated[Origin, Field(description="the URL under which apps reach the service")]
    listen: ListenAddress = "127.0.0.1:8440"
    token_lifetime: Duration = "5m"  # noqa: S105 - a duration.
    store: Annotated[Literal["sqlite"], Field(description="SQLite in the state directory")] = (
        "sqlite"
    )
    state: Annotated[FilePath, Field(description="directory of keys and store, from this file")] = (
        ".watchword"
    )
    trusted_proxies: Annotated[
        list[ProxyNetwork],
        Field(
            max_length=64,
            description="addresses of the proxies in front, whose X-Forwarded-For is believed",
        ),
    ] = []
    enrolments: Annotated[
        WrittenEnrolments, Field(description="how many new instances there may be")
    ] = WrittenEnrolments()


class WrittenRevocation(Written):
    """Say whether Google's status list of attestation certificates is fetched, and how old it may be."""

    fetch: Annotated[
        bool | None, Field(description="left out: yes in prod where the vendors are trusted")
    ] = None
    url: Url = "https://android.googleapis.com/attestation/status"
    max_age: Annotated[
        Duration,
        within("10m", "30d"),
        Field(description="how old a list still answers when a newer can't be fetched"),
    ] = "24h"


class WrittenRecords(Written):
    """Say what is kept of each verification, to explain and replay it."""

    keep: Annotated[
        Duration, within("1h", "3650d"), Field(description="how long, for example 30d")
    ] = "30d"
    max_megabytes: Annotated[
        int, Field(ge=1, le=1_000_000, description="most space; the oldest days go first")
    ] = 256


class WrittenTrust(Written):
    """Describe whom the verifier believes."""

    anchors: Annotated[
        list[Literal["vendors", "lab"]],
        Field(min_length=1, description="vendors: Apple and Google; lab: simulated, lab only"),
    ]
    revocation_lists: Annotated[
        list[FilePath], Field(description="files with Google's attestation status list")
    ] = []
    revocation: WrittenRevocation | None = None
    formats: Annotated[
        list[Name], Field(description="evidence formats of your own, by their entry points")
    ] = []


class WrittenGates(Written):
    """Say how gates of other machines fetch what they must know: over mutual TLS."""

    listen: ListenAddress
    certificate: Annotated[FilePath, Field(description="PEM of the certificate and its chain")]
    key: Annotated[FilePath, Field(description="PEM of its key, without a password")]
    client_ca: Annotated[
        FilePath, Field(description="PEM of the authority that signs the gates' certificates")
    ]
    clients: Annotated[
        dict[_HostName, Annotated[list[Name], Field(min_length=1)]],
        Field(min_length=1, description="by the name in a gate's certificate: its APIs"),
    ]


class WrittenFile(Written):
    """Describe the whole file."""

    version: Literal[1]
    environment: Annotated[
        Literal["prod", "lab"],
        Field(description="lab: simulated phones, loopback only; its tokens are refused in prod"),
    ]
    service: WrittenService
    trust: WrittenTrust | None = None
    records: Annotated[
        WrittenRecords | None, Field(description="left out: no verification is recorded")
    ] = None
    gates: Annotated[
        WrittenGates | None, Field(description="left out: gates stand on this machine alone")
    ] = None
    policy: Annotated[
        Any, Field(description="what evidence must fulfil for each level; left out: balanced")
    ] = None
    plan: Annotated[
        WrittenPlan | None, Field(description="what `watchword plan` ranks protections for")
    ] = None
    drill: Annotated[
        dict[Name, WrittenDrill], Field(description="by API: how `watchword drill` attacks it")
    ] = {}
    pins: Annotated[
        WrittenPins | None, Field(description="which hosts the apps pin; see `watchword pins`")
    ] = None
    secrets: Annotated[
        WrittenSecrets | None,
        Field(description="API keys that the apps need and don't hold; see `watchword secrets`"),
    ] = None
    apps: Annotated[dict[Name, WrittenApp], Field(min_length=1)]
    apis: Annotated[dict[Name, WrittenApi], Field(min_length=1)]
