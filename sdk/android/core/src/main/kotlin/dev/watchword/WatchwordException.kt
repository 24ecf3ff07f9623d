package dev.watchword

import java.io.IOException

/**
 * Says why there is no token, no secret or no answer; there is never a placeholder instead.
 *
 * An [IOException], so that HTTP libraries hand it to the app as they do their own. No message holds a token, a key or
 * what was sent.
 *
 * @property code the language-neutral name of the error, the same in every SDK, for example `service-unavailable`.
 */
public sealed class WatchwordException(public val code: String, message: String, cause: Throwable? = null) : IOException(message, cause) {
    /**
     * The service (or the vendor) couldn't be reached, asked to come back later, or something else answered in its place.
     * The same call may succeed later.
     *
     * @property retryAfter seconds that the service asked to wait, or what is left of them; null if it named none.
     */
    public class Offline internal constructor(
        code: String,
        message: String,
        public val retryAfter: Double? = null,
        cause: Throwable? = null,
    ) : WatchwordException(code, message, cause)

    /**
     * The service said no.
     *
     * @property ref what support needs to find the reason (`watchword explain REF`); null if none came.
     * @property type the public class of the refusal, for example `evidence-refused`.
     * @property status the HTTP status.
     * @property reasons dotted reason codes, which only a lab service tells.
     * @property isFinal whether trying again is of no use: nothing is sent any more until the app calls
     *   [Watchword.enrol], or until the cool-down of at most one hour has passed.
     */
    public class Refused internal constructor(
        public val type: String,
        public val status: Int,
        internal val title: String,
        public val ref: String?,
        public val reasons: List<String>,
        internal val signed: String? = null,
    ) : WatchwordException(
        if (type in NAMED) type else "service-refused",
        "the service refused: $status $type: $title" +
            (if (reasons.isEmpty()) "" else reasons.joinToString(", ", " (", ")")) +
            (if (ref == null) "" else "; ref $ref"),
    ) {
        public val isFinal: Boolean get() = type in FINAL

        private companion object {
            val FINAL = setOf("evidence-refused", "instance-refused")
            val NAMED = FINAL + setOf("challenge-refused", "secret-refused")
        }
    }

    /** This phone can't attest: no attestation key, no Play services, or a system that is too old. */
    public class DeviceUnsupported internal constructor(cause: DeviceException) :
        WatchwordException("device-unsupported", "this device can't attest: ${cause.message}", cause)

    /** The device lost its keys, and enrolling anew with new ones failed too. */
    public class KeyLost internal constructor(cause: DeviceException) :
        WatchwordException("key-lost", "the device's keys are lost: ${cause.message}", cause)

    /**
     * The device's keystore or vendor failed, or is locked; the same call may succeed later.
     *
     * @property kind what failed.
     * @property retryAfter seconds until the device is asked again, null if at once.
     */
    public class DeviceFailed internal constructor(
        public val kind: DeviceException.Kind,
        message: String,
        public val retryAfter: Double? = null,
        cause: Throwable? = null,
        code: String = "device-error",
    ) : WatchwordException(code, message, cause)

    /**
     * A connection to a pinned host isn't used; nothing was sent over it.
     *
     * @property host that was to be reached.
     */
    public class Pin(public val host: String, message: String, cause: Throwable? = null) : WatchwordException("pin", message, cause)

    /**
     * The answer to a request was lost, or its proof had been used: the API may have carried it out. It wasn't sent again.
     * Ask the API, or send an `Idempotency-Key` that the API honours.
     *
     * @property method of the request.
     * @property origin scheme, host and port of the API, nothing else of the URL.
     */
    public class OutcomeUnknown internal constructor(
        public val method: String,
        public val origin: String,
        why: String,
        cause: Throwable? = null,
    ) : WatchwordException(
        "outcome-unknown",
        "the outcome of $method to $origin is unknown ($why): it wasn't sent again; ask the API whether it was " +
            "carried out, or send an Idempotency-Key to have it repeated",
        cause,
    )

    /**
     * A body without a length was refused, and is larger than what is kept of a stream. Nothing was carried out: send it
     * with a length.
     *
     * @property limit most bytes that are kept.
     */
    public class LengthRequired internal constructor(public val method: String, public val origin: String, public val limit: Int) :
        WatchwordException(
            "length-required",
            "$method to $origin needs a Content-Length, and its body is a stream of more than $limit bytes: send it with a length",
        )
}
