package dev.watchword.internal

import android.net.http.X509TrustManagerExtensions
import dev.watchword.CertificateChains
import java.security.cert.CertificateException
import java.security.cert.X509Certificate
import javax.net.ssl.X509TrustManager

/** Asks Android which chain it verified, by the app's network security configuration for the host. */
internal class AndroidChains(trust: X509TrustManager) : CertificateChains {
    private val extensions = X509TrustManagerExtensions(trust)

    override fun verified(presented: List<X509Certificate>, host: String): List<X509Certificate> = try {
        extensions.checkServerTrusted(presented.toTypedArray(), AUTH_TYPE, host)
    } catch (_: CertificateException) {
        emptyList()
    }

    private companion object {
        /** What OkHttp passes for every key: Android wants one and goes by none. */
        const val AUTH_TYPE = "RSA"
    }
}
