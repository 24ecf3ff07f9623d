package dev.watchword

import dev.watchword.phone.MiniService
import dev.watchword.phone.SoftwareDevice
import dev.watchword.phone.WireServer
import dev.watchword.phone.WireServer.Reply
import dev.watchword.phone.WireServer.Request
import okhttp3.Cache
import okhttp3.Call
import okhttp3.Interceptor
import okhttp3.MediaType
import okhttp3.OkHttpClient
import okhttp3.RequestBody
import okhttp3.Response
import okio.BufferedSink
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.InterruptedIOException
import java.net.ConnectException
import java.net.InetSocketAddress
import java.net.ProtocolException
import java.net.Socket
import java.nio.file.Files
import java.util.concurrent.Callable
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executors
import java.util.concurrent.Semaphore
import java.util.concurrent.TimeUnit
import java.util.zip.GZIPOutputStream
import okhttp3.Request as OkRequest

private val OURS = setOf("watchword-token", "watchword-status", "signature", "signature-input", "dpop")

/** Requests of an app through OkHttp, over a wire that breaks. */
class OkHttpTest {
    private val device = SoftwareDevice()
    private val service = MiniService(device)
    private val servers = mutableListOf<WireServer>()
    private var proof = "session"

    @After
    fun close() {
        servers.forEach { it.close() }
    }

    private fun server(respond: (Request) -> Reply) = WireServer(respond = respond).also { servers += it }

    private fun problem(type: String, status: Int = 401, more: String = "") = Reply.Of(
        status,
        """{"type":"urn:watchword:problem:$type","title":"no","status":$status$more}""".toByteArray(),
        mapOf("Content-Type" to "application/problem+json"),
    )

    /** Answers as a gate that verifies proofs, and an API behind it that says how many requests it carried out. */
    private fun gate(carried: MutableList<Request> = mutableListOf(), then: (Request) -> Reply = { Reply.Of(200, "done".toByteArray()) }) =
        server { request ->
            val refusal = service.refusal(request, proof)
            if (refusal == null) {
                synchronized(carried) { carried += request }
                then(request)
            } else {
                problem(refusal)
            }
        }

    private fun watchword(api: WireServer, sendUnproved: Boolean = false) = service.watchword(
        WatchwordConfig("https://attest.example", "clinic", listOf(Api("api", listOf(api.url), sendUnproved = sendUnproved))),
    )

    private fun client(api: WireServer, vararg above: Interceptor, more: OkHttpClient.Builder.() -> Unit = {}): OkHttpClient =
        OkHttpClient.Builder().apply { above.forEach { addInterceptor(it) } }.watchword(watchword(api)).apply(more).build()

    private fun get(url: String) = OkRequest.Builder().url(url).build()

    private fun post(url: String, body: RequestBody = bytes("body")) = OkRequest.Builder().url(url).method("POST", body).build()

    private fun bytes(text: String): RequestBody = Body(text.toByteArray())

    private fun OkHttpClient.send(request: OkRequest): Pair<Int, String> =
        newCall(request).execute().use { Calls.code(it) to Calls.body(it).string() }

    private fun nonces(server: WireServer): List<String?> = server.requests.map { it.nonce }

    @Test
    fun `no cache holds a token`() {
        val carried = mutableListOf<Request>()
        val api = gate(carried) {
            Reply.Of(
                200,
                "done".toByteArray(),
                mapOf(
                    "Cache-Control" to "max-age=600",
                    "Vary" to "Watchword-Token, Signature",
                ),
            )
        }
        val directory = Files.createTempDirectory("cache").toFile()
        try {
            val client = client(api) { cache(Cache(directory, 1024L * 1024)) }
            repeat(2) { client.newCall(get("${api.url}/records/1")).execute().use { assertEquals("done", Calls.body(it).string()) } }
            val kept = directory.walk().filter { it.isFile }.joinToString { it.readText(Charsets.ISO_8859_1) }
            assertTrue(kept, "/records/1" in kept)
            // What varies by token is served to none but its own, so that it came from the API twice.
            assertEquals(2, carried.size)
            for (request in carried) {
                for (name in listOf("watchword-token", "signature")) assertFalse(name, checkNotNull(request.headers[name]) in kept)
            }
        } finally {
            directory.deleteRecursively()
        }
    }

