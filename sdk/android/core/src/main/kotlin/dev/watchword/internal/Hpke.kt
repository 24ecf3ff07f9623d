package dev.watchword.internal

import dev.watchword.PublicKeyJwk
import java.io.ByteArrayOutputStream
import java.security.GeneralSecurityException
import java.security.interfaces.ECPublicKey
import javax.crypto.Cipher
import javax.crypto.Mac
import javax.crypto.spec.GCMParameterSpec
import javax.crypto.spec.SecretKeySpec

/**
 * HPKE in base mode, one shot, without associated data (RFC 9180): DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
 *
 * The names are the RFC's.
 */
internal object Hpke {
    /** Agrees on a key: ECDH of the device's private seal key with a public one. */
    fun interface Agreement {
        /**
         * Returns the shared x coordinate, 32 bytes.
         *
         * @param peer a point that was seen to be on P-256.
         */
        fun agree(peer: ECPublicKey): ByteArray
    }

    /**
     * Returns what was sealed.
     *
     * @param own the public seal key.
     * @param info what the sealing was bound to.
     * @param sealed the encapsulated key (65 bytes, uncompressed) and the ciphertext.
     * @throws IllegalArgumentException if it wasn't sealed to this key with this info, or isn't well formed.
     */
    fun open(own: PublicKeyJwk, info: ByteArray, sealed: ByteArray, agreement: Agreement): ByteArray {
        require(sealed.size >= POINT + TAG && sealed[0].toInt() == UNCOMPRESSED) { "got something that isn't sealed" }
        val enc = sealed.copyOfRange(0, POINT)
        val peer = P256.publicKey(enc.copyOfRange(1, 1 + P256.BYTES), enc.copyOfRange(1 + P256.BYTES, POINT))
        val dh = agreement.agree(peer)
        require(dh.size == P256.BYTES) { "got a shared coordinate of another length" }
        val recipient = byteArrayOf(UNCOMPRESSED.toByte()) + Base64Url.decode(own.x) + Base64Url.decode(own.y)
        val eaePrk = extract(KEM, NOTHING, "eae_prk", dh)
        val shared = expand(KEM, eaePrk, "shared_secret", enc + recipient, HASH)
        val context =
            byteArrayOf(MODE_BASE) + extract(SUITE, NOTHING, "psk_id_hash", NOTHING) + extract(SUITE, NOTHING, "info_hash", info)
        val secret = extract(SUITE, shared, "secret", NOTHING)
        val key = expand(SUITE, secret, "key", context, KEY)
        val nonce = expand(SUITE, secret, "base_nonce", context, NONCE)
        try {
            val cipher = Cipher.getInstance("AES/GCM/NoPadding")
            cipher.init(Cipher.DECRYPT_MODE, SecretKeySpec(key, "AES"), GCMParameterSpec(TAG * 8, nonce))
            return cipher.doFinal(sealed, POINT, sealed.size - POINT)
        } catch (_: GeneralSecurityException) {
            throw IllegalArgumentException("got something that wasn't sealed to this key with this info")
        } finally {
            for (each in listOf(dh, eaePrk, shared, secret, key)) each.fill(0)
        }
    }

    /** LabeledExtract. */
    private fun extract(suite: ByteArray, salt: ByteArray, label: String, ikm: ByteArray): ByteArray =
        hmacSha256(salt, VERSION + suite + label.toByteArray(Charsets.US_ASCII) + ikm)

    /** LabeledExpand, of one block: [size] is at most that of the hash. */
    private fun expand(suite: ByteArray, prk: ByteArray, label: String, info: ByteArray, size: Int): ByteArray {
        val labeled = ByteArrayOutputStream()
        labeled.write(byteArrayOf(0, size.toByte()))
        for (part in listOf(VERSION, suite, label.toByteArray(Charsets.US_ASCII), info)) labeled.write(part, 0, part.size)
        labeled.write(1)
        return hmacSha256(prk, labeled.toByteArray()).copyOf(size)
    }

    private val NOTHING = ByteArray(0)
    private val VERSION = "HPKE-v1".toByteArray(Charsets.US_ASCII)
    private val KEM = "KEM".toByteArray(Charsets.US_ASCII) + byteArrayOf(0, 0x10)
    private val SUITE = "HPKE".toByteArray(Charsets.US_ASCII) + byteArrayOf(0, 0x10, 0, 1, 0, 1)
    private const val UNCOMPRESSED = 4
    private const val MODE_BASE: Byte = 0
    private const val POINT = 65
    private const val TAG = 16
    private const val HASH = 32
    private const val KEY = 16
    private const val NONCE = 12
}

/** Returns HMAC-SHA256; an empty key is as good as the zeros that it is filled up with. */
internal fun hmacSha256(key: ByteArray, message: ByteArray): ByteArray = Mac.getInstance("HmacSHA256").run {
    init(SecretKeySpec(if (key.isEmpty()) ByteArray(1) else key, "HmacSHA256"))
    doFinal(message)
}
