"""List the kinds of iPhones; a new kind is one entry here and one in docs/lab.md."""

from collections.abc import Mapping
from typing import Final

from watchword.lab.phones.interface import ACCEPTED, Expectation, PhoneModel
from watchword.lab.phones.iphone import Habits, IPhoneModel, ReceiptHabit
from watchword.reasons import Reason

BROKER_DEVICE: Final = "broker"
"""The one device that all broker phones of a lab are."""

IPHONES: Final[Mapping[str, PhoneModel]] = {
    "genuine-iphone": IPhoneModel("An iPhone with the app as you ship it."),
    "ios-26-iphone": IPhoneModel(
        "A genuine iPhone with iOS 26, which doesn't state the app's version.",
        Habits(states_version=False),
        expected=ACCEPTED,
    ),
    "development-iphone": IPhoneModel(
        "A genuine iPhone with a build of your app for Apple's development environment.",
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
