package dev.watchword.internal

/** Takes pins of certificates: SHA-256 of the SubjectPublicKeyInfo as it stands there, byte for byte (RFC 7469 section 2.4). */
internal object CertificatePins {
    private const val SEQUENCE = 0x30
    private const val BIT_STRING = 0x03
    private const val VERSION = 0xa0
    private const val LONG_FORM = 0x80
    private const val MAX_LENGTH_BYTES = 4

    /** Members of what is signed before the key, the version not counted (RFC 5280 section 4.1). */
    private const val BEFORE_KEY = 5

    private class Element(val tag: Int, val start: Int, val content: Int, val end: Int)

    /**
     * Returns the pin of a certificate in DER.
     *
     * @throws PinRefusal for anything else than exactly one certificate.
     */
    fun of(der: ByteArray): PinText {
        try {
            val whole = element(der, 0, der.size)
            require(whole.end == der.size && whole.tag == SEQUENCE) { "got something beside the certificate" }
            val signed = members(der, whole).first()
            val inside = members(der, signed)
            val key = inside[if (inside.first().tag == VERSION) BEFORE_KEY + 1 else BEFORE_KEY]
            require(key.tag == SEQUENCE && members(der, key).map { it.tag } == listOf(SEQUENCE, BIT_STRING)) { "got no key" }
            return Base64Url.encode(sha256(der.copyOfRange(key.start, key.end)))
        } catch (error: IllegalArgumentException) {
            throw PinRefusal("pins.pin_malformed", error.message.orEmpty())
        } catch (_: IndexOutOfBoundsException) {
            throw PinRefusal("pins.pin_malformed", "got bytes that aren't a certificate in DER")
        } catch (_: NoSuchElementException) {
            throw PinRefusal("pins.pin_malformed", "got bytes that aren't a certificate in DER")
        }
    }

    private fun members(der: ByteArray, of: Element): List<Element> {
        val out = ArrayList<Element>()
        var at = of.content
        while (at < of.end) out += element(der, at, of.end).also { at = it.end }
        return out
    }

    private fun element(der: ByteArray, start: Int, limit: Int): Element {
        val tag = der[start].toInt() and 0xff
        val first = der[start + 1].toInt() and 0xff
        var content = start + 2
        var length = first
        if (first >= LONG_FORM) {
            val count = first - LONG_FORM
            require(count in 1..MAX_LENGTH_BYTES) { "got a length that isn't DER" }
            length = 0
            repeat(count) { length = (length shl 8) or (der[content++].toInt() and 0xff) }
            require(length >= LONG_FORM && der[start + 2].toInt() != 0) { "got a length that isn't in its shortest form" }
        }
        // Written so that no sum can pass what an Int holds.
        require(length in 0..limit - content) { "got an element that is cut off" }
        return Element(tag, start, content, content + length)
    }
}
