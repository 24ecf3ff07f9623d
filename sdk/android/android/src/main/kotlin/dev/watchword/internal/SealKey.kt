package dev.watchword.internal

import android.os.Build
import dev.watchword.DeviceException
import dev.watchword.DeviceException.Kind
import dev.watchword.PublicKeyJwk
import dev.watchword.Store
import java.io.IOException
import java.security.interfaces.ECPublicKey
import javax.crypto.Cipher
import javax.crypto.spec.GCMParameterSpec

private const val VERSION: Byte = 1
private const val IV_BYTES = 12
private const val TAG_BITS = 128
private const val HEAD_BYTES = 1 + SoftwareKey.POINT_BYTES
private const val WRAPPED_BYTES = HEAD_BYTES + IV_BYTES + SoftwareKey.SCALAR_BYTES + TAG_BITS / 8
private const val GCM = "AES/GCM/NoPadding"

/**
 * The P-256 key that session keys and secrets are sealed to.
 *
 * From Android 12 on (API 31) it lives in the Keystore. Where a system is older, or its Keystore can't agree on keys, it
 * is a key in software, which [file] keeps encrypted by an AES key of the Keystore: a copy of the app's files opens
 * nothing elsewhere. Where even that fails, the key lasts as long as the process: session keys are sealed anew at every
 * renewal, and only secrets have to wait for the next enrolment.
 */
internal class SealKey(private val keystore: Keystore, private val alias: String, private val file: Store) {
    private val wrapping = "$alias.wrap"

    // Set in one step, read by any thread; null until it was made or found.
    @Volatile private var software: SoftwareKey? = null

    /** Makes a new key and forgets the old one. */
    fun create() {
        software = null
        file.discard()
        if (Build.VERSION.SDK_INT >= 31) {
            try {
                keystore.createAgreementKey(alias)
                return
            } catch (error: DeviceException) {
                if (error.kind == Kind.LOCKED) throw error
            }
        }
        val made = SoftwareKey.make()
        software = made
        try {
            file.write(wrap(made))
        } catch (_: DeviceException) {
            // The key still works in this process.
        } catch (_: IOException) {
            // Likewise.
        }
    }

    /** Leaves nothing behind. */
    fun remove() {
        software = null
        file.discard()
        keystore.delete(alias)
        keystore.delete(wrapping)
    }

    /** @throws DeviceException of kind [Kind.KEY_LOST] if there is none any more. */
    val jwk: PublicKeyJwk get() = softwareKey()?.jwk ?: PublicKeyJwk.of(keystore.publicKey(alias))

    /** Whether something sealed to it can be opened. */
    val canOpen: Boolean
        get() = try {
            softwareKey()?.let { it.scalar != null } ?: keystore.has(alias)
        } catch (error: DeviceException) {
            error.kind == Kind.LOCKED || error.kind == Kind.TRANSIENT // It can, only not now.
        }

    /** Returns the shared x coordinate, 32 bytes. */
    fun agree(peer: ECPublicKey): ByteArray {
        val own = softwareKey() ?: return keystore.agree(alias, peer)
        return own.agree(peer)
    }

    private fun softwareKey(): SoftwareKey? {
        software?.let { return it }
        val stored = try {
            file.read()
        } catch (_: IOException) {
            null
        }
        if (stored == null || stored.size != WRAPPED_BYTES || stored[0] != VERSION) return null
        return unwrap(stored).also { software = it }
    }

    private fun wrap(key: SoftwareKey): ByteArray = keystore("encrypt the sealing key") {
        val head = byteArrayOf(VERSION) + key.point
        val cipher = Cipher.getInstance(GCM)
        cipher.init(Cipher.ENCRYPT_MODE, keystore.createWrappingKey(wrapping))
        cipher.updateAAD(head)
        head + cipher.iv + cipher.doFinal(key.scalar)
    }

    /** Returns the stored key, without its private part where the Keystore lost what encrypted it. */
    private fun unwrap(stored: ByteArray): SoftwareKey {
        val point = stored.copyOfRange(1, HEAD_BYTES)
        return try {
            keystore("decrypt the sealing key") {
                val cipher = Cipher.getInstance(GCM)
                val parameters = GCMParameterSpec(TAG_BITS, stored, HEAD_BYTES, IV_BYTES)
                cipher.init(Cipher.DECRYPT_MODE, keystore.wrappingKey(wrapping), parameters)
                cipher.updateAAD(stored, 0, HEAD_BYTES)
                SoftwareKey(point, cipher.doFinal(stored, HEAD_BYTES + IV_BYTES, SoftwareKey.SCALAR_BYTES + TAG_BITS / 8))
            }
        } catch (error: DeviceException) {
            if (error.kind == Kind.LOCKED || error.kind == Kind.TRANSIENT) throw error
            SoftwareKey(point, null)
        }
    }

    private fun Store.discard() {
        try {
            clear()
        } catch (error: IOException) {
            throw DeviceException(Kind.FAULT, "couldn't remove the old sealing key", error)
        }
    }
}
