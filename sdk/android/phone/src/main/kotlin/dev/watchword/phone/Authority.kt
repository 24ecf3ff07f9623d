package dev.watchword.phone

import dev.watchword.internal.Base64Url
import dev.watchword.internal.sha256
import java.io.ByteArrayInputStream
import java.math.BigInteger
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.KeyStore
import java.security.PrivateKey
import java.security.Signature
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import java.security.spec.ECGenParameterSpec
import java.util.concurrent.atomic.AtomicInteger
import javax.net.ssl.KeyManagerFactory
import javax.net.ssl.SSLContext
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509TrustManager

private val PASSWORD = "of a test".toCharArray()

/** A key with a certificate, and the certificates up to an authority's. */
class Certified(val keys: KeyPair, val chain: List<X509Certificate>) {
    /** SHA-256 of the public key, as pin sets have it. */
    val pin: String get() = Base64Url.encode(sha256(keys.public.encoded))

    /** Returns what a server makes TLS sockets with; [extra] certificates are sent behind its own. */
    fun context(extra: List<X509Certificate> = emptyList()): SSLContext {
        val store = KeyStore.getInstance("PKCS12").apply { load(null) }
        store.setKeyEntry("a", keys.private, PASSWORD, chain.toTypedArray())
        val managers = KeyManagerFactory.getInstance("SunX509").apply { init(store, PASSWORD) }.keyManagers
        val own = managers.filterIsInstance<javax.net.ssl.X509ExtendedKeyManager>().single()
        val sending = object : javax.net.ssl.X509ExtendedKeyManager() {
            override fun getClientAliases(type: String?, issuers: Array<java.security.Principal>?): Array<String>? = null

            override fun chooseClientAlias(t: Array<String>?, i: Array<java.security.Principal>?, s: java.net.Socket?): String? = null

            override fun getServerAliases(type: String?, issuers: Array<java.security.Principal>?): Array<String>? =
                own.getServerAliases(type, issuers)

            override fun chooseServerAlias(type: String?, i: Array<java.security.Principal>?, s: java.net.Socket?): String? =
                own.chooseServerAlias(type, i, s)

            override fun getCertificateChain(alias: String?): Array<X509Certificate> = (chain + extra).toTypedArray()

            override fun getPrivateKey(alias: String?): PrivateKey? = own.getPrivateKey(alias)
        }
        return SSLContext.getInstance("TLS").apply { init(arrayOf(sending), null, null) }
    }
}

/** An authority that makes certificates of servers: X.509 v3, P-256, as few members as TLS asks for. */
class Authority(private val name: String) {
    private val keys = pair()
    val certificate: X509Certificate = certificate(name, keys, authority)

    /** SHA-256 of the public key, as pin sets have it. */
    val pin: String get() = Base64Url.encode(sha256(keys.public.encoded))

    /** Returns a server's key and certificate. */
    fun server(host: String, of: KeyPair = pair()): Certified =
        Certified(of, listOf(certificate(host, of, extension("55 1d 11", der(SEQUENCE, der(DNS_NAME, host.toByteArray())))), certificate))

    private fun certificate(subject: String, of: KeyPair, extension: ByteArray): X509Certificate {
        val algorithm = der(SEQUENCE, bytes("06 08 2a 86 48 ce 3d 04 03 02")) // ecdsa-with-SHA256
        val signed = der(
            SEQUENCE,
            bytes("a0 03 02 01 02"), // Version 3.
            der(INTEGER, BigInteger.valueOf(serial.incrementAndGet().toLong()).toByteArray()),
            algorithm,
            distinguished(name),
            der(SEQUENCE, der(TIME, "20200101000000Z".toByteArray()), der(TIME, "20991231235959Z".toByteArray())),
            distinguished(subject),
            of.public.encoded,
            der(EXTENSIONS, der(SEQUENCE, extension)),
        )
        val signature = Signature.getInstance("SHA256withECDSA").run {
            initSign(keys.private)
            update(signed)
            sign()
        }
        val data = der(SEQUENCE, signed, algorithm, der(BITS, byteArrayOf(0), signature))
        return CertificateFactory.getInstance("X.509").generateCertificate(ByteArrayInputStream(data)) as X509Certificate
    }

    companion object {
        private const val SEQUENCE = 0x30
        private const val SET = 0x31
        private const val INTEGER = 0x02
        private const val BITS = 0x03
        private const val OCTETS = 0x04
        private const val TEXT = 0x0c
        private const val TIME = 0x18
        private const val DNS_NAME = 0x82
        private const val EXTENSIONS = 0xa3
        private const val SHORT = 128
        private val serial = AtomicInteger()

        /** Basic constraints: an authority's. */
        private val authority = extension("55 1d 13", bytes("30 03 01 01 ff"))

        /** Returns a new key on P-256. */
        fun pair(): KeyPair = KeyPairGenerator.getInstance("EC", "SunEC").run {
            initialize(ECGenParameterSpec("secp256r1"))
            generateKeyPair()
        }

        /** Returns what trusts these authorities alone. */
        fun trusting(vararg authorities: Authority): X509TrustManager {
            val store = KeyStore.getInstance("PKCS12").apply { load(null) }
            authorities.forEachIndexed { index, each -> store.setCertificateEntry("$index", each.certificate) }
            return TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
                .apply { init(store) }.trustManagers.filterIsInstance<X509TrustManager>().single()
        }

        private fun distinguished(name: String) =
            der(SEQUENCE, der(SET, der(SEQUENCE, bytes("06 03 55 04 03"), der(TEXT, name.toByteArray()))))

        private fun extension(id: String, value: ByteArray) = der(SEQUENCE, der(6, bytes(id)), der(OCTETS, value))

        private fun der(tag: Int, vararg parts: ByteArray): ByteArray {
            val content = parts.fold(ByteArray(0), ByteArray::plus)
            val size = content.size
            val length = when {
                size < SHORT -> byteArrayOf(size.toByte())
                size < 256 -> byteArrayOf(0x81.toByte(), size.toByte())
                else -> byteArrayOf(0x82.toByte(), (size shr 8).toByte(), size.toByte())
            }
            return byteArrayOf(tag.toByte()) + length + content
        }

        private fun bytes(hex: String) = hex.split(' ').map { it.toInt(16).toByte() }.toByteArray()
    }
}
