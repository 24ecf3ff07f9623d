package dev.watchword

import android.os.Build
import android.os.Looper
import android.security.KeyStoreException
import android.security.keystore.BackendBusyException
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import android.security.keystore.StrongBoxUnavailableException
import android.security.keystore.UserNotAuthenticatedException
import dev.watchword.DeviceException.Kind
import dev.watchword.internal.Base64Url
import dev.watchword.internal.FileStore
import dev.watchword.internal.InstanceKeys
import dev.watchword.internal.KeyedStore
import dev.watchword.internal.Keystore
import dev.watchword.internal.KeystoreDevice
import dev.watchword.internal.SealKey
import dev.watchword.phone.FakePhone
import dev.watchword.phone.Sealer
import dev.watchword.phone.UnattestedVendor
import dev.watchword.phone.Vendor
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.io.File
import java.math.BigInteger
import java.security.InvalidKeyException
import java.security.KeyFactory
import java.security.ProviderException
import java.security.Signature
import java.security.UnrecoverableKeyException
import java.security.interfaces.ECPublicKey
import java.security.spec.ECPoint
import java.security.spec.ECPublicKeySpec
import java.util.concurrent.Callable
import java.util.concurrent.Executors

private const val ALIAS = "watchword"

/** The device that a phone is, on a Keystore that keeps its keys and fails as told. */
class KeystoreDeviceTest {
    @get:Rule
    val folder = TemporaryFolder()

    private var refusesStrongBox: Exception? = null
    private val vendor = Vendor { key, spec ->
        if (spec.isStrongBoxBacked) refusesStrongBox?.let { throw it }
        UnattestedVendor.vouch(key, spec)
    }
    private lateinit var phone: FakePhone
    private val slept = mutableListOf<Long>()
    private val binding = ByteArray(32) { it.toByte() }

    @Before
    fun start() {
        phone = FakePhone(folder.root, vendor)
    }

    @After
    fun close() {
        phone.close()
    }

    /** A device as a new process makes it. */
    private fun keys(): InstanceKeys {
        val keystore = Keystore(phone.context, slept::add)
        return InstanceKeys(keystore, SealKey(keystore, "$ALIAS.seal", FileStore(sealFile())), ALIAS)
    }

    private fun sealFile() = File(phone.noBackup, "seal")

    private fun device(strongBox: Boolean = false) = KeystoreDevice(keys(), strongBox)

    private fun enrolled(strongBox: Boolean = false): KeystoreDevice = device(strongBox).apply {
        createKeys()
        attest(binding)
    }

    private fun spec(alias: String = ALIAS): KeyGenParameterSpec = checkNotNull(phone.keystore.held[alias]).spec

    private fun proofKey() = checkNotNull(phone.keystore.held[ALIAS]).chain.first().publicKey as ECPublicKey

    private fun isSigned(message: ByteArray, signature: ByteArray) = Signature.getInstance("SHA256withECDSA", "SunEC").run {
        initVerify(proofKey())
        update(message)
        verify(signature)
    }

    private fun publicKey(jwk: PublicKeyJwk): ECPublicKey {
        val point = ECPoint(BigInteger(1, Base64Url.decode(jwk.x)), BigInteger(1, Base64Url.decode(jwk.y)))
        return KeyFactory.getInstance("EC", "SunEC").generatePublic(ECPublicKeySpec(point, proofKey().params)) as ECPublicKey
    }

    private fun opens(device: Device): Boolean {
        val info = "info".toByteArray()
        val plain = "a session key of thirty-two bytes".toByteArray()
        return device.openSealed(info, Sealer.seal(publicKey(device.sealJwk), info, plain)).contentEquals(plain)
    }

    private fun kind(action: () -> Unit): Kind = assertThrows(DeviceException::class.java) { action() }.kind

