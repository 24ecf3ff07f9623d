package dev.watchword

import dev.watchword.phone.FakePhone
import dev.watchword.phone.MiniService
import dev.watchword.phone.SoftwareDevice
import dev.watchword.phone.WireServer
import dev.watchword.phone.WireServer.Reply
import dev.watchword.phone.WireServer.Request
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** What the self-test finds at an API whose gate takes one kind of proof. */
class SelfTestTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val service = MiniService(SoftwareDevice())
    private val servers = mutableListOf<WireServer>()
    private lateinit var phone: FakePhone

    @Before
    fun start() {
        phone = FakePhone(folder.root)
    }

    @After
    fun close() {
        phone.close()
        servers.forEach { it.close() }
    }

    private fun server(respond: (Request) -> Reply) = WireServer(respond = respond).also { servers += it }

    private fun proofOf(request: Request): ProofKind? {
        val input = request.headers["signature-input"]
        return when {
            "watchword-token" !in request.headers -> null
            input == null -> ProofKind.BEARER
            "hmac-sha256" in input -> ProofKind.SESSION
            else -> ProofKind.DEVICE
        }
    }

    private fun gate(asks: ProofKind) = server { request ->
        if (proofOf(request) == asks) return@server Reply.Of(200)
        val problem = """{"type":"urn:watchword:problem:proof-required","title":"no","status":401}"""
        Reply.Of(401, problem.toByteArray(), mapOf("Content-Type" to "application/problem+json"))
    }

    private fun report(api: WireServer, urls: Map<ProofKind, String>, waitMillis: Long = 60_000): SelfTestReport {
        val apis = listOf(Api("api", listOf(api.url)))
        val config = WatchwordConfig("https://attest.example", "clinic", apis, waitMillis = waitMillis)
        return SelfTest(phone.context, config, urls, transport = service).run()
    }

    private fun SelfTestReport.step(name: String) = steps.single { it.name == name }

    @Test
    fun `each proof is found on the wire`() {
        for (proof in ProofKind.values()) {
            val api = gate(proof)
            val report = report(api, mapOf(proof to api.url + "/"))
            assertTrue(report.json(), report.passed)
            assertEquals(listOf(proof), api.requests.map(::proofOf))
        }
    }

    @Test
    fun `an API that answers to another proof fails the step`() {
        val api = gate(ProofKind.DEVICE)
        val step = report(api, mapOf(ProofKind.SESSION to api.url + "/")).step("request session")
        assertEquals(listOf(ProofKind.SESSION, ProofKind.DEVICE), api.requests.map(::proofOf))
        assertEquals(false to "IOException: the API answered 200 to a device proof, expected a session proof", step.passed to step.detail)
    }

    @Test
    fun `an address of no configured API fails the step`() {
        val other = server { Reply.Of(200) }
        val step = report(gate(ProofKind.SESSION), mapOf(ProofKind.SESSION to other.url + "/")).step("request session")
        assertEquals(false to "IOException: the address is of none of the configured APIs", step.passed to step.detail)
        assertEquals(emptyList<Request>(), other.requests.toList())
    }

    @Test
    fun `Java sees what is public`() {
        val own = Class.forName("dev.watchword.WatchwordAndroid").methods.filter { it.declaringClass.simpleName == "WatchwordAndroid" }
        assertEquals(setOf("create"), own.filterNot { it.isSynthetic }.map { it.name }.toSet())
        for (type in listOf(SelfTest::class.java, SelfTestReport::class.java, Ports::class.java, HttpTransport::class.java)) {
            assertEquals(type.name, emptyList<String>(), type.fields.map { it.name })
        }
    }

    @Test
    fun `an enrolment that takes longer than the app waits comes to its end before the cleaning`() {
        val report = report(gate(ProofKind.SESSION), emptyMap(), waitMillis = 1)
        assertTrue(report.json(), report.passed)
        assertEquals(0, phone.keystore.held.size)
        assertEquals(emptyList<String>(), phone.noBackup.list()?.toList())
    }
}