    @Test
    fun `a request is proved by the session key`() {
        val api = gate()
        val client = client(api)
        assertEquals(200 to "done", client.send(get("${api.url}/patients%2F1/..;/x?a=%20b&&")))
        assertEquals(200 to "done", client.send(post("${api.url}/?")))
        assertEquals(listOf("/v1/challenges", "/v1/attestations"), service.asked)
        assertEquals(2, nonces(api).filterNotNull().toSet().size)
    }

    @Test
    fun `what stands in a fragment keeps no request from its proof`() {
        val api = gate()
        // OkHttp leaves every letter there as it is, this end of a line too.
        assertEquals(200 to "done", client(api).send(get("${api.url}/records?a=b#c\u2028d")))
        assertEquals("/records?a=b", api.requests.single().target)
    }

    @Test
    fun `what an app says of Watchword itself is replaced`() {
        val api = gate()
        val request = get(api.url).newBuilder().header("Watchword-Token", "made up").header("Signature", "x").build()
        assertEquals(200, client(api).send(request).first)
        assertEquals("made up", request.header("Watchword-Token"))
    }

    @Test
    fun `everything else passes untouched`() {
        val api = gate()
        val other = server { Reply.Of(200, "other".toByteArray()) }
        assertEquals(200 to "other", client(api).send(get(other.url)))
        assertEquals(emptySet<String>(), other.requests.single().headers.keys intersect OURS)
        assertEquals(emptyList<String>(), service.asked)
    }

    @Test
    fun `a connection that was dropped while idle costs a GET nothing`() {
        val carried = mutableListOf<Request>()
        val api = gate(carried) { if (it.onConnection == 2) Reply.Drop else Reply.Of(200, "done".toByteArray()) }
        val client = client(api)
        client.send(get(api.url))
        assertEquals(200 to "done", client.send(get(api.url)))
        assertEquals(3, carried.size)
        assertEquals(3, nonces(api).filterNotNull().toSet().size)
    }

    @Test
    fun `a POST over it is carried out once and its outcome is unknown`() {
        val carried = mutableListOf<Request>()
        val api = gate(carried) { if (it.onConnection == 2) Reply.Drop else Reply.Of(200) }
        val client = client(api)
        client.send(get(api.url))
        val error = assertThrows(WatchwordException.OutcomeUnknown::class.java) { client.send(post("${api.url}/pay?secret=1")) }
        assertEquals(1, carried.count { it.method == "POST" })
        assertEquals("POST", error.method)
        assertEquals(api.url, error.origin)
        assertFalse(checkNotNull(error.message).contains("secret"))
    }

    @Test
    fun `what is thrown below OkHttp's retries is a breach of the protocol to it`() {
        // Anything else it tries again, over HTTP/2 without end.
        val api = gate { if (it.onConnection == 2) Reply.Drop else Reply.Of(200, "done".toByteArray()) }
        val thrown = mutableListOf<IOException>()
        val below = Interceptor { chain ->
            try {
                chain.proceed(chain.request())
            } catch (error: IOException) {
                throw error.also(thrown::add)
            }
        }
        val client = OkHttpClient.Builder().addNetworkInterceptor(below).watchword(watchword(api)).build()
        assertEquals(200 to "done", client.send(post(api.url)))
        val error = assertThrows(WatchwordException.OutcomeUnknown::class.java) { client.send(post(api.url)) }
        assertTrue("$thrown", thrown.last() is ProtocolException)
        assertSame(error, thrown.last().cause)
    }

    @Test
    fun `a POST with an Idempotency-Key is sent again, under another nonce`() {
        val api = gate { if (it.number == 1) Reply.Drop else Reply.Of(200, "done".toByteArray()) }
        val request = post(api.url).newBuilder().header("Idempotency-Key", "k").build()
        assertEquals(200 to "done", client(api).send(request))
        assertEquals(2, nonces(api).filterNotNull().toSet().size)
        assertEquals(setOf("k"), api.requests.map { it.headers["idempotency-key"] }.toSet())
    }

