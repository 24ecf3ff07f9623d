package dev.watchword

import dev.watchword.internal.FetchedSet
import dev.watchword.internal.Installed
import dev.watchword.internal.KeptPins
import dev.watchword.internal.PinDocuments
import dev.watchword.internal.PinKeeper
import dev.watchword.internal.PinReports
import dev.watchword.internal.PinSource
import dev.watchword.internal.PinUpdater
import dev.watchword.internal.Seen
import dev.watchword.internal.plainHost
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.File
import java.io.IOException

private const val NOW = 1_795_521_600.0
private const val HOST = "api.clinic.example"

/** What an installation fetches and keeps, with the documents of the vectors. */
class PinUpdaterTest {
    private val documents =
        JSONObject(
            File(System.getProperty("watchword.root"), "docs/protocol-vectors.json").readText(),
        ).getJSONObject("pins").getJSONObject("documents")
    private val source = Published()
    private val store = FullStore()
    private var now = NOW

    private fun document(name: String) = documents.getString(name).toByteArray()

    private fun updater(builtin: String = "builtin") =
        PinUpdater(PinDocuments.builtin(document(builtin)), source, store, { now }, { 0.5 })

    private inner class Published : PinSource {
        val lists = HashMap<Long, String>()
        var set: String? = null
        var isOut = false
        val tags = mutableListOf<String?>()

        override fun roots(version: Long): ByteArray? = if (isOut) throw IOException("out of reach") else lists[version]?.let(::document)

        override fun newest(etag: String?): FetchedSet? {
            tags += etag
            return set?.takeIf { it != etag }?.let { FetchedSet(document(it), it) }
        }
    }

    private class FullStore(private val store: MemoryStore = MemoryStore()) : Store by store {
        var isFull = false
        var isLocked = false
        var writes = 0

        override fun read(): ByteArray? =
            if (isLocked) throw DeviceException(DeviceException.Kind.LOCKED, "not unlocked yet") else store.read()

        override fun write(data: ByteArray) {
            writes++
            if (isFull) throw IOException("no space is left")
            store.write(data)
        }
    }

    private fun PinUpdater.state() = keeper.installed.let { Triple(it.roots.version, it.set?.version, it.seen) }

    @Test
    fun `lists are walked and the set is taken, and a restart begins there`() {
        source.lists += mapOf(2L to "roots-2", 3L to "roots-3")
        source.set = "set-5-pin2"
        val first = updater()
        first.update()
        assertNull(first.failure)
        assertEquals(Triple(3L, 5L, 5L), first.state())
        source.isOut = true
        assertEquals(first.state(), updater().state())
        assertNull(updater().fault)
    }

    @Test
    fun `the ETag goes back, and is dropped with a new list`() {
        source.set = "set-5"
        val updater = updater()
        repeat(2) { updater.update() }
        source.lists[2] = "roots-2"
        updater.update()
        assertEquals(listOf(null, "set-5", null), source.tags)
        assertEquals(5L, updater.keeper.installed.set?.version)
    }

    @Test
    fun `a list counts and is kept where the set behind it is refused`() {
        source.set = "set-5"
        val updater = updater()
        updater.update()
        source.lists[2] = "roots-2-without-pin1"
        updater.update()
        assertTrue(updater.failure.orEmpty().startsWith("pins.set_key"))
        assertEquals(Triple(2L, 5L, 0L), updater.state())
        assertEquals(updater.state(), updater().state())
        assertFalse(updater.isDue())
        now += 60
        assertTrue(updater.isDue())
    }

    @Test
    fun `a full disk is no failure of the service, and is tried again`() {
        source.set = "set-5"
        store.isFull = true
        val updater = updater()
        updater.update()
        assertTrue(updater.failure.orEmpty().contains("no space"))
        now += 3600
        assertFalse(updater.isDue())
        store.isFull = false
        updater.update()
        assertEquals(Triple(1L, 5L, 5L), updater().state())
        val writes = store.writes
        updater.update()
        assertEquals(writes, store.writes)
    }

    @Test
    fun `what is kept and doesn't verify isn't used, is told, and is replaced at the next change`() {
        store.write(KeptPins(9, emptyList(), document("set-5-forged"), 9).written())
        val updater = updater("builtin-set-5")
        assertNotNull(updater.fault)
        assertEquals(Triple(1L, 5L, 5L), updater.state())
        source.set = "set-6"
        updater.update()
        assertNull(updater.fault)
        assertEquals(Triple(1L, 6L, 6L), updater("builtin-set-5").state())
    }

