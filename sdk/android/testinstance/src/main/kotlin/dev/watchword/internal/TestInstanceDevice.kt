package dev.watchword.internal

import dev.watchword.Device
import dev.watchword.DeviceException
import dev.watchword.DeviceException.Kind
import dev.watchword.PublicKeyJwk
import dev.watchword.Store
import java.io.IOException

private const val FORMAT = "operator_code"
private val KEY_PREFIX = "watchword/test/v1\u0000".toByteArray(Charsets.US_ASCII)
private val RENEWAL_PREFIX = "watchword/renew/v1\u0000".toByteArray(Charsets.US_ASCII)

/** A proof key and a seal key, one after the other: x, y and the private scalar of each. */
private const val KEY_BYTES = SoftwareKey.POINT_BYTES + SoftwareKey.SCALAR_BYTES

/**
 * A device without a phone: keys in software, and an operator's word for what vouches for them.
 *
 * @param code spent by the first enrolment that succeeds; null where there is none.
 * @param file where the keys outlive the process, in clear.
 */
internal class TestInstanceDevice(private val code: String?, private val file: Store) : Device {
    private class Keys(val proof: SoftwareKey, val seal: SoftwareKey)

    @Volatile private var held: Keys? = null

    override val proofJwk: PublicKeyJwk get() = keys().proof.jwk
    override val sealJwk: PublicKeyJwk get() = keys().seal.jwk
    override val canOpen: Boolean get() = true

    override fun createKeys() {
        if (code == null) throw spent()
        val made = Keys(SoftwareKey.make(), SoftwareKey.make())
        try {
            file.write(bytes(made.proof) + bytes(made.seal))
        } catch (error: IOException) {
            throw DeviceException(Kind.FAULT, "couldn't keep the test instance's keys", error)
        }
        held = made
    }

    override fun attest(binding: ByteArray): Map<String, Any> {
        val spending = code ?: throw spent()
        // Shows that the code is spent on a key of ours.
        return mapOf("format" to FORMAT, "code" to spending, "key_signature" to Base64Url.encode(sign(KEY_PREFIX + binding)))
    }

    override fun renew(statement: ByteArray): Map<String, Any> =
        mapOf("format" to FORMAT, "signature" to Base64Url.encode(sign(RENEWAL_PREFIX + statement)))

    override fun sign(message: ByteArray): ByteArray = keys().proof.sign(message)

    override fun openSealed(info: ByteArray, sealed: ByteArray): ByteArray = try {
        val seal = keys().seal
        Hpke.open(seal.jwk, info, sealed) { seal.agree(it) }
    } catch (error: IllegalArgumentException) {
        throw DeviceException(Kind.FAULT, "got something that wasn't sealed to this key", error)
    }

    override fun toString(): String = "TestInstanceDevice(...)"

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

    private fun spent() = DeviceException(
        Kind.UNSUPPORTED,
        "this test instance has no operator code to enrol with: `watchword instances invite` makes another",
    )
}
