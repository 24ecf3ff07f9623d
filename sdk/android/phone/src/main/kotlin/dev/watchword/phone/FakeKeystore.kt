package dev.watchword.phone

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyInfo
import android.security.keystore.KeyProperties
import java.io.InputStream
import java.io.OutputStream
import java.security.AlgorithmParameters
import java.security.InvalidAlgorithmParameterException
import java.security.InvalidKeyException
import java.security.Key
import java.security.KeyFactorySpi
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.KeyPairGeneratorSpi
import java.security.KeyStoreSpi
import java.security.PrivateKey
import java.security.Provider
import java.security.ProviderException
import java.security.PublicKey
import java.security.SecureRandom
import java.security.Signature
import java.security.SignatureSpi
import java.security.cert.Certificate
import java.security.spec.AlgorithmParameterSpec
import java.security.spec.ECGenParameterSpec
import java.security.spec.KeySpec
import java.util.Collections
import java.util.Date
import java.util.Enumeration
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger
import javax.crypto.Cipher
import javax.crypto.CipherSpi
import javax.crypto.KeyAgreement
import javax.crypto.KeyAgreementSpi
import javax.crypto.KeyGenerator
import javax.crypto.KeyGeneratorSpi
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

/**
 * `AndroidKeyStore` for the JVM: holds keys to what their [KeyGenParameterSpec] allows, and hands out handles alone.
 *
 * Every call from the app passes [enter], where a test lets it fail.
 */
class FakeKeystore(val vendor: Vendor) : Provider(NAME, "1", "simulates Android's Keystore") {
    class Entry(val spec: KeyGenParameterSpec, val key: Key, val chain: List<Certificate>, val level: Int)

    val held = ConcurrentHashMap<String, Entry>()

    /** What was called, in order. */
    val calls: MutableList<String> = Collections.synchronizedList(mutableListOf<String>())

    /** Throws in a test's name, given the call and its number from 1 on. */
    @Volatile
    var script: (String, Int) -> Unit = { _, _ -> }

    private val count = AtomicInteger()

    init {
        serve("KeyStore", NAME) { Store() }
        serve("KeyPairGenerator", "EC") { PairGenerator() }
        serve("KeyGenerator", "AES") { SecretGenerator() }
        serve("Signature", "SHA256withECDSA") { Ecdsa() }
        serve("KeyAgreement", "ECDH") { Ecdh() }
        serve("KeyFactory", "EC") { Describer() }
        serve("Cipher", "AES/GCM/NoPadding") { Gcm() }
    }

    /** Forgets the calls, so that the next one is the first. */
    fun startCounting() {
        calls.clear()
        count.set(0)
    }

    private fun enter(call: String) {
        calls += call
        script(call, count.incrementAndGet())
    }

    private fun entry(key: Key?, purpose: Int): Entry {
        val handle = key as? Handle ?: throw InvalidKeyException("not a key of $NAME")
        val entry = held[handle.alias]?.takeIf { it === handle.entry }
            ?: throw android.security.keystore.KeyPermanentlyInvalidatedException("Key permanently invalidated")
        if (entry.spec.purposes and purpose == 0) throw InvalidKeyException("the key isn't for this purpose")
        return entry
    }

    private fun serve(type: String, algorithm: String, make: () -> Any) {
        putService(
            object : Service(this, type, algorithm, "${FakeKeystore::class.java.name}$$type", null, null) {
                override fun newInstance(parameter: Any?): Any = make()

                override fun supportsParameter(parameter: Any?): Boolean = parameter == null || parameter is Handle
            },
        )
    }

    /** What an app gets of a key: nothing that leaves the hardware. */
    private sealed class Handle(val alias: String, val entry: Entry, private val name: String) : Key {
        override fun getAlgorithm(): String = name

        override fun getFormat(): String? = null

        override fun getEncoded(): ByteArray? = null
    }

    private class PrivateHandle(alias: String, entry: Entry) :
        Handle(alias, entry, "EC"),
        PrivateKey

    private class SecretHandle(alias: String, entry: Entry) :
        Handle(alias, entry, "AES"),
        SecretKey

    private fun handle(alias: String, entry: Entry): Key =
        if (entry.key is PrivateKey) PrivateHandle(alias, entry) else SecretHandle(alias, entry)

