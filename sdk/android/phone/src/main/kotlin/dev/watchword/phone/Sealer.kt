package dev.watchword.phone

import java.security.KeyPairGenerator
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec
import javax.crypto.Cipher
import javax.crypto.KeyAgreement
import javax.crypto.Mac
import javax.crypto.spec.GCMParameterSpec
import javax.crypto.spec.SecretKeySpec

/** Seals as the service does (RFC 9180, base mode: P-256, HKDF-SHA256, AES-128-GCM); shares no code with what opens. */
object Sealer {
    private const val VERSION = "HPKE-v1"
    private val KEM = "KEM".bytes() + byteArrayOf(0, 0x10)
    private val SUITE = "HPKE".bytes() + byteArrayOf(0, 0x10, 0, 1, 0, 1)

    /** Returns the encapsulated key and the ciphertext, one after the other. */
    fun seal(to: ECPublicKey, info: ByteArray, plain: ByteArray): ByteArray {
        val own = KeyPairGenerator.getInstance("EC", "SunEC").run {
            initialize(ECGenParameterSpec("secp256r1"))
            generateKeyPair()
        }
        val shared = KeyAgreement.getInstance("ECDH", "SunEC").run {
            init(own.private)
            doPhase(to, true)
            generateSecret()
        }
        val encapsulated = point(own.public as ECPublicKey)
        val prk = extract(ByteArray(0), KEM, "eae_prk", shared)
        val secret = expand(prk, KEM, "shared_secret", encapsulated + point(to), 32)
        val context = byteArrayOf(0) + extract(ByteArray(0), SUITE, "psk_id_hash", ByteArray(0)) +
            extract(ByteArray(0), SUITE, "info_hash", info)
        val schedule = extract(secret, SUITE, "secret", ByteArray(0))
        val key = SecretKeySpec(expand(schedule, SUITE, "key", context, 16), "AES")
        val nonce = GCMParameterSpec(128, expand(schedule, SUITE, "base_nonce", context, 12))
        return encapsulated + Cipher.getInstance("AES/GCM/NoPadding", "SunJCE").run {
            init(Cipher.ENCRYPT_MODE, key, nonce)
            doFinal(plain)
        }
    }

    private fun point(key: ECPublicKey): ByteArray = byteArrayOf(4) + key.encoded.takeLast(64)

    private fun extract(salt: ByteArray, suite: ByteArray, label: String, input: ByteArray): ByteArray =
        hmac(salt, VERSION.bytes() + suite + label.bytes() + input)

    private fun expand(prk: ByteArray, suite: ByteArray, label: String, info: ByteArray, size: Int): ByteArray {
        val labeled = byteArrayOf(0, size.toByte()) + VERSION.bytes() + suite + label.bytes() + info
        return hmac(prk, labeled + 1).copyOf(size)
    }

    private fun hmac(key: ByteArray, data: ByteArray): ByteArray = Mac.getInstance("HmacSHA256").run {
        init(SecretKeySpec(if (key.isEmpty()) ByteArray(32) else key, algorithm))
        doFinal(data)
    }

    private fun String.bytes() = toByteArray(Charsets.US_ASCII)
}
