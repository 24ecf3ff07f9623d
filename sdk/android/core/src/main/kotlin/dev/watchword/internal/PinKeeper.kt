package dev.watchword.internal

/**
 * A connection that is worth a report.
 *
 * @property chain pins of the verified chain, the leaf first.
 * @property at seconds since 1970.
 */
internal class Seen(val host: String, val chain: List<PinText>, val judgement: Judgement, val at: Double, val installed: Installed)

/**
 * Judges connections by what is installed; safe to use from many threads.
 *
 * @param now returns seconds since 1970, by the phone's wall clock: whoever intercepts could end every pin by another.
 * @param tell is told of each connection that is worth a report; returns at once.
 */
internal class PinKeeper(installed: Installed, private val now: () -> Double, private val tell: (Seen) -> Unit = {}) {
    private var changes = 0L

    @Volatile
    var installed: Installed = installed
        private set

    /** Goes by this from now on; connections that are open are judged anew before they are written to. */
    @Synchronized
    fun replace(next: Installed) {
        if (next == installed) return
        installed = next
        changes++
    }

    /** A number that changes with the pins, and when they expire. */
    val generation: Long
        @Synchronized get() = 2 * changes + (if (installed.set?.let { now() >= it.hard } == true) 1 else 0)

    /** Judges a connection, and tells of it where that is due. */
    fun judge(host: String, chain: List<PinText>): Judgement {
        val (held, at) = installed to now()
        val judgement = held.judge(host, chain, at)
        if (judgement.isReported) tell(Seen(host, chain, judgement, at, held))
        return judgement
    }

    fun isPinned(host: String): Boolean = bare(host).basis != Basis.UNPINNED

    /** Tells whether a request without TLS may not go to this host; in report mode it may, and is told of. */
    fun refusesCleartext(host: String): Boolean {
        val judgement = bare(host)
        if (!judgement.passes || judgement.withholds) return true
        if (judgement.basis != Basis.UNPINNED) judge(host, emptyList())
        return false
    }

    /**
     * Tells whether secrets must not go over a connection to this host that passes. No chain changes that: where pins are
     * enforced, a connection that matches none doesn't pass.
     */
    fun withholds(host: String): Boolean = bare(host).let { it.withholds && !(it.basis == Basis.PINS && it.isMismatch) }

    private fun bare(host: String): Judgement = installed.judge(host, emptyList(), now())
}
