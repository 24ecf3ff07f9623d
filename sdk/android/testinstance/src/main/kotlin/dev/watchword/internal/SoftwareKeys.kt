package dev.watchword.internal

import dev.watchword.DeviceException
import dev.watchword.DeviceException.Kind
import dev.watchword.Store
import java.io.IOException

private val RENEWAL_PREFIX = "watchword/renew/v1\u0000".toByteArray(Charsets.US_ASCII)

/** A proof key and a seal key, one after the other: x, y and the private scalar of each. */
private const val KEY_BYTES = SoftwareKey.POINT_BYTES + SoftwareKey.SCALAR_BYTES

/**
 * The keys of a device without a phone.
 *
 * @param file where they outlive the process, in clear.
 */
internal class SoftwareKeys(private val file: Store) {
    private class Keys(val proof: SoftwareKey, val seal: SoftwareKey)

    @Volatile private var held: Keys? = null

    val proof: SoftwareKey get() = keys().proof
    val seal: SoftwareKey get() = keys().seal

    fun create() {
        val made = Keys(SoftwareKey.make(), SoftwareKey.make())
        try {
            file.write(bytes(made.proof) + bytes(made.seal))
        } catch (error: IOException) {
            throw DeviceException(Kind.FAULT, "couldn't keep the test instance's keys", error)
        }
        held = made
    }

    fun renewal(statement: ByteArray): String = Base64Url.encode(proof.sign(RENEWAL_PREFIX + statement))

    fun openSealed(info: ByteArray, sealed: ByteArray): ByteArray = try {
        val key = seal
        Hpke.open(key.jwk, info, sealed) { key.agree(it) }
    } catch (error: IllegalArgumentException) {
        throw DeviceException(Kind.FAULT, "got something that wasn't sealed to this key", error)
    }

    override fun toString(): String = "SoftwareKeys(...)"

    private fun keys(): Keys = held ?: read().also { held = it }

    private fun read(): Keys {
        val stored = try {
            file.read()
        } catch (_: IOException) {
            null
        }
        if (stored == null || stored.size != 2 * KEY_BYTES) {
            throw DeviceException(Kind.KEY_LOST, "the test instance's keys are gone")
        }
        return Keys(key(stored.copyOfRange(0, KEY_BYTES)), key(stored.copyOfRange(KEY_BYTES, 2 * KEY_BYTES)))
    }

    private fun key(bytes: ByteArray) =
        SoftwareKey(bytes.copyOfRange(0, SoftwareKey.POINT_BYTES), bytes.copyOfRange(SoftwareKey.POINT_BYTES, KEY_BYTES))

    private fun bytes(key: SoftwareKey): ByteArray = key.point + (key.scalar ?: ByteArray(0))
}