    @Test
    fun `answers that are lost again and again end in an error`() {
        val api = gate { Reply.Drop }
        assertThrows(IOException::class.java) { client(api).send(get(api.url)) }
        val before = api.requests.size
        assertTrue("$before requests", before in 3..9)
        assertEquals(before, nonces(api).filterNotNull().toSet().size)
        val put = get(api.url).newBuilder().method("PUT", bytes("x")).build()
        assertThrows(WatchwordException.OutcomeUnknown::class.java) { client(api).send(put) }
    }

    @Test
    fun `a POST that was sent isn't taken for unsent when the server is gone then`() {
        lateinit var api: WireServer
        api = gate {
            if (it.method == "POST") api.close()
            Reply.Of(200)
        }
        val client = client(api)
        client.send(get(api.url))
        assertThrows(WatchwordException.OutcomeUnknown::class.java) { client.send(post(api.url)) }
    }

    @Test
    fun `a POST that was never sent is the library's own error`() {
        // Bound, so that nobody else listens there, and not listening.
        Socket().use { reserved ->
            reserved.bind(InetSocketAddress("127.0.0.1", 0))
            val url = "http://127.0.0.1:${reserved.localPort}"
            val watchword = service.watchword(WatchwordConfig("https://attest.example", "clinic", listOf(Api("api", listOf(url)))))
            val client = OkHttpClient.Builder().watchword(watchword).build()
            assertThrows(ConnectException::class.java) { client.send(post(url)) }
        }
    }

    @Test
    fun `a timeout repeats nothing`() {
        val release = CountDownLatch(1)
        val arrived = Semaphore(0)
        val api = gate {
            arrived.release()
            release.await(60, TimeUnit.SECONDS)
            Reply.Of(200)
        }
        val client = client(api) { readTimeout(300, TimeUnit.MILLISECONDS).retryOnConnectionFailure(false) }
        try {
            assertThrows(java.net.SocketTimeoutException::class.java) { client.send(get(api.url)) }
            assertThrows(WatchwordException.OutcomeUnknown::class.java) { client.send(post(api.url)) }
            assertTrue(arrived.tryAcquire(2, 60, TimeUnit.SECONDS))
            assertEquals(2, api.requests.size)
        } finally {
            release.countDown()
        }
    }

    @Test
    fun `a proof that was used is an unknown outcome`() {
        val api = server { if (it.number == 1) problem("proof-used") else Reply.Of(200, "done".toByteArray()) }
        assertEquals(200 to "done", client(api).send(get(api.url)))
        val again = server { problem("proof-used") }
        assertThrows(WatchwordException.OutcomeUnknown::class.java) { client(again).send(post(again.url)) }
        assertEquals(1, again.requests.size)
    }

    @Test
    fun `a redirect within the API is proved anew`() {
        val api = gate {
            if (it.target ==
                "/old"
            ) {
                Reply.Of(302, headers = mapOf("Location" to "/new"))
            } else {
                Reply.Of(200, "new".toByteArray())
            }
        }
        assertEquals(200 to "new", client(api).send(get("${api.url}/old")))
        assertEquals(2, nonces(api).filterNotNull().toSet().size)
    }

    @Test
    fun `a redirect to another origin carries nothing of Watchword's, not even back`() {
        lateinit var api: WireServer
        val foreign = server { Reply.Of(302, headers = mapOf("Location" to "${api.url}/back")) }
        api = server {
            if (it.target ==
                "/back"
            ) {
                Reply.Of(200, "back".toByteArray())
            } else {
                Reply.Of(302, headers = mapOf("Location" to "http://localhost:${foreign.port}/"))
            }
        }
        val request = get(api.url).newBuilder().header("Watchword-Token", "made up").header("DPoP", "x").build()
        assertEquals(200 to "back", client(api).send(request))
        for (away in foreign.requests + api.requests.filter { it.target == "/back" }) {
            assertEquals(emptySet<String>(), away.headers.keys intersect setOf("watchword-token", "watchword-status"))
            assertNull(away.nonce)
        }
        assertTrue("watchword-token" in api.requests.first().headers)
    }

    @Test
    fun `a refused token is replaced once`() {
        val api = gate()
        val client = client(api)
        client.send(get(api.url))
        service.revoke()
        assertEquals(200 to "done", client.send(post(api.url)))
        assertEquals(listOf("/v1/challenges", "/v1/tokens"), service.asked.drop(2))
    }