    private inner class Store : KeyStoreSpi() {
        override fun engineLoad(stream: InputStream?, password: CharArray?): Unit = enter("load")

        override fun engineGetKey(alias: String, password: CharArray?): Key? {
            enter("getKey")
            return held[alias]?.let { handle(alias, it) }
        }

        override fun engineGetCertificateChain(alias: String): Array<Certificate>? {
            enter("getCertificateChain")
            return held[alias]?.chain?.toTypedArray()
        }

        override fun engineGetCertificate(alias: String): Certificate? {
            enter("getCertificate")
            return held[alias]?.chain?.firstOrNull()
        }

        override fun engineContainsAlias(alias: String): Boolean {
            enter("containsAlias")
            return held.containsKey(alias)
        }

        override fun engineDeleteEntry(alias: String) {
            enter("deleteEntry")
            held.remove(alias)
        }

        override fun engineAliases(): Enumeration<String> = Collections.enumeration(held.keys)

        override fun engineSize(): Int = held.size

        override fun engineIsKeyEntry(alias: String): Boolean = held.containsKey(alias)

        override fun engineIsCertificateEntry(alias: String): Boolean = false

        override fun engineGetCertificateAlias(certificate: Certificate): String? = null

        override fun engineGetCreationDate(alias: String): Date? = null

        override fun engineSetKeyEntry(a: String, k: Key, p: CharArray?, c: Array<Certificate>?): Unit = refuse()

        override fun engineSetKeyEntry(a: String, k: ByteArray, c: Array<Certificate>?): Unit = refuse()

        override fun engineSetCertificateEntry(a: String, c: Certificate): Unit = refuse()

        override fun engineStore(stream: OutputStream?, password: CharArray?): Unit = refuse()

        private fun refuse(): Nothing = throw UnsupportedOperationException("simulated for nobody yet")
    }

    private inner class PairGenerator : KeyPairGeneratorSpi() {
        private lateinit var spec: KeyGenParameterSpec

        override fun initialize(parameters: AlgorithmParameterSpec, random: SecureRandom?) {
            enter("initialize")
            spec = parameters as? KeyGenParameterSpec ?: throw InvalidAlgorithmParameterException("expected a KeyGenParameterSpec")
            val curve = (spec.algorithmParameterSpec as? ECGenParameterSpec)?.name
            if (curve != "secp256r1") throw InvalidAlgorithmParameterException("got the curve $curve")
            if (spec.purposes and KeyProperties.PURPOSE_SIGN != 0 && spec.digests.toList() != listOf("SHA-256")) {
                throw InvalidAlgorithmParameterException("got the digests ${spec.digests.toList()}")
            }
        }

        override fun initialize(size: Int, random: SecureRandom?): Unit = throw InvalidAlgorithmParameterException("expected a spec")

        override fun generateKeyPair(): KeyPair {
            enter("generateKeyPair")
            if (spec.purposes and KeyProperties.PURPOSE_AGREE_KEY != 0 && android.os.Build.VERSION.SDK_INT < 31) {
                throw ProviderException("Failed to generate key pair.")
            }
            val pair = KeyPairGenerator.getInstance("EC", "SunEC").run {
                initialize(ECGenParameterSpec("secp256r1"))
                generateKeyPair()
            }
            val vouched = vendor.vouch(pair.public, spec)
            val entry = Entry(spec, pair.private, vouched.chain, vouched.level)
            held[spec.keystoreAlias] = entry
            return KeyPair(pair.public, PrivateHandle(spec.keystoreAlias, entry))
        }
    }

    private inner class SecretGenerator : KeyGeneratorSpi() {
        private lateinit var spec: KeyGenParameterSpec

        override fun engineInit(parameters: AlgorithmParameterSpec, random: SecureRandom?) {
            enter("initAes")
            spec = parameters as? KeyGenParameterSpec ?: throw InvalidAlgorithmParameterException("expected a KeyGenParameterSpec")
        }

        override fun engineInit(random: SecureRandom?): Unit = throw UnsupportedOperationException()

        override fun engineInit(size: Int, random: SecureRandom?): Unit = throw UnsupportedOperationException()

        override fun engineGenerateKey(): SecretKey {
            enter("generateAes")
            val key = KeyGenerator.getInstance("AES", "SunJCE").run {
                init(spec.keySize)
                generateKey()
            }
            val entry = Entry(spec, key, emptyList(), KeyProperties.SECURITY_LEVEL_TRUSTED_ENVIRONMENT)
            held[spec.keystoreAlias] = entry
            return SecretHandle(spec.keystoreAlias, entry)
        }
    }

    private inner class Ecdsa : SignatureSpi() {
        private lateinit var signature: Signature

        override fun engineInitSign(key: PrivateKey?) {
            enter("initSign")
            val entry = entry(key, KeyProperties.PURPOSE_SIGN)
            signature = Signature.getInstance("SHA256withECDSA", "SunEC").apply { initSign(entry.key as PrivateKey) }
        }

        override fun engineInitVerify(key: PublicKey?): Unit = throw InvalidKeyException("for signatures alone")

        override fun engineUpdate(byte: Byte): Unit = signature.update(byte)

        override fun engineUpdate(data: ByteArray, offset: Int, length: Int) {
            enter("update")
            signature.update(data, offset, length)
        }

        override fun engineSign(): ByteArray {
            enter("sign")
            return signature.sign()
        }

        override fun engineVerify(signature: ByteArray?): Boolean = throw UnsupportedOperationException()

        @Deprecated("")
        override fun engineSetParameter(name: String?, value: Any?): Unit = throw UnsupportedOperationException()

        @Deprecated("")
        override fun engineGetParameter(name: String?): Any = throw UnsupportedOperationException()
    }