    @Test
    fun `the attested key is the proof key, made for the binding`() {
        val evidence = enrolled().run { attest(binding) }
        assertEquals("android-key", evidence["format"])
        assertEquals(listOf(Base64Url.encode(proofKey().encoded)), evidence["chain"])
        assertNull(device().proofJwk)
        assertArrayEquals(binding, spec().attestationChallenge)
        assertEquals(KeyProperties.PURPOSE_SIGN, spec().purposes)
        assertFalse(spec().isStrongBoxBacked)
        // An attestation key of the app's own would vouch for anything; a locked phone still has to renew.
        assertNull(spec().attestKeyAlias)
        assertFalse(spec().isUnlockedDeviceRequired)
        assertFalse(spec().isUserAuthenticationRequired)
    }

    @Test
    fun `it signs requests and renewals, also in the next process`() {
        enrolled()
        assertTrue(isSigned("message".toByteArray(), device().sign("message".toByteArray())))
        val evidence = device().renew("statement".toByteArray())
        assertEquals("android-key", evidence["format"])
        val signed = "watchword/renew/v1\u0000statement".toByteArray()
        assertTrue(isSigned(signed, Base64Url.decode(evidence["signature"] as String)))
    }

    @Test
    fun `an enrolment begins with new keys`() {
        val first = enrolled().sealJwk
        val key = proofKey()
        val device = device().apply { createKeys() }
        assertFalse(keys().exist())
        assertEquals(Kind.KEY_LOST, kind { device.sign(ByteArray(1)) })
        assertNotEquals(first, device.sealJwk)
        device.attest(binding)
        assertNotEquals(key, proofKey())
    }

    @Test
    fun `StrongBox is taken where it is asked for and works`() {
        enrolled(strongBox = true)
        assertTrue(spec().isStrongBoxBacked)
        assertFalse(spec("$ALIAS.seal").isStrongBoxBacked)
    }

    @Test
    fun `without a StrongBox the TEE is asked once`() {
        refusesStrongBox = StrongBoxUnavailableException("Failed to generate key pair.")
        val device = device(strongBox = true).apply { createKeys() }
        phone.keystore.startCounting()
        device.attest(binding)
        assertFalse(spec().isStrongBoxBacked)
        assertEquals(2, phone.keystore.calls.count { it == "generateKeyPair" })
    }

    @Test
    fun `a StrongBox that is busy isn't given up`() {
        refusesStrongBox = ProviderException("x", KeyStoreException(-48, 10, true, 2, true, false))
        val device = device(strongBox = true).apply { createKeys() }
        assertEquals(Kind.TRANSIENT, kind { device.attest(binding) })
        assertFalse(keys().exist())
    }

    @Test
    fun `a system without StrongBox isn't asked for it`() {
        Build.VERSION.SDK_INT = 27
        enrolled(strongBox = true)
        assertFalse(spec().isStrongBoxBacked)
    }

    @Test
    fun `where a key lives is told`() {
        enrolled()
        assertEquals("tee", keys().securityLevel())
        Build.VERSION.SDK_INT = 30
        assertEquals("tee", keys().securityLevel())
    }

    @Test
    fun `what is sealed is opened by a key of the Keystore`() {
        val device = enrolled()
        assertTrue(device.canOpen)
        assertTrue(opens(device()))
        assertEquals(KeyProperties.PURPOSE_AGREE_KEY, spec("$ALIAS.seal").purposes)
        assertFalse(sealFile().exists())
        assertEquals(Kind.FAULT, kind { device.openSealed(ByteArray(1), ByteArray(65 + 48)) })
    }

    @Test
    fun `before Android 12 by a key in software, encrypted where it lies`() {
        Build.VERSION.SDK_INT = 30
        val device = enrolled()
        val jwk = device.sealJwk
        assertTrue(opens(device))
        assertTrue(device().canOpen)
        assertTrue(opens(device()))
        assertEquals(jwk, device().sealJwk)
        // Without the Keystore's key the file is of no use: public part, IV and ciphertext.
        assertEquals(1 + 64 + 12 + 32 + 16, sealFile().readBytes().size)
        phone.keystore.held.remove("$ALIAS.seal.wrap")
        assertFalse(device().canOpen)
        assertEquals(jwk, device().sealJwk)
        assertEquals(Kind.KEY_LOST, kind { opens(device()) })
    }

