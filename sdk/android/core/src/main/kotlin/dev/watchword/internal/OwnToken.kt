package dev.watchword.internal

/**
 * What an own token says of its keys; it is the gate's to verify, not the app's.
 *
 * @property sessionId `sid`, which a session proof names as its key.
 * @property key the public proof key as a JWK, members in the order of a thumbprint.
 * @property thumbprint RFC 7638 thumbprint of it, which a device proof names as its key.
 * @property isProvenByDevice whether a device proof stands for a session proof: the claim `prf` is `device`.
 */
internal class OwnToken(val sessionId: String, val key: Map<String, String>, val thumbprint: String, val isProvenByDevice: Boolean) {
    companion object {
        private const val MAX_CHARACTERS = 2048
        private val KEY_MEMBERS = listOf("crv", "kty", "x", "y")

        /** Returns what the token's proofs need; null if it isn't a token of the protocol. */
        fun read(token: String): OwnToken? {
            val segments = token.split('.')
            if (token.length > MAX_CHARACTERS || segments.size != 3) return null
            return try {
                val payload = StrictJson.read(Base64Url.decode(segments[1], MAX_CHARACTERS), MAX_CHARACTERS)
                val jwk = payload.members("cnf").members("jwk")
                val key = KEY_MEMBERS.associateWith { jwk.text(it) }
                val thumbprint = Base64Url.encode(sha256(StrictJson.write(key)))
                OwnToken(payload.text("sid"), key, thumbprint, payload["prf"] == "device")
            } catch (_: MalformedException) {
                null
            } catch (_: IllegalArgumentException) {
                null
            }
        }
    }
}
