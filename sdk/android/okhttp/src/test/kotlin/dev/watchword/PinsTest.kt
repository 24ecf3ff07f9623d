package dev.watchword

import dev.watchword.internal.Base64Url
import dev.watchword.internal.sha256
import dev.watchword.phone.Authority
import dev.watchword.phone.Certified
import dev.watchword.phone.JvmClock
import dev.watchword.phone.MemoryStore
import dev.watchword.phone.MiniService
import dev.watchword.phone.PinPublisher
import dev.watchword.phone.SoftwareDevice
import dev.watchword.phone.WireServer
import dev.watchword.phone.WireServer.Reply
import okhttp3.Interceptor
import okhttp3.OkHttpClient
import okhttp3.WebSocket
import okhttp3.WebSocketListener
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.IOException
import java.net.HttpURLConnection
import java.net.ProtocolException
import java.net.URL
import java.security.cert.X509Certificate
import java.util.concurrent.CompletableFuture
import java.util.concurrent.Executor
import java.util.concurrent.TimeUnit
import javax.net.ssl.SSLContext
import okhttp3.Request as OkRequest

private const val HOST = "localhost"

/** Pins over real TLS: nothing is sent to whoever has another key, also where the platform trusts them. */
class PinsTest {
    private val service = MiniService(SoftwareDevice())
    private val genuine = Authority("genuine authority")
    private val company = Authority("a company's proxy")
    private val own = genuine.server(HOST)
    private val publisher = PinPublisher("clinic")
    private val store = MemoryStore()
    private val servers = mutableListOf<WireServer>()

    @After
    fun close() = servers.forEach(WireServer::close)

    private fun serve(
        certified: Certified,
        extra: List<X509Certificate> = emptyList(),
        respond: (WireServer.Request) -> Reply = {
            Reply.Of(200)
        },
    ) =
        WireServer(certified.context(extra).serverSocketFactory, respond).also { servers += it }

    private fun watchword(builtin: ByteArray? = publisher.builtin(), transport: Transport = service): Watchword {
        val platform = PinPorts(store, publisher, Authority.trusting(genuine, company), worker = Executor(Runnable::run))
        val ports = Ports(SoftwareDevice(), MemoryStore(), JvmClock, transport, sleep = {}, jitter = { 0.5 }, pins = platform)
        return Watchword(WatchwordConfig("https://$HOST:1", "clinic", listOf(Api("https://api.example")), pins = builtin), ports)
    }

    private fun client(watchword: Watchword): OkHttpClient {
        val trust = Authority.trusting(genuine, company)
        val sockets = SSLContext.getInstance("TLS").apply { init(null, arrayOf(trust), null) }.socketFactory
        return OkHttpClient.Builder().sslSocketFactory(sockets, trust).watchword(watchword).build()
    }

    private fun OkHttpClient.reaches(server: WireServer): Boolean =
        newCall(OkRequest.Builder().url("https://$HOST:${server.port}/").build()).execute().use { it.isSuccessful }

    private fun pin(vararg pins: Pair<String, String>, report: Boolean = false, reports: String? = null) =
        publisher.publish(mapOf(HOST to pins.toMap()), reports, report)

    @Test
    fun `a server with a pinned key is spoken to`() {
        pin(own.pin to "c")
        val server = serve(own)
        assertTrue(client(watchword()).reaches(server))
    }

    @Test
    fun `whoever the platform trusts gets nothing without a pinned key`() {
        pin(own.pin to "c", genuine.pin to "a")
        val interceptor = serve(company.server(HOST))
        val error = assertThrows(WatchwordException.Pin::class.java) { client(watchword()).reaches(interceptor) }
        assertEquals(HOST, error.host)
        assertTrue(error.message.orEmpty().endsWith("pins.mismatch"))
        assertEquals(0, interceptor.requests.size)
        // Without pins the same client reads it.
        assertTrue(client(watchword(builtin = null)).reaches(interceptor))
    }

