"""Hold the commented file that ``watchword init`` writes."""

EXAMPLE_TEAM_ID = "ABCDE12345"
"""The team id of the example app; nobody's."""

EXAMPLE_DIGEST = "4f1d8c5b0e3a7296d1c4b5a6978810fe2d3c4b5a69788190a1b2c3d4e5f60718"
"""The signing digest of the example app; no certificate's."""

TEMPLATE = f"""\
# watchword.yaml: the one file that everything hangs on.
# `watchword check` shows every fault in it; `watchword schema` prints its JSON Schema.
# yaml-language-server: $schema=./watchword.schema.json
version: 1

# lab: simulated phones from `watchword lab`, loopback only, no store account needed.
# prod: real phones under the roots of Apple and Google. Tokens of one are refused in the other.
environment: lab

service:
  # The URL under which your apps reach the service (https in prod).
  issuer: http://127.0.0.1:8440
  listen: 127.0.0.1:8440
  # How long a token lives, 30s to 1h. A revoked instance is refused at once all the same.
  token_lifetime: 5m
  # Keys and the SQLite store, seen from this file. Back it up; keep it private.
  state: .watchword

# Whom to believe. Left out: lab phones in lab, Apple and Google in prod.
# trust:
#   anchors: [vendors]                  # vendors, lab (lab only in environment lab)
#   revocation: {{fetch: true, max_age: 24h}}   # Google's status list; prod does this by itself
#   revocation_lists: [status.json]     # snapshots of it, for servers without a way to Google

# What evidence must fulfil for each level: strict, balanced (left out: this one), inclusive, or
# your own; `watchword policy show` says it in words, docs/policy.md how to change it.
# policy: balanced

# Keep what each enrolment hung on, without what identifies a device: to explain it, to replay it
# (`watchword verify replay`), to try another policy on it (`watchword policy diff`).
# records: {{keep: 30d, max_megabytes: 256}}

# What would hurt to lose: `watchword plan` says from it what to protect first (docs/plan-file.md).
# Impact alone ranks, never how often something happens.
plan:
  assets:
    patient-records:
      kind: data              # data, service or use-case
      impact: 5               # 1 to 5, on the business
      because: every patient's history would be out, for good
      routes: [{{api: clinic, path: /v1/records/**}}]   # so it lives in the backend
    one-patients-live-data:
      kind: data
      impact: 2
      because: what one patient sees on one phone
      lives_in: [app]         # app, channel, backend: where it can be taken

# Keys of third parties that the app needs and must not hold (docs/secrets.md): added by the proxy to calls
# of attested instances alone, or sealed to an instance for a while (deliver). `watchword secrets add maps`.
# secrets:
#   master_key: {{file: master.key}}      # prod: say where; not on the disk of the values
#   keys:
#     maps:
#       edge:
#         origin: https://maps.example.net
#         paths: [/geocode/**]
#         add: {{header: Authorization, prefix: "Bearer "}}
#         quota: {{calls: 100, per: 1d}}    # of one instance
#         # reflects: never             # no answer shows text of its request: lets answers stream

# What `watchword drill` asks for as the genuine app does: requests that your API serves, one for each kind of proof.
# An answer that isn't a 2xx makes the run unsure; write status: [404] beside path where that is the good answer.
drill:
  clinic:
    requests:
      - {{path: /patients.json}}

# Your apps, named as you like. The values are what Apple and Android sign.
apps:
  clinic-ios:
    platform: ios
    team_id: {EXAMPLE_TEAM_ID}
    bundle_id: com.example.clinic
    # app_attest: development     # for builds from Xcode; production is the default
    # Have Apple count the attestations of each device (the risk metric), with your team's key.
    # receipts: {{key_id: ABC1234567, key: AuthKey_ABC1234567.p8}}
  clinic-android:
    platform: android
    package: com.example.clinic
    # SHA-256 of your signing certificate: apksigner verify --print-certs app.apk
    # With Play App Signing take the digest from the Play Console.
    signing_digests:
      - {EXAMPLE_DIGEST}
    minimum_version: 100
    # Accept Play Integrity tokens too, at level verified (routes below must take it). With the
    # response encryption keys from the Play Console nobody asks Google; with service_account:
    # FILE instead, Google decodes each token. A lab has keys of its own.
    # play_integrity:
    #   decryption_key: play-decryption.key
    #   verification_key: play-verification.key

apis:
  clinic:
    # The name that tokens for this API carry.
    audience: https://api.clinic.example
    apps: [clinic-ios, clinic-android]
    # The proxy listens here, in front of the API that answers there.
    listen: 127.0.0.1:8080
    upstream: http://127.0.0.1:9000
    # The first route that matches a request decides; what matches none is refused.
    #   path    /literal/*/segments, * is one segment, a last ** is any rest
    #   level   what an instance must have: hardware (default), verified, software.
    #           App Attest and key attestation grant hardware, Play Integrity verified;
    #           policy: inclusive grants software to phones that miss those for good reasons.
    #   proof   bearer: the token alone. session: an HMAC for each request, which costs next to
    #           nothing. device: a signature by the phone's own key (dpop: true takes DPoP too).
    #           A body up to max_body is held until it is the one that the proof covers.
    #   mode    off: no check; monitor: count refusals, let pass; enforce (default): refuse;
    #           canary: enforce for canary: {{share: PERCENT}} of the instances, monitor for the rest
    #   minimum_versions: {{clinic-android: "120"}} lets no earlier version in
    #   secret  a key of secrets.keys: /maps/geocode goes to its origin as /geocode, the key added
    # /HEALTH isn't /health here, but many servers take it for that: of the routes that a path belongs to
    # in any case or Unicode form, the strictest judges. For an API that tells such paths apart:
    # case: sensitive
    # How a proof is kept from passing twice: local (once per gate), affine (at its own gate
    # alone), shared (once over all gates; a file on this machine, or store: valkey with url).
    # replay: {{mode: local}}
    # Most requests of one instance:
    rate: {{requests: 300, per: 1m}}
    # limits:
    #   - {{name: few, kind: quota, requests: 20, per: 1d, routes: [/**]}}   # mode: monitor to watch first
    routes:
      - path: /health
        methods: [GET]
        mode: off
      - path: /**
        level: hardware
        proof: bearer
        mode: enforce
"""
