package dev.watchword.internal

/** What a judgement of a connection rests on, in the words of reports. */
internal enum class Basis(val text: String) {
    PINS("pins"),
    AUTHORITIES("builtin-authorities"),
    PLATFORM("platform"),
    UNPINNED("unpinned"),
}

/**
 * Whether a connection may be used.
 *
 * @property passes whether anything may be sent over it.
 * @property isReported whether the app reports it.
 * @property withholds whether secrets must not be sent or fetched over it.
 * @property version of the set that was asked, 0 for none.
 */
internal data class Judgement(
    val passes: Boolean,
    val basis: Basis,
    val isReported: Boolean = false,
    val withholds: Boolean = false,
    val isMismatch: Boolean = false,
    val version: Long = 0,
) {
    /** Why a connection isn't used, null if it is. */
    val reason: String?
        get() = when {
            passes -> null
            isMismatch -> "pins.mismatch"
            else -> "pins.closed"
        }
}

/**
 * What one installation trusts: what shipped with it and what it took since. Whatever is refused changes nothing.
 *
 * A set counts for less in two states. *Expired*: somebody may be keeping newer ones back. *Withdrawn*: a later root list
 * names the key that signed it no more, or has a floor above it; what it says may be a thief's. Its hosts don't become
 * unpinned then: they fall back on the authorities that the app was built with, or on the platform's, and get no secrets.
 *
 * @property seen the highest version that was taken under the present pin keys, 0 for none.
 */
internal data class Installed(val builtin: Builtin, val roots: RootList, val set: PinSet?) {
    val seen: Long get() = set?.takeUnless(::isWithdrawn)?.version ?: 0

    /** Tells whether a set counts no more under the newest root list. */
    fun isWithdrawn(set: PinSet): Boolean = set.isWithdrawnBy(roots)

    /** Returns what is trusted once the next root list was read; it may have expired: an app that was away must get past it. */
    fun withRoots(data: ByteArray): Installed = copy(roots = PinDocuments.roots(data, roots))

    /**
     * Returns what is trusted once a set was read; the same one again changes nothing.
     *
     * @param now seconds since 1970, by the phone's wall clock.
     * @throws PinRefusal with the reason of the first rule that doesn't hold.
     */
    fun withSet(data: ByteArray, now: Double): Installed {
        refuseIf(now >= roots.expires, "pins.roots_expired") { "root list ${roots.version}" }
        val found = PinDocuments.set(data, roots)
        refuseIf(found.app != builtin.app, "pins.set_app") { "got a set for ${found.app}, expected ${builtin.app}" }
        refuseIf(found.roots > roots.version, "pins.roots_behind") { "got root list ${roots.version}, expected ${found.roots}" }
        val floor = maxOf(builtin.floor, roots.floors[builtin.app] ?: 1, seen)
        refuseIf(found.version < floor, "pins.set_old") { "got version ${found.version}, expected $floor or more" }
        // The same content under another pin key is the same set: keys are exchanged by signing anew.
        refuseIf(found.version == seen && set?.copy(key = found.key) != found, "pins.set_differs") { "got another version $seen" }
        refuseIf(now >= found.hard, "pins.set_expired") { "version ${found.version}" }
        refuseIf(found.issued > now + MAX_SKEW, "pins.set_early") { "got a set of the future" }
        refuseIf(found.hard - found.issued > MAX_LIFETIME, "pins.set_lifetime") { "expected at most $MAX_LIFETIME seconds" }
        return copy(set = found)
    }

    /** Tells whether there is no need to look for a newer set. */
    fun isFresh(now: Double): Boolean = set != null && !isWithdrawn(set) && now < set.soft

    /**
     * Decides on a connection.
     *
     * @param host the name that TLS checks.
     * @param chain pins of the verified chain, the leaf first; an empty one matches nothing.
     * @param now seconds since 1970, by the phone's wall clock.
     */
    fun judge(host: String, chain: List<PinText>, now: Double): Judgement {
        if (set == null) return Judgement(passes = true, basis = Basis.UNPINNED)
        val looked = chain.take(MAX_CHAIN)
        if (isWithdrawn(set)) return judgeWithdrawn(set, host, looked)
        val entry = set.entry(host) ?: return Judgement(passes = true, basis = Basis.UNPINNED, version = set.version)
        return when {
            now < set.hard -> judgePins(entry, looked, set.version)
            entry.isReported -> Judgement(passes = true, basis = Basis.PLATFORM, isReported = true, version = set.version)
            else -> fallBack(host, entry, looked, set.version, isClosed = entry.isClosedAfter)
        }
    }

