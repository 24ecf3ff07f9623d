package dev.watchword

import android.os.Build
import dev.watchword.internal.KeptBody
import dev.watchword.phone.FakePhone
import okhttp3.OkHttpClient
import okhttp3.Request
import org.json.JSONObject
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.io.File
import java.net.URL
import java.util.concurrent.Callable
import java.util.concurrent.Executors

private const val ATTEMPTS = 100

/** Phones at a real deployment: the shipped adapters, a Keystore whose hardware is the lab's attester, every gate. */
class EndToEnd {
    @get:Rule
    val folder = TemporaryFolder()

    private val deployment = Deployment.present()
    private lateinit var phone: FakePhone

    @After
    fun close() {
        if (::phone.isInitialized) phone.close()
    }

    private fun watchword(kind: String = "genuine-android", name: String = "ada", strongBox: Boolean = false): Watchword {
        phone = deployment.phone(folder.root, kind, name)
        return Watchword.create(phone.context, deployment.config(), strongBox)
    }

    private fun get(url: String) = Request.Builder().url(url).build()

    private fun post(url: String) = Request.Builder().url(url).method("POST", KeptBody(null, """{"sum":40}""".toByteArray())).build()

    private fun OkHttpClient.status(request: Request): Int = newCall(request).execute().use(Calls::code)

    private fun served(watchword: Watchword) {
        val client = Deployment.client(watchword)
        for (api in deployment.gates) {
            for (proof in listOf("bearer", "session", "device")) {
                val url = "${deployment.url(api)}${deployment.path(proof)}/$api"
                assertEquals("$api $proof", listOf(200, 200), listOf(client.status(get(url)), client.status(post(url))))
            }
        }
    }

    @Test
    fun `a phone with a TEE is served through every gate`() {
        deployment.control("forget")
        val watchword = watchword()
        served(watchword)
        assertEquals("hardware", watchword.level)
        val rows = deployment.seen()
        assertEquals(6 * deployment.gates.size, rows.size)
        assertFalse(rows.any { it.getJSONObject("headers").keys().asSequence().any("watchword-token"::equals) })
    }

    @Test
    fun `a phone with StrongBox, and one whose keys are provisioned remotely`() {
        for ((kind, strongBox) in listOf("strongbox-android" to true, "rootless-rkp-android" to false, "genuine-android" to true)) {
            val watchword = watchword(kind, kind, strongBox)
            served(watchword)
            assertEquals("hardware", watchword.level)
            phone.wipe()
            phone.close()
        }
    }

    @Test
    fun `a phone before Android 12 opens its session keys in software`() {
        val watchword = watchword(name = "older")
        Build.VERSION.SDK_INT = 30
        served(watchword)
    }

    @Test
    fun `a bad phone is refused, for the reason that support needs`() {
        for (kind in listOf("unlocked-android", "software-key-android", "wrong-app-android")) {
            val error = assertThrows(WatchwordException.Refused::class.java) { watchword(kind, kind).token(deployment.audience("proxy")) }
            assertEquals("evidence-refused", error.code)
            assertTrue(error.isFinal)
            assertTrue(error.reasons.isNotEmpty() && error.ref != null)
            phone.wipe()
            phone.close()
        }
    }

    @Test
    fun `an operator's code enrols once`() {
        phone = deployment.phone(folder.root)
        val code = JSONObject(deployment.control("invite", "platform" to "android")).getString("code")
        val watchword = TestInstance.create(phone.context, deployment.config(), code)
        served(watchword)
        // The next process has no code, and needs none.
        val next = TestInstance.create(phone.context, deployment.config())
        next.renew()
        served(next)
        phone.wipe()
        val again = TestInstance.create(phone.context, deployment.config(), code)
        assertThrows(WatchwordException.Refused::class.java) { again.token(deployment.audience("proxy")) }
    }

    @Test
    fun `a process goes on where the last one ended`() {
        val first = watchword(name = "restarted").token(deployment.audience("proxy"))
        assertEquals(first, Watchword.create(phone.context, deployment.config()).token(deployment.audience("proxy")))
        // Another start of the phone voids the times that were kept: it renews, with the same key.
        phone.reboot()
        val key = checkNotNull(phone.keystore.held.values.firstOrNull()).key
        val renewed = Watchword.create(phone.context, deployment.config())
        assertNotEquals(first, renewed.token(deployment.audience("proxy")))
        served(renewed)
        assertTrue(phone.keystore.held.values.any { it.key === key })
        for (lose in listOf(phone::restoreFiles, phone::wipe)) {
            lose()
            served(Watchword.create(phone.context, deployment.config()))
        }
    }

    @Test
    fun `a phone that isn't unlocked yet waits`() {
        val watchword = watchword(name = "locked")
        phone.reboot(unlocked = false)
        val error = assertThrows(WatchwordException.DeviceFailed::class.java) { watchword.token(deployment.audience("proxy")) }
        assertEquals(DeviceException.Kind.LOCKED, error.kind)
        phone.reboot()
        served(watchword)
    }

    @Test
    fun `hardware that fails for a while is asked again`() {
        val watchword = watchword("rkp-android", "hesitant")
        deployment.fault("hesitant", "keys-pending-connectivity")
        assertThrows(WatchwordException.Offline::class.java) { watchword.token(deployment.audience("proxy")) }
        deployment.fault("hesitant", "secure-hardware-busy")
        served(watchword)
    }

