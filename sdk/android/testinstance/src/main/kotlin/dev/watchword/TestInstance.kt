package dev.watchword

import android.content.Context
import android.content.pm.ApplicationInfo
import dev.watchword.internal.TestInstanceDevice

/**
 * Uses a real deployment from an emulator or a test, by an operator's one-time code in place of attestation.
 *
 * For debug builds alone: this artifact belongs under `debugImplementation`. A release build can't contain it: where code is
 * shrunk its rules fail the build, and in an app that isn't debuggable [create] throws.
 */
public object TestInstance {
    /**
     * Makes the one instance of this app at its service, enrolled by a code where it isn't enrolled yet.
     *
     * Its keys lie in a file of the app's no-backup directory, in clear: whoever reads it is this instance until that ends.
     * It can't enrol a second time: each code is good for one instance, once.
     *
     * @param code of `watchword instances invite`; null where the instance was enrolled by an earlier start.
     * @param transport the way to the service.
     * @throws IllegalStateException in an app that isn't debuggable.
     */
    @JvmStatic
    @JvmOverloads
    public fun create(context: Context, config: WatchwordConfig, code: String? = null, transport: Transport = HttpTransport()): Watchword {
        requireDebuggable(context, "a test instance")
        val parts = AndroidParts(context.applicationContext, config, kind = "test")
        return parts.watchword(TestInstanceDevice(code, parts.store("keys")), transport)
    }
}

/** @throws IllegalStateException in an app that isn't debuggable. */
internal fun requireDebuggable(context: Context, what: String) {
    check(context.applicationInfo.flags and ApplicationInfo.FLAG_DEBUGGABLE != 0) {
        "$what was asked for in an app that isn't debuggable: use Watchword.create(context, config), and keep " +
            "the artifact testinstance out of release builds"
    }
}

/** Returns the instance that has a device in software. */
internal fun AndroidParts.watchword(device: Device, transport: Transport): Watchword = Watchword(
    config,
    Ports(device = device, store = session, clock = clock, transport = transport, mayBlock = { mayBlock() }, pins = pins()),
)