    @Test
    fun `a route that asks for the device's key gets it`() {
        proof = "device"
        val api = gate()
        assertEquals(200 to "done", client(api).send(post(api.url)))
        assertEquals(2, api.requests.size)
    }

    @Test
    fun `what stands in a gate's way is handed to the app as it is`() {
        val portal = "<html>sign in</html>"
        val large = """{"type":"urn:watchword:problem:token-refused","x":"${"y".repeat(70_000)}"}"""
        val problem = mapOf("Content-Type" to "application/problem+json")
        val answers = mapOf(
            "/portal" to Reply.Of(200, portal.toByteArray(), mapOf("Content-Type" to "text/html")),
            "/login" to Reply.Of(401, portal.toByteArray(), mapOf("Content-Type" to "text/html")),
            "/large" to Reply.Of(401, large.toByteArray(), problem),
            "/cut" to Reply.Of(401, """{"type":"urn:watch""".toByteArray(), problem),
            "/teapot" to Reply.Of(403, """{"type":"urn:watchword:problem:route-refused"}""".toByteArray(), problem),
        )
        val api = server { checkNotNull(answers[it.target]) }
        val client = client(api)
        for ((path, reply) in answers) {
            assertEquals(reply.status to String(reply.body), client.send(get(api.url + path)))
        }
        assertEquals(answers.size, api.requests.size)
        assertEquals(2, service.asked.size)
    }

    @Test
    fun `a gzip bomb in a refusal isn't unpacked`() {
        val bomb = ByteArrayOutputStream().also { out ->
            GZIPOutputStream(out).use { gzip -> repeat(200) { gzip.write(ByteArray(1024 * 1024)) } }
        }.toByteArray()
        val headers = mapOf("Content-Type" to "application/problem+json", "Content-Encoding" to "gzip")
        val api = server { Reply.Of(401, bomb, headers) }
        client(api).newCall(get(api.url)).execute().use {
            assertEquals(401, Calls.code(it))
            assertEquals(0, Calls.body(it).byteStream().read())
        }
    }

    @Test
    fun `an answer that is cut short fails where the app reads it`() {
        val headers = mapOf("Content-Type" to "application/problem+json")
        val api = server { Reply.Of(401, "{".toByteArray(), headers, length = 100) }
        client(api).newCall(get(api.url)).execute().use {
            assertEquals(401, Calls.code(it))
            assertThrows(IOException::class.java) { Calls.body(it).string() }
        }
    }

    @Test
    fun `a body without a length is sent with one where the gate wants that`() {
        val api = server {
            if (it.headers["transfer-encoding"] != null) {
                Reply.Of(411)
            } else {
                service.refusal(it, "session")?.let(::problem) ?: Reply.Of(200, it.body)
            }
        }
        val client = client(api)
        assertEquals(200 to "stream", client.send(post(api.url, Stream("stream"))))
        assertEquals(2, api.requests.size)
        assertEquals(200 to "next", client.send(post(api.url, Stream("next"))))
        assertEquals(3, api.requests.size)
        val large = Stream("x".repeat(Attempts.MAX_KEPT_BYTES + 1))
        assertThrows(WatchwordException.LengthRequired::class.java) { client.send(post(api.url, large)) }
        assertEquals(3, api.requests.size)
        assertThrows(WatchwordException.LengthRequired::class.java) {
            client(api).send(post(api.url, Stream("x".repeat(Attempts.MAX_KEPT_BYTES + 1))))
        }
    }

    @Test
    fun `a gate that wants a length again once it has one isn't sent another`() {
        val api = server { Reply.Of(411) }
        val client = client(api)
        assertEquals(411, client.send(post(api.url, Stream("stream"))).first)
        assertEquals(listOf(null, "6"), api.requests.map { it.headers["content-length"] })
        // By now it is known that this gate wants a length, so that it gets one at once.
        assertEquals(411, client.send(post(api.url, Stream("next"))).first)
        assertEquals(listOf("4"), api.requests.drop(2).map { it.headers["content-length"] })
    }

