package dev.watchword

import android.os.Build
import android.security.KeyStoreException
import android.security.keystore.BackendBusyException
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.StrongBoxUnavailableException
import android.security.keystore.UserNotAuthenticatedException
import dev.watchword.DeviceException.Kind
import dev.watchword.internal.busyMillis
import dev.watchword.internal.isStrongBoxUnavailable
import dev.watchword.internal.keystoreException
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import java.security.InvalidKeyException
import java.security.NoSuchAlgorithmException
import java.security.NoSuchProviderException
import java.security.ProviderException
import java.security.SignatureException
import java.security.UnrecoverableKeyException

/** What each failure of Android's Keystore means, as newer and as older systems report it. */
class KeystoreErrorsTest {
    @After
    fun newest() {
        Build.VERSION.SDK_INT = 37
    }

    private fun kind(error: Throwable): Kind = keystoreException(error, "sign").kind

    /** As API 33 and later throw while a key is made. */
    private fun told(code: Int, numeric: Int, transient: Boolean, retry: Int, system: Boolean, auth: Boolean = false) =
        ProviderException("Failed to generate key pair.", KeyStoreException(code, numeric, transient, retry, system, auth))

    /** As API 31 and 32 do: the number stands in a message alone. */
    private fun said(code: Int) =
        ProviderException("Failed to generate key pair.", Exception("System error (internal Keystore code: $code message: x)"))

    @Test
    fun `what hardware says from Android 13 on`() {
        assertEquals(Kind.TRANSIENT, kind(told(-74, 10, false, 1, false)))
        assertEquals(Kind.TRANSIENT, kind(told(-66, 8, false, 1, true)))
        assertEquals(Kind.TRANSIENT, kind(told(-48, 10, true, 2, true)))
        assertEquals(Kind.LOCKED, kind(told(-72, 2, false, 1, true, auth = true)))
        assertEquals(Kind.OFFLINE, kind(told(24, 16, true, 3, true)))
        assertEquals(Kind.TRANSIENT, kind(told(25, 16, true, 2, true)))
        assertEquals(Kind.UNSUPPORTED, kind(told(26, 16, false, 1, true)))
        assertEquals(Kind.TRANSIENT, kind(told(23, 17, true, 4, true)))
        assertEquals(Kind.TRANSIENT, kind(told(4, 4, false, 1, true)))
        assertEquals(Kind.KEY_LOST, kind(told(7, 6, false, 1, false)))
        assertEquals(Kind.KEY_LOST, kind(told(8, 7, false, 1, false)))
    }

    @Test
    fun `what hardware says before`() {
        Build.VERSION.SDK_INT = 31
        val kinds = mapOf(
            2 to Kind.LOCKED,
            3 to Kind.LOCKED,
            -26 to Kind.LOCKED,
            -72 to Kind.LOCKED,
            7 to Kind.KEY_LOST,
            8 to Kind.KEY_LOST,
            17 to Kind.KEY_LOST,
            -33 to Kind.KEY_LOST,
            24 to Kind.OFFLINE,
            26 to Kind.UNSUPPORTED,
            22 to Kind.TRANSIENT,
            23 to Kind.TRANSIENT,
            25 to Kind.TRANSIENT,
            -28 to Kind.TRANSIENT,
            -31 to Kind.TRANSIENT,
            -48 to Kind.TRANSIENT,
            -49 to Kind.TRANSIENT,
            -66 to Kind.TRANSIENT,
            -74 to Kind.TRANSIENT,
            -1000 to Kind.TRANSIENT,
        )
        assertEquals(kinds, kinds.mapValues { (code, _) -> kind(said(code)) })
        // The same where a key is used: the class alone would say that the key is void.
        assertEquals(Kind.TRANSIENT, kind(InvalidKeyException("Keystore operation failed", said(-49))))
        assertEquals(Kind.LOCKED, kind(InvalidKeyException("Keystore operation failed", said(-72))))
    }

    @Test
    fun `classes that say what they mean`() {
        assertEquals(Kind.KEY_LOST, kind(KeyPermanentlyInvalidatedException("x")))
        assertEquals(Kind.LOCKED, kind(UserNotAuthenticatedException("x")))
        assertEquals(Kind.LOCKED, kind(ProviderException(UserNotAuthenticatedException("x"))))
        assertEquals(Kind.TRANSIENT, kind(BackendBusyException(40)))
        assertEquals(Kind.KEY_LOST, kind(UnrecoverableKeyException("x")))
        assertEquals(Kind.KEY_LOST, kind(InvalidKeyException("x")))
        assertEquals(Kind.TRANSIENT, kind(ProviderException("x")))
        assertEquals(Kind.TRANSIENT, kind(SignatureException("x")))
        assertEquals(Kind.UNSUPPORTED, kind(NoSuchAlgorithmException("x")))
        assertEquals(Kind.UNSUPPORTED, kind(NoSuchProviderException("x")))
        assertEquals(Kind.FAULT, kind(NullPointerException("a vendor's own")))
    }

    @Test
    fun `a class that a system doesn't have is never looked at there`() {
        Build.VERSION.SDK_INT = 30
        assertNull(busyMillis(BackendBusyException(40)))
        assertTrue(isStrongBoxUnavailable(ProviderException(StrongBoxUnavailableException("x"))))
        assertTrue(isStrongBoxUnavailable(said(-68)))
        assertFalse(isStrongBoxUnavailable(said(-67)))
        Build.VERSION.SDK_INT = 27
        assertFalse(isStrongBoxUnavailable(StrongBoxUnavailableException("x")))
        // A KeyStoreException of API 32 has the class, and none of its methods.
        Build.VERSION.SDK_INT = 32
        assertEquals(Kind.KEY_LOST, kind(InvalidKeyException("x", KeyStoreException(-999, 2, true, 3, true, true))))
    }

    @Test
    fun `a chain of causes without an end is followed for a while`() {
        var error: Exception = ProviderException("x")
        repeat(50) { error = ProviderException("x", error) }
        assertEquals(Kind.TRANSIENT, kind(error))
    }

    @Test
    fun `the text names classes and the code`() {
        val shown = keystoreException(told(-74, 10, false, 1, false), "make a signing key").message
        assertEquals(
            "the Android Keystore couldn't make a signing key (ProviderException < KeyStoreException, Keystore code -74)",
            shown,
        )
    }
}
