package dev.watchword

import dev.watchword.internal.Base64Url
import dev.watchword.internal.Delivery
import dev.watchword.internal.Exchange
import dev.watchword.internal.P256
import dev.watchword.internal.Refusals
import dev.watchword.internal.Remembered
import dev.watchword.internal.Secrets
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.IOException
import java.io.PrintWriter
import java.io.StringWriter
import java.net.SocketException
import java.util.concurrent.CompletableFuture
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executor
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.coroutines.Continuation
import kotlin.coroutines.EmptyCoroutineContext
import kotlin.coroutines.startCoroutine

/** Shows what no scenario can: threads, waiting, the stored session, leaks, and libraries that repeat by themselves. */
class WatchwordTest {
    private val service = "https://attest.example"
    private val api = "https://api.example"
    private val clock = SimulatedClock(1_800_000_000.0, 0.0, 1000.0, "boot-1")
    private val phone = SimulatedPhone(isStated = false, canOpen = true)
    private val store = MemoryStore()
    private val asked = AtomicInteger()

    /** Plays a service that gives tokens; what it does beside that is [before]. */
    private fun service(life: Int = 300, before: (String) -> Unit = {}): Transport {
        val config = JSONObject().put(
            "service",
            service,
        ).put("issuer", service).put("app", "clinic").put("audiences", JSONArray(listOf(api)))
        return object : Transport {
            override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer {
                before(url)
                val number = asked.incrementAndGet()
                val session = JSONObject().put("instance", "i1").put("tokens", "t$number").put("life", life)
                val secret = JSONObject().put("name", "push").put("value", "s3cret").put("life", 3600)
                val challenge = JSONObject().put("challenge", "c").put("expires_in", 300).put("protocol", "1.1")
                val answer = JSONObject().put("status", 200)
                when {
                    url.endsWith("challenges") -> answer.put("json", challenge)
                    url.endsWith("secrets") -> answer.put("secret", secret)
                    else -> answer.put("session", session)
                }
                val expect = JSONObject().put("to", "service").put("method", "POST").put("path", url.removePrefix(service))
                val world = ScriptedWorld(config, clock, phone) {}
                world.begin(JSONArray().put(JSONObject().put("expect", expect).put("answer", answer)))
                return world.post(url, headers, body, timeoutMillis)
            }

            override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int): Answer = throw IOException("away")
        }
    }

    private fun watchword(
        transport: Transport = service(),
        worker: Executor? = Executor(Runnable::run),
        waitMillis: Long = 600_000,
        mayBlock: () -> Boolean = { true },
        sendUnproved: Boolean = false,
        store: Store = this.store,
    ): Watchword {
        val config = WatchwordConfig(service, "clinic", listOf(Api(api, sendUnproved = sendUnproved)), waitMillis = waitMillis)
        val ports = Ports(phone, store, clock, transport, worker = worker, sleep = {}, jitter = { 0.5 }, mayBlock = mayBlock)
        return Watchword(config, ports)
    }

    private fun header(name: String): String? = null

    @Test
    fun aCallWaitsForAWhileAndTheWorkGoesOn() {
        val gate = CountDownLatch(1)
        val watchword = watchword(service { gate.await() }, worker = null, waitMillis = 50)
        val error = assertThrows(WatchwordException.Offline::class.java) { watchword.token(api) }
        assertEquals("service-unavailable", error.code)
        gate.countDown()
        val done = CompletableFuture<WatchwordException?>()
        watchword.prefetch { done.complete(it) }
        assertNull(done.get(10, TimeUnit.MINUTES))
        // The work of the call that gave up is what everybody got.
        assertEquals(2, asked.get())
        assertEquals("t2", ScriptedWorld.nameOf(watchword(worker = null).also { it.prefetch() }.token(api)))
    }

    @Test
    fun aSecondEnrolmentByHandWaitsForTheFirst() {
        val gate = CountDownLatch(1)
        val watchword = watchword(service { gate.await() }, worker = null, waitMillis = 50)
        repeat(2) { assertThrows(WatchwordException.Offline::class.java) { watchword.enrol() } }
        gate.countDown()
        val done = CompletableFuture<WatchwordException?>()
        watchword.prefetch { done.complete(it) }
        assertNull(done.get(10, TimeUnit.MINUTES))
        assertEquals(2, asked.get())
        val patient = watchword(worker = null)
        repeat(2) { patient.enrol() }
        assertEquals(6, asked.get())
    }

    @Test
    fun aSignedRefusalHas2048CharactersAtMost() {
        val binding = ByteArray(32)
        phone.createKeys()
        phone.attest(binding)
        val key = phone.proofKey
        val payload = """{"v":1,"iss":"$service","app":"clinic","binding":"${Base64Url.encode(
            binding,
        )}","type":"instance-refused","now":1}"""

        fun signed(kid: String): String {
            val header = """{"alg":"ES256","kid":"$kid","typ":"watchword-refusal+jwt"}"""
            val input = listOf(header, payload).joinToString(".") { Base64Url.encode(it.toByteArray()) }
            return "$input.${Base64Url.encode(P256.fixedSignature(phone.sign(input.toByteArray())))}"
        }

        fun isTaken(kid: String): Boolean {
            val jwks = """{"keys":[{"kty":"EC","crv":"P-256","x":"${key.x}","y":"${key.y}","kid":"$kid"}]}""".toByteArray()
            val transport = object : Transport {
                override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int) =
                    throw AssertionError("nothing is posted")

                override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int) =
                    Answer(200, mapOf("content-type" to "application/json"), jwks)
            }
            val refusals = Refusals(Exchange(service, Ports(phone, store, clock, transport)) {}, service, "clinic")
            return refusals.verifies(signed(kid), binding, "instance-refused")
        }
        val (taken, others) = (1000..1500).map("k"::repeat).partition { signed(it).length <= 2048 }
        assertTrue(isTaken(taken.last()))
        assertFalse(isTaken(others.first()))
    }

    @Test
    fun noRenewalIsWaitedForWhileATokenIsValid() {
        val gate = CountDownLatch(1)
        val isSlow = CountDownLatch(1)
        val watchword = watchword(service { if (isSlow.count == 0L) gate.await() }, worker = null)
        assertEquals("t2", ScriptedWorld.nameOf(watchword.token(api)))
        clock.advance(250.0)
        isSlow.countDown()
        repeat(100) { assertEquals("t2", ScriptedWorld.nameOf(watchword.token(api))) }
        assertEquals(2, asked.get())
        gate.countDown()
        while (ScriptedWorld.nameOf(watchword.token(api)) == "t2") Thread.yield()
        assertEquals(4, asked.get())
    }

    @Test
    fun fiftyCallersOfAThreadOfItsOwn() {
        val watchword = watchword(worker = null)
        val tokens = java.util.Collections.synchronizedSet(HashSet<String>())
        val threads = List(50) { Thread { tokens += watchword.token(api) }.apply { start() } }
        threads.forEach(Thread::join)
        assertEquals(1, tokens.size)
        assertEquals(2, asked.get())
    }

    @Test
    fun onlyFinalRefusalsAreHeldOn() {
        val problem = JSONObject().put("slug", "level-insufficient").put("signed", "good")
        val challenge = JSONObject().put("challenge", "c").put("expires_in", 300)
        val exchanges =
            listOf(
                "/v1/challenges" to JSONObject().put("status", 200).put("json", challenge),
                "/v1/attestations" to JSONObject().put("status", 403).put("problem", problem),
            ).map { (path, answer) ->
                val expect = JSONObject().put("to", "service").put("method", "POST").put("path", path)
                JSONObject().put("expect", expect).put("answer", answer)
            }
        val step = JSONObject().put("call", "token").put("error", "service-refused").put("exchanges", JSONArray(exchanges))
        Scenario(JSONObject().put("steps", JSONArray(listOf(step, step)))).run()
    }

    @Test
    fun aNextChallengeAndWhatTheServiceSaysOfIt() {
        val post = "\"to\":\"service\",\"method\":\"POST\",\"path\":"
        val new = "\"answer\":{\"status\":200,\"json\":{\"challenge\":\"c\",\"expires_in\":300,\"protocol\":\"1.1\"}}"
        val old = "\"answer\":{\"status\":200,\"json\":{\"challenge\":\"c\",\"expires_in\":300}}"
        val session = "\"session\":{\"instance\":\"i1\",\"tokens\":\"t0\",\"life\":300,\"next\":{\"challenge\":\"n1\",\"expires_in\":300}}"
        val enrol =
            "{\"call\":\"enrol\",\"result\":{},\"exchanges\":[{\"expect\":{$post\"/v1/challenges\"},$new}," +
                "{\"expect\":{$post\"/v1/attestations\"},\"answer\":{\"status\":201,$session}}]}"

        fun refused(path: String, slug: String): String {
            val answer = "\"answer\":{\"status\":403,\"problem\":{\"slug\":\"$slug\"}}"
            return "{\"expect\":{$post\"$path\"},$answer}"
        }
        // A final refusal is one, whichever challenge it is of.
        val final = "{\"call\":\"renew\",\"error\":\"instance-refused\",\"exchanges\":[${refused("/v1/tokens", "instance-refused")}]}"
        Scenario(JSONObject("{\"steps\":[$enrol,$final]}")).run()
        // A service that no longer speaks 1.1 is sent none.
        val secret =
            "{\"call\":\"secret\",\"name\":\"push\",\"error\":\"secret-refused\",\"exchanges\":[" +
                "{\"expect\":{$post\"/v1/challenges\"},$old},${refused("/v1/secrets", "secret-refused")}]}"
        val renew =
            "{\"call\":\"renew\",\"result\":{},\"exchanges\":[{\"expect\":{$post\"/v1/challenges\"},$old}," +
                "{\"expect\":{$post\"/v1/tokens\"},\"answer\":{\"status\":200,$session}}]}"
        Scenario(JSONObject("{\"steps\":[$enrol,$secret,$renew]}")).run()
    }

    @Test
    fun whatAGateSaidEndsWhereTheServiceSaysOtherwise() {
        fun exchange(expect: String, answer: String) = "{\"expect\":{$expect},\"answer\":{$answer}}"

        fun step(call: String, vararg exchanges: String) = "{$call,\"exchanges\":[${exchanges.joinToString(",")}]}"
        val post = "\"to\":\"service\",\"method\":\"POST\",\"path\":"
        val challenge = exchange("$post\"/v1/challenges\"", "\"status\":200,\"json\":{\"challenge\":\"c\",\"expires_in\":300}")
        val session = "\"session\":{\"instance\":\"i1\",\"tokens\":\"t0\",\"life\":300}"
        val get = "\"to\":\"api\",\"method\":\"GET\",\"path\":\"/x\",\"token\":\"t0\",\"proof\":\"session\""
        val refused = "\"status\":401,\"problem\":{\"slug\":\"proof-refused\"},\"date_ahead\":1000"
        val request = "\"call\":\"request\",\"method\":\"GET\",\"path\":\"/x\",\"result\":{\"status\":200}"
        val steps =
            listOf(
                step("\"call\":\"enrol\"", challenge, exchange("$post\"/v1/attestations\"", "\"status\":201,$session")),
                step(request, exchange(get, refused), exchange("$get,\"created_ahead\":1000", "\"status\":200")),
                step("\"call\":\"renew\"", challenge, exchange("$post\"/v1/tokens\"", "\"status\":200,$session,\"now_ahead\":0")),
                step(request, exchange(get, "\"status\":200")),
            )
        Scenario(JSONObject("{\"steps\":[${steps.joinToString(",")}]}")).run()
    }

    @Test
    fun aDeviceThatNamesAPauseIsAskedOnce() {
        val script = java.util.ArrayDeque(listOf("TRANSIENT 30", "TRANSIENT 30"))
        phone.script["attest"] = script
        val watchword = watchword()
        val error = assertThrows(WatchwordException.DeviceFailed::class.java) { watchword.token(api) }
        assertEquals(30.0, error.retryAfter)
        clock.advance(32.0)
        assertThrows(WatchwordException.DeviceFailed::class.java) { watchword.token(api) }
        assertEquals(1, script.size)
        clock.advance(1.0)
        script.clear()
        watchword.token(api)
    }

    @Test
    fun aDeviceThatFailsASecretIsNotHeldBack() {
        val watchword = watchword()
        watchword.token(api)
        phone.script["renew"] = java.util.ArrayDeque(listOf("FAULT"))
        assertThrows(WatchwordException.DeviceFailed::class.java) { watchword.secret("push") }
        clock.advance(300.0)
        watchword.token(api)
    }

    @Test
    fun theMainThreadNeverWaits() {
        val watchword = watchword(mayBlock = { false })
        assertThrows(IllegalStateException::class.java) { watchword.token(api) }
        assertThrows(IllegalStateException::class.java) { watchword.enrol() }
        assertThrows(IllegalStateException::class.java) { watchword.secret("push") }
        assertThrows(IllegalStateException::class.java) { watchword.attempts(AppRequest("GET", "$api/"))?.prepare() }
        assertEquals(0, asked.get())
        watchword.prefetch()
        // Also where a token is held: what fails sometimes is found by nobody.
        assertThrows(IllegalStateException::class.java) { watchword.token(api) }
    }

    @Test
    fun suspendingAndCallbacks() {
        val outcome = CompletableFuture<Result<Unit>>()
        val ready: suspend () -> Unit = { watchword(worker = null).ready() }
        ready.startCoroutine(Continuation(EmptyCoroutineContext) { outcome.complete(it) })
        assertTrue(outcome.get(10, TimeUnit.MINUTES).isSuccess)
        phone.script["create_keys"] = java.util.ArrayDeque(listOf("UNSUPPORTED"))
        store.clear()
        val failed = CompletableFuture<Result<Unit>>()
        val fails: suspend () -> Unit = { watchword(worker = null).ready() }
        fails.startCoroutine(Continuation(EmptyCoroutineContext) { failed.complete(it) })
        assertTrue(failed.get(10, TimeUnit.MINUTES).exceptionOrNull() is WatchwordException.DeviceUnsupported)
    }

    @Test
    fun aCallbackMayWait() {
        val watchword = watchword(worker = null, waitMillis = 20_000)
        val token = CompletableFuture<String>()
        watchword.prefetch {
            clock.advance(400.0)
            token.complete(runCatching { ScriptedWorld.nameOf(watchword.token(api)) }.getOrElse { it.toString() })
        }
        assertEquals("t4", token.get(10, TimeUnit.MINUTES))
    }

    @Test
    fun everyVersionOfTheStoredSessionIsRead() {
        val first =
            """{"v":1,"speaks":true,"ahead":{"seconds":1.799999E9,"boot_id":"boot-1"},"session":{"instance":"i1","level":"hardware",""" +
                """"bnd":null,"boot_id":"boot-1","asks_device":false,"next":{"challenge":"n1","expires_at":1300.0},"tokens":""" +
                """{"https://api.example":{"token":"a.e30.b","expires_at":1300.0,"renew_at":1210.0,"session_key":null}}},""" +
                """"refusal":{"type":"evidence-refused","status":403,"title":"No","ref":"R","until":900.0,"boot_id":"boot-1"}}"""
        store.document = first.toByteArray()
        val watchword = watchword()
        assertEquals("a.e30.b", watchword.token(api))
        assertEquals("hardware", watchword.level)
        assertEquals(0, asked.get())
        // What is written now reads as what was read.
        assertEquals(first, String(Remembered.read(first.toByteArray()).write()))
        val waiting = first.dropLast(1) + ""","place":"p0"}"""
        assertEquals(waiting, String(Remembered.read(waiting.toByteArray()).write()))
        clock.advance(400.0)
        phone.createKeys()
        phone.attest(ByteArray(32))
        watchword.token(api)
        assertTrue(String(checkNotNull(store.document)).endsWith("\"refusal\":null}"))
    }

    @Test
    fun storedSessionsThatCannotBeReadAreNone() {
        watchword().token(api)
        val good = String(checkNotNull(store.document))
        val key = Regex("\"session_key\":\"([^\"]+)\"").find(good)!!.groupValues[1]
        val wrong =
            listOf(
                "",
                "{}",
                good.replace("\"v\":1", "\"v\":2"),
                good.dropLast(1),
                good.replace("\"instance\":\"i1\"", "\"instance\":7"),
                // 30 bytes, in the one form that they have.
                good.replace(key, key.take(40)),
                good.replace("\"expires_at\"", "\"expires\""),
                good.replace("{\"https", "[{\"https"),
            )
        for (each in wrong) {
            val before = asked.get()
            store.document = each.toByteArray()
            watchword().token(api)
            assertEquals(each, before + 2, asked.get())
        }
    }

    @Test
    fun aStoreThatFailsLosesNothingElse() {
        val broken =
            object : Store {
                override fun read(): ByteArray? = throw IOException("no")

                override fun write(data: ByteArray) = throw IllegalStateException("no")

                override fun clear() = throw IOException("no")
            }
        val watchword = watchword(store = broken)
        assertEquals(watchword.token(api), watchword.token(api))
        assertEquals(2, asked.get())
    }

    @Test
    fun aCallOfTheMainThreadLosesNoSession() {
        val token = watchword().token(api)
        var isMain = true
        val unready =
            object : Store by store {
                // As the Android adapter, which asks the Keystore.
                override fun read(): ByteArray? = if (isMain) throw IllegalStateException("on the main thread") else store.read()
            }
        val watchword = watchword(mayBlock = { !isMain }, store = unready)
        assertThrows(IllegalStateException::class.java) { watchword.token(api) }
        assertThrows(IllegalStateException::class.java) { watchword.attempts(AppRequest("GET", "$api/"))?.prepare() }
        isMain = false
        assertEquals(token, watchword.token(api))
        assertEquals(2, asked.get())
    }

    @Test
    fun aStoreThatIsStillLockedIsReadLater() {
        val token = watchword().token(api)
        var isLocked = true
        val locked =
            object : Store by store {
                override fun read(): ByteArray? =
                    if (isLocked) throw DeviceException(DeviceException.Kind.LOCKED, "not unlocked yet") else store.read()
            }
        val watchword = watchword(store = locked)
        val calls = listOf<() -> Unit>({ watchword.token(api) }, { watchword.enrol() }, { watchword.secret("push") })
        for (call in calls) {
            val error = assertThrows(WatchwordException.DeviceFailed::class.java) { call() }
            assertEquals(DeviceException.Kind.LOCKED, error.kind)
        }
        assertNull(watchword.level)
        assertEquals(2, asked.get())
        isLocked = false
        assertEquals(token, watchword.token(api))
        assertEquals(2, asked.get())
    }

    @Test
    fun aStoredRefusalCountsForAnHourAtMost() {
        for ((left, isHeld) in listOf(3600.0 to true, 3600.5 to false, 1e9 to false, 0.5 to true, 0.0 to false)) {
            val until = clock.boot() + left
            store.document =
                """{"v":1,"speaks":true,"ahead":null,"session":null,"refusal":{"type":"evidence-refused","status":403,"title":"No","ref":"R","until":$until,"boot_id":"boot-1"}}"""
                    .toByteArray()
            val outcome = runCatching { watchword().token(api) }
            assertEquals("$left s", isHeld, outcome.exceptionOrNull() is WatchwordException.Refused)
            assertEquals("$left s", !isHeld, outcome.isSuccess)
        }
    }

    @Test
    fun anExecutorThatRefusesIsAskedAgain() {
        val refusals = AtomicInteger(1)
        val worker = Executor { work -> if (refusals.getAndDecrement() > 0) throw RejectedExecutionException("full") else work.run() }
        val watchword = watchword(worker = worker, waitMillis = 50)
        val error = assertThrows(WatchwordException.DeviceFailed::class.java) { watchword.token(api) }
        assertEquals(DeviceException.Kind.TRANSIENT, error.kind)
        val token = watchword.token(api)
        clock.advance(250.0)
        refusals.set(1)
        // What was to be done early is done later: the token works still.
        assertEquals(token, watchword.token(api))
        assertFalse(token == watchword.also { it.token(api) }.token(api))
    }

    @Test
    fun withoutAThreadAPrefetchFailsAndThrowsNothing() {
        val watchword = watchword(worker = Executor { throw RejectedExecutionException("full") })
        var told: WatchwordException? = null
        watchword.prefetch { told = it }
        assertEquals(DeviceException.Kind.TRANSIENT, (told as WatchwordException.DeviceFailed).kind)
    }

    @Test
    fun pinsAreFetchedOnceThereIsAThread() {
        val documents = JSONObject(java.io.File(System.getProperty("watchword.root"), "docs/protocol-vectors.json").readText())
            .getJSONObject("pins").getJSONObject("documents")
        val fetches = AtomicInteger()
        val nowhere = object : Transport {
            override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int): Answer {
                fetches.incrementAndGet()
                throw IOException("away")
            }

            override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer =
                throw IOException("away")
        }
        val refusals = AtomicInteger(1)
        val worker = Executor { work -> if (refusals.getAndDecrement() > 0) throw RejectedExecutionException("full") else work.run() }
        val file = documents.getString("builtin").toByteArray()
        val ports =
            Ports(phone, store, clock, service(), sleep = {}, jitter = { 0.5 }, pins = PinPorts(transport = nowhere, worker = worker))
        val app = JSONObject(String(file)).getString("app")
        val pins = checkNotNull(Watchword(WatchwordConfig(service, app, listOf(Api(api)), pins = file), ports).pins)
        pins.refresh()
        assertEquals(0, fetches.get())
        pins.refresh()
        assertEquals(1, fetches.get())
    }

    @Test
    fun aTokenThatNoHeaderHoldsIsNotTheServices() {
        val honest = service()
        for (wrong in listOf("a b", "a\r\nb", "\u00e9", "\u007f")) {
            val changing = object : Transport by honest {
                override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer {
                    val answer = honest.post(url, headers, body, timeoutMillis)
                    if (!url.endsWith("attestations")) return answer
                    val document = JSONObject(String(answer.body))
                    document.getJSONArray("tokens").getJSONObject(0).put("token", wrong).remove("session_key")
                    return Answer(answer.status, answer.headers, document.toString().toByteArray())
                }
            }
            val error = assertThrows(WatchwordException.Offline::class.java) { watchword(changing).token(api) }
            assertEquals("unreadable-answer", error.code)
            assertFalse(checkNotNull(error.message).contains(wrong))
        }
    }

    @Test
    fun keysAreForgottenBeforeNewOnesAreMade() {
        watchword().token(api)
        phone.script["create_keys"] = java.util.ArrayDeque(listOf("dies"))
        assertThrows(Death::class.java) { watchword().enrol() }
        // Else the next start would renew with keys that are gone, and be refused for good.
        assertTrue(String(checkNotNull(store.document)).contains("\"session\":null"))
    }

    @Test
    fun keysThatCannotBeMadeLeaveTheInstance() {
        val watchword = watchword()
        val token = watchword.token(api)
        phone.script["create_keys"] = java.util.ArrayDeque(listOf("LOCKED"))
        assertThrows(WatchwordException.DeviceFailed::class.java) { watchword.enrol() }
        assertEquals(token, watchword.token(api))
        assertEquals(token, watchword().token(api))
    }

    @Test
    fun nothingSaysATokenOrAKey() {
        val watchword = watchword()
        val token = watchword.token(api)
        val key = Regex("\"session_key\":\"([^\"]+)\"").find(String(checkNotNull(store.document)))!!.groupValues[1]
        val attempts = checkNotNull(watchword.attempts(AppRequest("GET", "$api/x?secret=1"))).apply { prepare() }
        val headers = attempts.sign(WireRequest("GET", "$api/x?secret=1"))
        val secret = watchword.secret("push")
        clock.advance(400.0)
        phone.script["renew"] = java.util.ArrayDeque(List(8) { "TRANSIENT" })
        val errors = ArrayList<Throwable>()
        try {
            watchword.token(api)
        } catch (error: WatchwordException) {
            errors += error
        }
        attempts.answered(200, ::header)
        errors +=
            assertThrows(SocketException::class.java) {
                repeat(4) { attempts.apply { sign(WireRequest("GET", api)) }.lost(SocketException("x")) }
            }
        val told =
            listOf(watchword, attempts, headers, secret, watchword.config, watchword.config.apis.single()).joinToString { it.toString() } +
                errors.joinToString { error -> StringWriter().also { error.printStackTrace(PrintWriter(it)) }.toString() }
        assertEquals(2, errors.size)
        for (each in listOf(token, token.split('.')[2], key, "s3cret", "secret=1")) assertFalse(each, told.contains(each))
    }

    @Test
    fun theVersionOfThePinsIsHeard() {
        for ((told, heard) in listOf<Pair<Any, Long?>>(12 to 12, 0 to null, -1 to null, "12" to null, 1.5 to null, (1L shl 53) to null)) {
            val inner = service()
            val transport =
                object : Transport by inner {
                    override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer {
                        val answer = inner.post(url, headers, body, timeoutMillis)
                        return Answer(
                            answer.status,
                            answer.headers,
                            JSONObject(String(answer.body)).put("pins", told).toString().toByteArray(),
                        )
                    }
                }
            val pins = ArrayList<Long>()
            val config = WatchwordConfig(service, "clinic", api)
            val ports = Ports(phone, MemoryStore(), clock, transport, worker = Executor(Runnable::run), hearPins = { pins += it })
            Watchword(config, ports).token(api)
            assertEquals(listOfNotNull(heard), pins)
        }
    }

    @Test
    fun anAnswerThatIsNotCalledJsonIsNotRead() {
        val inner = service()
        for (type in listOf("text/html", "", "application/problem+json")) {
            val transport =
                object : Transport by inner {
                    override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer =
                        inner.post(url, headers, body, timeoutMillis).let { Answer(it.status, mapOf("content-type" to type), it.body) }
                }
            val error = assertThrows(WatchwordException.Offline::class.java) { watchword(transport).token(api) }
            assertEquals("unreadable-answer", error.code)
        }
    }

    @Test
    fun whatIsLetGoIsOverwritten() {
        val values = ArrayList<ByteArray>()
        val ports = Ports(phone, store, clock, service())
        val secrets =
            Secrets(ports) { _, _ ->
                val value = "s3cret".toByteArray().also { values += it }
                Delivery(value, clock.boot() + 3600, clock.boot() + 2520)
            }
        secrets.refresh("push")
        assertNull(secrets.copy("other"))
        clock.advance(2520.0)
        secrets.refreshEarly("push")
        assertArrayEquals(ByteArray(6), values[0])
        secrets.forget("push")
        assertArrayEquals(ByteArray(6), values[1])
        secrets.refresh("push")
        val copy = checkNotNull(secrets.copy("push"))
        clock.advance(3600.0)
        assertNull(secrets.copy("push"))
        assertArrayEquals(ByteArray(6), values[2])
        assertEquals("s3cret", copy.text())
    }

    @Test
    fun aSecretThatAnothersWorkBroughtIsNotFetchedAgain() {
        val fetches = AtomicInteger()
        val secrets =
            Secrets(Ports(phone, store, clock, service())) { _, _ ->
                fetches.incrementAndGet()
                Delivery("s3cret".toByteArray(), clock.boot() + 1000, clock.boot() + 700)
            }
        // Both callers looked before anything was held, and each has begun work of its own.
        repeat(2) { secrets.refresh("push") }
        assertEquals(1, fetches.get())
        clock.advance(1000.0)
        // Its time is over, though nobody took it away yet.
        secrets.refresh("push")
        assertEquals(2, fetches.get())
    }

    @Test
    fun whatIsForgottenWhileItIsFetchedAgainDoesNotComeBack() {
        val values = ArrayList<ByteArray>()
        lateinit var secrets: Secrets
        secrets =
            Secrets(Ports(phone, store, clock, service())) { name, attempts ->
                // The app says so while the early fetch, which is made once, is on its way.
                if (attempts == 1) secrets.forget(name)
                Delivery("s3cret".toByteArray().also { values += it }, clock.boot() + 1000, clock.boot() + 700)
            }
        secrets.refresh("push")
        clock.advance(700.0)
        secrets.refreshEarly("push")
        assertNull(secrets.copy("push"))
        values.forEach { assertArrayEquals(ByteArray(6), it) }
        assertEquals(2, values.size)
    }

    @Test
    fun aHeldSecretThatIsRefusedIsForgotten() {
        val value = "s3cret".toByteArray()
        var type: String? = null
        val secrets =
            Secrets(Ports(phone, store, clock, service())) { _, _ ->
                type?.let { throw WatchwordException.Refused(it, 403, "No", null, emptyList()) }
                Delivery(value, clock.boot() + 1000, clock.boot() + 700)
            }
        secrets.refresh("push")
        clock.advance(700.0)
        type = "rate-limited"
        secrets.refreshEarly("push")
        assertEquals("s3cret", secrets.copy("push")?.text())
        clock.advance(60.0)
        type = "secret-refused"
        secrets.refreshEarly("push")
        assertNull(secrets.copy("push"))
        assertArrayEquals(ByteArray(6), value)
    }

    @Test
    fun anEarlyFetchThatFailsIsPutOff() {
        val fetches = AtomicInteger()
        val secrets =
            Secrets(Ports(phone, store, clock, service())) { _, _ ->
                if (fetches.incrementAndGet() > 1) throw WatchwordException.Offline("service-unavailable", "away")
                Delivery("s3cret".toByteArray(), clock.boot() + 1000, clock.boot() + 700)
            }
        secrets.refresh("push")
        clock.advance(700.0)
        repeat(2) { secrets.refreshEarly("push") }
        assertEquals(2, fetches.get())
        clock.advance(59.0)
        assertFalse(secrets.isDue("push"))
        clock.advance(1.0)
        assertTrue(secrets.isDue("push"))
    }

    @Test
    fun aDefectInAnEarlyRenewalIsNotTheNextCallersError() {
        val work = java.util.concurrent.LinkedBlockingQueue<Runnable>()
        var breaks: (() -> Unit)? = null
        val transport = service {
            breaks?.let { meanwhile ->
                breaks = null
                meanwhile()
                throw IllegalStateException("a defect of the app's transport")
            }
        }
        val watchword = watchword(transport, work::add)

        fun inTheBackground(call: () -> Unit): CompletableFuture<Unit> {
            val done = CompletableFuture<Unit>()
            val caller = Thread { runCatching(call).fold({ done.complete(Unit) }, done::completeExceptionally) }.apply { start() }
            // Now it waits for what is under way.
            while (!done.isDone && caller.state != Thread.State.TIMED_WAITING) Thread.yield()
            return done
        }
        val first = inTheBackground { watchword.token(api) }
        work.take().run()
        first.get(10, TimeUnit.MINUTES)
        clock.advance(250.0)
        watchword.token(api)
        val second = CompletableFuture<CompletableFuture<Unit>>()
        breaks = {
            // While the early renewal is under way the token ends, and somebody needs one.
            clock.advance(50.0)
            second.complete(inTheBackground { watchword.token(api) })
        }
        work.take().run()
        while (!second.get().isDone) work.poll(10, TimeUnit.MILLISECONDS)?.run()
        second.get().get()
        assertEquals(0, work.size)
    }

    @Test
    fun aSecretWhoseServiceIsAwayEndsInTime() {
        val value = "s3cret".toByteArray()
        val isAway = AtomicInteger()
        val secrets =
            Secrets(Ports(phone, store, clock, service())) { _, _ ->
                if (isAway.getAndIncrement() > 0) throw WatchwordException.Offline("service-unavailable", "away")
                Delivery(value, clock.boot() + 0.2, clock.boot())
            }
        secrets.refresh("push")
        secrets.refreshEarly("push")
        assertEquals(2, isAway.get())
        // Nobody asks for it any more; the clock of the test stands still.
        val end = System.nanoTime() + TimeUnit.MINUTES.toNanos(1)
        while (value.any { it != 0.toByte() } && System.nanoTime() < end) Thread.sleep(10)
        assertArrayEquals(ByteArray(6), value)
    }

    @Test
    fun secretsAreOverwritten() {
        val watchword = watchword()
        val kept: ByteArray
        watchword.secret("push").use { secret ->
            kept = secret.bytes()
            assertEquals("s3cret", secret.text())
        }
        assertArrayEquals(ByteArray(6), kept)
        val other = watchword.secret("push")
        watchword.forgetSecret("push")
        // A copy is the app's.
        assertEquals("s3cret", other.text())
        val before = asked.get()
        watchword.secret("push").close()
        assertEquals(before + 2, asked.get())
        assertThrows(IllegalArgumentException::class.java) { watchword.secret("Push") }
    }

    @Test
    fun aTokenOfAnotherStartOfTheDeviceIsNotSent() {
        val watchword = watchword()
        val token = watchword.token(api)
        clock.boot(10.0, "boot-2")
        assertFalse(token == watchword.token(api))
    }

    @Test
    fun requestsToOtherHostsAreNotOurs() {
        val watchword = watchword()
        for (url in listOf(
            "https://other.example/",
            "http://api.example/",
            "https://api.example:444/",
            "https://api.example.evil/",
            "nonsense",
        )) {
            assertNull(url, watchword.attempts(AppRequest("GET", url)))
        }
        assertThrows(IllegalArgumentException::class.java) { watchword.token("https://other.example") }
        assertEquals(0, asked.get())
    }

    @Test
    fun aRedirectAwayEndsItForGood() {
        val attempts = begun("GET")
        assertTrue(attempts.sign(WireRequest("GET", "$api/x")).set.containsKey("Watchword-Token"))
        attempts.answered(302, ::header)
        for (url in listOf("https://elsewhere.example/", "http://api.example/x", "$api/x")) {
            val headers = attempts.sign(WireRequest("GET", url))
            assertEquals(emptyMap<String, String>(), headers.set)
            assertTrue(headers.remove.containsAll(listOf("Watchword-Token", "Watchword-Status")))
            attempts.answered(302, ::header)
        }
        val problem = "{\"type\":\"urn:watchword:problem:token-refused\"}".toByteArray()
        assertEquals(Verdict.DELIVER, attempts.judge(401, { "application/problem+json" }, { problem }))
        assertEquals(2, asked.get())
    }

    @Test
    fun aLibraryRepeatsNoPost() {
        val attempts = begun("POST")
        val first = attempts.sign(WireRequest("POST", "$api/x")).set
        assertThrows(WatchwordException.OutcomeUnknown::class.java) { attempts.sign(WireRequest("POST", "$api/x")) }
        // A redirect that makes a GET of it may be repeated; what it began as may not.
        val other = begun("POST").apply { sign(WireRequest("POST", "$api/x")) }
        other.answered(303, ::header)
        val second = other.sign(WireRequest("GET", "$api/y")).set
        assertTrue(other.sign(WireRequest("GET", "$api/y")).set != second)
        assertThrows(WatchwordException.OutcomeUnknown::class.java) { other.lost(SocketException("reset")) }
        assertTrue(first.getValue("Signature-Input") != second.getValue("Signature-Input"))
    }

    @Test
    fun aLibraryRepeatsWhatIsIdempotentWithAFreshProof() {
        for (attempts in listOf(begun("GET"), begun("PUT"), begun("POST", key = "k1"))) {
            val inputs = List(3) { attempts.sign(WireRequest("GET", "$api/x")).set.getValue("Signature-Input") }
            assertEquals(3, inputs.toSet().size)
        }
        val odd = begun("GET").apply { sign(WireRequest("GET", "$api/x")) }
        odd.answered(200) { if (it == "Watchword-Nonce") "short" else null }
        val input = odd.sign(WireRequest("GET", "$api/x")).set.getValue("Signature-Input")
        assertEquals(22, input.substringAfter("nonce=\"").substringBefore('"').length)
        val blank = begun("POST", key = " ").apply { sign(WireRequest("POST", "$api/x")) }
        assertThrows(WatchwordException.OutcomeUnknown::class.java) { blank.sign(WireRequest("POST", "$api/x")) }
    }

    @Test
    fun whatIsAboveTheAdapterRepeatsNoPostEither() {
        val watchword = watchword()
        val request = AppRequest("POST", "$api/x")
        for ((status, isUnknown) in listOf(200 to false, 502 to true, 503 to false, 504 to true, 401 to false)) {
            val first = checkNotNull(watchword.attempts(request)).apply { prepare() }
            first.sign(WireRequest("POST", "$api/x"))
            first.answered(status, ::header)
            if (isUnknown) {
                assertThrows(WatchwordException.OutcomeUnknown::class.java) { watchword.attempts(request, first) }
            } else {
                watchword.attempts(request, first)
            }
        }
        val unsent = checkNotNull(watchword.attempts(request)).apply { prepare() }
        assertThrows(IOException::class.java) { unsent.lost(IOException("no route")) }
        watchword.attempts(request, unsent)
    }

    @Test
    fun whatFailedBeforeSendingIsTheLibrarysError() {
        val errors = listOf(java.net.ConnectException(), java.net.UnknownHostException(), javax.net.ssl.SSLHandshakeException("x"))
        for (error in errors) {
            assertTrue(Attempts.isBeforeSending(error))
            val attempts = begun("POST").apply { sign(WireRequest("POST", "$api/x")) }
            assertEquals(error, assertThrows(IOException::class.java) { attempts.lost(error, isUnsent = true) })
            // Below an interceptor the library may have sent it over another connection before.
            val other = begun("POST").apply { sign(WireRequest("POST", "$api/x")) }
            assertThrows(WatchwordException.OutcomeUnknown::class.java) { other.lost(error) }
        }
        assertFalse(Attempts.isBeforeSending(SocketException("reset")))
        assertEquals(errors[0], assertThrows(IOException::class.java) { begun("POST").lost(errors[0]) })
        assertThrows(IllegalStateException::class.java) {
            watchword().attempts(AppRequest("GET", "$api/x"))?.sign(WireRequest("GET", "$api/x"))
        }
        val pin = WatchwordException.Pin("api.example", "no")
        assertEquals(pin, assertThrows(WatchwordException.Pin::class.java) { begun("POST").lost(pin) })
    }

    @Test
    fun theDigestOfTheAppCountsForAStream() {
        val stream =
            object : WireBody {
                override val length = -1L
                override val isRepeatable = false

                override fun writeTo(out: java.io.OutputStream) = throw AssertionError("it is read once")
            }
        val attempts = begun("POST", body = stream)
        val bare = attempts.sign(WireRequest("POST", "$api/x", body = stream)).set
        assertEquals(setOf("Watchword-Token"), bare.keys)
        attempts.answered(200, ::header)
        val digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
        val covered = attempts.sign(WireRequest("POST", "$api/x", contentDigest = digest, body = stream)).set
        assertTrue(covered.getValue("Signature-Input").contains("\"content-digest\""))
        assertEquals(digest, covered["Content-Digest"])
    }

    private fun begun(method: String, key: String? = null, body: WireBody? = null): Attempts =
        checkNotNull(watchword().attempts(AppRequest(method, "$api/x", key, body))).apply { prepare() }
}
