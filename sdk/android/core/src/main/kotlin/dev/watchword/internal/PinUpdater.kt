package dev.watchword.internal

import dev.watchword.DeviceException
import dev.watchword.Store
import dev.watchword.Transport
import java.io.IOException
import java.util.concurrent.ExecutionException
import java.util.concurrent.FutureTask
import java.util.concurrent.TimeUnit
import java.util.concurrent.TimeoutException
import java.util.concurrent.locks.ReentrantLock

/** A signed set as it came, with the ETag that came with it. */
internal class FetchedSet(val data: ByteArray, val etag: String?)

/** Hands out what the service publishes for an app; an [IOException] where nobody knows. */
internal interface PinSource {
    /** Returns the root list of a version, null where there is none yet. */
    fun roots(version: Long): ByteArray?

    /** Returns the newest set, null where it is the one of this ETag, or there is none. */
    fun newest(etag: String?): FetchedSet?
}

/**
 * Fetches over HTTP. What comes is signed, so that the connection needs no pins.
 *
 * @param transport one that takes answers of [PinDocuments.MAX_SET_BYTES].
 */
internal class HttpPinSource(service: String, app: String, private val transport: Transport) : PinSource {
    private val url = "$service/v1/pins/$app"
    private var present: FutureTask<FetchedSet?>? = null

    override fun roots(version: Long): ByteArray? = get("$url/roots/$version", null, PinDocuments.MAX_ROOTS_BYTES)?.data

    override fun newest(etag: String?): FetchedSet? = get(url, etag, PinDocuments.MAX_SET_BYTES)

    /** Fetches in a thread that is left behind when it takes too long: a server may send a byte now and then, for days. */
    private fun get(url: String, etag: String?, limit: Int): FetchedSet? {
        if (present?.isDone == false) throw IOException("an earlier fetch hasn't come to an end yet")
        val task = FutureTask { fetched(url, etag, limit) }
        present = task
        Thread(task, "watchword-pin-fetch").apply { isDaemon = true }.start()
        try {
            return task.get(MAX_MILLIS, TimeUnit.MILLISECONDS)
        } catch (error: ExecutionException) {
            throw error.cause as? IOException ?: IOException(error.cause)
        } catch (_: TimeoutException) {
            throw IOException("got no whole answer in $MAX_MILLIS ms")
        }
    }

    private fun fetched(url: String, etag: String?, limit: Int): FetchedSet? {
        val headers = linkedMapOf("Accept-Encoding" to "identity")
        if (etag != null) headers["If-None-Match"] = etag
        val answer = transport.get(url, headers, MAX_MILLIS.toInt())
        if (answer.status == NOT_MODIFIED || answer.status == NOT_FOUND) return null
        if (answer.status != OK) throw IOException("got HTTP ${answer.status}, expected 200")
        val encoding = answer.headers["content-encoding"]?.trim() ?: "identity"
        if (!encoding.equals("identity", ignoreCase = true)) throw IOException("got a compressed answer, which wasn't asked for")
        if (answer.body.size > limit) throw IOException("got ${answer.body.size} bytes, expected at most $limit")
        return FetchedSet(answer.body, answer.headers["etag"])
    }

    private companion object {
        const val MAX_MILLIS = 15_000L
        const val OK = 200
        const val NOT_MODIFIED = 304
        const val NOT_FOUND = 404
    }
}

/**
 * What is kept over restarts.
 *
 * @property rootsVersion of the last list, or of the one that shipped.
 * @property lists root lists since the one that shipped, in order, as they came.
 * @property signed the set as it came, null for none.
 * @property seen only tells which of two sets is newer.
 */
internal class KeptPins(val rootsVersion: Long, val lists: List<ByteArray>, val signed: ByteArray?, val seen: Long) {
    /** Tells whether this may take the place of what has these versions: a new list may let those of sets begin anew. */
    fun mayReplace(otherRoots: Long, otherSeen: Long): Boolean =
        rootsVersion > otherRoots || (rootsVersion == otherRoots && seen >= otherSeen)

    fun written(): ByteArray = StrictJson.write(
        linkedMapOf(
            "roots_version" to rootsVersion,
            "roots" to lists.map { String(it, Charsets.UTF_8) },
            "set" to signed?.let { String(it, Charsets.UTF_8) },
            "seen" to seen,
        ),
    )

    companion object {
        const val MAX_LISTS = 64

        /** Most bytes: signed bytes are text, and JSON makes two of some characters. */
        const val MAX_BYTES = 2 * (MAX_LISTS * PinDocuments.MAX_ROOTS_BYTES + PinDocuments.MAX_SET_BYTES)
        private val MEMBERS = setOf("roots_version", "roots", "set", "seen")

        /**
         * Returns what was written.
         *
         * @throws MalformedException for anything else.
         */
        fun read(data: ByteArray): KeptPins {
            val members = StrictJson.read(data, MAX_BYTES)
            val lists = members["roots"] as? List<*>
            val (set, version, seen) = listOf(members["set"], members["roots_version"], members["seen"])
            if (members.keys != MEMBERS || lists == null || lists.size > MAX_LISTS || version !is Long || seen !is Long) {
                throw MalformedException("expected exactly the members $MEMBERS")
            }
            if (lists.any { it !is String } || (set != null && set !is String)) throw MalformedException("expected documents as text")
            return KeptPins(version, lists.map { (it as String).toByteArray() }, (set as? String)?.toByteArray(), seen)
        }

        /**
         * Puts [next] in place of what a store holds, unless that verifies and is newer, whatever versions it states.
         *
         * It is looked at now: another process may have put something there since this one's start.
         */
        fun save(store: Store, next: KeptPins, builtin: Builtin) {
            if (next.lists.size > MAX_LISTS) throw IOException("got ${next.lists.size} root lists, expected at most $MAX_LISTS")
            val held = try {
                store.read()?.let(::read)?.let { Installed.restored(builtin, it.lists, it.signed) }
            } catch (_: MalformedException) {
                null // What can't be read is replaced.
            } catch (_: PinRefusal) {
                null // As is what doesn't verify.
            }
            if (held == null || next.mayReplace(held.roots.version, held.seen)) store.write(next.written())
        }
    }
}

