package dev.watchword.phone

import dev.watchword.Device
import dev.watchword.PublicKeyJwk
import dev.watchword.internal.Base64Url
import dev.watchword.internal.Hpke
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec
import java.util.concurrent.atomic.AtomicInteger
import javax.crypto.KeyAgreement

/** A device with keys in memory, for tests that aren't about devices. */
class SoftwareDevice(override val canOpen: Boolean = true) : Device {
    /** How often something was signed by the proof key. */
    val signatures = AtomicInteger()

    @Volatile private var proof: KeyPair = pair()

    @Volatile private var seal: KeyPair = pair()

    val proofKey: ECPublicKey get() = proof.public as ECPublicKey

    override val proofJwk: PublicKeyJwk get() = PublicKeyJwk.of(proofKey)

    override val sealJwk: PublicKeyJwk get() = PublicKeyJwk.of(seal.public as ECPublicKey)

    override fun createKeys() {
        proof = pair()
        seal = pair()
    }

    override fun attest(binding: ByteArray): Map<String, Any> = mapOf("format" to "simulated")

    override fun renew(statement: ByteArray): Map<String, Any> =
        mapOf("format" to "simulated", "signature" to Base64Url.encode(sign(statement)))

    override fun sign(message: ByteArray): ByteArray {
        signatures.incrementAndGet()
        return Signature.getInstance("SHA256withECDSA", "SunEC").run {
            initSign(proof.private)
            update(message)
            sign()
        }
    }

    override fun openSealed(info: ByteArray, sealed: ByteArray): ByteArray = Hpke.open(sealJwk, info, sealed) { peer ->
        KeyAgreement.getInstance("ECDH", "SunEC").run {
            init(seal.private)
            doPhase(peer, true)
            generateSecret()
        }
    }

    private fun pair(): KeyPair = KeyPairGenerator.getInstance("EC", "SunEC").run {
        initialize(ECGenParameterSpec("secp256r1"))
        generateKeyPair()
    }
}
