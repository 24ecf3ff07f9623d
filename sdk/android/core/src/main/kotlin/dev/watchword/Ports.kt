package dev.watchword

import java.io.IOException
import java.math.BigInteger
import java.security.interfaces.ECPublicKey
import java.util.concurrent.Executor

/**
 * A public P-256 key as a JWK (RFC 7518 section 6.2.1).
 *
 * @property x the coordinate's 32 bytes in base64url without padding.
 * @property y likewise.
 */
public data class PublicKeyJwk(public val x: String, public val y: String) {
    /** Returns the members `kty`, `crv`, `x` and `y`, in this order. */
    public fun members(): Map<String, String> = linkedMapOf("kty" to "EC", "crv" to "P-256", "x" to x, "y" to y)

    public companion object {
        private const val COORDINATE_BYTES = 32

        /**
         * Returns the JWK of a key that Java holds.
         *
         * @throws IllegalArgumentException if a coordinate doesn't fit 32 bytes: it isn't on P-256.
         */
        @JvmStatic
        public fun of(key: ECPublicKey): PublicKeyJwk = PublicKeyJwk(coordinate(key.w.affineX), coordinate(key.w.affineY))

        private fun coordinate(number: BigInteger): String = dev.watchword.internal.Base64Url.encode(
            dev.watchword.internal.fixedWidth(number, COORDINATE_BYTES),
        )
    }
}

/**
 * Keeps an instance's keys in hardware and makes evidence with them: the one interface that a platform implements.
 *
 * Every method may throw a [DeviceException]; anything else that it throws is taken for one of kind
 * [DeviceException.Kind.FAULT]. [createKeys], [attest] and [renew] are called from one thread at a time,
 * [sign] and [openSealed] from several at once.
 */
public interface Device {
    /**
     * The public proof key that the statement names. Null where the attested key is the proof key (Android key
     * attestation): that key is made after the statement, since its certificate holds the statement's hash.
     */
    public val proofJwk: PublicKeyJwk?

    /** The public key to which session keys and secrets for this instance are sealed. */
    public val sealJwk: PublicKeyJwk

    /** Whether [openSealed] can work at all on this device; if not, the device's own key signs requests. */
    public val canOpen: Boolean

    /** Makes new keys for a new enrolment and forgets the old ones; called before every enrolment. */
    @Throws(DeviceException::class)
    public fun createKeys()

    /**
     * Returns the `evidence` member of an enrolment; binary members are in base64url already.
     *
     * @param binding SHA-256 of the statement, 32 bytes.
     * @return text, numbers, booleans, and lists and maps of them.
     */
    @Throws(DeviceException::class)
    public fun attest(binding: ByteArray): Map<String, Any>

    /**
     * Returns the `evidence` member of a renewal: a signature over `watchword/renew/v1`, a zero byte and the statement.
     *
     * @param statement the bytes that are sent.
     */
    @Throws(DeviceException::class)
    public fun renew(statement: ByteArray): Map<String, Any>

    /** Returns ECDSA with SHA-256 over [message] by the proof key, in DER. */
    @Throws(DeviceException::class)
    public fun sign(message: ByteArray): ByteArray

    /**
     * Returns what was sealed to the seal key (HPKE, RFC 9180: base mode, one shot); see
     * [dev.watchword.internal.Hpke].
     *
     * @param info what the sealing was bound to.
     * @param sealed the encapsulated key and the ciphertext, one after the other.
     * @throws DeviceException of any kind if this device can't open it. A token is kept without its session key then.
     */
    @Throws(DeviceException::class)
    public fun openSealed(info: ByteArray, sealed: ByteArray): ByteArray
}

/**
 * Says that the device's keystore or vendor failed.
 *
 * @property kind what the SDK does about it.
 * @param message for developers; holds no key.
 * @property retryAfter seconds that the vendor asks to wait; nothing is repeated before. Null where it names none: a
 *   [Kind.TRANSIENT] call is repeated at once then, after short pauses, up to three times.
 */
public class DeviceException
@JvmOverloads
constructor(
    public val kind: Kind,
    message: String,
    cause: Throwable? = null,
    public val retryAfter: Double? = null,
) : Exception(message, cause) {
    /** What can be wrong with a device, by what there is to do. */
    public enum class Kind {
        /** This phone can't attest at all: no attestation key, no Play services, an old system. */
        UNSUPPORTED,

        /** The keys are gone or void: a restored backup, a removed screen lock. The app enrols anew, once. */
        KEY_LOST,

        /** The vendor or the keystore is busy: the same call may succeed later, with the same keys. */
        TRANSIENT,

        /** The phone is locked, or its user has to authenticate first. */
        LOCKED,

        /** The vendor must be reached over the network, and can't be. */
        OFFLINE,

        /** Anything else: a defect of the device or of the app. */
        FAULT,
    }
}