    private fun judgePins(entry: HostPins, chain: List<PinText>, version: Long): Judgement {
        if (entry.matches(chain)) return Judgement(passes = true, basis = Basis.PINS, version = version)
        return Judgement(
            entry.isReported,
            Basis.PINS,
            isReported = true,
            withholds = !entry.isReported,
            isMismatch = true,
            version = version,
        )
    }

    /** Decides under a set that may be a thief's: only what makes the app more careful is taken from it. It closes no host. */
    private fun judgeWithdrawn(kept: PinSet, host: String, chain: List<PinText>): Judgement {
        val shipped = builtin.set?.entry(host)
        val entries = listOfNotNull(shipped, kept.entry(host))
        if (entries.isEmpty()) return Judgement(passes = true, basis = Basis.UNPINNED, version = kept.version)
        if (entries.all { it.isReported }) {
            return Judgement(passes = true, basis = Basis.PLATFORM, isReported = true, withholds = true, version = kept.version)
        }
        val isClosed = shipped != null && !shipped.isReported && shipped.isClosedAfter
        return fallBack(host, entries.first(), chain, kept.version, isClosed)
    }

    /** Decides without pins: refuses where the operator chose that, else asks the authorities of the build, else the platform. */
    private fun fallBack(host: String, entry: HostPins, chain: List<PinText>, version: Long, isClosed: Boolean): Judgement {
        val authorities = builtin.authorities[plainHost(host)] ?: builtin.authorities[entry.host]
        if (isClosed) return Judgement(passes = false, Basis.PINS, isReported = true, withholds = true, version = version)
        if (authorities == null) return Judgement(passes = true, Basis.PLATFORM, isReported = true, withholds = true, version = version)
        val passes = chain.drop(1).any { it in authorities }
        return Judgement(passes, Basis.AUTHORITIES, isReported = true, withholds = true, isMismatch = !passes, version = version)
    }

    private inline fun refuseIf(refused: Boolean, reason: String, detail: () -> String) {
        if (refused) throw PinRefusal(reason, detail())
    }

    companion object {
        /** Most certificates of a chain that are looked at. */
        const val MAX_CHAIN = 12
        private const val DAY = 86_400L
        private const val MAX_SKEW = DAY
        private const val MAX_LIFETIME = 400 * DAY

        /** Returns what is trusted before anything was fetched or kept. */
        fun fresh(builtin: Builtin): Installed = Installed(builtin, builtin.roots, builtin.set)

        /**
         * Returns what was trusted when the app was stopped, verified anew but for its age.
         *
         * @param lists root lists that were taken, in order; those that the package is past are passed over.
         * @param signed the set that was taken last, null for none.
         * @throws PinRefusal for what doesn't verify, or is another app's.
         */
        fun restored(builtin: Builtin, lists: List<ByteArray>, signed: ByteArray?): Installed {
            var installed = fresh(builtin)
            val walked = arrayListOf(builtin.roots)
            for (data in lists) {
                if (walked.size == 1 && PinDocuments.versionOf(data) <= builtin.roots.version) continue
                installed = installed.withRoots(data)
                walked += installed.roots
            }
            val set = signed?.let { readUnderAny(it, walked) }
            // A key that the package's list doesn't name may come with a later list that was walked.
            if (set == null || set.version < (builtin.roots.floors[set.app] ?: 1)) return installed
            if (set.app != builtin.app) throw PinRefusal("pins.set_app", "got a set for ${set.app}, expected ${builtin.app}")
            val shipped = builtin.set
            if (shipped != null && shipped.version >= set.version && !shipped.isWithdrawnBy(installed.roots)) return installed
            return installed.copy(set = set)
        }

        /** Reads a set by the newest list that names its key, since the last may have withdrawn it; null if none does. */
        private fun readUnderAny(data: ByteArray, lists: List<RootList>): PinSet? {
            for (roots in lists.asReversed()) {
                try {
                    return PinDocuments.set(data, roots)
                } catch (error: PinRefusal) {
                    if (error.reason != "pins.set_key") throw error
                }
            }
            return null
        }

        private fun PinSet.isWithdrawnBy(roots: RootList): Boolean = key !in roots.pinKeys || version < (roots.floors[app] ?: 1)
    }
}
