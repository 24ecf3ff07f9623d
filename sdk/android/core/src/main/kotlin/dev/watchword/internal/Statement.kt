package dev.watchword.internal

import dev.watchword.PublicKeyJwk

/** What an instance asks for. */
internal enum class Purpose(val text: String) {
    ENROL("enrol"),
    RENEW("renew"),
    SECRET("secret"),
}

/**
 * What evidence is bound to (protocol: statement). Its bytes are sent and hashed as they are, never written anew.
 *
 * @property proofJwk null where the attested key is the proof key: the member is absent then.
 * @property bnd what the tokens are to be bound to; null leaves it out.
 * @property isProvenByDevice whether tokens are asked for whose device proofs stand for session proofs (`prf`).
 * @property secret the name of the secret that is asked for, with this purpose alone.
 */
internal class Statement(
    private val purpose: Purpose,
    private val issuer: String,
    private val audiences: List<String>,
    private val app: String,
    private val challenge: String,
    private val proofJwk: PublicKeyJwk?,
    private val sealJwk: PublicKeyJwk,
    private val bnd: String? = null,
    private val isProvenByDevice: Boolean = false,
    private val secret: String? = null,
) {
    /** The statement's bytes. */
    val bytes: ByteArray by lazy(LazyThreadSafetyMode.NONE) {
        val members =
            linkedMapOf<String, Any>(
                "v" to 1,
                "purpose" to purpose.text,
                "iss" to issuer,
                "aud" to audiences,
                "app" to app,
                "challenge" to challenge,
            )
        proofJwk?.let { members["proof_jwk"] = it.members() }
        members["seal_jwk"] = sealJwk.members()
        bnd?.let { members["bnd"] = it }
        if (isProvenByDevice) members["prf"] = "device"
        secret?.let { members["secret"] = it }
        StrictJson.write(members)
    }

    /** SHA-256 of the statement, 32 bytes: what evidence carries. */
    val binding: ByteArray get() = sha256(bytes)

    companion object {
        /** Returns the `bnd` that binds tokens to the value of a header, which itself stays out of them. */
        fun boundTo(value: String): String = Base64Url.encode(sha256(value.toByteArray(Charsets.UTF_8)))
    }
}
