package dev.watchword.internal

/** HPKE in base mode, one shot: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM (RFC 9180). No API. */
public object Hpke {
    /** Agrees on a key: ECDH of the device's private seal key with a public one. */
    public fun interface Agreement {
        /**
         * Returns the shared x coordinate, 32 bytes.
         *
         * @param peer a point that was seen to be on P-256.
         */
        public fun agree(peer: java.security.interfaces.ECPublicKey): ByteArray
    }

    /**
     * Returns what was sealed.
     *
     * @param own the public seal key.
     * @param info what the sealing was bound to.
     * @param sealed the encapsulated key (65 bytes, uncompressed) and the ciphertext.
     * @throws IllegalArgumentException if it wasn't sealed to this key with this info, or isn't well formed.
     */
    public fun open(own: dev.watchword.PublicKeyJwk, info: ByteArray, sealed: ByteArray, agreement: Agreement): ByteArray = TODO()
}
