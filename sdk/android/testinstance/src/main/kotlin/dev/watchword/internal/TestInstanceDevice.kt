package dev.watchword.internal

import dev.watchword.Device
import dev.watchword.DeviceException
import dev.watchword.DeviceException.Kind
import dev.watchword.PublicKeyJwk
import dev.watchword.Store

private const val FORMAT = "operator_code"
private val KEY_PREFIX = "watchword/test/v1\u0000".toByteArray(Charsets.US_ASCII)

/**
 * A device without a phone: keys in software, and an operator's word for what vouches for them.
 *
 * @param code spent by the first enrolment that succeeds; null where there is none.
 * @param file where the keys outlive the process, in clear.
 */
internal class TestInstanceDevice(private val code: String?, file: Store) : Device {
    private val keys = SoftwareKeys(file)

    override val proofJwk: PublicKeyJwk get() = keys.proof.jwk
    override val sealJwk: PublicKeyJwk get() = keys.seal.jwk
    override val canOpen: Boolean get() = true

    override fun createKeys() {
        if (code == null) throw spent()
        keys.create()
    }

    override fun attest(binding: ByteArray): Map<String, Any> {
        val spending = code ?: throw spent()
        // Shows that the code is spent on a key of ours.
        return mapOf("format" to FORMAT, "code" to spending, "key_signature" to Base64Url.encode(sign(KEY_PREFIX + binding)))
    }

    override fun renew(statement: ByteArray): Map<String, Any> = mapOf("format" to FORMAT, "signature" to keys.renewal(statement))

    override fun sign(message: ByteArray): ByteArray = keys.proof.sign(message)

    override fun openSealed(info: ByteArray, sealed: ByteArray): ByteArray = keys.openSealed(info, sealed)

    override fun toString(): String = "TestInstanceDevice(...)"

    private fun spent() = DeviceException(
        Kind.UNSUPPORTED,
        "this test instance has no operator code to enrol with: `watchword instances invite` makes another",
    )
}
