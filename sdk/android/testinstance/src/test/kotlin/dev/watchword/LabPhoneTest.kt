package dev.watchword

import dev.watchword.DeviceException.Kind
import dev.watchword.internal.Base64Url
import dev.watchword.internal.LabDevice
import dev.watchword.internal.P256
import dev.watchword.internal.StrictJson
import dev.watchword.phone.FakePhone
import dev.watchword.phone.MemoryStore
import dev.watchword.phone.Sealer
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.io.IOException
import java.security.Signature

private const val ATTESTER = "http://127.0.0.1:8450"

/** A phone of the lab, whose attester answers as a test says. */
class LabPhoneTest {
    @get:Rule
    val folder = TemporaryFolder()

    private lateinit var phone: FakePhone
    private val config = WatchwordConfig("https://attest.example", "clinic-android", "https://api.example")
    private val asked = mutableListOf<Pair<String, Map<String, Any?>>>()
    private var answer: () -> Answer = { json(200, mapOf("chain" to listOf("AQ", "Ag"), "security_level" to "tee")) }
    private val transport = object : Transport {
        override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer {
            assertEquals("application/json", headers["Content-Type"])
            asked += url to StrictJson.read(body, 65_536)
            return answer()
        }

        override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int): Answer = throw IOException("nobody asks")
    }
    private val file = MemoryStore()
    private val device = LabDevice(ATTESTER, "strongbox-android", "ci", file, transport)

    private fun json(status: Int, said: Map<String, Any?>) = Answer(status, emptyMap(), StrictJson.write(said))

    @Before
    fun start() {
        phone = FakePhone(folder.root)
    }

    @After
    fun close() {
        phone.close()
    }

    @Test
    fun `an app that isn't debuggable doesn't get one, nor one from afar`() {
        phone.isDebuggable = false
        val error = assertThrows(IllegalStateException::class.java) { LabPhone.create(phone.context, config, ATTESTER) }
        assertTrue(checkNotNull(error.message).contains("isn't debuggable"))
        phone.isDebuggable = true
        for (afar in listOf("http://attester.example:8450", "https://127.0.0.1:8450", "http://127.0.0.1:8450/other", "http://127.0.0.1")) {
            assertThrows(afar, IllegalArgumentException::class.java) { LabPhone.create(phone.context, config, afar) }
        }
        assertNull(LabPhone.create(phone.context, config, "$ATTESTER/").level)
    }

    @Test
    fun `the attester vouches for a key of ours, over what binds it`() {
        device.createKeys()
        assertNull(device.proofJwk)
        val evidence = device.attest(ByteArray(32) { 7 })
        assertEquals(mapOf("format" to "android-key", "chain" to listOf("AQ", "Ag")), evidence)
        val (url, said) = asked.single()
        assertEquals("$ATTESTER/v1/android/chain", url)
        assertEquals(setOf("kind", "device", "key", "challenge"), said.keys)
        assertEquals(listOf("strongbox-android", "ci"), listOf(said["kind"], said["device"]))
        assertArrayEquals(ByteArray(32) { 7 }, Base64Url.decode(said["challenge"] as String))
        val key = said["key"] as Map<*, *>
        val public = P256.publicKey(PublicKeyJwk(key["x"] as String, key["y"] as String))
        val verified = { message: ByteArray, signature: ByteArray ->
            Signature.getInstance("SHA256withECDSA").run {
                initVerify(public)
                update(message)
                verify(signature)
            }
        }
        assertTrue(verified("message".toByteArray(), device.sign("message".toByteArray())))
        val renewal = device.renew("statement".toByteArray())
        assertEquals("android-key", renewal["format"])
        assertTrue(verified("watchword/renew/v1\u0000statement".toByteArray(), Base64Url.decode(renewal["signature"] as String)))
        val sealed = Sealer.seal(P256.publicKey(device.sealJwk), "info".toByteArray(), "plain".toByteArray())
        val next = LabDevice(ATTESTER, "strongbox-android", "ci", file, transport)
        assertArrayEquals("plain".toByteArray(), next.openSealed("info".toByteArray(), sealed))
        val first = device.sealJwk
        device.createKeys()
        assertNotEquals(first, device.sealJwk)
    }

    @Test
    fun `its failures are those of a device`() {
        device.createKeys()
        fun kind(said: () -> Answer): DeviceException {
            answer = said
            return assertThrows(DeviceException::class.java) { device.attest(ByteArray(32)) }
        }
        val fault = { isTransient: Boolean -> mapOf("fault" to mapOf("name" to "secure-hardware-busy", "transient" to isTransient)) }
        assertEquals(Kind.TRANSIENT, kind { json(503, fault(true)) }.kind)
        assertEquals(Kind.UNSUPPORTED, kind { json(503, fault(false)) }.kind)
        val wrong = kind { json(400, mapOf("details" to listOf("kind: got 'fone'"))) }
        assertEquals(Kind.FAULT to true, wrong.kind to checkNotNull(wrong.message).contains("kind: got 'fone'"))
        assertEquals(Kind.FAULT, kind { Answer(200, emptyMap(), "<html>".toByteArray()) }.kind)
        val nobody = kind { throw IOException("refused") }
        assertEquals(Kind.OFFLINE to true, nobody.kind to checkNotNull(nobody.message).contains("watchword lab attester"))
    }
}
