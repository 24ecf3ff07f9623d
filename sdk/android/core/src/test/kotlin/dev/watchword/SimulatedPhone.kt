package dev.watchword

import dev.watchword.internal.Base64Url
import dev.watchword.internal.Hpke
import dev.watchword.internal.P256
import java.io.ByteArrayOutputStream
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.PrivateKey
import java.security.PublicKey
import java.security.SecureRandom
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.util.ArrayDeque
import javax.crypto.Cipher
import javax.crypto.KeyAgreement
import javax.crypto.Mac
import javax.crypto.spec.GCMParameterSpec
import javax.crypto.spec.SecretKeySpec

/** Ends the app's process, as far as a test can: nothing of the SDK catches it. */
class Death : Error("the process ends")

/** A phone's keys in software, whose calls fail as a script says. */
class SimulatedPhone(private val isStated: Boolean, override val canOpen: Boolean) : Device {
    /** How the next calls of a method end: the name of a [DeviceException.Kind], with a pause in seconds if need be, or `dies`. */
    val script = HashMap<String, ArrayDeque<String>>()

    /** The public seal keys in the order in which they were made. */
    val sealKeys = ArrayList<PublicKeyJwk>()

    /** Whether the keys are gone, until new ones are made. */
    @Volatile var isLost = false

    @Volatile private var proof: KeyPair? = null

    @Volatile private var seal: KeyPair? = null

    /** The public proof key. */
    val proofKey: PublicKeyJwk get() = PublicKeyJwk.of(present(proof).public as ECPublicKey)

    override val proofJwk: PublicKeyJwk? get() = if (isStated) proofKey else null

    override val sealJwk: PublicKeyJwk get() = PublicKeyJwk.of(present(seal).public as ECPublicKey)

    override fun createKeys() {
        play("create_keys")
        isLost = false
        seal = newKey().also { sealKeys += PublicKeyJwk.of(it.public as ECPublicKey) }
        proof = if (isStated) newKey() else null
    }

    override fun attest(binding: ByteArray): Map<String, Any> {
        play("attest")
        if (!isStated) proof = newKey()
        return mapOf("format" to "simulated", "binding" to Base64Url.encode(binding))
    }

    override fun renew(statement: ByteArray): Map<String, Any> {
        play("renew")
        present(proof)
        return mapOf("format" to "simulated", "signature" to Base64Url.encode(signed(statement)))
    }

    override fun sign(message: ByteArray): ByteArray {
        play("sign")
        return signed(message)
    }

    override fun openSealed(info: ByteArray, sealed: ByteArray): ByteArray {
        play("open_sealed")
        val key = present(seal)
        return try {
            Hpke.open(sealJwk, info, sealed) { agreed(key.private, it) }
        } catch (error: IllegalArgumentException) {
            throw DeviceException(DeviceException.Kind.FAULT, "can't open it", error)
        }
    }

    private fun signed(message: ByteArray): ByteArray = Signature.getInstance("SHA256withECDSA").run {
        initSign(present(proof).private)
        update(message)
        sign()
    }

    private fun present(key: KeyPair?): KeyPair {
        if (isLost || key == null) throw DeviceException(DeviceException.Kind.KEY_LOST, "the keys are gone")
        return key
    }

    private fun play(call: String) {
        val next = synchronized(script) { script[call]?.poll() } ?: return
        if (next == "dies") throw Death()
        val (kind, pause) = next.substringBefore(' ') to next.substringAfter(' ', "").toDoubleOrNull()
        throw DeviceException(DeviceException.Kind.valueOf(kind), "the script says so", retryAfter = pause)
    }
}

private val made = ArrayList<KeyPair>()
private var taken = 0
private const val POOL = 64

/** Returns a key pair that no other of the last [POOL] calls got: making one is most of what a scenario costs. */
fun newKey(): KeyPair = synchronized(made) {
    if (made.size < POOL) {
        val generator = KeyPairGenerator.getInstance("EC").apply { initialize(P256.PARAMETERS) }
        made += generator.generateKeyPair()
    }
    made[taken++ % POOL]
}

fun agreed(own: PrivateKey, peer: PublicKey): ByteArray = KeyAgreement.getInstance("ECDH").run {
    init(own)
    doPhase(peer, true)
    generateSecret()
}

fun hmac(key: ByteArray, message: ByteArray): ByteArray = Mac.getInstance("HmacSHA256").run {
    init(SecretKeySpec(key, "HmacSHA256"))
    doFinal(message)
}

fun random(size: Int): ByteArray = ByteArray(size).also(SecureRandom()::nextBytes)

/** Seals [value] to a P-256 key (RFC 9180, base mode), as the service does. */
fun sealed(recipient: PublicKeyJwk, info: ByteArray, value: ByteArray): ByteArray {
    val ephemeral = newKey()
    val own = PublicKeyJwk.of(ephemeral.public as ECPublicKey)
    val enc = byteArrayOf(4) + Base64Url.decode(own.x) + Base64Url.decode(own.y)
    val kem = "KEM".toByteArray() + byteArrayOf(0, 16)
    val suite = "HPKE".toByteArray() + byteArrayOf(0, 16, 0, 1, 0, 1)
    val zeros = ByteArray(32)

    fun extract(id: ByteArray, salt: ByteArray, label: String, ikm: ByteArray) = hmac(
        salt,
        "HPKE-v1".toByteArray() + id + label.toByteArray() + ikm,
    )

    fun expand(id: ByteArray, prk: ByteArray, label: String, context: ByteArray, size: Int) = hmac(
        prk,
        byteArrayOf(0, size.toByte()) + "HPKE-v1".toByteArray() + id + label.toByteArray() + context + byteArrayOf(1),
    ).copyOf(size)

    val dh = agreed(ephemeral.private, P256.publicKey(recipient))
    val context = enc + byteArrayOf(4) + Base64Url.decode(recipient.x) + Base64Url.decode(recipient.y)
    val shared = expand(kem, extract(kem, zeros, "eae_prk", dh), "shared_secret", context, 32)
    val schedule = byteArrayOf(0) + extract(suite, zeros, "psk_id_hash", ByteArray(0)) + extract(suite, zeros, "info_hash", info)
    val secret = extract(suite, shared, "secret", ByteArray(0))
    val cipher = Cipher.getInstance("AES/GCM/NoPadding")
    val nonce = expand(suite, secret, "base_nonce", schedule, 12)
    cipher.init(Cipher.ENCRYPT_MODE, SecretKeySpec(expand(suite, secret, "key", schedule, 16), "AES"), GCMParameterSpec(128, nonce))
    return enc + cipher.doFinal(value)
}

/** Returns each text behind its length in 4 bytes. */
fun prefixed(vararg texts: String): ByteArray {
    val out = ByteArrayOutputStream()
    for (each in texts.map { it.toByteArray() }) {
        out.write(byteArrayOf(0, 0, (each.size shr 8).toByte(), each.size.toByte()))
        out.write(each)
    }
    return out.toByteArray()
}
