"""List the kinds of phones; a new kind is one entry here (or in play.py), and one line in docs/lab.md."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from watchword.lab.android_authorities import Emulated, Factory, Remote, Root
from watchword.lab.apple import IPAD, IPHONE_17, IPHONE_26, MAC, OPEN_MAC, VISION
from watchword.lab.phones.android import (
    AndroidModel,
    AppOnIt,
    Origin,
    Purpose,
    Quirk,
    Scheme,
    SecurityLevel,
    System,
)
from watchword.lab.phones.interface import ACCEPTED, Expectation, PhoneModel
from watchword.lab.phones.iphone import (
    APP_STORE,
    DEVELOPER_ID,
    DEVELOPMENT,
    ENTERPRISE,
    NOBODY_KNOWS,
    TESTFLIGHT,
    Habits,
    IPhoneModel,
    ReceiptHabit,
)
from watchword.lab.phones.play import PLAY_PHONES
from watchword.reasons import Reason
from watchword.vocabulary import ApplePlatform, Distribution

REVOKED_BATCH: Final = Factory(batch="revoked")
"""A batch whose key leaked: its serial is on the lab's first status list, as REVOKED."""

SUSPENDED_BATCH: Final = Factory(batch="suspended")
"""A batch that is being looked into: its serial is on that list as SUSPENDED."""

_refused = Expectation.refused
_OF_NO_APP: Final = _refused(
    Reason.POLICY_APP_ID, Reason.POLICY_SIGNING_DIGEST, Reason.POLICY_APP_VERSION
)
_TOO_DEEP: Final = _refused(
    Reason.ANDROID_KEY_DESCRIPTION_MISPLACED,
    Reason.ATTESTATION_CHAIN_NOT_CA,
    Reason.ATTESTATION_CHAIN_LENGTH,
)
_BROKERS: Final = "the broker's phone"

