package dev.watchword.reactnative

import com.facebook.react.bridge.BaseJavaModule
import com.facebook.react.bridge.CxxCallbackImpl
import com.facebook.react.bridge.JavaOnlyMap
import com.facebook.react.bridge.Promise
import com.facebook.react.bridge.ReactApplicationContext
import com.facebook.react.bridge.ReadableMap
import com.facebook.react.bridge.WritableMap
import com.facebook.react.modules.network.CookieJarContainer
import com.facebook.react.modules.network.OkHttpClientProvider
import dev.watchword.Answer
import dev.watchword.Api
import dev.watchword.Attempts
import dev.watchword.Ports
import dev.watchword.Transport
import dev.watchword.Watchword
import dev.watchword.WatchwordConfig
import dev.watchword.WatchwordException
import dev.watchword.phone.FakePhone
import dev.watchword.phone.JvmClock
import dev.watchword.phone.MemoryStore
import dev.watchword.phone.MiniService
import dev.watchword.phone.SoftwareDevice
import dev.watchword.phone.WireServer
import dev.watchword.phone.WireServer.Reply
import okhttp3.Cookie
import okhttp3.CookieJar
import okhttp3.HttpUrl
import okhttp3.MediaType
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody
import okhttp3.RequestBody.Companion.toRequestBody
import okio.BufferedSink
import okio.source
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.io.IOException
import java.io.InputStream
import java.util.concurrent.CompletableFuture
import java.util.concurrent.TimeUnit

