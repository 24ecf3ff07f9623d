package dev.watchword.internal

/**
 * Reports connections that pins speak against: few of them, nothing of a request in them, and never over what is reported.
 *
 * @param post sends JSON to a URL and tells whether it was taken; never throws.
 * @param background runs one thing after the other, later and on another thread.
 */
internal class PinReports(private val post: (String, ByteArray) -> Boolean, private val background: (() -> Unit) -> Unit) {
    private data class What(val host: String, val version: Long, val basis: Basis, val isMismatch: Boolean, val leaf: PinText?)

    private val told = object : LinkedHashMap<What, Double>() {
        override fun removeEldestEntry(eldest: Map.Entry<What, Double>): Boolean = size > MAX_REMEMBERED
    }
    private val sent = ArrayList<Double>()
    private var waiting = 0

    /** Takes a connection; returns at once. */
    fun tell(seen: Seen) {
        val url = url(seen) ?: return
        val judgement = seen.judgement
        val what = What(plainHost(seen.host), judgement.version, judgement.basis, judgement.isMismatch, seen.chain.firstOrNull())
        if (!begins(what, seen.at)) return
        val report = document(seen)
        background {
            val arrived = post(url, report)
            synchronized(this) {
                waiting--
                // Whoever keeps it back doesn't silence the next one of its kind; the bound by the hour holds.
                if (!arrived) told.remove(what)
            }
        }
    }

    @Synchronized
    private fun begins(what: What, at: Double): Boolean {
        // A clock that was set back silences nothing.
        if (told[what]?.let { at - it >= 0 && at - it < REPEAT_SECONDS } == true) return false
        sent.removeAll { at - it < 0 || at - it >= HOUR }
        if (sent.size >= MAX_AN_HOUR || waiting >= MAX_WAITING) return false
        waiting++
        sent += at
        told.remove(what)
        told[what] = at
        return true
    }

    companion object {
        private const val MAX_AN_HOUR = 12
        private const val MAX_WAITING = 16
        private const val MAX_REMEMBERED = 256
        private const val HOUR = 3600.0
        private const val REPEAT_SECONDS = 24 * HOUR

        /**
         * Returns where a connection is reported, null for nowhere.
         *
         * The address of a withdrawn set may be a thief's, who could aim all phones at anybody: the shipped set's counts then.
         */
        fun url(seen: Seen): String? {
            val held = seen.installed
            val set = held.set?.let { if (held.isWithdrawn(it)) held.builtin.set else it }
            return set?.takeUnless { it.reportsToItself }?.reports
        }

        /** Returns a report: hashes of public keys and versions, nothing of the request, the user or the device. */
        fun document(seen: Seen): ByteArray = StrictJson.write(
            linkedMapOf(
                "app" to seen.installed.builtin.app,
                "app_version" to seen.installed.builtin.appVersion,
                "host" to plainHost(seen.host),
                "set" to seen.judgement.version,
                "basis" to seen.judgement.basis.text,
                "mismatch" to seen.judgement.isMismatch,
                "refused" to !seen.judgement.passes,
                "chain" to seen.chain.take(Installed.MAX_CHAIN),
                "at" to seen.at.toLong(),
            ),
        )
    }
}