/**
 * Holds one installation's pins over restarts, and fetches newer ones.
 *
 * @param store null where nothing is kept.
 * @param now returns seconds since 1970.
 * @param jitter returns a number from 0 to below 1.
 */
internal class PinUpdater(
    builtin: Builtin,
    private val source: PinSource,
    private val store: Store?,
    private val now: () -> Double,
    private val jitter: () -> Double,
    tell: (Seen) -> Unit = {},
) {
    /** Why what was kept isn't used, null where it is or where nothing was kept. */
    @Volatile
    var fault: String? = null
        private set

    /** Why the last update didn't go to its end, null where it did. */
    @Volatile
    var failure: String? = null
        private set

    private val turn = ReentrantLock()
    private var lists = emptyList<ByteArray>()
    private var signed: ByteArray? = null
    private var etag: String? = null
    private var isUnkept = false

    @Volatile private var isUnread = false

    @Volatile private var failures = 0

    @Volatile private var next = 0.0

    val keeper = PinKeeper(restored(builtin), now, tell)

    /** Reads what was kept, where that couldn't be done yet: the phone wasn't unlocked since its start. */
    fun readAgain() {
        if (!isUnread || !turn.tryLock()) return
        try {
            if (isUnread) keeper.replace(restored(keeper.installed.builtin))
        } finally {
            turn.unlock()
        }
    }

    /** Tells whether it is time to ask the service. A clock that was set back doesn't put it off. */
    fun isDue(): Boolean = now().let { it >= next || next - it > INTERVAL }

    /** Hears of a version, for example beside a token. */
    fun hear(version: Long) {
        if (version > keeper.installed.seen && failures == 0) next = 0.0
    }

    /** Fetches and takes what is newer; throws nothing that a service or a store can cause. Returns at once if another thread is at it. */
    fun update() {
        readAgain()
        // What is kept may be newer than what came now, and mustn't be written over unread.
        if (isUnread || !turn.tryLock()) return
        try {
            updateAlone()
        } finally {
            turn.unlock()
        }
    }

    /** Root lists first: one may withdraw the installed set, and counts also where the set that follows doesn't come. */
    private fun updateAlone() {
        val before = keeper.installed
        var installed = before
        val why = try {
            for (step in 1..MAX_WALK) {
                val data = source.roots(installed.roots.version + 1) ?: break
                installed = installed.withRoots(data)
                lists = lists + data
                etag = null // The same set may have to be signed by another key now.
            }
            val fetched = source.newest(etag)
            if (fetched != null) {
                installed = installed.withSet(fetched.data, now())
                signed = fetched.data
                etag = fetched.etag
            }
            null
        } catch (error: IOException) {
            error.toString()
        } catch (error: PinRefusal) {
            error.message
        }
        keeper.replace(installed)
        // By what the service did alone: a disk that is full for good must not keep the app from hearing of new pins.
        plan(isFailure = why != null)
        isUnkept = isUnkept || installed != before
        failure = why ?: if (isUnkept) keep(installed) else null
        if (why != null && isUnkept) keep(installed)
    }

    private fun plan(isFailure: Boolean) {
        failures = if (isFailure) failures + 1 else 0
        val at = now()
        val span = when {
            isFailure -> minOf(INTERVAL, FIRST_PAUSE * (1L shl minOf(failures - 1, MAX_DOUBLINGS)))
            keeper.installed.isFresh(at) -> INTERVAL
            else -> STALE_INTERVAL
        }
        next = at + span * (0.5 + jitter() / 2)
    }

    /** Keeps what is trusted now; returns what went wrong. */
    private fun keep(installed: Installed): String? {
        try {
            val kept = KeptPins(installed.roots.version, lists, signed, installed.seen)
            if (store != null) KeptPins.save(store, kept, installed.builtin)
        } catch (error: IOException) {
            return error.toString()
        }
        fault = null
        isUnkept = false
        return null
    }

    private fun restored(builtin: Builtin): Installed = try {
        isUnread = false
        val kept = store?.read()?.let(KeptPins::read)
        if (kept == null) {
            Installed.fresh(builtin)
        } else {
            val installed = Installed.restored(builtin, kept.lists, kept.signed)
            // Those that the package is past are of no use any more, and would fill the store over the years.
            lists = kept.lists.filter { PinDocuments.versionOf(it) > builtin.roots.version }
            signed = kept.signed
            installed
        }
    } catch (_: DeviceException) {
        isUnread = true
        Installed.fresh(builtin)
    } catch (error: IOException) {
        broken(builtin, error)
    } catch (error: MalformedException) {
        broken(builtin, error)
    } catch (error: PinRefusal) {
        broken(builtin, error)
    }

    private fun broken(builtin: Builtin, error: Exception): Installed {
        fault = error.message ?: error.toString()
        return Installed.fresh(builtin)
    }

    private companion object {
        const val MAX_WALK = 32
        const val INTERVAL = 6 * 3600.0
        const val STALE_INTERVAL = 900.0
        const val FIRST_PAUSE = 60.0
        const val MAX_DOUBLINGS = 16
    }
}