    private inner class Ecdh : KeyAgreementSpi() {
        private lateinit var agreement: KeyAgreement

        override fun engineInit(key: Key?, random: SecureRandom?) {
            enter("initAgreement")
            val entry = entry(key, KeyProperties.PURPOSE_AGREE_KEY)
            agreement = KeyAgreement.getInstance("ECDH", "SunEC").apply { init(entry.key) }
        }

        override fun engineInit(key: Key?, parameters: AlgorithmParameterSpec?, random: SecureRandom?): Unit =
            throw InvalidAlgorithmParameterException("expected none")

        override fun engineDoPhase(key: Key?, last: Boolean): Key? {
            enter("doPhase")
            return agreement.doPhase(key, last)
        }

        override fun engineGenerateSecret(): ByteArray {
            enter("generateSecret")
            return agreement.generateSecret()
        }

        override fun engineGenerateSecret(secret: ByteArray?, offset: Int): Int = throw UnsupportedOperationException()

        override fun engineGenerateSecret(algorithm: String?): SecretKey = throw UnsupportedOperationException()
    }

    private inner class Describer : KeyFactorySpi() {
        override fun <T : KeySpec> engineGetKeySpec(key: Key, type: Class<T>): T {
            enter("getKeySpec")
            return type.cast(KeyInfo((key as Handle).entry.level))
        }

        override fun engineGeneratePublic(spec: KeySpec?): PublicKey = throw UnsupportedOperationException()

        override fun engineGeneratePrivate(spec: KeySpec?): PrivateKey = throw java.security.spec.InvalidKeySpecException("not here")

        override fun engineTranslateKey(key: Key?): Key = throw UnsupportedOperationException()
    }

    private inner class Gcm : CipherSpi() {
        private lateinit var cipher: Cipher

        override fun engineInit(mode: Int, key: Key?, random: SecureRandom?) {
            enter("initCipher")
            cipher = Cipher.getInstance("AES/GCM/NoPadding", "SunJCE").apply { init(mode, entry(key, purpose(mode)).key) }
        }

        override fun engineInit(mode: Int, key: Key?, parameters: AlgorithmParameterSpec?, random: SecureRandom?) {
            enter("initCipher")
            if (mode == Cipher.ENCRYPT_MODE) throw InvalidAlgorithmParameterException("Caller-provided IV not permitted")
            val real = entry(key, purpose(mode)).key
            cipher = Cipher.getInstance("AES/GCM/NoPadding", "SunJCE").apply { init(mode, real, parameters as GCMParameterSpec) }
        }

        override fun engineInit(mode: Int, key: Key?, parameters: AlgorithmParameters?, random: SecureRandom?): Unit =
            throw InvalidAlgorithmParameterException("expected a GCMParameterSpec")

        override fun engineUpdateAAD(data: ByteArray, offset: Int, length: Int): Unit = cipher.updateAAD(data, offset, length)

        override fun engineDoFinal(data: ByteArray?, offset: Int, length: Int): ByteArray {
            enter("doFinal")
            return if (data == null) cipher.doFinal() else cipher.doFinal(data, offset, length)
        }

        override fun engineGetIV(): ByteArray = cipher.iv

        override fun engineUpdate(data: ByteArray, offset: Int, length: Int): ByteArray? = cipher.update(data, offset, length)

        override fun engineUpdate(i: ByteArray?, io: Int, l: Int, o: ByteArray?, oo: Int): Int = throw UnsupportedOperationException()

        override fun engineDoFinal(i: ByteArray?, io: Int, l: Int, o: ByteArray?, oo: Int): Int = throw UnsupportedOperationException()

        override fun engineGetBlockSize(): Int = 16

        override fun engineGetOutputSize(length: Int): Int = length + 16

        override fun engineGetParameters(): AlgorithmParameters? = null

        override fun engineSetMode(mode: String?): Unit = Unit

        override fun engineSetPadding(padding: String?): Unit = Unit

        private fun purpose(mode: Int) = if (mode == Cipher.ENCRYPT_MODE) KeyProperties.PURPOSE_ENCRYPT else KeyProperties.PURPOSE_DECRYPT
    }

    companion object {
        const val NAME = "AndroidKeyStore"
        private const val serialVersionUID = 1L
    }
}