    @Test
    fun `before Android 12 the Keystore isn't asked for such a key`() {
        Build.VERSION.SDK_INT = 30
        device().createKeys()
        assertFalse("generateKeyPair" in phone.keystore.calls)
        assertTrue(sealFile().exists())
    }

    @Test
    fun `a locked phone makes no sealing key in software`() {
        phone.keystore.script = { call, _ -> if (call == "generateKeyPair") throw UserNotAuthenticatedException() }
        assertEquals(Kind.LOCKED, kind { device().createKeys() })
        assertFalse(sealFile().exists())
    }

    @Test
    fun `a changed file opens nothing`() {
        Build.VERSION.SDK_INT = 30
        enrolled()
        val bytes = sealFile().readBytes()
        bytes[1] = (bytes[1] + 1).toByte()
        sealFile().writeBytes(bytes)
        assertFalse(device().canOpen)
        sealFile().writeBytes(bytes.copyOf(20))
        assertFalse(device().canOpen)
    }

    @Test
    fun `a Keystore that can't agree on keys leaves it to software`() {
        phone.keystore.script = { call, number ->
            if (call == "generateKeyPair" && number < 10) throw ProviderException("Unsupported purpose (internal Keystore code: -2)")
        }
        val device = device().apply { createKeys() }
        phone.keystore.script = { _, _ -> }
        device.attest(binding)
        assertTrue(opens(device()))
        assertFalse(phone.keystore.held.containsKey("$ALIAS.seal"))
    }

    @Test
    fun `with no Keystore for it at all it lasts as long as the process`() {
        Build.VERSION.SDK_INT = 30
        phone.keystore.script = { call, _ -> if (call == "generateAes") throw ProviderException("x") }
        val device = device().apply { createKeys() }
        phone.keystore.script = { _, _ -> }
        device.attest(binding)
        assertTrue(device.canOpen)
        assertTrue(opens(device))
        assertFalse(device().canOpen)
        assertEquals(Kind.KEY_LOST, kind { device().sealJwk })
    }

    @Test
    fun `keys that a restored backup left behind are lost, and its session with them`() {
        enrolled()
        val session = FileStore(File(phone.noBackup, "session")).apply { write("tokens".toByteArray()) }
        val keyed = KeyedStore(session) { keys().exist() }
        assertArrayEquals("tokens".toByteArray(), keyed.read())
        phone.keystore.script = { _, _ -> throw ProviderException("busy") }
        assertArrayEquals("tokens".toByteArray(), keyed.read())
        phone.keystore.script = { _, _ -> }
        phone.restoreFiles()
        assertEquals(Kind.KEY_LOST, kind { device().sign(ByteArray(1)) })
        assertNull(keyed.read())
        assertNull(session.read())
    }

    @Test
    fun `a handle of a key that is void is given up`() {
        val device = enrolled()
        device.sign(ByteArray(1))
        val other = device().apply { createKeys() }
        assertEquals(Kind.KEY_LOST, kind { device.sign(ByteArray(1)) })
        other.attest(binding)
        assertTrue(isSigned(ByteArray(1), device.sign(ByteArray(1))))
    }

    @Test
    fun `before the first unlock a session isn't taken for none`() {
        enrolled()
        val session = FileStore(File(phone.noBackup, "session")).apply { write("tokens".toByteArray()) }
        val keyed = KeyedStore(session) { keys().exist() }
        phone.reboot(unlocked = false)
        assertNull(session.read())
        assertEquals(Kind.LOCKED, kind { keyed.read() })
        phone.reboot(unlocked = true)
        assertArrayEquals("tokens".toByteArray(), keyed.read())
    }