    @Test
    fun `a body without a length that can be written again is kept up to what a stream is`() {
        val api = server { if (it.headers["transfer-encoding"] != null) Reply.Of(411) else Reply.Of(200, it.body) }

        fun unknown(text: String) = object : Body(text.toByteArray()) {
            override fun contentLength() = -1L
        }
        assertEquals(200 to "again", client(api).send(post(api.url, unknown("again"))))
        val before = api.requests.size
        assertThrows(WatchwordException.LengthRequired::class.java) {
            client(api).send(post(api.url, unknown("x".repeat(Attempts.MAX_KEPT_BYTES + 1))))
        }
        assertEquals(before + 1, api.requests.size)
    }

    /** A stream that says how long it is, which OkHttp knows from 3.14 on. */
    private fun once(text: String, length: Int = text.length) = object : Stream(text) {
        override fun contentLength() = length.toLong()
    }

    @Test
    fun `a body with a length that may be written once is proved all the same`() {
        if (!Calls.KNOWS_ONE_SHOT) return
        val api = gate { Reply.Of(200, it.body) }
        val once = once("once")
        assertEquals(200 to "once", client(api).send(post(api.url, once)))
        assertEquals(1, once.written)
    }

    @Test
    fun `a large body with a length that may be written once is sent without a proof, and whole`() {
        if (!Calls.KNOWS_ONE_SHOT) return
        val api = server { Reply.Of(200, it.body.size.toString().toByteArray()) }
        val large = once("x".repeat(Attempts.MAX_KEPT_BYTES + 1))
        assertEquals(200 to "${Attempts.MAX_KEPT_BYTES + 1}", client(api).send(post(api.url, large)))
        assertEquals(1, large.written)
        assertNull(api.requests.single().nonce)
        assertTrue("watchword-token" in api.requests.single().headers)
    }

    @Test
    fun `a body that is longer than it says isn't kept beyond what is kept of a stream`() {
        if (!Calls.KNOWS_ONE_SHOT) return
        val api = gate()
        val error = assertThrows(IOException::class.java) {
            client(api).send(post(api.url, once("x".repeat(Attempts.MAX_KEPT_BYTES + 1), length = 4)))
        }
        assertEquals("the body is longer than it said", error.message)
        assertEquals(emptyList<Request>(), api.requests)
    }

    @Test
    fun `a large body with a length isn't kept in memory, and is proved`() {
        val api = gate { Reply.Of(200, it.body.size.toString().toByteArray()) }
        val size = 3 * Attempts.MAX_KEPT_BYTES
        assertEquals(200 to "$size", client(api).send(post(api.url, bytes("x".repeat(size)))))
    }

    @Test
    fun `an interceptor above repeats nothing whose outcome is unknown`() {
        val again = Interceptor { chain ->
            val first = chain.proceed(chain.request())
            if (Calls.code(first) < 500) {
                first
            } else {
                first.close()
                chain.proceed(chain.request())
            }
        }
        val api = gate { if (it.number % 2 == 1) Reply.Of(502) else Reply.Of(200, "done".toByteArray()) }
        val client = client(api, again)
        assertEquals(200 to "done", client.send(get(api.url)))
        assertThrows(WatchwordException.OutcomeUnknown::class.java) { client.send(post(api.url)) }
        assertEquals(3, api.requests.size)
    }

    @Test
    fun `fifty callers at once are one enrolment`() {
        val api = gate()
        val client = client(api)
        val pool = Executors.newFixedThreadPool(50)
        val answers = pool.invokeAll((1..50).map { Callable { client.send(if (it % 2 == 0) get(api.url) else post(api.url)) } })
        pool.shutdown()
        assertEquals(setOf(200 to "done"), answers.map { it.get() }.toSet())
        assertEquals(1, service.asked.count { it == "/v1/attestations" })
        assertEquals(50, nonces(api).filterNotNull().toSet().size)
    }

    @Test
    fun `without a token nothing is sent`() {
        service.before = { throw IOException("no network") }
        val api = gate()
        assertThrows(WatchwordException.Offline::class.java) { client(api).send(get(api.url)) }
        assertEquals(emptyList<Request>(), api.requests)
    }

