"""Take out checks of the service: challenge, statement, evidence, policy and renewal."""

from scripts.drill_mutations.mutation import Mutation, Place

_NEVER = "if False:"
_ALWAYS = "if True:"

_CHALLENGE = (
    Mutation(
        check="challenge use",
        file="adapters/store.py",
        before="VALUES (?, ?) ON CONFLICT DO NOTHING",
        after="VALUES (?, ?) ON CONFLICT (nonce) DO UPDATE SET expires_at = excluded.expires_at",
        red=("renewal-replayed", "enrolment-race"),
    ),
    Mutation(
        check="challenge code",
        file="enrolment/statement.py",
        before="if not hmac.compare_digest(code, expected):",
        after=_NEVER,
        red=("challenge-forged",),
    ),
    Mutation(
        check="challenge purpose",
        file="enrolment/statement.py",
        before="app.encode(), purpose.value.encode()]",
        after="app.encode()]",
        red=("challenge-forged",),
    ),
    Mutation(
        check="challenge app",
        file="enrolment/statement.py",
        before="app.encode(), purpose.value.encode()]",
        after="purpose.value.encode()]",
        red=("challenge-forged",),
    ),
    Mutation(
        check="challenge expiry",
        file="enrolment/statement.py",
        before="if age >= 0:",
        after=_NEVER,
        red=("challenge-forged",),
    ),
)

_STATEMENT = (
    Mutation(
        check="statement issuer",
        file="enrolment/statement.py",
        before="if statement.issuer != self._policy.issuer:",
        after=_NEVER,
        red=("statement-bent",),
    ),
    Mutation(
        check="statement purpose",
        file="enrolment/statement.py",
        before="if statement.purpose is not purpose:",
        after=_NEVER,
        red=("statement-bent",),
    ),
    Mutation(
        check="audiences open to the app",
        file="enrolment/statement.py",
        before="if not open_to_it.issuperset(statement.audiences):",
        after=_NEVER,
        red=("statement-bent",),
    ),
)

_ANDROID = (
    Mutation(
        check="binding of Android evidence",
        file="attestation/formats/android_key.py",
        before="if hmac.compare_digest(challenge, binding):",
        after=_ALWAYS,
        red=("evidence-replayed", "key-swapped"),
    ),
    Mutation(
        check="chain signatures",
        file="attestation/certificates.py",
        before="if signatures and not child.is_signed_by(issuer.spki):",
        after=_NEVER,
        red=("chain-forged", "app-attest-forged"),
    ),
    Mutation(
        check="chain anchor",
        file="attestation/certificates.py",
        before="included=False)\n    return None",
        after="included=False)\n    return Anchored(anchors[0], included=True)",
        red=("chain-forged", "app-attest-forged"),
    ),
    # Each backs the other up: whoever signs with an attested key breaks both rules.
    Mutation(
        check="who may issue: CA marks and place of the KeyDescription",
        file="attestation/formats/android_key.py",
        before="""\
        attest_key, misplaced = judge_placement(chain, description)
        factory = is_factory_provisioned(chain, anchored)
        shape = Shape(chain, anchored, factory, attest_key)
        linked, untitled = forgive_missing_title(linked, shape)
        authorities = judge_authorities(shape)
""",
        after="""\
        attest_key, misplaced = False, ()
        factory = is_factory_provisioned(chain, anchored)
        shape = Shape(chain, anchored, factory, attest_key)
        linked, untitled = forgive_missing_title(linked, shape)
        authorities = Judgement()
""",
        red=("chain-forged",),
    ),
    Mutation(
        check="depth below the root",
        file="attestation/formats/android_key.py",
        before="if len(below) == expected:",
        after=_ALWAYS,
        red=("sub-keybox",),
    ),
    Mutation(
        check="dates of remotely provisioned keys",
        file="attestation/formats/android_key.py",
        before="return Judgement(leniencies=(LENIENT_EXPIRED,))\n    return Judgement(refusals)",
        after="return Judgement(leniencies=(LENIENT_EXPIRED,))\n    return Judgement()",
        red=("chain-forged",),
    ),
    Mutation(
        check="revocation list",
        file="attestation/certificates.py",
        before="if entry is not None:",
        after=_NEVER,
        red=("phone-revoked-key",),
    ),
)

_APPLE = (
    Mutation(
        check="App Attest nonce",
        file="attestation/formats/app_attest.py",
        before="if hmac.compare_digest(nonce, hashlib.sha256(read.raw + binding).digest()):",
        after=_ALWAYS,
        red=("evidence-replayed", "key-swapped", "app-attest-forged"),
    ),
    Mutation(
        check="App Attest rpId",
        file="attestation/formats/app_attest.py",
        before="""\
        and hmac.compare_digest(
            data.rp_id_hash, hashlib.sha256(app.identity.app_id.encode()).digest()
        )
""",
        after="",
        red=("phone-other-app",),
    ),
    Mutation(
        check="App Attest key id",
        file="attestation/formats/app_attest.py",
        before="""\
        if not hmac.compare_digest(hashlib.sha256(point).digest(), key_id):
            own.append(
                Refusal(Reason.APP_ATTEST_KEY_ID, "the key id isn't the hash of the leaf's key")
            )
        if not hmac.compare_digest(credential.credential_id, key_id):
            named.append(Refusal(Reason.APP_ATTEST_KEY_ID, "the credential id isn't the key id"))
""",
        after="",
        red=("app-attest-forged",),
    ),
    Mutation(
        check="App Attest environment",
        file="attestation/formats/app_attest.py",
        before="if aaguid in [environment.value for environment in environments]",
        after="if True",
        red=("phone-other-app",),
    ),
    Mutation(
        check="App Attest counter at renewal",
        file="adapters/store.py",
        before="if self.counter is not None:",
        after=_NEVER,
        red=("phone-cloned",),
    ),
    Mutation(
        check="receipt of this key",
        file="attestation/receipts.py",
        before="if not receipt.is_for_key(leaf.der, leaf.spki):",
        after=_NEVER,
        red=("phone-receipt",),
    ),
    Mutation(
        check="receipt signature",
        file="attestation/receipts.py",
        before="if over is None:",
        after=_NEVER,
        red=("phone-receipt",),
    ),
)