    @Test
    fun `before the first unlock nothing is concluded`() {
        enrolled()
        phone.reboot(unlocked = false)
        phone.keystore.startCounting()
        val device = device()
        for (call in listOf<() -> Unit>(
            { device.sign(ByteArray(1)) },
            { device.createKeys() },
            { device.attest(binding) },
            { device.renew(ByteArray(1)) },
            { keys().exist() },
        )) {
            assertEquals(Kind.LOCKED, kind(call))
        }
        assertEquals(emptyList<String>(), phone.keystore.calls)
        phone.reboot(unlocked = true)
        assertTrue(isSigned(ByteArray(1), device.sign(ByteArray(1))))
    }

    @Test
    fun `the main thread is refused`() {
        val device = enrolled()
        Looper.mainThread = Thread.currentThread()
        val error = assertThrows(IllegalStateException::class.java) { device.sign(ByteArray(1)) }
        assertTrue(error.message, checkNotNull(error.message).contains("main thread"))
        Looper.mainThread = Thread { }
        device.sign(ByteArray(1))
    }

    @Test
    fun `a busy Keystore is asked again after the pause that it names`() {
        val device = enrolled()
        var left = 3
        phone.keystore.script = { call, _ -> if (call == "initSign" && left-- > 0) throw BackendBusyException(70) }
        assertTrue(isSigned(ByteArray(1), device.sign(ByteArray(1))))
        assertEquals(listOf(70L, 70L, 70L), slept)
        phone.keystore.script = { call, _ -> if (call == "initSign") throw BackendBusyException(70_000) }
        assertEquals(Kind.TRANSIENT, kind { device.sign(ByteArray(1)) })
        assertEquals(listOf(500L, 500L, 500L), slept.drop(3))
    }

    @Test
    fun `many threads sign at once`() {
        val device = enrolled()
        val pool = Executors.newFixedThreadPool(16)
        val made = pool.invokeAll((1..64).map { Callable { device.sign(byteArrayOf(it.toByte())) } })
        pool.shutdown()
        assertTrue(made.withIndex().all { (at, signature) -> isSigned(byteArrayOf((at + 1).toByte()), signature.get()) })
    }

    /** All that the core asks of a device in an enrolment, a renewal and a request. */
    private fun whole(device: Device) {
        device.createKeys()
        device.sealJwk
        device.attest(binding)
        device.canOpen
        opens(device)
        device.renew(ByteArray(100))
        device.sign(ByteArray(100))
    }

    @Test
    fun `a Keystore that fails at each call in turn breaks nothing`() {
        val errors = listOf<() -> Exception>(
            { KeyPermanentlyInvalidatedException("x") },
            { UserNotAuthenticatedException("x") },
            { ProviderException("x", KeyStoreException(-74, 10, false, 1, false, false)) },
            { BackendBusyException(20) },
            { InvalidKeyException("Keystore operation failed") },
            { UnrecoverableKeyException("x") },
            { NullPointerException("a vendor's own") },
            { IllegalStateException("a vendor's own") },
        )
        for (level in listOf(37, 30)) {
            Build.VERSION.SDK_INT = level
            phone.keystore.startCounting()
            whole(device())
            val calls = phone.keystore.calls.size
            assertTrue(calls > 15)
            for (error in errors) {
                for (failing in 1..calls) failOnce(failing, error)
            }
        }
    }

    private fun failOnce(failing: Int, error: () -> Exception) {
        val device = device()
        phone.keystore.startCounting()
        phone.keystore.script = { _, number -> if (number == failing) throw error() }
        try {
            whole(device)
        } catch (_: DeviceException) {
            // What was expected; anything else fails the test.
        }
        // The same process goes on, and so does the next one.
        phone.keystore.script = { _, _ -> }
        whole(device)
        assertTrue(isSigned(ByteArray(1), device().sign(ByteArray(1))))
    }
}
