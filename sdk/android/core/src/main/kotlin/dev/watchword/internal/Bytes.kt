package dev.watchword.internal

import java.math.BigInteger
import java.security.MessageDigest

/** Base64url without padding, in its one canonical form (RFC 4648 section 5). */
internal object Base64Url {
    private const val ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    private val VALUES = IntArray(128) { ALPHABET.indexOf(it.toChar()) }

    /** Returns [data] as base64url. */
    fun encode(data: ByteArray): String = encode(data, ALPHABET, padded = false)

    /**
     * Returns the bytes behind [text].
     *
     * Padding, other alphabets, white space and spare bits that aren't zero are refused: two texts for the same bytes
     * would let something that was seen look new.
     *
     * @param limit most characters that are accepted.
     * @throws IllegalArgumentException if it isn't canonical base64url.
     */
    fun decode(text: String, limit: Int = 64 * 1024): ByteArray {
        require(text.length <= limit) { "got ${text.length} characters, expected at most $limit" }
        require(text.length % 4 != 1) { "got text of a length that base64url can't have" }
        val out = ByteArray(text.length * 3 / 4)
        var bits = 0
        var held = 0
        var at = 0
        for (character in text) {
            val value = if (character.code < VALUES.size) VALUES[character.code] else -1
            require(value >= 0) { "got text outside of base64url without padding" }
            held = (held shl 6) or value
            bits += 6
            if (bits >= 8) {
                bits -= 8
                out[at++] = (held shr bits).toByte()
                held = held and ((1 shl bits) - 1)
            }
        }
        require(held == 0) { "got base64url that isn't in canonical form" }
        return out
    }

    internal fun encode(data: ByteArray, alphabet: String, padded: Boolean): String {
        val out = StringBuilder((data.size + 2) / 3 * 4)
        for (start in data.indices step 3) {
            val count = minOf(3, data.size - start)
            var group = 0
            for (offset in 0 until 3) {
                group = (group shl 8) or (if (offset < count) data[start + offset].toInt() and 0xff else 0)
            }
            for (place in 0..count) out.append(alphabet[(group shr (18 - 6 * place)) and 63])
            if (padded) repeat(3 - count) { out.append('=') }
        }
        return out.toString()
    }
}

private const val STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/** Returns [data] in standard base64 with padding. */
internal fun base64(data: ByteArray): String = Base64Url.encode(data, STANDARD, padded = true)

/** Returns SHA-256 of [data]. */
internal fun sha256(data: ByteArray): ByteArray = MessageDigest.getInstance("SHA-256").digest(data)

/**
 * Returns a number of at least 0 in exactly [size] bytes, big endian.
 *
 * @throws IllegalArgumentException if it is negative or doesn't fit.
 */
internal fun fixedWidth(number: BigInteger, size: Int): ByteArray {
    require(number.signum() >= 0 && number.bitLength() <= size * 8) { "got a number that doesn't fit $size bytes" }
    val raw = number.toByteArray()
    val out = ByteArray(size)
    val count = minOf(raw.size, size)
    raw.copyInto(out, size - count, raw.size - count, raw.size)
    return out
}

/** Returns each part behind its length in 4 bytes, big endian, one after the other. */
internal fun lengthPrefixed(vararg parts: ByteArray): ByteArray {
    val out = java.io.ByteArrayOutputStream()
    for (part in parts) {
        for (shift in 24 downTo 0 step 8) out.write(part.size ushr shift)
        out.write(part, 0, part.size)
    }
    return out.toByteArray()
}
