package dev.watchword.internal

import dev.watchword.DeviceException
import dev.watchword.Ports
import dev.watchword.Secret
import dev.watchword.WatchwordException
import java.util.Timer
import java.util.TimerTask

/**
 * A secret that was handed to this instance, and for how long; times are those of the boot clock.
 *
 * @property value whoever lets go of it overwrites it.
 * @property expiresAt when it must be forgotten.
 * @property refetchAt from then on it is fetched again, while it may still be used.
 */
internal class Delivery(val value: ByteArray, val expiresAt: Double, val refetchAt: Double) {
    companion object {
        private const val MAX_LEASE_SECONDS = 31.0 * 86400
        private val NUMBERS = 1L until (1L shl 53)
        private val LABEL = "watchword/secret/v1\u0000".toByteArray(Charsets.US_ASCII)
        private val LEASE = Regex("[A-Za-z0-9_-]{1,64}")
        private const val MAX_SEALED = 8192

        /**
         * Returns the secret of an answer.
         *
         * @param share the part of the lease after which it is fetched again.
         * @param open returns what is sealed with this info, null where the device can't.
         */
        fun read(
            answer: Map<String, Any?>,
            statement: Statement,
            sentAt: Double,
            app: String,
            name: String,
            share: Double,
            open: (ByteArray, ByteArray) -> ByteArray?,
        ): Delivery {
            val version = (answer["version"] as? Long)?.takeIf { it in NUMBERS }
            val end = (answer["expires_at"] as? Long)?.takeIf { it in NUMBERS }
            val lease = (answer["lease"] as? String)?.takeIf(LEASE::matches)
            val left = (answer["expires_in"] as? Number)?.toDouble()?.takeIf { it > 0 && it <= MAX_LEASE_SECONDS }
            val sealed =
                try {
                    (answer["sealed"] as? String)?.let { Base64Url.decode(it, MAX_SEALED) }
                } catch (_: IllegalArgumentException) {
                    null
                }
            if (answer["name"] != name || version == null || end == null || lease == null || left == null || sealed == null) {
                throw Exchange.unreadable("the secret that was asked for, its version or its lease is missing")
            }
            val parts = listOf(app, name, version.toString(), lease, end.toString()).map { it.toByteArray(Charsets.UTF_8) }
            val info = LABEL + statement.binding + lengthPrefixed(*parts.toTypedArray())
            val value =
                open(info, sealed) ?: throw WatchwordException.DeviceFailed(
                    DeviceException.Kind.FAULT,
                    "this device can't open the secret '$name', which was sealed to its key",
                    code = "secret-unopened",
                )
            return Delivery(value, sentAt + left, sentAt + left * share)
        }
    }
}

/**
 * Holds secrets, in memory alone, for as long as their leases; what ended is overwritten.
 *
 * @param fetch asks the service.
 */
internal class Secrets(private val ports: Ports, private val fetch: (name: String, attempts: Int) -> Delivery) {
    private val held = HashMap<String, Delivery>()
    private val timer by lazy { Timer("watchword-secrets", true) }

    /** Returns a copy of what is held under a name, null if that is nothing or has ended. */
    fun copy(name: String): Secret? = synchronized(held) {
        val delivery = held[name]
        // A device that slept has timers that are late.
        if (delivery != null && ports.clock.boot() >= delivery.expiresAt) drop(name)
        held[name]?.let { Secret(it.value.copyOf()) }
    }

    /** Tells whether a held secret is to be fetched again while it may still be used. */
    fun isDue(name: String): Boolean = synchronized(held) { held[name]?.let { ports.clock.boot() >= it.refetchAt } == true }

    /** Fetches a secret where none is held. */
    fun refresh(name: String) {
        // Between a caller's look and its work another's may have brought it.
        if (!isHeld(name)) keep(name, fetched(name, Exchange.MAX_ATTEMPTS))
    }

    /** Tries once to fetch a secret that is still held, and puts it off where that fails. */
    fun refreshEarly(name: String) {
        if (!isDue(name)) return
        val delivery =
            try {
                fetched(name, 1)
            } catch (_: WatchwordException) {
                postpone(name)
                return
            }
        keep(name, delivery, inPlace = true)
    }

    private fun isHeld(name: String): Boolean = synchronized(held) { held[name]?.let { ports.clock.boot() < it.expiresAt } == true }

    fun forget(name: String) = synchronized(held) { drop(name) }

    private fun fetched(name: String, attempts: Int): Delivery = try {
        fetch(name, attempts)
    } catch (error: WatchwordException.Refused) {
        // The service means what it says, and nothing of the secret stays here.
        if (error.isFinal || error.type == "secret-refused") forget(name)
        throw error
    }

    /** @param inPlace whether it is kept only where one is held still: what the app forgot meanwhile doesn't come back unasked. */
    private fun keep(name: String, delivery: Delivery, inPlace: Boolean = false) {
        synchronized(held) {
            if (inPlace && name !in held) {
                delivery.value.fill(0)
                return
            }
            drop(name)
            held[name] = delivery
        }
        val millis = ((delivery.expiresAt - ports.clock.boot()) * MILLIS).toLong().coerceAtLeast(0)
        timer.schedule(
            object : TimerTask() {
                override fun run() = synchronized(held) {
                    // The same value under another date of its next fetch is the same secret.
                    if (held[name]?.value === delivery.value) drop(name)
                }
            },
            millis,
        )
    }

    private fun postpone(name: String) {
        synchronized(held) {
            val (delivery, now) = (held[name] ?: return) to ports.clock.boot()
            val later = now + (delivery.expiresAt - now) * POSTPONED_SHARE
            held[name] = Delivery(delivery.value, delivery.expiresAt, later)
        }
    }

    private fun drop(name: String) {
        held.remove(name)?.value?.fill(0)
    }

    private companion object {
        const val MILLIS = 1000.0
        const val POSTPONED_SHARE = 0.2
    }
}