    @Test
    fun `OkHttp tries a refused connection once, in HTTP 2 too`() {
        pin(own.pin to "c")
        val interceptor = serve(company.server(HOST))
        val (trust, thrown) = Authority.trusting(genuine, company) to mutableListOf<IOException>()
        val sockets = SSLContext.getInstance("TLS").apply { init(null, arrayOf(trust), null) }.socketFactory
        val below = Interceptor { chain ->
            try {
                chain.proceed(chain.request())
            } catch (error: IOException) {
                throw error.also(thrown::add)
            }
        }
        val client = OkHttpClient.Builder().sslSocketFactory(sockets, trust).addNetworkInterceptor(below).watchword(watchword()).build()
        val error = assertThrows(WatchwordException.Pin::class.java) { client.reaches(interceptor) }
        // What is against the protocol it doesn't try again; anything else it would, over HTTP/2 without end.
        assertTrue(thrown.single() is ProtocolException)
        assertSame(error, thrown.single().cause)
    }

    @Test
    fun `a genuine authority's certificate beside a foreign chain counts for nothing`() {
        pin(genuine.pin to "a")
        val interceptor = serve(company.server(HOST), extra = listOf(genuine.certificate))
        assertThrows(WatchwordException.Pin::class.java) { client(watchword()).reaches(interceptor) }
        assertEquals(0, interceptor.requests.size)
        assertTrue(client(watchword()).reaches(serve(own)))
    }

    @Test
    fun `a redirect to an interceptor gets nothing`() {
        pin(own.pin to "c")
        val interceptor = serve(company.server(HOST))
        val server = serve(own) { Reply.Of(302, headers = mapOf("Location" to "https://$HOST:${interceptor.port}/")) }
        assertThrows(WatchwordException.Pin::class.java) { client(watchword()).reaches(server) }
        assertEquals(1 to 0, server.requests.size to interceptor.requests.size)
    }

    @Test
    fun `a rotation over the air is followed, also by open connections`() {
        pin(own.pin to "c")
        val watchword = watchword()
        val client = client(watchword)
        val next = genuine.server(HOST)
        val server = serve(own)
        assertTrue(client.reaches(server))
        pin(next.pin to "c")
        watchword.pins?.refresh()
        assertEquals(2L, watchword.pins?.version)
        val connections = server.requests.size
        assertThrows(WatchwordException.Pin::class.java) { client.reaches(server) }
        assertEquals(connections, server.requests.size)
        assertTrue(client.reaches(serve(next)))
        // What was fetched holds after a restart too.
        assertEquals(2L, watchword().pins?.version)
    }

    @Test
    fun `an open connection of old pins is left for a new one`() {
        val (old, next) = own to genuine.server(HOST)
        pin(old.pin to "c")
        val watchword = watchword()
        val client = client(watchword)
        var present = old
        val server = Switching({ present.context() })
        servers += server.wire
        assertTrue(client.reaches(server.wire))
        present = next
        pin(next.pin to "c")
        watchword.pins?.refresh()
        assertTrue(client.reaches(server.wire))
        assertEquals(listOf(1, 1), server.wire.requests.map { it.onConnection })
    }

    @Test
    fun `a withdrawn set closes nothing and gets no secrets`() {
        pin(own.pin to "c")
        val watchword = watchword()
        val pins = checkNotNull(watchword.pins)
        assertFalse(pins.withholdsSecrets(HOST))
        publisher.publishRoots(newKey = true)
        pins.refresh()
        assertTrue(pins.withholdsSecrets(HOST))
        assertTrue(client(watchword).reaches(serve(company.server(HOST))))
        assertThrows(WatchwordException.Pin::class.java) { watchword.secret("push") }
        assertEquals(emptyList<String>(), service.asked)
        // A genuine one under the new key ends it, whatever its version.
        pin(own.pin to "c")
        pins.updater.update()
        assertFalse(pins.withholdsSecrets(HOST))
    }