    @Test
    fun `what is kept is never replaced by something older`() {
        val (old, new) = updater() to updater()
        source.set = "set-6"
        new.update()
        source.set = "set-5"
        old.update()
        assertEquals(6L, updater().keeper.installed.set?.version)
    }

    @Test
    fun `of two that began with a store that doesn't verify the slower one doesn't go back`() {
        store.write(KeptPins(9, emptyList(), document("set-5-forged"), 9).written())
        val (slow, quick) = updater() to updater()
        assertNotNull(slow.fault)
        source.set = "set-6"
        quick.update()
        source.set = "set-5"
        slow.update()
        assertEquals(Triple(1L, 6L, 6L), updater().state())
    }

    @Test
    fun `what another process broke since the start is replaced, whatever versions it states`() {
        val updater = updater()
        assertNull(updater.fault)
        for (broken in listOf(KeptPins(9, emptyList(), document("set-5-forged"), 9).written(), "{}".toByteArray())) {
            store.write(broken)
            source.set = if (source.set == null) "set-5" else "set-6"
            updater.update()
            assertNull(updater().fault)
            assertEquals(updater.state(), updater().state())
        }
        // Nothing is refused in these documents, but they are older than they say.
        store.write(KeptPins(9, emptyList(), document("set-5"), 9).written())
        source.set = "set-7"
        updater.update()
        assertEquals(Triple(1L, 7L, 7L), updater().state())
    }

    @Test
    fun `what can't be read yet is neither taken for nothing nor written over`() {
        source.set = "set-6"
        updater().update()
        store.isLocked = true
        source.set = "set-5"
        val writes = store.writes
        val updater = updater()
        updater.update()
        assertEquals(Triple(1L, null, 0L), updater.state())
        assertEquals(1 to writes, source.tags.size to store.writes)
        assertTrue(updater.isDue())
        store.isLocked = false
        updater.readAgain()
        assertEquals(Triple(1L, 6L, 6L), updater.state())
        source.set = "set-7"
        updater.update()
        assertEquals(Triple(1L, 7L, 7L), updater().state())
    }

    @Test
    fun `lists that the package is past are kept no more`() {
        source.lists += mapOf(2L to "roots-2-without-pin1", 3L to "roots-3-floors-6")
        source.set = "set-6-pin2"
        updater().update()
        val updated = updater("builtin-roots-2")
        assertEquals(Triple(3L, 6L, 6L), updated.state())
        source.lists.clear()
        source.set = "set-6-pin2"
        updated.update()
        assertEquals(Triple(3L, 6L, 6L), updater("builtin-roots-2").state())
    }

    @Test
    fun `a clock that was set back puts no fetch off`() {
        val updater = updater()
        updater.update()
        assertFalse(updater.isDue())
        now -= 30 * 86_400
        assertTrue(updater.isDue())
    }

    @Test
    fun `hosts have one spelling`() {
        assertEquals(HOST, plainHost("API.clinic.EXAMPLE."))
        assertEquals("xn--bcher-kva.example", plainHost("b\u00fccher.example"))
        assertEquals("a..b", plainHost("a..b"))
    }

    @Test
    fun `no more than sixteen reports wait`() {
        val waiting = mutableListOf<() -> Unit>()
        var posts = 0
        val reports = PinReports({ _, _ -> true.also { posts++ } }, { waiting += it })
        val installed = Installed.fresh(PinDocuments.builtin(document("builtin-told")))

        fun tell(leaf: Int, at: Double) {
            val chain = listOf("leaf $leaf")
            reports.tell(Seen(HOST, chain, installed.judge(HOST, chain, at), at, installed))
        }
        repeat(12) { tell(it, NOW) }
        repeat(12) { tell(it + 12, NOW + 3600) }
        assertEquals(16, waiting.size)
        waiting.forEach { it() }
        assertEquals(16, posts)
        tell(99, NOW + 7200)
        assertEquals(17, waiting.size)
    }

    @Test
    fun `a keeper's number changes with the pins and when they expire`() {
        val fresh = Installed.fresh(PinDocuments.builtin(document("builtin-set-5")))
        val keeper = PinKeeper(fresh, { now })
        val first = keeper.generation
        keeper.replace(fresh.copy())
        assertEquals(first, keeper.generation)
        keeper.replace(fresh.withSet(document("set-6"), NOW))
        val second = keeper.generation
        assertTrue(second != first)
        now = 1e12
        assertTrue(keeper.generation != second)
    }
}