    @Test
    fun `an app that sends all the same says why, and only to the API`() {
        service.before = { if (it != "/v1/challenges") throw IOException("no network") }
        lateinit var foreign: WireServer
        val api = server { if (it.target == "/away") Reply.Of(302, headers = mapOf("Location" to foreign.url)) else Reply.Of(200) }
        foreign = server { Reply.Of(200) }
        val client = OkHttpClient.Builder().watchword(watchword(api, sendUnproved = true)).build()
        assertEquals(200, client.send(get(api.url)).first)
        assertEquals("offline", api.requests.single().headers["watchword-status"])
        assertFalse("watchword-token" in api.requests.single().headers)
        client.send(get("${api.url}/away"))
        assertEquals(emptySet<String>(), foreign.requests.single().headers.keys intersect OURS)
    }

    @Test
    fun `a call that the app cancels isn't repeated`() {
        val arrived = CountDownLatch(1)
        val release = CountDownLatch(1)
        val api = gate {
            arrived.countDown()
            release.await(30, TimeUnit.SECONDS)
            Reply.Of(200)
        }
        val call = client(api).newCall(get(api.url))
        val answered = Executors.newSingleThreadExecutor().submit(Callable { runCatching { call.execute() }.exceptionOrNull() })
        arrived.await(30, TimeUnit.SECONDS)
        call.cancel()
        assertTrue(answered.get(30, TimeUnit.SECONDS) is IOException)
        release.countDown()
        assertEquals(1, api.requests.size)
    }

    /** Runs [ends] once the call that is returned waits for the service, which doesn't answer before [release]. */
    private fun waiting(client: OkHttpClient, api: WireServer, release: CountDownLatch, ends: (Call) -> Unit = {}): Call =
        client.newCall(get(api.url)).also { call ->
            service.before = {
                ends(call)
                release.await(60, TimeUnit.SECONDS)
            }
        }

    @Test
    fun `a call that is cancelled while it waits for a token ends in OkHttp's own error, and isn't sent unproved`() {
        for (sendUnproved in listOf(false, true)) {
            val api = gate()
            val release = CountDownLatch(1)
            val client = OkHttpClient.Builder().watchword(watchword(api, sendUnproved)).build()
            val call = waiting(client, api, release) { it.cancel() }
            val error = assertThrows(IOException::class.java) { call.execute() }
            release.countDown()
            assertEquals("Canceled", error.message)
            assertEquals(0, api.requests.size)
        }
    }

    @Test
    fun `the time of a call counts while it waits for a token`() {
        val api = gate()
        val release = CountDownLatch(1)
        val call = waiting(client(api) { callTimeout(50, TimeUnit.MILLISECONDS) }, api, release)
        val error = assertThrows(InterruptedIOException::class.java) { call.execute() }
        release.countDown()
        assertEquals("timeout", error.message)
        // And not because the wait for the token was over.
        assertEquals("Canceled", error.cause?.message)
        assertEquals(0, api.requests.size)
    }

    @Test
    fun `a call that is cancelled while its refused token is replaced ends at once`() {
        val api = gate()
        val client = client(api)
        client.send(get(api.url))
        service.revoke()
        val release = CountDownLatch(1)
        val call = waiting(client, api, release) { it.cancel() }
        val error = assertThrows(IOException::class.java) { call.execute() }
        release.countDown()
        assertEquals("Canceled", error.message)
        assertEquals(2, api.requests.size)
    }

    @Test
    fun `nothing shows a token`() {
        val api = gate { Reply.Drop }
        val error = runCatching { client(api).send(post(api.url)) }.exceptionOrNull()
        val token = checkNotNull(api.requests.first().headers["watchword-token"])
        val shown = generateSequence(error) { it.cause }.joinToString { "$it" }
        assertFalse(shown, token in shown)
    }

    /** A body of OkHttp's that can be written again. */
    private open class Body(private val bytes: ByteArray) : RequestBody() {
        override fun contentType(): MediaType? = null

        override fun contentLength(): Long = bytes.size.toLong()

        override fun writeTo(sink: BufferedSink) {
            sink.write(bytes)
        }
    }

    /** A body that is there once, and doesn't know its length. */
    private open class Stream(text: String) : OneShot() {
        private val source = text.byteInputStream()
        var written = 0

        override fun contentType(): MediaType? = null

        override fun writeTo(sink: BufferedSink) {
            written++
            sink.write(source.readBytes())
        }
    }
}
