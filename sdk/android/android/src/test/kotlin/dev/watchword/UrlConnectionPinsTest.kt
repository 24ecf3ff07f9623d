package dev.watchword

import dev.watchword.internal.AndroidChains
import dev.watchword.phone.Authority
import dev.watchword.phone.Certified
import dev.watchword.phone.JvmClock
import dev.watchword.phone.MemoryStore
import dev.watchword.phone.MiniService
import dev.watchword.phone.PinPublisher
import dev.watchword.phone.SoftwareDevice
import dev.watchword.phone.WireServer
import dev.watchword.phone.WireServer.Reply
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test
import java.net.URL

private const val HOST = "localhost"

/** Pins of connections by `HttpsURLConnection`, judged by the chain that Android verified. */
class UrlConnectionPinsTest {
    private val genuine = Authority("genuine authority")
    private val company = Authority("a company's proxy")
    private val own = genuine.server(HOST)
    private val publisher = PinPublisher("clinic")
    private val servers = mutableListOf<WireServer>()

    @After
    fun close() = servers.forEach(WireServer::close)

    private fun serve(certified: Certified) =
        WireServer(certified.context().serverSocketFactory) { Reply.Of(200, it.body) }.also { servers += it }

    private fun url(server: WireServer) = "https://$HOST:${server.port}"

    private fun watchword(vararg apis: WireServer): Watchword {
        publisher.publish(mapOf(HOST to mapOf(genuine.pin to "a")))
        val trust = Authority.trusting(genuine, company)
        val device = SoftwareDevice()
        val pins = PinPorts(MemoryStore(), publisher, trust, AndroidChains(trust))
        val ports = Ports(device, MemoryStore(), JvmClock, MiniService(device), sleep = {}, jitter = { 0.5 }, pins = pins)
        return Watchword(
            WatchwordConfig("https://attest.example", "clinic", apis.map { Api(url(it)) }, pins = publisher.builtin()),
            ports,
        )
    }

    @Test
    fun `a pinned host is spoken to, also over a connection that is open`() {
        val server = serve(own)
        val watchword = watchword(server)
        repeat(2) {
            assertEquals("1", watchword.send(URL(url(server)), "POST", body = "1".toByteArray()).use { String(it.body.readBytes()) })
        }
        assertEquals(listOf("1", "1"), server.requests.map { String(it.body) })
    }

    @Test
    fun `whoever the platform trusts gets nothing, and the outcome is known`() {
        val (api, other) = serve(company.server(HOST)) to serve(company.server(HOST))
        val watchword = watchword(api)
        for (server in listOf(api, other)) {
            val error = assertThrows(WatchwordException.Pin::class.java) { watchword.send(URL(url(server)), "POST", body = ByteArray(3)) }
            assertEquals(HOST, error.host)
        }
        assertEquals(0, api.requests.size + other.requests.size)
    }

    @Test
    fun `cleartext to a pinned host isn't sent`() {
        val plain = WireServer { Reply.Of(200) }.also { servers += it }
        val watchword = watchword(serve(own))
        assertThrows(WatchwordException.Pin::class.java) { watchword.send(URL("http://$HOST:${plain.port}/")) }
        assertEquals(0, plain.requests.size)
    }
}