/** What JavaScript and React Native's networking meet, over a wire that breaks. */
class WatchwordReactNativeTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val device = SoftwareDevice()
    private val service = MiniService(device)
    private val servers = mutableListOf<WireServer>()
    private val events = mutableListOf<Map<String, Any?>>()
    private lateinit var phone: FakePhone
    private lateinit var module: Module

    /** The module, with JavaScript behind it. */
    private class Module(val context: ReactApplicationContext, heard: MutableList<Map<String, Any?>>) {
        val inner = WatchwordModule(context) { it.run() }
        val emitter = CxxCallbackImpl { said ->
            assertEquals("onError", said[0])
            heard += (said[1] as ReadableMap).toHashMap()
        }

        init {
            // As C++ does once JavaScript has the module.
            val set = BaseJavaModule::class.java.getDeclaredMethod("setEventEmitterCallback", CxxCallbackImpl::class.java)
            set.isAccessible = true
            set.invoke(inner, emitter)
        }
    }

    /** What JavaScript's promise comes to. */
    private class Settled : Promise {
        val value = CompletableFuture<Any?>()

        class Rejection(val code: String, message: String, val userInfo: Map<String, Any?>) : Exception(message)

        override fun resolve(value: Any?) {
            this.value.complete(value)
        }

        override fun reject(code: String, message: String, userInfo: WritableMap) {
            value.completeExceptionally(Rejection(code, message, userInfo.toHashMap()))
        }
    }

    @Before
    fun start() {
        phone = FakePhone(folder.root)
        WatchwordPackage()
        module = Module(object : ReactApplicationContext(phone.context) {}, events)
    }

    @After
    fun close() {
        module.inner.invalidate()
        WatchwordReactNative.use(null)
        WatchwordReactNative.context = null
        OkHttpClientProvider.setOkHttpClientFactory(null)
        servers.forEach { it.close() }
        phone.close()
    }

    private fun server(respond: (WireServer.Request) -> Reply) = WireServer(respond = respond).also { servers += it }

    private fun problem(type: String) = Reply.Of(
        401,
        """{"type":"urn:watchword:problem:$type","title":"no","status":401}""".toByteArray(),
        mapOf("Content-Type" to "application/problem+json"),
    )

    private fun gate(then: (WireServer.Request) -> Reply = { Reply.Of(200, "done".toByteArray()) }) = server { request ->
        service.refusal(request, "session")?.let(::problem) ?: then(request)
    }

    private fun use(api: WireServer): Watchword =
        service.watchword(WatchwordConfig("https://attest.example", "clinic", listOf(Api("api", listOf(api.url)))))
            .also(WatchwordReactNative::use)

    /** React Native's client, as its networking module gets it: made before anything is configured. */
    private fun client(): OkHttpClient = OkHttpClientProvider.createClient(phone.context)

    private fun OkHttpClient.send(url: String, body: RequestBody? = null): Pair<Int, String> {
        val request = Request.Builder().url(url).method(if (body == null) "GET" else "POST", body).build()
        // React Native sets no limit; a body that stays short would be waited for without an end.
        val limited = newBuilder().callTimeout(60, TimeUnit.SECONDS).build()
        return limited.newCall(request).execute().use { it.code to it.body.string() }
    }

    /** A body as React Native makes one of a file: a stream that is empty the second time, and doesn't say so. */
    private fun streamed(stream: InputStream): RequestBody = object : RequestBody() {
        override fun contentType(): MediaType? = null

        override fun contentLength(): Long = stream.available().toLong()

        override fun writeTo(sink: BufferedSink) {
            sink.writeAll(stream.source())
        }
    }

    private fun configuration(vararg more: Pair<String, Any?>): JavaOnlyMap {
        val api = mapOf(
            "audience" to "https://api.example",
            "origins" to listOf("https://api.example", "https://other.example"),
            "device" to listOf("/login"),
            "session" to emptyList<String>(),
            "bearer" to listOf("/free"),
            "otherwise" to "session",
            "dpop" to true,
            "sendUnproved" to true,
        )
        val said = mapOf("service" to "https://attest.example", "app" to "clinic", "apis" to listOf(api), "waitSeconds" to 2.5)
        return JavaOnlyMap.from(said + more)
    }

    private fun rejected(call: (Promise) -> Unit): Settled.Rejection {
        val promise = Settled().also(call)
        val error = assertThrows(java.util.concurrent.ExecutionException::class.java) { promise.value.get(20, TimeUnit.SECONDS) }
        return error.cause as Settled.Rejection
    }

    private fun resolved(call: (Promise) -> Unit): Any? = Settled().also(call).value.get(20, TimeUnit.SECONDS)

    @Test
    fun `a client that was made before anything was configured carries proofs from then on`() {
        val api = gate()
        val client = client()
        assertEquals(401, client.send(api.url + "/patients").first)
        assertNull(api.requests.single().headers["watchword-token"])
        use(api)
        assertEquals(200 to "done", client.send(api.url + "/patients"))
        val other = server { Reply.Of(200) }
        client.send(other.url)
        assertEquals(emptySet<String>(), other.requests.single().headers.keys.filter { "watchword" in it || "signature" in it }.toSet())
    }

    @Test
    fun `the client keeps React Native's cookies, timeouts and cache`() {
        val bare = OkHttpClientProvider.createClientBuilder(phone.context).build()
        val client = client()
        assertEquals(
            listOf(bare.connectTimeoutMillis, bare.readTimeoutMillis, bare.writeTimeoutMillis),
            listOf(client.connectTimeoutMillis, client.readTimeoutMillis, client.writeTimeoutMillis),
        )
        assertEquals(bare.cache?.directory, client.cache?.directory)
        val api = gate()
        use(api)
        (client.cookieJar as CookieJarContainer).setCookieJar(
            object : CookieJar {
                override fun saveFromResponse(url: HttpUrl, cookies: List<Cookie>): Unit = Unit

                override fun loadForRequest(url: HttpUrl): List<Cookie> =
                    listOf(Cookie.Builder().name("session").value("1").domain(url.host).build())
            },
        )
        client.send(api.url)
        assertEquals("session=1", api.requests.last().headers["cookie"])
    }

    @Test
    fun `a client without a context has no cache, and all else`() {
        WatchwordReactNative.context = null
        val api = gate()
        use(api)
        val client = client()
        assertNull(client.cache)
        assertEquals(200, client.send(api.url).first)
    }

    @Test
    fun `a client of the app's own is attached by one call`() {
        val api = gate()
        use(api)
        assertEquals(200, WatchwordReactNative.attach(OkHttpClient.Builder()).build().send(api.url).first)
    }

    @Test
    fun `a body that is a stream arrives whole, and proved`() {
        val api = gate()
        use(api)
        for (size in listOf(0, 5, Attempts.MAX_KEPT_BYTES, Attempts.MAX_KEPT_BYTES + 1, 3_000_000)) {
            val bytes = ByteArray(size) { (it % 251).toByte() }
            assertEquals("$size bytes", 200, client().send(api.url, streamed(bytes.inputStream())).first)
            assertArrayEquals("$size bytes", bytes, api.requests.last().body)
        }
        assertEquals("no file is left", emptyList<String>(), files())
        assertEquals(emptyList<Any>(), events)
    }

    private fun files(): List<String> = phone.cache.list().orEmpty().filter { it.startsWith("watchword") }

    @Test
    fun `a body that is a stream is sent once more where its token was refused`() {
        val api = gate()
        use(api)
        val client = client()
        client.send(api.url)
        service.revoke()
        assertEquals(200, client.send(api.url, streamed("body".byteInputStream())).first)
        assertEquals(listOf("body", "body"), api.requests.takeLast(2).map { String(it.body) })
    }

    @Test
    fun `a body that breaks is never sent, and JavaScript hears why`() {
        val api = gate()
        use(api)
        val broken = object : InputStream() {
            private var left = Attempts.MAX_KEPT_BYTES + 10

            override fun read(): Int = if (left-- > 0) 1 else throw IOException("the file is gone")
        }
        val error = assertThrows(IOException::class.java) { client().send(api.url, streamed(broken)) }
        assertFalse(error is WatchwordException)
        assertEquals(listOf("body-unreadable"), events.map { it["code"] })
        assertEquals(0, api.requests.size)
        assertEquals(emptyList<String>(), files())
    }

    @Test
    fun `a body that breaks in whatever way leaves no file`() {
        val api = gate()
        use(api)
        val broken = object : InputStream() {
            private var left = Attempts.MAX_KEPT_BYTES + 10

            override fun read(): Int = if (left-- > 0) 1 else throw IllegalStateException("closed")
        }
        assertThrows(IllegalStateException::class.java) { client().send(api.url, streamed(broken)) }
        assertEquals(0, api.requests.size)
        assertEquals(emptyList<String>(), files())
    }

    @Test
    fun `a large body needs a directory`() {
        val api = gate()
        use(api)
        WatchwordReactNative.context = null
        assertThrows(IOException::class.java) { client().send(api.url, streamed(ByteArray(2_000_000).inputStream())) }
        assertEquals("body-unreadable", events.single()["code"])
    }

    @Test
    fun `JavaScript hears why a request failed, and nothing secret`() {
        val api = gate { Reply.Drop }
        use(api)
        assertThrows(WatchwordException.OutcomeUnknown::class.java) { client().send(api.url + "/pay?card=42", "42".toRequestBody()) }
        val event = events.single()
        assertEquals("outcome-unknown", event["code"])
        assertEquals("POST" to api.url, event["method"] to event["origin"])
        assertFalse("card" in event.toString())
        assertFalse(checkNotNull(api.requests.last().headers["watchword-token"]) in event.toString())
        service.before = { throw IOException("no network") }
        service.revoke()
        WatchwordReactNative.use(null)
        use(api)
        assertThrows(WatchwordException.Offline::class.java) { client().send(api.url) }
        assertEquals(listOf("outcome-unknown", "service-unavailable"), events.map { it["code"] })
    }

    @Test
    fun `nobody is told after the end, nor before JavaScript listens`() {
        val api = gate { Reply.Drop }
        use(api)
        module.inner.invalidate()
        val early = WatchwordModule(module.context) { it.run() }
        assertThrows(IOException::class.java) { client().send(api.url, "x".toRequestBody()) }
        early.invalidate()
        assertEquals(emptyList<Any>(), events)
    }

    @Test
    fun `what JavaScript says becomes the configuration`() {
        assertEquals("", module.inner.configure(configuration("issuer" to "https://issuer.example", "strongBox" to true)))
        val config = checkNotNull(WatchwordReactNative.watchword).config
        assertEquals(
            listOf("https://attest.example", "clinic", "https://issuer.example"),
            listOf(config.service, config.app, config.issuer),
        )
        assertEquals(2500L, config.waitMillis)
        val api = config.apis.single()
        assertEquals(listOf(true, true), listOf(api.dpop, api.sendUnproved))
        assertEquals(listOf("DEVICE", "BEARER", "SESSION"), listOf("/login", "/free", "/x").map { api.proof.choose("GET", it).name })
        assertNotNull(WatchwordReactNative.watchword?.attempts(dev.watchword.AppRequest("GET", "https://other.example/")))
    }

    @Test
    fun `a reload finds the instance that is there, and can't make another`() {
        assertEquals("", module.inner.configure(configuration()))
        val first = WatchwordReactNative.watchword
        assertEquals("", module.inner.configure(configuration()))
        assertSame(first, WatchwordReactNative.watchword)
        val wrong = module.inner.configure(configuration("app" to "other"))
        assertTrue(wrong, "another configuration" in wrong)
        assertSame(first, WatchwordReactNative.watchword)
    }

    @Test
    fun `what can't be right is said, and changes nothing`() {
        for ((name, value) in listOf(
            "service" to "http://attest.example",
            "apis" to emptyList<Any>(),
            "waitSeconds" to 0.0,
            "pins" to "{}",
        )) {
            assertFalse(name, module.inner.configure(configuration(name to value)).isEmpty())
            assertNull(name, WatchwordReactNative.watchword)
        }
        assertEquals("", module.inner.configure(configuration()))
    }

    @Test
    fun `a debug build may have a test instance or a lab phone`() {
        assertEquals("", module.inner.configure(configuration("testInstance" to "wwt_code")))
        assertFalse("wwt_code" in WatchwordReactNative.watchword.toString())
        WatchwordReactNative.use(null)
        val lab = mapOf("attester" to "http://127.0.0.1:8450", "kind" to "genuine-android", "device" to "ci")
        assertEquals("", module.inner.configure(configuration("lab" to lab)))
        WatchwordReactNative.use(null)
        assertFalse(module.inner.configure(configuration("lab" to lab + ("attester" to "http://evil.example:1"))).isEmpty())
        phone.isDebuggable = false
        val wrong = module.inner.configure(configuration("lab" to lab))
        assertTrue(wrong, "isn't debuggable" in wrong)
    }

    @Test
    fun `before configure everything says so`() {
        assertFalse(module.inner.bind("Bearer x"))
        module.inner.prefetch()
        module.inner.forgetSecret("push")
        for (call in listOf<(Promise) -> Unit>(module.inner::ready, module.inner::enrol, { module.inner.secret("push", it) })) {
            assertEquals("configuration", rejected(call).code)
        }
        assertEquals(mapOf<String, Any?>("isConfigured" to false), (resolved(module.inner::status) as ReadableMap).toHashMap())
    }

    @Test
    fun `ready, enrol and status settle`() {
        val api = gate()
        use(api)
        assertNull(resolved(module.inner::ready))
        assertEquals(
            mapOf<String, Any?>("isConfigured" to true, "level" to "hardware"),
            (resolved(module.inner::status) as ReadableMap).toHashMap(),
        )
        assertNull(resolved(module.inner::enrol))
        assertEquals(2, service.asked.count { it == "/v1/attestations" })
        service.before = { throw IOException("no network") }
        val offline = rejected(module.inner::enrol)
        assertEquals("service-unavailable", offline.code)
        assertEquals(emptyMap<String, Any?>(), offline.userInfo)
    }

    @Test
    fun `a refusal brings its ref, a busy service its pause, a device its end`() {
        val config = WatchwordConfig("https://attest.example", "clinic", "https://api.example")
        fun rejection(status: Int, type: String, headers: Map<String, String> = emptyMap()): Settled.Rejection {
            val transport = object : Transport {
                override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int) = answered()

                override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int) = answered()

                fun answered(): Answer {
                    val problem = """{"type":"urn:watchword:problem:$type","title":"no","status":$status,"ref":"r-1"}"""
                    return Answer(status, mapOf("content-type" to "application/problem+json") + headers, problem.toByteArray())
                }
            }
            val ports = Ports(SoftwareDevice(), MemoryStore(), JvmClock, transport, sleep = {}, jitter = { 0.5 })
            WatchwordReactNative.use(Watchword(config, ports))
            return rejected(module.inner::ready)
        }
        val refused = rejection(403, "evidence-refused")
        assertEquals("evidence-refused" to mapOf<String, Any?>("ref" to "r-1", "isFinal" to true), refused.code to refused.userInfo)
        val other = rejection(400, "request-malformed")
        assertEquals("service-refused" to mapOf<String, Any?>("ref" to "r-1"), other.code to other.userInfo)
        val busy = rejection(503, "overloaded", mapOf("retry-after" to "90"))
        assertEquals("service-unavailable" to mapOf<String, Any?>("retryAfter" to 90.0), busy.code to busy.userInfo)
    }

    @Test
    fun `a user is bound at once`() {
        val api = gate()
        val watchword = use(api)
        assertNull(resolved(module.inner::ready))
        val before = watchword.token("api")
        assertTrue(module.inner.bind("Bearer x"))
        assertNotEquals(before, watchword.token("api"))
        assertTrue(module.inner.bind(null))
    }

    @Test
    fun `a secret's name can be wrong, and its service away`() {
        use(gate())
        val wrong = rejected { module.inner.secret("No Name", it) }
        assertEquals("configuration" to true, wrong.code to ("No Name" in wrong.message.orEmpty()))
        assertEquals("service-unavailable", rejected { module.inner.secret("push", it) }.code)
    }

    @Test
    fun `the package has the module, made before JavaScript runs`() {
        val made = WatchwordPackage()
        assertTrue(made.getModule("Watchword", module.context) is WatchwordModule)
        assertNull(made.getModule("Other", module.context))
        val info = made.reactModuleInfoProvider.reactModuleInfos.getValue("Watchword")
        assertEquals(listOf("Watchword", true, true), listOf(info.name(), info.needsEagerInit(), info.isTurboModule))
    }
}
