package dev.watchword.internal

import android.os.Build
import android.security.KeyStoreException
import android.security.keystore.BackendBusyException
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.StrongBoxUnavailableException
import android.security.keystore.UserNotAuthenticatedException
import dev.watchword.DeviceException
import dev.watchword.DeviceException.Kind
import java.security.InvalidKeyException
import java.security.NoSuchAlgorithmException
import java.security.NoSuchProviderException
import java.security.ProviderException
import java.security.SignatureException
import java.security.UnrecoverableKeyException

// What Android throws where its Keystore fails, and what that means here.
//
// The codes are those of AOSP's android.system.keystore2.ResponseCode (positive) and
// android.hardware.security.keymint.ErrorCode (negative), as several public copies of both have them. Up to Android 12 an
// app finds them in a message alone, "(internal Keystore code: -74 ...)"; from Android 13 on (API 33) there is also
// android.security.KeyStoreException, which has no number of its own for -74. Read on 2026-11-29:
// https://developer.android.com/reference/android/security/KeyStoreException
// https://github.com/aosp-mirror/platform_frameworks_base/blob/1e1351d5f202f004ca1d4a716c15050de3b7638d/keystore/java/android/security/keystore2/KeyStoreCryptoOperationUtils.java
private val KIND_BY_CODE: Map<Int, Kind> = mapOf(
    2 to Kind.LOCKED, // LOCKED
    3 to Kind.LOCKED, // UNINITIALIZED, which Android itself reports as UserNotAuthenticatedException.
    -26 to Kind.LOCKED, // KEY_USER_NOT_AUTHENTICATED
    -72 to Kind.LOCKED, // DEVICE_LOCKED
    7 to Kind.KEY_LOST, // KEY_NOT_FOUND
    8 to Kind.KEY_LOST, // VALUE_CORRUPTED
    17 to Kind.KEY_LOST, // KEY_PERMANENTLY_INVALIDATED
    -33 to Kind.KEY_LOST, // INVALID_KEY_BLOB
    24 to Kind.OFFLINE, // OUT_OF_KEYS_PENDING_INTERNET_CONNECTIVITY
    26 to Kind.UNSUPPORTED, // OUT_OF_KEYS_PERMANENT_ERROR: the provisioning server never gives this phone keys.
    4 to Kind.TRANSIENT, // SYSTEM_ERROR
    18 to Kind.TRANSIENT, // BACKEND_BUSY
    19 to Kind.TRANSIENT, // OPERATION_BUSY
    22 to Kind.TRANSIENT, // OUT_OF_KEYS
    23 to Kind.TRANSIENT, // OUT_OF_KEYS_REQUIRES_SYSTEM_UPGRADE
    25 to Kind.TRANSIENT, // OUT_OF_KEYS_TRANSIENT_ERROR
    27 to Kind.TRANSIENT, // GET_ATTESTATION_APPLICATION_ID_FAILED
    -28 to Kind.TRANSIENT, // INVALID_OPERATION_HANDLE: pushed out by other operations.
    -31 to Kind.TRANSIENT, // TOO_MANY_OPERATIONS
    -41 to Kind.TRANSIENT, // MEMORY_ALLOCATION_FAILED
    -46 to Kind.TRANSIENT, // OPERATION_CANCELLED
    -47 to Kind.TRANSIENT, // CONCURRENT_ACCESS_CONFLICT
    -48 to Kind.TRANSIENT, // SECURE_HW_BUSY
    -49 to Kind.TRANSIENT, // SECURE_HW_COMMUNICATION_FAILED
    -54 to Kind.TRANSIENT, // KEY_RATE_LIMIT_EXCEEDED
    -65 to Kind.TRANSIENT, // ATTESTATION_APPLICATION_ID_MISSING, which Android calls retryable.
    -66 to Kind.TRANSIENT, // CANNOT_ATTEST_IDS: no identifiers are asked for, so it says nothing of the phone.
    -74 to Kind.TRANSIENT, // ATTESTATION_KEYS_NOT_PROVISIONED
    -85 to Kind.TRANSIENT, // HARDWARE_NOT_YET_AVAILABLE
    -1000 to Kind.TRANSIENT, // UNKNOWN_ERROR
)