ANDROID_PHONES: Final[Mapping[str, PhoneModel]] = MappingProxyType(
    {
        # Genuine ones: where the attestation key comes from.
        "genuine-android": AndroidModel("An Android phone (TEE) with the app as you ship it."),
        "strongbox-android": AndroidModel(
            "A phone whose keys live in a separate security chip (StrongBox).",
            supply=Factory(title="StrongBox"),
            security=SecurityLevel.STRONG_BOX,
        ),
        "rsa-root-android": AndroidModel(
            "A phone whose chain ends at Google's first root, RSA-4096.",
            supply=Factory(root=Root.RSA),
        ),
        "expired-root-android": AndroidModel(
            "The same with the copy of the root that ended in May 2026, as most phones send it.",
            supply=Factory(root=Root.RSA_ENDED),
        ),
        "expired-factory-android": AndroidModel(
            "A phone whose factory certificates have ended; nobody can renew them.",
            supply=Factory(batch="ended", ended=True),
            expected=Expectation(leniencies=("factory_certificate_outside_validity",)),
        ),
        "unmarked-ca-android": AndroidModel(
            "A phone whose maker forgot to mark its attestation key as a CA.",
            supply=Factory(batch="unmarked", root=Root.RSA_ENDED, marked_ca=False),
            version=2,
            expected=Expectation(leniencies=("attestation_certificate_not_ca",)),
        ),
        "huawei-android": AndroidModel(
            "The same maker's phone with an extension of one zero byte, at which parsers stop.",
            supply=Factory(batch="unmarked", root=Root.RSA_ENDED, marked_ca=False),
            scheme=Scheme.ZERO_BYTE,
            version=2,
            expected=Expectation(leniencies=("attestation_certificate_not_ca",)),
        ),
        "untitled-issuer-android": AndroidModel(
            "A phone of Android 8 whose leaf leaves the title out of its issuer's name (Keymaster 3).",
            supply=Factory(batch="untitled", root=Root.RSA_ENDED),
            scheme=Scheme.UNTITLED,
            version=2,
            expected=Expectation(leniencies=("issuer_without_title",)),
        ),
        "rkp-android": AndroidModel(
            "A remotely provisioned phone: a fresh attestation key every two weeks.",
            supply=Remote(),
            version=400,
        ),
        "rkp-strongbox-android": AndroidModel(
            "The same with a security chip of its own (StrongBox).",
            supply=Remote(title="StrongBox"),
            security=SecurityLevel.STRONG_BOX,
        ),
        "rkp-rsa-root-android": AndroidModel(
            "A remotely provisioned phone under the first root, as until April 2026.",
            supply=Remote(root=Root.RSA),
        ),
        "rootless-rkp-android": AndroidModel(
            "A remotely provisioned phone that leaves the root out of its chain.",
            supply=Remote(with_root=False),
        ),
        "broker-android": AndroidModel(
            "One phone on which somebody enrols again and again, for sale.",
            supply=Remote(device=_BROKERS, issued=900),
        ),
        # Genuine ones: what they state, and how they write it.
        "v1-android": AndroidModel("A phone of Android 7 (attestation version 1).", version=1),
        "v2-android": AndroidModel("A phone of Android 8 (attestation version 2).", version=2),
        "v3-android": AndroidModel("A phone of Android 9 (attestation version 3).", version=3),
        "v4-android": AndroidModel("A phone of Android 11 (attestation version 4).", version=4),
        "v100-android": AndroidModel("A phone of Android 12 (KeyMint 1).", version=100),
        "v200-android": AndroidModel("A phone of Android 13 (KeyMint 2).", version=200),
        "v400-android": AndroidModel("A phone of Android 16 (KeyMint 4).", version=400),
        "v500-android": AndroidModel("A phone of Android 17 (KeyMint 5).", version=500),
        "xiaomi-android": AndroidModel(
            "A phone that writes TRUE as 0x01 and its lists unsorted.",
            quirks=frozenset({Quirk.SLOPPY}),
            expected=Expectation(
                leniencies=("authorization_list_unsorted", "boolean_not_canonical")
            ),
        ),
        "titan-m-android": AndroidModel(
            "A phone whose chip writes two bytes too many into its certificates (Titan M).",
            supply=Factory(title="StrongBox", root=Root.RSA_ENDED),
            scheme=Scheme.STRAY_NULL,
            security=SecurityLevel.STRONG_BOX,
            version=4,
        ),
        "old-patch-android": AndroidModel(
            "A phone whose last security patch is two years old; policy `strict` refuses it.",
            months_ahead=-24,
        ),
        "claimed-strongbox-android": AndroidModel(
            "A leaked TEE key that says StrongBox; a policy with `strongbox: true` refuses it.",
            security=SecurityLevel.STRONG_BOX,
        ),
        # Refused for what they are.
        "unlocked-android": AndroidModel(
            "A genuine phone whose bootloader is unlocked: any system may run on it.",
            system=System.UNLOCKED,
            expected=_refused(Reason.POLICY_BOOTLOADER_UNLOCKED, Reason.POLICY_BOOT_UNVERIFIED),
        ),
        "failed-boot-android": AndroidModel(
            "A phone whose system didn't verify when it was started.",
            system=System.FAILED,
            expected=_refused(Reason.POLICY_BOOT_UNVERIFIED),
        ),
        "grapheneos-android": AndroidModel(
            "A locked phone with GrapheneOS: another system, under its own boot key.",
            system=System.GRAPHENEOS,
            expected=_refused(Reason.POLICY_BOOT_SELF_SIGNED),
        ),
        "future-patch-android": AndroidModel(
            "A phone that states a security patch of next year.",
            months_ahead=12,
            expected=_refused(Reason.POLICY_PATCH_LEVEL),
        ),
        "emulator": AndroidModel(
            "An Android emulator: its chain ends at a software root.",
            supply=Emulated(),
            security=SecurityLevel.SOFTWARE,
            system=System.UNSTATED,
            expected=_refused(
                Reason.ATTESTATION_ANCHOR_SOFTWARE,
                Reason.POLICY_SECURITY_LEVEL,
                Reason.POLICY_ROOT_OF_TRUST_MISSING,
                Reason.POLICY_KEY_ORIGIN,
                Reason.POLICY_KEY_PURPOSE,
            ),
        ),
        "software-attestation-android": AndroidModel(
            "A phone with keys in a TEE that only its system vouches for, as some of Android 8.",
            supply=Emulated(),
            attester=SecurityLevel.SOFTWARE,
            version=2,
            system=System.UNSTATED,
            expected=_refused(
                Reason.ATTESTATION_ANCHOR_SOFTWARE,
                Reason.POLICY_SECURITY_LEVEL,
                Reason.POLICY_ROOT_OF_TRUST_MISSING,
            ),
        ),
        "software-key-android": AndroidModel(
            "A phone with hardware whose app keeps its key in software.",
            security=SecurityLevel.SOFTWARE,
            expected=_refused(
                Reason.POLICY_SECURITY_LEVEL,
                Reason.POLICY_ROOT_OF_TRUST_MISSING,
                Reason.POLICY_KEY_ORIGIN,
                Reason.POLICY_KEY_PURPOSE,
            ),
        ),
        "imported-key-android": AndroidModel(
            "A phone whose key was made elsewhere and imported: a copy may exist.",
            origin=Origin.IMPORTED,
            expected=_refused(Reason.POLICY_KEY_ORIGIN),
        ),
        "no-sign-key-android": AndroidModel(
            "A phone whose attested key may decrypt and not sign.",
            purposes=(Purpose.DECRYPT,),
            expected=_refused(Reason.POLICY_KEY_PURPOSE),
        ),
        "repackaged-android": AndroidModel(
            "A genuine phone with a changed app under your package name, signed by someone else.",
            app=AppOnIt.REPACKAGED,
            expected=_refused(Reason.POLICY_SIGNING_DIGEST),
        ),
        "wrong-app-android": AndroidModel(
            "A genuine phone with another developer's app that talks to your service.",
            app=AppOnIt.COPYCAT,
            expected=_OF_NO_APP,
        ),
        "downgraded-android": AndroidModel(
            "A genuine phone with an older version of your app than you accept.",
            app=AppOnIt.DOWNGRADED,
            expected=_refused(Reason.POLICY_APP_VERSION),
        ),
        "unknown-app-android": AndroidModel(
            "A genuine phone whose Keystore couldn't find out which app asked; a retry helps.",
            quirks=frozenset({Quirk.UNKNOWN_APP}),
            expected=_OF_NO_APP,
        ),
        "expired-rkp-android": AndroidModel(
            "A remotely provisioned phone that kept a key beyond its weeks.",
            supply=Remote(ended=True),
            expected=_refused(Reason.ATTESTATION_CERTIFICATE_EXPIRED),
        ),
        "revoked-android": AndroidModel(
            "A phone whose attestation key leaked; Google has revoked it.",
            supply=REVOKED_BATCH,
            expected=_refused(Reason.ATTESTATION_REVOKED),
        ),
        "suspended-android": AndroidModel(
            "A phone whose attestation key Google has suspended for the time being.",
            supply=SUSPENDED_BATCH,
            expected=_refused(Reason.POLICY_SUSPENDED),
        ),
        "attest-key-android": AndroidModel(
            "A genuine phone whose app certifies its keys by an attest key of its own (KeyMint).",
            scheme=Scheme.ATTEST_KEY,
            expected=_refused(Reason.POLICY_ATTEST_KEY),
        ),
        "foreign-attest-key-android": AndroidModel(
            "A key that claims a locked phone, certified by an attest key of an unlocked one.",
            scheme=Scheme.FOREIGN_ATTEST_KEY,
            expected=_refused(
                Reason.ANDROID_ATTEST_KEY,
                Reason.ATTESTATION_CHAIN_NOT_CA,
                Reason.ATTESTATION_CHAIN_LENGTH,
            ),
        ),
        "sub-keybox-android": AndroidModel(
            "A leaked factory key that certifies an attestation key of the thief's own.",
            scheme=Scheme.SUB_KEYBOX,
            expected=_refused(Reason.ATTESTATION_CHAIN_LENGTH),
        ),
        "rkp-sub-keybox-android": AndroidModel(
            "The same by a leaked key that was provisioned remotely.",
            supply=Remote(),
            scheme=Scheme.SUB_KEYBOX,
            expected=_refused(Reason.ATTESTATION_CHAIN_LENGTH),
        ),
        "forged-extension-android": AndroidModel(
            "An unlocked phone's key that signs a certificate about a locked one.",
            system=System.UNLOCKED,
            scheme=Scheme.FORGED,
            expected=_TOO_DEEP,
        ),
        "forged-by-attest-key-android": AndroidModel(
            "The same by a key that may sign data and attest, which no hardware would make.",
            system=System.UNLOCKED,
            scheme=Scheme.FORGED_BY_BOTH,
            expected=_TOO_DEEP,
        ),
        "moved-extension-android": AndroidModel(
            "A genuine key that signs a certificate for one in software, with no word about it.",
            scheme=Scheme.MOVED,
            expected=_refused(
                Reason.ANDROID_KEY_DESCRIPTION_MISSING,
                Reason.ANDROID_KEY_DESCRIPTION_MISPLACED,
                Reason.ATTESTATION_CHAIN_NOT_CA,
                Reason.ATTESTATION_CHAIN_LENGTH,
            ),
        ),
    }
)
"""Name of each kind, and its model."""