_POLICY = (
    Mutation(
        check="StrongBox in the vendor's certificate",
        file="policy/rules/hardware_security.py",
        before="if KeySecurity.STRONGBOX not in levels or certified is KeySecurity.STRONGBOX:",
        after=_ALWAYS,
        red=("phone-strongbox-claimed",),
        place=Place.KEYS,
    ),
    Mutation(
        check="boot state",
        file="policy/rules/verified_boot.py",
        before="elif boot.state is not BootState.VERIFIED:",
        after="elif False:",
        red=("phone-rooted",),
    ),
    Mutation(
        check="self-signed boot",
        file="policy/rules/verified_boot.py",
        before="refusals += self._self_signed(boot)",
        after="pass",
        red=("phone-rooted",),
    ),
    Mutation(
        check="key origin",
        file="policy/rules/key_origin.py",
        before="if claims.key_generated:",
        after=_ALWAYS,
        red=("phone-rooted",),
    ),
    Mutation(
        check="key purpose",
        file="policy/rules/key_purpose.py",
        before="if claims.key_signs:",
        after=_ALWAYS,
        red=("phone-rooted",),
    ),
    Mutation(
        check="attest key of the app",
        file="policy/rules/attest_key.py",
        before="if self.allowed or not claims.attest_key:",
        after=_ALWAYS,
        red=("chain-forged",),
    ),
    Mutation(
        check="signing digest",
        file="policy/rules/app_identity.py",
        before="if not digests or not digests <= identity.signing_digests:",
        after=_NEVER,
        red=("phone-repackaged",),
    ),
    Mutation(
        check="suspended keys",
        file="policy/rules/suspension.py",
        before="if self.allowed or claims.revocation is None or not claims.revocation.suspended:",
        after=_ALWAYS,
        red=("phone-revoked-key",),
    ),
    Mutation(
        check="patch level from the future",
        file="policy/rules/patch_level.py",
        before='elif age < -_MONTHS_AHEAD and (most is not None or part == "system"):',
        after="elif False:",
        red=("phone-false-patch",),
    ),
    Mutation(
        check="platform of an Apple device",
        file="policy/rules/apple_platform.py",
        before="if not isinstance(identity, AppleApp) or platform in identity.platforms:",
        after=_ALWAYS,
        red=("phone-mac",),
    ),
    # Each backs the other up: a Mac that isn't sealed breaks both rules where the app lists none.
    Mutation(
        check="platform of an Apple device and access to its key",
        file="policy/rules/apple_platform.py",
        before="refusals = [*_unlisted(apple.platform, app), *_unsealed(apple)]",
        after="refusals: list[Refusal] = []",
        red=("phone-mac",),
    ),
    Mutation(
        check="distribution of an iOS app",
        file="policy/rules/distribution.py",
        before="if not isinstance(identity, AppleApp) or got in identity.distributed_by:",
        after=_ALWAYS,
        red=("phone-test-build",),
    ),
    Mutation(
        check="distribution of an iOS app at renewals",
        file="policy/rules/distribution.py",
        before="if standing.distribution is None:",
        after=_ALWAYS,
        red=("phone-test-build",),
    ),
    Mutation(
        check="lowest app version at enrolment",
        file="policy/rules/minimum_app_version.py",
        before="if stated is not None and is_at_least(stated, minimum):",
        after=_ALWAYS,
        red=("phone-old-app",),
    ),
)

_RENEWAL = (
    Mutation(
        check="renewal signature on Android",
        file="attestation/formats/android_key.py",
        before="elif not is_p256_signature(public_key, evidence.signature, RENEWAL_PREFIX + statement):",
        after="elif False:",
        red=("renewal-stolen",),
    ),
    Mutation(
        check="renewal signature on iOS",
        file="attestation/formats/app_attest.py",
        before="""\
    elif not is_p256_signature(
        public_key, signature, hashlib.sha256(raw + client_data_hash).digest()
    ):
""",
        after="    elif False:\n",
        red=("renewal-stolen",),
    ),
    Mutation(
        check="proof key of a renewal",
        file="enrolment/statement.py",
        before="if statement.proof_jwk is not None and dict(statement.proof_jwk) != dict(instance.proof_jwk):",
        after=_NEVER,
        red=("renewal-stolen",),
    ),
    Mutation(
        check="seal key of a renewal",
        file="enrolment/statement.py",
        before="if dict(statement.seal_jwk) != dict(instance.seal_jwk):",
        after=_NEVER,
        red=("renewal-stolen",),
    ),
    Mutation(
        check="audiences of a renewal",
        file="enrolment/statement.py",
        before="if not set(instance.audiences).issuperset(statement.audiences):",
        after=_NEVER,
        red=("renewal-stolen",),
    ),
    Mutation(
        check="key enrolled once",
        file="adapters/store.py",
        before='"ON CONFLICT DO NOTHING",\n        row,',
        after='"ON CONFLICT DO UPDATE SET renewed_at = excluded.renewed_at",\n        row,',
        red=("revoked-instance-renews",),
    ),
)

MUTATIONS = (*_CHALLENGE, *_STATEMENT, *_ANDROID, *_APPLE, *_POLICY, *_RENEWAL)
"""One row for each check; what no attack can show by itself, since another check stands behind it, isn't here."""
