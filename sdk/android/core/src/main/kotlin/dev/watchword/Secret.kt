package dev.watchword

import java.io.Closeable

/**
 * A copy of a secret, which [close] overwrites.
 *
 * Use it in `use { }`: after that its bytes are zero. A text made of it ([text]) stays in memory until the garbage
 * collector takes it; prefer [bytes].
 */
public class Secret internal constructor(private val value: ByteArray) : Closeable {
    /** Returns the bytes themselves, not a copy: they turn to zero at [close]. */
    public fun bytes(): ByteArray = value

    /** Returns the secret as text. */
    public fun text(): String = String(value, Charsets.UTF_8)

    override fun close() {
        value.fill(0)
    }

    override fun toString(): String = "Secret(...)"
}