    @Test
    fun `many requests while tokens are replaced`() {
        val watchword = watchword(name = "busy")
        val client = Deployment.client(watchword)
        val pool = Executors.newFixedThreadPool(16)
        val url = "${deployment.url("proxy")}${deployment.path("session")}/load"
        val statuses = (1..400).map { pool.submit(Callable { client.status(if (it % 3 == 0) post(url) else get(url)) }) }
        repeat(5) { watchword.renew() }
        assertEquals(setOf(200), statuses.map { it.get() }.toSet())
        pool.shutdown()
    }

    @Test
    fun `a secret is opened`() {
        watchword(name = "keeper").secret(deployment.secret.getString("name")).use {
            assertArrayEquals(deployment.secret.getString("value").toByteArray(), it.bytes())
        }
    }

    @Test
    fun `a lost answer is never carried out twice`() {
        val client = Deployment.client(watchword(name = "lossy"))
        for (api in deployment.gates) {
            val url = "${deployment.relay(api)}${deployment.path("session")}"
            deployment.control("forget")
            assertEquals(200, client.status(get("$url/0")))
            deployment.control("lose", "relay" to api, "answers" to 1)
            assertThrows(WatchwordException.OutcomeUnknown::class.java) { client.status(post("$url/1")) }
            deployment.control("lose", "relay" to api, "answers" to 1)
            assertEquals(200, client.status(get("$url/2")))
            val lines = deployment.seen().map { "${it.getString("method")} ${it.getString("target")}" }
            val path = deployment.path("session")
            assertEquals(listOf("GET $path/0", "POST $path/1", "GET $path/2", "GET $path/2"), lines)
        }
    }

    @Test
    fun `a redirect carries no token`() {
        val client = Deployment.client(watchword(name = "redirected"))
        client.status(get("${deployment.url("proxy")}${deployment.path("session")}/0"))
        deployment.control("forget")
        assertEquals(200, client.status(get("${deployment.url("proxy")}${deployment.path("session")}/1/redirect")))
        val foreign = deployment.seen().single { it.getString("host") == "foreign" }.getJSONObject("headers")
        val names = foreign.keys().asSequence().toSet()
        assertEquals(emptySet<String>(), names intersect setOf("watchword-token", "watchword-status", "signature", "signature-input", "dpop"))
    }

    @Test
    fun `nothing that stands in the service's place gets evidence`() {
        for (host in listOf("portal", "huge", "bomb", "truncated", "redirecting")) {
            deployment.control("forget")
            phone = deployment.phone(folder.root)
            val watchword = Watchword.create(phone.context, deployment.config(service = deployment.host(host)))
            assertThrows(host, WatchwordException::class.java) { watchword.token(deployment.audience("proxy")) }
            val rows = deployment.seen()
            assertEquals(setOf(host), rows.map { it.getString("host") }.toSet())
            assertTrue(rows.all { "/v1/challenges" in it.getString("target") })
            phone.close()
        }
    }

    @Test
    fun `a revocation is seen, and final`() {
        val watchword = watchword(name = "lost")
        val client = Deployment.client(watchword)
        val url = "${deployment.url("proxy")}${deployment.path("session")}/1"
        assertEquals(200, client.status(get(url)))
        val session = JSONObject(String(checkNotNull(watchword.ports.store.read()))).getJSONObject("session")
        deployment.control("revoke", "instance" to session.getString("instance"))
        for (attempt in 1..ATTEMPTS) {
            try {
                client.status(get(url))
            } catch (error: WatchwordException.Refused) {
                assertEquals("instance-refused", error.code)
                assertTrue(error.isFinal)
                return
            }
            Thread.sleep(100)
        }
        throw AssertionError("the revocation was never seen")
    }

    @Test
    fun `the self-test finds a phone in order, and shows what it sent`() {
        phone = deployment.phone(folder.root, "genuine-android", "tested")
        val urls = ProofKind.values().associateWith { "${deployment.url("proxy")}${deployment.path(it.name.lowercase())}/1" }
        val report = SelfTest(phone.context, deployment.config(), urls).run()
        assertTrue(report.json(), report.passed)
        // Whoever runs these tests verifies this file by the command line.
        val place = System.getenv("WATCHWORD_SELF_TEST") ?: return
        File(place, "report.json").writeText(report.json())
        File(place, "chain.pem").writeText(checkNotNull(report.chain()))
        assertTrue(phone.keystore.held.isEmpty())
        assertEquals(emptyList<String>(), phone.noBackup.list()?.toList())
    }

    @Test
    fun `HttpURLConnection is served too`() {
        val watchword = watchword(name = "plain")
        for (api in deployment.gates) {
            val url = URL("${deployment.relay(api)}${deployment.path("session")}/url?a=%20b")
            watchword.send(url).use { assertEquals(200, it.status) }
            watchword.send(url, "POST", mapOf("Content-Type" to "application/json"), "{}".toByteArray()).use { assertEquals(200, it.status) }
            deployment.control("lose", "relay" to api, "answers" to 1)
            assertThrows(WatchwordException.OutcomeUnknown::class.java) { watchword.send(url, "POST", body = "{}".toByteArray()) }
            deployment.control("lose", "relay" to api, "answers" to 1)
            watchword.send(url).use { assertEquals(200, it.status) }
        }
    }
}
