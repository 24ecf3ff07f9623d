package dev.watchword.internal

import android.content.Context
import android.os.Build
import android.os.UserManager
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyInfo
import android.security.keystore.KeyProperties
import dev.watchword.DeviceException
import dev.watchword.DeviceException.Kind
import java.security.KeyFactory
import java.security.KeyPairGenerator
import java.security.KeyStore
import java.security.PrivateKey
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec
import java.util.concurrent.ConcurrentHashMap
import javax.crypto.KeyAgreement
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey

private const val PROVIDER = "AndroidKeyStore"
private const val CURVE = "secp256r1"
private const val SIGNATURE = "SHA256withECDSA"

/** How often one call is made while the Keystore says that it is busy. */
private const val MAX_BUSY_CALLS = 4

/** Longest pause that a busy Keystore is granted, milliseconds; its own hints are 20 to 100. */
private const val MAX_BUSY_MILLIS = 500L

/**
 * The Android Keystore, with its exceptions turned into [DeviceException].
 *
 * No key asks for an unlocked device or for the user, so that renewals work in the background: keys can be used from
 * the first unlock after a start on. Until then this reports [Kind.LOCKED] without asking, because some systems answer
 * as if the keys were lost.
 */
internal class Keystore(private val context: Context, private val sleep: (Long) -> Unit) {
    private val handles = ConcurrentHashMap<String, PrivateKey>()

    // Secure hardware works on one thing at a time, and drops the oldest operation when too many have begun.
    private val operations = Any()

    /** Makes a P-256 key that signs, attested for [challenge] where there is one. */
    fun createSigningKey(alias: String, challenge: ByteArray?, strongBox: Boolean) {
        val spec = KeyGenParameterSpec.Builder(alias, KeyProperties.PURPOSE_SIGN)
            .setAlgorithmParameterSpec(ECGenParameterSpec(CURVE))
            .setDigests(KeyProperties.DIGEST_SHA256)
        if (challenge != null) spec.setAttestationChallenge(challenge)
        if (strongBox) spec.setIsStrongBoxBacked(true)
        createPair(alias, spec.build(), "make a signing key")
    }

    /** Makes a P-256 key for ECDH; Android 12 (API 31) and later. */
    fun createAgreementKey(alias: String) {
        val spec = KeyGenParameterSpec.Builder(alias, KeyProperties.PURPOSE_AGREE_KEY)
            .setAlgorithmParameterSpec(ECGenParameterSpec(CURVE))
            .build()
        createPair(alias, spec, "make a sealing key")
    }

    /** Makes an AES-256 key for GCM. */
    fun createWrappingKey(alias: String): SecretKey = call("make a wrapping key") {
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val spec = KeyGenParameterSpec.Builder(alias, purposes)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .setKeySize(256)
            .build()
        KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, PROVIDER).run {
            init(spec)
            generateKey()
        }
    }

    fun wrappingKey(alias: String): SecretKey = call("find the wrapping key") {
        store().getKey(alias, null) as? SecretKey ?: throw lost("the wrapping key")
    }

    /** Signs by ECDSA with SHA-256; the signature is DER. */
    fun sign(alias: String, message: ByteArray): ByteArray = withHandle(alias, "sign") { key ->
        Signature.getInstance(SIGNATURE).run {
            initSign(key)
            update(message)
            sign()
        }
    }

    /** Returns the x coordinate of the shared point, 32 bytes. */
    fun agree(alias: String, peer: ECPublicKey): ByteArray = withHandle(alias, "agree on a secret") { key ->
        KeyAgreement.getInstance("ECDH", PROVIDER).run {
            init(key)
            doPhase(peer, true)
            generateSecret()
        }
    }

    fun publicKey(alias: String): ECPublicKey = call("find a key's public part") {
        store().getCertificate(alias)?.publicKey as? ECPublicKey ?: throw lost("a key")
    }

    /** Returns the DER certificates of an attested key, leaf first; more than one where hardware vouches. */
    fun chain(alias: String): List<ByteArray> = call("read a key's certificates") {
        store().getCertificateChain(alias)?.map { it.encoded } ?: throw lost("a key")
    }

    /** Whether there is such a key: false only where the Keystore itself says so. */
    fun has(alias: String): Boolean = call("look for a key") { store().containsAlias(alias) }

    fun delete(alias: String) {
        handles.remove(alias)
        call("delete a key") { store().deleteEntry(alias) }
    }

    /** Where a key lives, as the system says and nobody vouches: `strongbox`, `tee`, `software` or `unknown`. */
    fun securityLevel(alias: String): String = withHandle(alias, "describe a key") { key ->
        val info = KeyFactory.getInstance(key.algorithm, PROVIDER).getKeySpec(key, KeyInfo::class.java)
        if (Build.VERSION.SDK_INT >= 31) levelName(info.securityLevel) else legacyLevelName(info)
    }

    private fun levelName(level: Int): String = when (level) {
        KeyProperties.SECURITY_LEVEL_STRONGBOX -> "strongbox"
        KeyProperties.SECURITY_LEVEL_TRUSTED_ENVIRONMENT -> "tee"
        KeyProperties.SECURITY_LEVEL_SOFTWARE -> "software"
        else -> "unknown"
    }

    @Suppress("DEPRECATION") // Its successor came with API 31.
    private fun legacyLevelName(info: KeyInfo): String = if (info.isInsideSecureHardware) "tee" else "software"

    private fun createPair(alias: String, spec: KeyGenParameterSpec, doing: String) {
        handles.remove(alias)
        call(doing) {
            KeyPairGenerator.getInstance(KeyProperties.KEY_ALGORITHM_EC, PROVIDER).run {
                initialize(spec)
                generateKeyPair()
            }
        }
    }

    /** Works with the handle of a private key, which is kept: looking it up is a call to another process. */
    private fun <T> withHandle(alias: String, doing: String, action: (PrivateKey) -> T): T = try {
        call(doing) {
            val key = handles[alias]
                ?: (store().getKey(alias, null) as? PrivateKey ?: throw lost("a key")).also { handles[alias] = it }
            action(key)
        }
    } catch (error: DeviceException) {
        handles.remove(alias)
        throw error
    }

    private fun <T> call(doing: String, action: () -> T): T {
        requireBackground("Watchword")
        requireUnlocked()
        var calls = 0
        while (true) {
            try {
                return synchronized(operations) { keystore(doing, action) }
            } catch (error: DeviceException) {
                val pause = busyMillis(error)
                if (pause == null || ++calls >= MAX_BUSY_CALLS) throw error
                sleep(pause.coerceIn(0, MAX_BUSY_MILLIS))
            }
        }
    }

    private fun requireUnlocked() {
        if (context.getSystemService(UserManager::class.java)?.isUserUnlocked == false) {
            throw DeviceException(Kind.LOCKED, "the phone wasn't unlocked yet since it started")
        }
    }

    private fun store(): KeyStore = KeyStore.getInstance(PROVIDER).apply { load(null) }

    private fun lost(what: String) = DeviceException(Kind.KEY_LOST, "the Android Keystore has no longer $what")
}
