package dev.watchword.internal

import dev.watchword.CertificateChains
import dev.watchword.Pins
import dev.watchword.WatchwordException
import java.net.Socket
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.cert.CertPathBuilder
import java.security.cert.CertStore
import java.security.cert.CertificateException
import java.security.cert.CollectionCertStoreParameters
import java.security.cert.PKIXBuilderParameters
import java.security.cert.PKIXCertPathBuilderResult
import java.security.cert.TrustAnchor
import java.security.cert.X509CertSelector
import java.security.cert.X509Certificate
import javax.net.ssl.SSLEngine
import javax.net.ssl.SSLSession
import javax.net.ssl.SSLSocket
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509ExtendedTrustManager
import javax.net.ssl.X509TrustManager

/** Returns whom the platform trusts. */
internal fun platformTrust(): X509TrustManager = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
    .apply { init(null as KeyStore?) }
    .trustManagers
    .filterIsInstance<X509TrustManager>()
    .first()

/** Builds the chain from a leaf to one of the authorities that are trusted, where the platform doesn't say which it took. */
internal class AnchoredChains(private val trust: X509TrustManager) : CertificateChains {
    override fun verified(presented: List<X509Certificate>, host: String): List<X509Certificate> = try {
        val anchors = trust.acceptedIssuers.mapTo(HashSet()) { TrustAnchor(it, null) }
        val target = X509CertSelector().apply { certificate = presented.first() }
        val parameters = PKIXBuilderParameters(anchors, target).apply {
            isRevocationEnabled = false // The handshake has dealt with it; what counts here is which chain there is.
            addCertStore(CertStore.getInstance("Collection", CollectionCertStoreParameters(presented)))
        }
        val built = CertPathBuilder.getInstance("PKIX").build(parameters) as PKIXCertPathBuilderResult
        (built.certPath.certificates.filterIsInstance<X509Certificate>() + built.trustAnchor.trustedCert).distinct()
    } catch (_: GeneralSecurityException) {
        emptyList()
    }
}

/** Trusts whom the platform trusts, if the pins hold too: within the handshake, before anything of a request is written. */
internal class PinnedTrust(private val platform: X509TrustManager, private val pins: Pins) : X509ExtendedTrustManager() {
    override fun checkServerTrusted(chain: Array<X509Certificate>, authType: String, socket: Socket?) {
        if (platform is X509ExtendedTrustManager) {
            platform.checkServerTrusted(
                chain,
                authType,
                socket,
            )
        } else {
            platform.checkServerTrusted(chain, authType)
        }
        judge(chain, (socket as? SSLSocket)?.handshakeSession)
    }

    override fun checkServerTrusted(chain: Array<X509Certificate>, authType: String, engine: SSLEngine?) {
        if (platform is X509ExtendedTrustManager) {
            platform.checkServerTrusted(
                chain,
                authType,
                engine,
            )
        } else {
            platform.checkServerTrusted(chain, authType)
        }
        judge(chain, engine?.handshakeSession)
    }

    override fun checkServerTrusted(chain: Array<X509Certificate>, authType: String): Unit =
        throw CertificateException("a pinned connection was checked without its host")

    override fun checkClientTrusted(chain: Array<X509Certificate>, authType: String, socket: Socket?): Unit = noServer()

    override fun checkClientTrusted(chain: Array<X509Certificate>, authType: String, engine: SSLEngine?): Unit = noServer()

    override fun checkClientTrusted(chain: Array<X509Certificate>, authType: String): Unit = noServer()

    override fun getAcceptedIssuers(): Array<X509Certificate> = platform.acceptedIssuers

    private fun noServer(): Nothing = throw CertificateException("these pins are a client's")

    private fun judge(chain: Array<X509Certificate>, session: SSLSession?) {
        val host = session?.peerHost ?: throw CertificateException("a pinned connection was checked without its host")
        try {
            pins.check(host, chain.asList())
        } catch (error: WatchwordException.Pin) {
            throw CertificateException(error.message, error)
        }
    }
}
