package dev.watchword.internal

import android.os.Build
import dev.watchword.Device
import dev.watchword.DeviceException
import dev.watchword.DeviceException.Kind
import dev.watchword.PlayIntegrity
import dev.watchword.PlayIntegrityException
import dev.watchword.PublicKeyJwk

private val RENEWAL_PREFIX = "watchword/renew/v1\u0000".toByteArray(Charsets.US_ASCII)

/** What both kinds of evidence share: a proof key in the Keystore, and the key that secrets are sealed to. */
internal class InstanceKeys(private val keystore: Keystore, private val sealing: SealKey, private val alias: String) {
    val proofJwk: PublicKeyJwk get() = PublicKeyJwk.of(keystore.publicKey(alias))
    val sealJwk: PublicKeyJwk get() = sealing.jwk
    val canOpen: Boolean get() = sealing.canOpen

    /** Whether the proof key is still there: not after a backup was restored to this phone or another one. */
    fun exist(): Boolean = keystore.has(alias)

    fun replaceSealKey(): Unit = sealing.create()

    fun deleteProofKey(): Unit = keystore.delete(alias)

    /** Leaves no key behind. */
    fun remove() {
        keystore.delete(alias)
        sealing.remove()
    }

    /** Makes the proof key, attested for [challenge] where there is one. */
    fun createProofKey(challenge: ByteArray?, strongBox: Boolean) {
        if (!strongBox || !createInStrongBox(challenge)) keystore.createSigningKey(alias, challenge, strongBox = false)
    }

    fun chain(): List<ByteArray> = keystore.chain(alias)

    fun securityLevel(): String = keystore.securityLevel(alias)

    fun sign(message: ByteArray): ByteArray = keystore.sign(alias, message)

    fun renewal(statement: ByteArray): String = Base64Url.encode(sign(RENEWAL_PREFIX + statement))

    fun openSealed(info: ByteArray, sealed: ByteArray): ByteArray = try {
        Hpke.open(sealJwk, info, sealed) { sealing.agree(it) }
    } catch (error: IllegalArgumentException) {
        throw DeviceException(Kind.FAULT, "got something that wasn't sealed to this key", error)
    }

    /** Whether the key was made in StrongBox; not where the phone has none that works. */
    private fun createInStrongBox(challenge: ByteArray?): Boolean = Build.VERSION.SDK_INT >= 28 && try {
        keystore.createSigningKey(alias, challenge, strongBox = true)
        true
    } catch (error: DeviceException) {
        if (!isStrongBoxUnavailable(error) && error.kind != Kind.UNSUPPORTED && error.kind != Kind.FAULT) throw error
        false
    }
}

/**
 * Android key attestation: the attested key is the proof key, made when the statement that it vouches for is there.
 *
 * The key is attested by the phone's own attestation key. `setAttestKeyAlias` (an attestation key of the app's) is never
 * used: what vouched then would be a key that the app controls.
 *
 * @param strongBox whether the key is made in StrongBox first; where that isn't to be had, once in the TEE.
 */
internal class KeystoreDevice(private val keys: InstanceKeys, private val strongBox: Boolean) : Device {
    override val proofJwk: PublicKeyJwk? get() = null
    override val sealJwk: PublicKeyJwk get() = keys.sealJwk
    override val canOpen: Boolean get() = keys.canOpen

    override fun createKeys() {
        keys.deleteProofKey()
        keys.replaceSealKey()
    }

    override fun attest(binding: ByteArray): Map<String, Any> {
        keys.createProofKey(binding, strongBox)
        // A chain of software, or of one certificate that nobody vouches for, is sent too: the service decides.
        return mapOf("format" to "android-key", "chain" to keys.chain().map(Base64Url::encode))
    }

    override fun renew(statement: ByteArray): Map<String, Any> = mapOf("format" to "android-key", "signature" to keys.renewal(statement))

    override fun sign(message: ByteArray): ByteArray = keys.sign(message)

    override fun openSealed(info: ByteArray, sealed: ByteArray): ByteArray = keys.openSealed(info, sealed)
}

/** What Play Integrity's pauses are multiples of, seconds; Google's page asks for 5, 10 and 20. */
private const val FIRST_PAUSE = 5.0

/** How often a token is asked for again after a code that may pass. */
private const val MAX_RETRIES = 3

