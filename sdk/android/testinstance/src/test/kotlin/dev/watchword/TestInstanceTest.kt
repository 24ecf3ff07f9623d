package dev.watchword

import dev.watchword.DeviceException.Kind
import dev.watchword.internal.Base64Url
import dev.watchword.internal.P256
import dev.watchword.internal.TestInstanceDevice
import dev.watchword.phone.FakePhone
import dev.watchword.phone.MemoryStore
import dev.watchword.phone.Sealer
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.io.IOException
import java.security.Signature

/** A test instance, invited by an operator's code. */
class TestInstanceTest {
    @get:Rule
    val folder = TemporaryFolder()

    private lateinit var phone: FakePhone
    private val config = WatchwordConfig("https://attest.example", "clinic-android", "https://api.example")
    private val file = MemoryStore()

    @Before
    fun start() {
        phone = FakePhone(folder.root)
    }

    @After
    fun close() {
        phone.close()
    }

    private fun isSigned(device: TestInstanceDevice, message: ByteArray, signature: Any?) = Signature.getInstance("SHA256withECDSA").run {
        initVerify(P256.publicKey(device.proofJwk))
        update(message)
        verify(Base64Url.decode(signature as String))
    }

    @Test
    fun `an app that isn't debuggable doesn't get one`() {
        phone.isDebuggable = false
        val error = assertThrows(IllegalStateException::class.java) { TestInstance.create(phone.context, config, "wwt_code") }
        assertTrue(checkNotNull(error.message).contains("isn't debuggable"))
        phone.isDebuggable = true
        assertFalse("wwt_code" in TestInstance.create(phone.context, config, "wwt_code").toString())
    }

    @Test
    fun `the code is spent on a key of ours, which the statement names`() {
        val device = TestInstanceDevice("wwt_code", file).apply { createKeys() }
        val evidence = device.attest(ByteArray(32))
        assertEquals(setOf("format", "code", "key_signature"), evidence.keys)
        assertEquals("operator_code" to "wwt_code", evidence["format"] to evidence["code"])
        assertTrue(isSigned(device, "watchword/test/v1\u0000".toByteArray() + ByteArray(32), evidence["key_signature"]))
        val renewal = device.renew("statement".toByteArray())
        assertEquals("operator_code", renewal["format"])
        assertTrue(isSigned(device, "watchword/renew/v1\u0000statement".toByteArray(), renewal["signature"]))
        assertFalse("wwt_code" in device.toString())
    }

    @Test
    fun `its keys outlive the process, its code doesn't`() {
        val device = TestInstanceDevice("wwt_code", file).apply { createKeys() }
        val next = TestInstanceDevice(null, file)
        assertEquals(device.proofJwk, next.proofJwk)
        val sealed = Sealer.seal(P256.publicKey(device.sealJwk), "info".toByteArray(), "plain".toByteArray())
        assertArrayEquals("plain".toByteArray(), next.openSealed("info".toByteArray(), sealed))
        assertEquals(Kind.FAULT, assertThrows(DeviceException::class.java) { next.openSealed(ByteArray(0), sealed) }.kind)
        for (spend in listOf<() -> Unit>({ next.createKeys() }, { next.attest(ByteArray(32)) })) {
            val error = assertThrows(DeviceException::class.java) { spend() }
            assertEquals(Kind.UNSUPPORTED, error.kind)
            assertTrue(checkNotNull(error.message).contains("watchword instances invite"))
        }
        assertEquals(device.proofJwk, next.proofJwk)
    }

    @Test
    fun `each enrolment has new keys`() {
        val device = TestInstanceDevice("wwt_code", file).apply { createKeys() }
        val first = device.proofJwk to device.sealJwk
        device.createKeys()
        assertNotEquals(first.first, device.proofJwk)
        assertNotEquals(first.second, device.sealJwk)
    }

    @Test
    fun `keys that are gone are lost`() {
        assertEquals(Kind.KEY_LOST, assertThrows(DeviceException::class.java) { TestInstanceDevice(null, file).proofJwk }.kind)
        file.write(ByteArray(5))
        assertEquals(
            Kind.KEY_LOST,
            assertThrows(DeviceException::class.java) {
                TestInstanceDevice(null, file).sign(checkNotNull(file.read()))
            }.kind,
        )
        val full = object : Store by file {
            override fun write(data: ByteArray) = throw IOException("no space left")
        }
        assertEquals(Kind.FAULT, assertThrows(DeviceException::class.java) { TestInstanceDevice("c", full).createKeys() }.kind)
    }
}
