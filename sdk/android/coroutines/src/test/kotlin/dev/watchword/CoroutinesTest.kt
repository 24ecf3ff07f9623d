package dev.watchword

import dev.watchword.phone.MiniService
import dev.watchword.phone.SoftwareDevice
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.IOException
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit

/** Waiting for tokens in coroutines, and no longer. */
class CoroutinesTest {
    private val service = MiniService(SoftwareDevice())
    private val watchword = service.watchword(WatchwordConfig("https://attest.example", "clinic", "https://api.example"))

    @Test
    fun `a token is there`() = runBlocking {
        watchword.awaitReady()
        assertEquals("hardware", watchword.level)
        assertTrue(watchword.awaitToken("https://api.example").isNotEmpty())
        assertEquals(1, service.asked.count { it == "/v1/attestations" })
    }

    @Test
    fun `what goes wrong is thrown`() {
        service.before = { throw IOException("no network") }
        assertThrows(WatchwordException.Offline::class.java) { runBlocking { watchword.awaitReady() } }
        assertThrows(WatchwordException.Offline::class.java) { runBlocking { watchword.awaitSecret("push") } }
    }

    @Test
    fun `who is cancelled goes on, and the work too`() {
        val arrived = CountDownLatch(1)
        val release = CountDownLatch(1)
        service.before = {
            arrived.countDown()
            release.await(60, TimeUnit.SECONDS)
        }
        runBlocking {
            val ready = launch(Dispatchers.Default, CoroutineStart.UNDISPATCHED) { watchword.awaitReady() }
            val token = async(Dispatchers.Default, CoroutineStart.UNDISPATCHED) { watchword.awaitToken("https://api.example") }
            arrived.await(60, TimeUnit.SECONDS)
            ready.cancelAndJoin()
            token.cancelAndJoin()
            assertTrue(ready.isCancelled && token.isCancelled)
            release.countDown()
            watchword.awaitReady()
        }
        assertEquals(1, service.asked.count { it == "/v1/attestations" })
    }
}
