"""List the kinds of iPhones; a new kind is one entry here and one in docs/lab.md."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from watchword.lab.apple_systems import IPAD, IPHONE_17, IPHONE_26, MAC, OPEN_MAC, VISION
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
from watchword.reasons import Reason
from watchword.vocabulary import ApplePlatform, Distribution

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