/**
 * Keeps one document of the SDK on this device: atomically, readable by this app alone, and in no backup.
 *
 * What it throws ([IOException]) loses nothing but the session: the app renews or enrols after its next start.
 */
public interface Store {
    /**
     * Returns what was written last, null if nothing is there.
     *
     * @throws DeviceException of kind [DeviceException.Kind.LOCKED] while the phone can't tell, since nobody unlocked it since
     *   its start: nothing is asked of the service then, and the store is read again at the next call.
     */
    @Throws(IOException::class, DeviceException::class)
    public fun read(): ByteArray?

    /** Replaces what is there: after a crash either the old or the new document is there, whole. */
    @Throws(IOException::class)
    public fun write(data: ByteArray)

    /** Removes what is there. */
    @Throws(IOException::class)
    public fun clear()
}

/** Tells the time. */
public interface Clock {
    /** Returns the wall clock: seconds since 1970. It may be wrong, and may jump. */
    public fun wall(): Double

    /** Returns seconds since the device's start, including those that it slept. */
    public fun boot(): Double

    /** Names the present start of the device: another text after each. */
    public val bootId: String
}

/**
 * An answer as it came over the wire.
 *
 * @property status the HTTP status.
 * @property headers by name in lower case.
 * @property body at most 64 KiB; see [Transport].
 */
public class Answer(public val status: Int, public val headers: Map<String, String>, public val body: ByteArray) {
    override fun toString(): String = "Answer(status=$status, ${body.size} bytes)"
}

/**
 * Carries requests to the service. The default is [HttpTransport].
 *
 * It follows no redirect, asks for no compression (`Accept-Encoding: identity`) and refuses a compressed answer or one of
 * more than 64 KiB by an [UnreadableAnswerException]. It repeats nothing by itself.
 */
public interface Transport {
    /**
     * Sends a POST.
     *
     * @param headers to be sent, `Content-Type` among them.
     * @param timeoutMillis most milliseconds until the answer has been read, above 0.
     * @throws WatchwordException.Pin if the host is pinned and the connection isn't used; not tried again.
     * @throws UnreadableAnswerException see above.
     * @throws IOException if no answer came; tried again.
     */
    @Throws(IOException::class)
    public fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer

    /** Sends a GET; all else as [post]. */
    @Throws(IOException::class)
    public fun get(url: String, headers: Map<String, String>, timeoutMillis: Int): Answer
}

/** Says that an answer isn't the service's: compressed, too large, or no HTTP. Nothing is concluded from it. */
public class UnreadableAnswerException(message: String) : IOException(message)

/**
 * What the core needs of its platform. `Watchword.create(context, config)` of the Android artifact makes one.
 *
 * @property device keys and evidence.
 * @property store where the session is kept.
 * @property clock the time.
 * @property transport the way to the service.
 * @property worker runs enrolments, renewals and fetches of secrets, in the background; null for one thread of the SDK's own.
 * @property sleep waits between attempts, on the worker's thread.
 * @property jitter returns a number from 0 to below 1, another each time.
 * @property entropy returns so many bytes that nobody can guess; nonces are made of them.
 * @property mayBlock tells whether the calling thread may wait; on Android false on the main thread.
 * @property hearPins is told which version of the app's pins the service has now; must return at once.
 * @property pins what pins need of the platform; null for a phone that keeps none of what it fetches.
 */
public class Ports
@JvmOverloads
constructor(
    public val device: Device,
    public val store: Store,
    public val clock: Clock,
    public val transport: Transport = HttpTransport(),
    public val worker: Executor? = null,
    public val sleep: (Double) -> Unit = { Thread.sleep((it * MILLIS).toLong()) },
    public val jitter: () -> Double = { random.nextDouble() },
    public val entropy: (Int) -> ByteArray = { ByteArray(it).also(random::nextBytes) },
    public val mayBlock: () -> Boolean = { true },
    public val hearPins: (Long) -> Unit = {},
    public val pins: PinPorts? = null,
) {
    /** Returns the same but for the way to the service, and who hears of pins. */
    internal fun with(transport: Transport, hearPins: (Long) -> Unit): Ports =
        Ports(device, store, clock, transport, worker, sleep, jitter, entropy, mayBlock, hearPins, pins)

    private companion object {
        private const val MILLIS = 1000.0
        val random = java.security.SecureRandom()
    }
}
