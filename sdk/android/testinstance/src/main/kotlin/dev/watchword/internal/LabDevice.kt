package dev.watchword.internal

import dev.watchword.Answer
import dev.watchword.Attempts
import dev.watchword.Device
import dev.watchword.DeviceException
import dev.watchword.DeviceException.Kind
import dev.watchword.PublicKeyJwk
import dev.watchword.Store
import dev.watchword.Transport
import java.io.IOException

private const val FORMAT = "android-key"

/** Milliseconds that the attester has: its script may hold an answer back for 30 seconds. */
private const val TIMEOUT_MILLIS = 40_000

/**
 * A phone of the lab: its key in software, and the lab's attester for what vouches for it.
 *
 * @param attester its URL without a slash at its end.
 * @param kind of phone.
 * @param name of this phone.
 * @param file where the keys outlive the process, in clear.
 */
internal class LabDevice(
    private val attester: String,
    private val kind: String,
    private val name: String,
    file: Store,
    private val transport: Transport,
) : Device {
    private val keys = SoftwareKeys(file)

    // As with the Keystore: the attested key is the proof key, and the statement doesn't name it.
    override val proofJwk: PublicKeyJwk? get() = null
    override val sealJwk: PublicKeyJwk get() = keys.seal.jwk
    override val canOpen: Boolean get() = true

    override fun createKeys(): Unit = keys.create()

    override fun attest(binding: ByteArray): Map<String, Any> {
        val asked = mapOf("kind" to kind, "device" to name, "key" to keys.proof.jwk.members(), "challenge" to Base64Url.encode(binding))
        val answer = post("/v1/android/chain", asked)
        return try {
            val told = StrictJson.read(answer.body, Attempts.MAX_ANSWER_BYTES)
            if (answer.status != OK) throw failure(answer.status, told)
            mapOf("format" to FORMAT, "chain" to (told["chain"] as? List<*>).orEmpty().map { it as String })
        } catch (error: MalformedException) {
            throw DeviceException(Kind.FAULT, "$attester answered ${answer.status} with something that isn't JSON", error)
        }
    }

    override fun renew(statement: ByteArray): Map<String, Any> = mapOf("format" to FORMAT, "signature" to keys.renewal(statement))

    override fun sign(message: ByteArray): ByteArray = keys.proof.sign(message)

    override fun openSealed(info: ByteArray, sealed: ByteArray): ByteArray = keys.openSealed(info, sealed)

    override fun toString(): String = "LabDevice($kind $name)"

    private fun post(path: String, asked: Map<String, Any?>): Answer = try {
        val headers = mapOf("Content-Type" to "application/json", "Accept-Encoding" to "identity")
        transport.post(attester + path, headers, StrictJson.write(asked), TIMEOUT_MILLIS)
    } catch (error: IOException) {
        val what = "no attester answers at $attester: start `watchword lab attester`, and call `adb reverse tcp:8450 tcp:8450`"
        throw DeviceException(Kind.OFFLINE, what, error)
    }

    /** Returns the fault that the lab's script has for this phone, or what was wrong with the question. */
    private fun failure(status: Int, told: Map<String, Any?>): DeviceException {
        val fault = objectOf(told["fault"])
        val details = (told["details"] as? List<*>).orEmpty().joinToString("; ")
        if (fault == null) return DeviceException(Kind.FAULT, "the lab's attester answered $status: $details")
        val kind = if (fault["transient"] == true) Kind.TRANSIENT else Kind.UNSUPPORTED
        return DeviceException(kind, "the lab's attester played ${fault["name"]}")
    }

    private companion object {
        const val OK = 200
    }
}
