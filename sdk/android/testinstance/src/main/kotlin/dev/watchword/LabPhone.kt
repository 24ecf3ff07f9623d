package dev.watchword

import android.content.Context
import dev.watchword.internal.LabDevice

/**
 * Plays a phone of the lab on an emulator: `watchword lab attester` vouches for its key as a phone's hardware and vendor would. All
 * else is what ships: enrolment by key attestation, sealed session keys, proofs, renewals.
 *
 * For an app's own tests of its screens, without a phone and without a token that skips the check. A deployment in environment `lab`
 * accepts it and no other does, as its roots are the lab's. For debug builds alone: see [TestInstance].
 */
public object LabPhone {
    /**
     * Makes the one instance of this app at its service.
     *
     * @param attester where it listens, as the emulator sees it: with `adb reverse tcp:8450 tcp:8450` this is
     *   `http://127.0.0.1:8450`.
     * @param kind of phone; `watchword lab phones` lists them, good ones and bad ones.
     * @param device the phone's name, 1 to 64 of letters, digits, `_` and `-`: two names are two phones.
     * @param transport the way to service and attester.
     * @throws IllegalStateException in an app that isn't debuggable.
     * @throws IllegalArgumentException on an attester that isn't on loopback, by `http`.
     */
    @JvmStatic
    @JvmOverloads
    public fun create(
        context: Context,
        config: WatchwordConfig,
        attester: String,
        kind: String = "genuine-android",
        device: String = "emulator",
        transport: Transport = HttpTransport(),
    ): Watchword {
        requireDebuggable(context, "a lab phone")
        require(LOOPBACK.matches(attester)) {
            "got the attester '$attester', expected http://127.0.0.1:8450 or another port on loopback: adb reverse brings it there"
        }
        val parts = AndroidParts(context.applicationContext, config, kind = "lab")
        val simulated = LabDevice(attester.removeSuffix("/"), kind, device, parts.store("keys"), transport)
        return parts.watchword(simulated, transport)
    }

    private val LOOPBACK = Regex("http://(127\\.0\\.0\\.1|localhost):[0-9]{1,5}/?")
}