BROKER_DEVICE: Final = "broker"
"""The one device that all broker phones of a lab are."""

IPHONES: Final[Mapping[str, PhoneModel]] = {
    "genuine-iphone": IPhoneModel("An iPhone with the app as you ship it."),
    "ios-26-iphone": IPhoneModel(
        "A genuine iPhone with iOS 26, which doesn't state the app's version.",
        Habits(IPHONE_26, category=None),
        expected=ACCEPTED,
    ),
    "ios-17-iphone": IPhoneModel(
        "A genuine iPhone with iOS 17, whose certificate names no system.",
        Habits(IPHONE_17, category=None),
        expected=ACCEPTED,
    ),
    "updated-iphone": IPhoneModel(
        "An iPhone that enrolled with iOS 26 and renews with iOS 27, whose assertions say more.",
        Habits(IPHONE_26, category=None, category_later=APP_STORE),
        expected=ACCEPTED,
    ),
    "testflight-update-iphone": IPhoneModel(
        "A phone that enrolled with your app from the store, which TestFlight then replaced.",
        Habits(category_later=TESTFLIGHT),
    ),
    "genuine-ipad": IPhoneModel("An iPad with the app as you ship it.", Habits(IPAD)),
    "genuine-vision": IPhoneModel("A Vision Pro with the app as you ship it.", Habits(VISION)),
    "testflight-iphone": IPhoneModel(
        "A genuine iPhone with a build of your app for testers, from TestFlight.",
        Habits(category=TESTFLIGHT),
        listed_as=Distribution.TESTFLIGHT,
        expected=Expectation.refused(Reason.POLICY_DISTRIBUTION),
    ),
    "developer-signed-iphone": IPhoneModel(
        "A genuine iPhone with a build that a developer of yours signed and put there by cable.",
        Habits(category=DEVELOPMENT),
        listed_as=Distribution.DEVELOPMENT,
        expected=Expectation.refused(Reason.POLICY_DISTRIBUTION),
    ),
    "enterprise-iphone": IPhoneModel(
        "A genuine iPhone with an enterprise or ad hoc build of your app.",
        Habits(category=ENTERPRISE),
        listed_as=Distribution.ENTERPRISE,
        expected=Expectation.refused(Reason.POLICY_DISTRIBUTION),
    ),
    "odd-category-iphone": IPhoneModel(
        "A genuine iPhone that states a category which Apple doesn't name.",
        Habits(category=NOBODY_KNOWS),
        listed_as=Distribution.UNKNOWN,
        expected=Expectation.refused(Reason.POLICY_DISTRIBUTION),
    ),
    "genuine-mac": IPhoneModel(
        "A Mac in Full Security with your app from the store, under the same App ID.",
        Habits(MAC),
        listed_as=ApplePlatform.MACOS,
        expected=Expectation.refused(Reason.POLICY_APPLE_PLATFORM),
    ),
    "developer-id-mac": IPhoneModel(
        "A Mac in Full Security with your app from your own site, signed with Developer ID.",
        Habits(MAC, category=DEVELOPER_ID),
        expected=Expectation.refused(Reason.POLICY_APPLE_PLATFORM, Reason.POLICY_DISTRIBUTION),
    ),
    "sip-off-mac": IPhoneModel(
        "A Mac with System Integrity Protection switched off, under the same App ID.",
        Habits(OPEN_MAC),
        expected=Expectation.refused(Reason.POLICY_APPLE_PLATFORM, Reason.POLICY_KEY_ACCESS),
    ),
    "nameless-mac": IPhoneModel(
        "A Mac with its protection switched off whose certificate names no system.",
        Habits(replace(OPEN_MAC, name=None)),
        expected=Expectation.refused(Reason.POLICY_APPLE_PLATFORM, Reason.POLICY_KEY_ACCESS),
    ),
    "development-iphone": IPhoneModel(
        "A genuine iPhone with a build of your app for Apple's development environment.",
        development=True,
        expected=Expectation.refused(Reason.APP_ATTEST_ENVIRONMENT, Reason.POLICY_DISTRIBUTION),
    ),
    "ios-26-development-iphone": IPhoneModel(
        "The same with iOS 26, where nothing but the environment tells the build.",
        Habits(IPHONE_26, category=None),
        development=True,
        expected=Expectation.refused(Reason.APP_ATTEST_ENVIRONMENT),
    ),
    "wrong-app-iphone": IPhoneModel(
        "A genuine iPhone with another developer's app that talks to your service.",
        copycat=True,
        expected=Expectation.refused(Reason.POLICY_APP_ID),
    ),
    "cloned-iphone": IPhoneModel(
        "A copy of a phone: each renewal repeats the counter of the one before.",
        Habits(cloned=True),
    ),
    "broker-iphone": IPhoneModel(
        "One genuine iPhone that enrols instances for many: Apple's risk metric tells.",
        Habits(device=BROKER_DEVICE),
    ),
    "receiptless-iphone": IPhoneModel(
        "A genuine iPhone whose app strips Apple's receipt, to escape the risk metric.",
        Habits(receipt=ReceiptHabit.NONE),
        expected=Expectation.refused(Reason.APP_ATTEST_RECEIPT, Reason.POLICY_RECEIPT),
    ),
    "swapped-receipt-iphone": IPhoneModel(
        "A genuine iPhone that sends the receipt of another device, whose risk metric is low.",
        Habits(receipt=ReceiptHabit.SWAPPED),
        expected=Expectation.refused(Reason.APP_ATTEST_RECEIPT, Reason.POLICY_RECEIPT),
    ),
}
"""Name of each kind of iPhone, and its model."""


PHONES: Final[Mapping[str, PhoneModel]] = MappingProxyType(
    {
        **IPHONES,
        **ANDROID_PHONES,
        **PLAY_PHONES,
    }
)
"""Name of each kind, and its model."""
