package dev.watchword

import dev.watchword.phone.MiniService
import dev.watchword.phone.SoftwareDevice
import dev.watchword.phone.WireServer
import dev.watchword.phone.WireServer.Reply
import dev.watchword.phone.WireServer.Request
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.net.ConnectException
import java.net.InetSocketAddress
import java.net.Socket
import java.net.URL

private val OURS = setOf("watchword-token", "watchword-status", "signature", "signature-input", "dpop")

/** Requests of an app over HttpURLConnection. */
class UrlConnectionTest {
    private val service = MiniService(SoftwareDevice())
    private val servers = mutableListOf<WireServer>()

    @After
    fun close() {
        servers.forEach { it.close() }
    }

    private fun server(respond: (Request) -> Reply) = WireServer(respond = respond).also { servers += it }

    private fun problem(type: String) = Reply.Of(
        401,
        """{"type":"urn:watchword:problem:$type","title":"no","status":401}""".toByteArray(),
        mapOf("Content-Type" to "application/problem+json"),
    )

    private fun gate(then: (Request) -> Reply = { Reply.Of(200, "done".toByteArray()) }) =
        server { request -> service.refusal(request, "session")?.let(::problem) ?: then(request) }

    private fun watchword(api: WireServer) =
        service.watchword(WatchwordConfig("https://attest.example", "clinic", listOf(Api("api", listOf(api.url)))))

    private fun UrlResponse.text(): Pair<Int, String> = use { status to it.body.readBytes().toString(Charsets.UTF_8) }

    @Test
    fun `a request is proved, with a body and without`() {
        val api = gate { Reply.Of(200, it.body) }
        val watchword = watchword(api)
        assertEquals(200 to "", watchword.send(URL("${api.url}/a%2Fb?x=1&&#part")).text())
        assertEquals(200 to "body", watchword.send(URL(api.url + "/"), "POST", body = "body".toByteArray()).text())
        assertEquals(2, api.requests.mapNotNull { it.nonce }.toSet().size)
    }

    @Test
    fun `everything else passes untouched, and no redirect is followed`() {
        val api = gate()
        val other = server { Reply.Of(302, headers = mapOf("Location" to api.url)) }
        watchword(api).send(URL(other.url + "/"), headers = mapOf("X-Own" to "1")).use {
            assertEquals(302, it.status)
            assertEquals(api.url, it.header("location"))
        }
        val headers = other.requests.single().headers
        assertEquals(emptySet<String>(), headers.keys intersect OURS)
        assertEquals("1", headers["x-own"])
        assertEquals(0, api.requests.size)
    }

    @Test
    fun `a lost answer costs a GET nothing, and a POST its outcome`() {
        var drops = 1
        val api = gate { if (drops-- > 0) Reply.Drop else Reply.Of(200, "done".toByteArray()) }
        val watchword = watchword(api)
        assertEquals(200 to "done", watchword.send(URL(api.url + "/")).text())
        val nonces = api.requests.mapNotNull { it.nonce }
        assertTrue("$nonces", nonces.size >= 2)
        drops = 1
        val before = api.requests.size
        assertThrows(WatchwordException.OutcomeUnknown::class.java) { watchword.send(URL(api.url + "/"), "POST", body = ByteArray(3)) }
        assertEquals(before + 1, api.requests.size)
    }

    @Test
    fun `a POST without a body is sent once too, where no proof would show that it comes again`() {
        var drops = 1
        val api = server { if (drops-- > 0) Reply.Drop else Reply.Of(200, "done".toByteArray()) }
        val apis = listOf(Api("api", listOf(api.url), { _, _ -> ProofKind.BEARER }))
        val watchword = service.watchword(WatchwordConfig("https://attest.example", "clinic", apis))
        assertThrows(WatchwordException.OutcomeUnknown::class.java) { watchword.send(URL(api.url + "/"), "POST") }
        assertEquals(1, api.requests.size)
        assertEquals(200 to "done", watchword.send(URL(api.url + "/"), "POST").text())
    }

    @Test
    fun `a POST that was never sent is the library's own error`() {
        // Bound, so that nobody else listens there, and not listening.
        Socket().use { reserved ->
            reserved.bind(InetSocketAddress("127.0.0.1", 0))
            val url = "http://127.0.0.1:${reserved.localPort}"
            val watchword = service.watchword(WatchwordConfig("https://attest.example", "clinic", listOf(Api("api", listOf(url)))))
            assertThrows(ConnectException::class.java) { watchword.send(URL("$url/"), "POST", body = ByteArray(3)) }
        }
    }

    @Test
    fun `a refused token is replaced once`() {
        val api = gate()
        val watchword = watchword(api)
        watchword.send(URL(api.url + "/")).close()
        service.revoke()
        assertEquals(200 to "done", watchword.send(URL(api.url + "/"), headers = mapOf("Watchword-Token" to "made up")).text())
    }

    @Test
    fun `an answer that was looked into is handed over whole`() {
        val long = """{"type":"urn:watchword:problem:route-refused","x":"${"y".repeat(70_000)}"}"""
        val api = server { Reply.Of(401, long.toByteArray(), mapOf("Content-Type" to "application/problem+json")) }
        assertEquals(401 to long, watchword(api).send(URL(api.url + "/")).text())
    }
}
