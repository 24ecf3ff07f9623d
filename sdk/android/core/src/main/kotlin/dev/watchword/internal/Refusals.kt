package dev.watchword.internal

import dev.watchword.PublicKeyJwk

/** Tells whether a final refusal is the service's: signed over the statement that it refuses. */
internal class Refusals(private val exchange: Exchange, private val issuer: String, private val app: String) {
    /**
     * Tells whether [signed] refuses the statement with this [binding] for this [type].
     *
     * Asks the service for its keys once. Where they can't be had the answer is no: an hour's pause needs a proof.
     */
    fun verifies(signed: String, binding: ByteArray, type: String): Boolean = try {
        verify(signed, binding, type)
    } catch (_: MalformedException) {
        false
    } catch (_: IllegalArgumentException) {
        false
    }

    private fun verify(signed: String, binding: ByteArray, type: String): Boolean {
        val parts = signed.split('.')
        if (signed.length > MAX_CHARACTERS || parts.size != 3) return false
        val header = StrictJson.read(Base64Url.decode(parts[0]), MAX_CHARACTERS)
        val payload = StrictJson.read(Base64Url.decode(parts[1]), MAX_CHARACTERS)
        val kid = header.text("kid")
        val key = keys().firstOrNull { it["kid"] == kid } ?: return false
        val public = P256.publicKey(PublicKeyJwk(key.text("x"), key.text("y")))
        val message = "${parts[0]}.${parts[1]}".toByteArray(Charsets.US_ASCII)
        return header == mapOf("alg" to "ES256", "kid" to kid, "typ" to "watchword-refusal+jwt") &&
            key["kty"] == "EC" &&
            key["crv"] == "P-256" &&
            payload.keys == MEMBERS &&
            payload["v"] == 1L &&
            payload["iss"] == issuer &&
            payload["app"] == app &&
            payload["binding"] == Base64Url.encode(binding) &&
            payload["type"] == type &&
            time(payload["now"]) != null &&
            P256.verifies(public, message, Base64Url.decode(parts[2]))
    }

    private fun keys(): List<Map<String, Any?>> =
        (exchange.get("/.well-known/jwks.json")?.get("keys") as? List<*>).orEmpty().mapNotNull(::objectOf)

    private companion object {
        const val MAX_CHARACTERS = 2048
        val MEMBERS = setOf("v", "iss", "app", "binding", "type", "now")
    }
}
