package dev.watchword.internal

import java.util.Locale

/**
 * What a proof says of a request, exactly as it is sent.
 *
 * @property authority `Host` in lower case.
 * @property path raw, at least `/`.
 * @property query raw, without the question mark.
 * @property contentDigest the value of `Content-Digest`; null where there is no body.
 */
internal class Covered(
    val scheme: String,
    val method: String,
    val authority: String,
    val path: String,
    val query: String,
    val contentDigest: String?,
) {
    companion object {
        /**
         * Returns what a proof covers of a URL.
         *
         * @param host the header `Host`, null for what the URL says.
         * @param known the URL's origin, where it was read already.
         * @throws IllegalArgumentException if the URL isn't an absolute one of `http` or `https`.
         */
        fun of(method: String, url: String, host: String?, contentDigest: String?, known: Origin? = Origin.of(url)): Covered {
            val origin = requireNotNull(known) { "got a URL that isn't an absolute one of http or https" }
            val behind = url.substringAfter("://").substringBefore('#')
            val start = behind.indexOfFirst { it == '/' || it == '?' }
            val target = if (start < 0) "" else behind.substring(start)
            return Covered(
                scheme = origin.scheme,
                method = method,
                authority = host?.lowercase(Locale.ROOT) ?: origin.authority,
                path = target.substringBefore('?').ifEmpty { "/" },
                query = target.substringAfter('?', ""),
                contentDigest = contentDigest,
            )
        }
    }
}

/**
 * What makes a proof one that nobody has seen.
 *
 * @property created whole seconds since 1970, on the gate's clock as far as it is known.
 * @property own 16 to 34 characters of base64url, used once.
 * @property ofGate the nonce that the gate asked for, null if it asked for none.
 */
internal class Freshness(val created: Long, val own: String, val ofGate: String?)

/** Makes the headers of proofs over requests that carry [token] (protocol: request and proof). */
internal class Proof(private val covered: Covered, private val token: String, private val own: OwnToken, private val fresh: Freshness) {
    /** Returns a proof by the token's session key: `hmac-sha256`. */
    fun bySession(key: ByteArray): Map<String, String> {
        val parameters = parameters("hmac-sha256", own.sessionId)
        return headers(parameters, hmacSha256(key, signatureBase(parameters)))
    }

    /**
     * Returns a proof by the device's own key: `ecdsa-p256-sha256`.
     *
     * @param sign returns ECDSA with SHA-256, DER.
     */
    fun byDevice(sign: (ByteArray) -> ByteArray): Map<String, String> {
        val parameters = parameters("ecdsa-p256-sha256", own.thumbprint)
        return headers(parameters, P256.fixedSignature(sign(signatureBase(parameters))))
    }

    /** Returns a DPoP proof by the device's own key (RFC 9449 section 4.2); it covers neither query nor body. */
    fun byDpop(sign: (ByteArray) -> ByteArray): Map<String, String> {
        val header = linkedMapOf<String, Any>("typ" to "dpop+jwt", "alg" to "ES256", "jwk" to own.key)
        val claims =
            linkedMapOf<String, Any>(
                "jti" to fresh.own,
                "htm" to covered.method,
                "htu" to "${covered.scheme}://${covered.authority}${covered.path}",
                "iat" to fresh.created,
                "ath" to Base64Url.encode(sha256(token.toByteArray(Charsets.US_ASCII))),
            )
        if (fresh.ofGate != null) claims["nonce"] = fresh.ofGate
        val input = "${Base64Url.encode(StrictJson.write(header))}.${Base64Url.encode(StrictJson.write(claims))}"
        val signature = P256.fixedSignature(sign(input.toByteArray(Charsets.US_ASCII)))
        return mapOf("DPoP" to "$input.${Base64Url.encode(signature)}")
    }

    /** Returns what is signed as `@signature-params`, and sent behind the label. */
    private fun parameters(algorithm: String, keyId: String): String {
        val digest = if (covered.contentDigest == null) "" else " \"content-digest\""
        return "($COMPONENTS$digest);created=${fresh.created};nonce=\"${fresh.ofGate.orEmpty()}${fresh.own}\";" +
            "alg=\"$algorithm\";keyid=\"$keyId\""
    }

    /** Returns what is signed (RFC 9421 section 2.5). */
    private fun signatureBase(parameters: String): ByteArray {
        val lines =
            listOfNotNull(
                "\"watchword-token\": $token",
                "\"@method\": ${covered.method}",
                "\"@authority\": ${covered.authority}",
                "\"@path\": ${covered.path}",
                "\"@query\": ?${covered.query}",
                covered.contentDigest?.let { "\"content-digest\": $it" },
                "\"@signature-params\": $parameters",
            )
        return lines.joinToString("\n").toByteArray(Charsets.UTF_8)
    }

    private fun headers(parameters: String, signature: ByteArray): Map<String, String> =
        mapOf("Signature-Input" to "$LABEL=$parameters", "Signature" to "$LABEL=:${base64(signature)}:")

    companion object {
        private const val LABEL = "watchword"
        private const val COMPONENTS = "\"watchword-token\" \"@method\" \"@authority\" \"@path\" \"@query\""

        /** Returns the `Content-Digest` of a body with this SHA-256 (RFC 9530 section 2). */
        fun contentDigest(hash: ByteArray): String = "sha-256=:${base64(hash)}:"
    }
}
