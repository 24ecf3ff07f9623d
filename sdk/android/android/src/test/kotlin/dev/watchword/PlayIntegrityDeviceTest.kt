package dev.watchword

import dev.watchword.DeviceException.Kind
import dev.watchword.internal.Base64Url
import dev.watchword.internal.FileStore
import dev.watchword.internal.InstanceKeys
import dev.watchword.internal.Keystore
import dev.watchword.internal.PlayIntegrityDevice
import dev.watchword.internal.SealKey
import dev.watchword.phone.FakePhone
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.io.File

/** The device whose proof key Google Play's verdict vouches for. */
class PlayIntegrityDeviceTest {
    @get:Rule
    val folder = TemporaryFolder()

    private lateinit var phone: FakePhone
    private val slept = mutableListOf<Long>()
    private val asked = mutableListOf<String>()
    private var codes = mutableListOf<Int>()
    private val binding = ByteArray(32) { it.toByte() }

    @Before
    fun start() {
        phone = FakePhone(folder.root)
    }

    @After
    fun close() {
        phone.close()
    }

    private fun device(): PlayIntegrityDevice {
        val keystore = Keystore(phone.context, slept::add)
        val keys = InstanceKeys(keystore, SealKey(keystore, "seal", FileStore(File(phone.noBackup, "seal"))), "proof")
        val play = PlayIntegrity {
            asked += it
            codes.removeFirstOrNull()?.let { code -> throw PlayIntegrityException(code) }
            "verdict"
        }
        return PlayIntegrityDevice(keys, play, strongBox = false, slept::add) { 0.5 }
    }

    private fun kind(vararg fails: Int): Kind {
        codes = fails.toMutableList()
        asked.clear()
        slept.clear()
        return assertThrows(DeviceException::class.java) { device().attest(binding) }.kind
    }

    @Test
    fun `the statement names a proof key that nobody attested`() {
        val device = device().apply { createKeys() }
        val jwk = device.proofJwk
        assertEquals(mapOf("format" to "play-integrity", "token" to "verdict"), device.attest(binding))
        assertEquals(listOf(Base64Url.encode(binding)), asked)
        assertEquals(43, asked.single().length)
        assertEquals(jwk, device().proofJwk)
        assertNull(checkNotNull(phone.keystore.held["proof"]).spec.attestationChallenge)
        assertEquals(setOf("format", "signature"), device.renew(ByteArray(1)).keys)
        device.createKeys()
        assertNotEquals(jwk, device.proofJwk)
    }

    @Test
    fun `what may pass is asked for again after 5, 10 and 20 seconds, with jitter`() {
        val device = device().apply { createKeys() }
        codes = mutableListOf(-3, -8, -12)
        assertEquals("verdict", device.attest(binding)["token"])
        assertEquals(listOf(6_250L, 12_500L, 25_000L), slept)
        for (code in listOf(-3, -8, -12, -17, -18, -100)) {
            assertEquals(Kind.TRANSIENT, kind(code, code, code, code))
            assertEquals(4, asked.size)
        }
    }

    @Test
    fun `what a new start may mend is asked for once more, at once`() {
        for ((code, kind) in listOf(-9 to Kind.UNSUPPORTED, -19 to Kind.TRANSIENT)) {
            assertEquals(kind, kind(code, code))
            assertEquals(2, asked.size)
            assertEquals(emptyList<Long>(), slept)
        }
    }

    @Test
    fun `a phone without Play is told so at once`() {
        for (code in listOf(-1, -2, -4, -5, -6, -7, -14, -15)) {
            assertEquals(Kind.UNSUPPORTED, kind(code))
            assertEquals(1, asked.size)
        }
        assertEquals(Kind.FAULT, kind(-16))
        assertEquals(1, asked.size)
    }

    @Test
    fun `who waited tells how long the device is left alone`() {
        codes = mutableListOf(-8, -8, -8, -8)
        val error = assertThrows(DeviceException::class.java) { device().attest(binding) }
        assertEquals(40.0, error.retryAfter)
    }
}