    @Test
    fun `what is heard beside a token is fetched, and only once`() {
        pin(own.pin to "c")
        val watchword = watchword()
        watchword.pins?.refresh()
        assertEquals(listOf("/v1/pins/clinic/roots/2", "/v1/pins/clinic"), publisher.asked)
        watchword.pins?.refresh()
        assertEquals(2, publisher.asked.size)
        watchword.ports.hearPins(1)
        assertEquals(2, publisher.asked.size)
        pin(own.pin to "n")
        watchword.ports.hearPins(2)
        assertEquals(2L, watchword.pins?.version)
        assertEquals(listOf("", ""), publisher.tags.take(2))
        assertTrue(publisher.tags.last().isNotEmpty())
        assertNull(watchword.pins?.fault)
    }

    @Test
    fun `a service that doesn't answer changes nothing`() {
        pin(own.pin to "c")
        val watchword = watchword()
        publisher.status = 503
        watchword.pins?.refresh()
        assertTrue(watchword.pins?.fault.orEmpty().contains("503"))
        assertTrue(client(watchword).reaches(serve(own)))
    }

    @Test
    fun `what was kept and can't be read leaves the package's pins`() {
        pin(own.pin to "c")
        store.write("{}".toByteArray())
        val watchword = watchword()
        assertEquals(1L, watchword.pins?.version)
        assertNotNull(watchword.pins?.fault)
        assertThrows(WatchwordException.Pin::class.java) { client(watchword).reaches(serve(company.server(HOST))) }
    }

    @Test
    fun `cleartext to a pinned host isn't sent`() {
        pin(own.pin to "c")
        val server = WireServer { Reply.Of(200) }.also { servers += it }
        val request = OkRequest.Builder().url("http://$HOST:${server.port}/").build()
        assertThrows(WatchwordException.Pin::class.java) { client(watchword()).newCall(request).execute() }
        assertEquals(0, server.requests.size)
    }

    @Test
    fun `report mode refuses nothing and tells it once, at another host`() {
        pin(own.pin to "c", report = true, reports = "https://reports.example.net/v1/pins/reports")
        val interceptor = company.server(HOST)
        val server = serve(interceptor)
        val client = client(watchword())
        repeat(3) { assertTrue(client.reaches(server)) }
        val (url, report) = publisher.reports.single()
        assertEquals("https://reports.example.net/v1/pins/reports", url)
        assertEquals(interceptor.pin, report.getJSONArray("chain").getString(0))
        assertEquals(company.pin, report.getJSONArray("chain").getString(1))
        assertFalse(report.getBoolean("refused"))
    }

    @Test
    fun `a failure isn't reported over the host that it is about`() {
        pin(own.pin to "c", reports = "https://$HOST/v1/pins/reports")
        assertThrows(WatchwordException.Pin::class.java) { client(watchword()).reaches(serve(company.server(HOST))) }
        assertEquals(0, publisher.reports.size)
    }

    @Test
    fun `a WebSocket to a pinned host isn't opened`() {
        pin(own.pin to "c")
        val server = serve(own)
        val failed = CompletableFuture<Throwable>()
        val listener = object : WebSocketListener() {
            override fun onFailure(webSocket: WebSocket, t: Throwable, response: okhttp3.Response?) {
                failed.complete(t)
            }
        }
        client(watchword()).newWebSocket(OkRequest.Builder().url("wss://$HOST:${server.port}/").build(), listener)
        assertTrue(failed.get(60, TimeUnit.SECONDS) is WatchwordException.Pin)
        assertEquals(0, server.requests.size)
    }