/**
 * Play Integrity: a verdict of Google's on device and app vouches for a proof key that nobody attested.
 *
 * @param sleep waits for so many milliseconds.
 * @param jitter returns a number from 0 to below 1.
 */
internal class PlayIntegrityDevice(
    private val keys: InstanceKeys,
    private val play: PlayIntegrity,
    private val strongBox: Boolean,
    private val sleep: (Long) -> Unit,
    private val jitter: () -> Double,
) : Device {
    override val proofJwk: PublicKeyJwk get() = keys.proofJwk
    override val sealJwk: PublicKeyJwk get() = keys.sealJwk
    override val canOpen: Boolean get() = keys.canOpen

    override fun createKeys() {
        keys.deleteProofKey()
        keys.createProofKey(challenge = null, strongBox)
        keys.replaceSealKey()
    }

    override fun attest(binding: ByteArray): Map<String, Any> =
        mapOf("format" to "play-integrity", "token" to token(Base64Url.encode(binding)))

    override fun renew(statement: ByteArray): Map<String, Any> = mapOf("format" to "play-integrity", "signature" to keys.renewal(statement))

    override fun sign(message: ByteArray): ByteArray = keys.sign(message)

    override fun openSealed(info: ByteArray, sealed: ByteArray): ByteArray = keys.openSealed(info, sealed)

    private fun token(requestHash: String): String {
        requireBackground("Play Integrity")
        var retries = 0
        while (true) {
            try {
                return play.token(requestHash)
            } catch (error: PlayIntegrityException) {
                if (retries >= retriesAfter(error.code)) throw deviceException(error)
                if (isTransient(error.code)) sleep(pauseMillis(retries))
                retries++
            } catch (error: Exception) {
                // Play's libraries throw RuntimeExceptions of their own where a phone was modified.
                throw DeviceException(Kind.FAULT, "Play Integrity failed (${error.javaClass.simpleName})", error)
            }
        }
    }

    private fun pauseMillis(retries: Int): Long = ((1 shl retries) * FIRST_PAUSE * (1 + jitter() / 2) * 1000).toLong()

    private fun retriesAfter(code: Int): Int = when {
        isTransient(code) -> MAX_RETRIES
        code == CANNOT_BIND_TO_SERVICE || code == INTEGRITY_TOKEN_PROVIDER_INVALID -> 1
        else -> 0
    }

    private fun isTransient(code: Int): Boolean = code in TRANSIENT

    private fun deviceException(error: PlayIntegrityException): DeviceException = DeviceException(
        when (error.code) {
            in UNSUPPORTED, CANNOT_BIND_TO_SERVICE -> Kind.UNSUPPORTED
            in TRANSIENT, INTEGRITY_TOKEN_PROVIDER_INVALID -> Kind.TRANSIENT
            else -> Kind.FAULT
        },
        "Play Integrity failed with code ${error.code}",
        error,
        // Google was asked often enough for now.
        if (error.code in TRANSIENT) (1 shl MAX_RETRIES) * FIRST_PAUSE else null,
    )

    // Codes of com.google.android.play.core.integrity.model.StandardIntegrityErrorCode and IntegrityErrorCode, which
    // share their numbers but for -17: REQUEST_HASH_TOO_LONG of a standard request, which 43 characters never are,
    // and CLIENT_TRANSIENT_ERROR of a classic one.
    // https://developer.android.com/google/play/integrity/error-codes, read on 2026-11-29
    private companion object {
        const val CANNOT_BIND_TO_SERVICE = -9
        const val INTEGRITY_TOKEN_PROVIDER_INVALID = -19

        val TRANSIENT = setOf(
            -3, // NETWORK_ERROR
            -8, // TOO_MANY_REQUESTS
            -12, // GOOGLE_SERVER_UNAVAILABLE
            -17, // CLIENT_TRANSIENT_ERROR of a classic request
            -18, // CLIENT_TRANSIENT_ERROR of a standard one
            -100, // INTERNAL_ERROR
        )

        val UNSUPPORTED = setOf(
            -1, // API_NOT_AVAILABLE
            -2, // PLAY_STORE_NOT_FOUND
            -4, // PLAY_STORE_ACCOUNT_NOT_FOUND
            -5, // APP_NOT_INSTALLED
            -6, // PLAY_SERVICES_NOT_FOUND
            -7, // APP_UID_MISMATCH
            -14, // PLAY_STORE_VERSION_OUTDATED
            -15, // PLAY_SERVICES_VERSION_OUTDATED
        )
    }
}