private val CODE_IN_TEXT = Regex("""internal Keystore code: (-?[0-9]{1,4})\b""")

private const val HARDWARE_TYPE_UNAVAILABLE = -68

/** Longest chain of causes that is looked at. */
private const val MAX_CAUSES = 8

/** Runs [action] on the Keystore and turns whatever it throws into a [DeviceException]; [doing] completes "couldn't". */
internal fun <T> keystore(doing: String, action: () -> T): T = try {
    action()
} catch (error: DeviceException) {
    throw error
} catch (error: Exception) {
    // Keystores of some makers throw RuntimeExceptions of any class: none of them may reach the app as a crash.
    throw keystoreException(error, doing)
}

/** Returns what [error] of the Keystore means; the text names classes and codes, and nothing of keys. */
internal fun keystoreException(error: Throwable, doing: String): DeviceException {
    val causes = causes(error)
    val code = causes.firstNotNullOfOrNull(::codeOf)
    val kind = causes.firstNotNullOfOrNull(::byClass) ?: code?.let(KIND_BY_CODE::get) ?: byJcaClass(error)
    val classes = causes.map { it.javaClass.simpleName }.distinct().joinToString(" < ")
    val shown = if (code == null) "" else ", Keystore code $code"
    return DeviceException(kind, "the Android Keystore couldn't $doing ($classes$shown)", error)
}

/** Whether [error] says that there is no StrongBox, or none with room for a key. */
internal fun isStrongBoxUnavailable(error: Throwable): Boolean = Build.VERSION.SDK_INT >= 28 &&
    causes(error).any { it is StrongBoxUnavailableException || codeOf(it) == HARDWARE_TYPE_UNAVAILABLE }

/** Milliseconds after which a busy Keystore wants to be asked again; null where [error] says nothing of that. */
internal fun busyMillis(error: Throwable): Long? {
    if (Build.VERSION.SDK_INT < 31) return null
    return causes(error).filterIsInstance<BackendBusyException>().firstOrNull()?.backOffHintMillis
}

private fun causes(error: Throwable): List<Throwable> {
    val found = ArrayList<Throwable>()
    var next: Throwable? = error
    while (next != null && found.size < MAX_CAUSES) {
        found += next
        next = next.cause
    }
    return found
}

// Classes that a system is too old for are only named where its version has them: else loading one would fail.
private fun byClass(error: Throwable): Kind? = when {
    error is UserNotAuthenticatedException -> Kind.LOCKED
    error is KeyPermanentlyInvalidatedException -> Kind.KEY_LOST
    Build.VERSION.SDK_INT >= 31 && error is BackendBusyException -> Kind.TRANSIENT
    Build.VERSION.SDK_INT >= 33 && error is KeyStoreException -> byPublicCode(error)
    else -> null
}

private fun byPublicCode(error: KeyStoreException): Kind? = when {
    error.requiresUserAuthentication() -> Kind.LOCKED

    error.isTransientFailure ->
        if (error.retryPolicy == KeyStoreException.RETRY_WHEN_CONNECTIVITY_AVAILABLE) Kind.OFFLINE else Kind.TRANSIENT

    error.numericErrorCode == KeyStoreException.ERROR_KEY_DOES_NOT_EXIST -> Kind.KEY_LOST

    error.numericErrorCode == KeyStoreException.ERROR_KEY_CORRUPTED -> Kind.KEY_LOST

    error.numericErrorCode == KeyStoreException.ERROR_ATTESTATION_KEYS_UNAVAILABLE -> Kind.UNSUPPORTED

    else -> null
}

private fun codeOf(error: Throwable): Int? = CODE_IN_TEXT.find(error.toString())?.groupValues?.get(1)?.toIntOrNull()

/** By the class that every Java security provider throws, where nothing else is known. */
private fun byJcaClass(error: Throwable): Kind = when (error) {
    is UnrecoverableKeyException, is InvalidKeyException -> Kind.KEY_LOST
    is NoSuchAlgorithmException, is NoSuchProviderException -> Kind.UNSUPPORTED
    is ProviderException, is SignatureException -> Kind.TRANSIENT
    else -> Kind.FAULT
}