    @Test
    fun `connections to the service are judged in their handshake`() {
        pin(own.pin to "c")
        val transport = HttpTransport { URL(it.toString()).openConnection() as HttpURLConnection }
        val ports = watchword(transport = transport).ports
        val (genuineServer, interceptor) = serve(own) to serve(company.server(HOST))
        val headers = mapOf("Accept-Encoding" to "identity")
        repeat(2) { assertEquals(200, ports.transport.get("https://$HOST:${genuineServer.port}/", headers, 60_000).status) }
        assertThrows(WatchwordException.Pin::class.java) {
            ports.transport.post("https://$HOST:${interceptor.port}/", headers, ByteArray(3), 60_000)
        }
        assertEquals(0, interceptor.requests.size)
        assertThrows(WatchwordException.Pin::class.java) { ports.transport.get("http://$HOST:1/", headers, 60_000) }
    }

    @Test
    fun `the largest set comes over HTTP, and a redirect isn't followed`() {
        val file = publisher.builtin()
        publisher.publish(
            List(200) { "h$it.example" }.associateWith { host ->
                List(20) {
                    Base64Url.encode(sha256("$host $it".toByteArray())) to
                        "b"
                }.toMap()
            },
        )
        var isAway = true
        val other = WireServer { Reply.Of(404) }.also { servers += it }
        val wire = WireServer {
            val tag = it.headers["if-none-match"]?.let { tag -> mapOf("If-None-Match" to tag) }.orEmpty()
            val answer = publisher.get("http://service" + it.target, tag, 0)
            when {
                isAway -> Reply.Of(302, headers = mapOf("Location" to other.url))
                answer.status == 304 -> Reply.Of(304, headers = answer.headers, length = 1000)
                else -> Reply.Of(answer.status, answer.body, answer.headers)
            }
        }.also { servers += it }
        val platform = PinPorts(store, trust = Authority.trusting(genuine), worker = Executor(Runnable::run))
        val ports = Ports(SoftwareDevice(), MemoryStore(), JvmClock, service, sleep = {}, jitter = { 0.5 }, pins = platform)

        val config = WatchwordConfig(wire.url, "clinic", listOf(Api("https://api.example")), pins = file)
        val pins = checkNotNull(Watchword(config, ports).pins)
        pins.updater.update()
        assertEquals(0L, pins.version)
        assertEquals(0, other.requests.size)
        isAway = false
        repeat(2) { pins.updater.update() }
        assertEquals(1L, pins.version)
        assertNull(pins.fault)
        assertEquals(1, publisher.tags.count { it.isNotEmpty() })
        assertTrue(wire.requests.all { it.headers["accept-encoding"] == "identity" && "watchword-token" !in it.headers })
    }

    @Test
    fun `sockets change with the pins`() {
        pin(own.pin to "c")
        val pins = checkNotNull(watchword().pins)
        val before = pins.socketFactory
        assertSame(before, pins.socketFactory)
        pin(own.pin to "n")
        pins.refresh()
        assertFalse(before === pins.socketFactory)
    }

    @Test
    fun `a file that can't be used is refused at the start`() {
        pin(own.pin to "c")
        val file = publisher.builtin()
        assertThrows(IllegalArgumentException::class.java) { watchword(file.copyOf(file.size - 1)) }
        assertThrows(IllegalArgumentException::class.java) { watchword(PinPublisher("another").builtin()) }
    }
}

/** A server whose certificate changes while it runs. */
private class Switching(context: () -> SSLContext) {
    val wire = WireServer(
        object : javax.net.ServerSocketFactory() {
            override fun createServerSocket(port: Int) = throw UnsupportedOperationException()

            override fun createServerSocket(port: Int, backlog: Int) = throw UnsupportedOperationException()

            override fun createServerSocket(port: Int, backlog: Int, address: java.net.InetAddress?) =
                object : java.net.ServerSocket(port, backlog, address) {
                    override fun accept(): java.net.Socket {
                        val plain = super.accept()
                        val secure = context().socketFactory.createSocket(plain, null, plain.port, true) as javax.net.ssl.SSLSocket
                        return secure.apply { useClientMode = false }
                    }
                }
        },
    ) { Reply.Of(200) }
}
