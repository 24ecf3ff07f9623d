package dev.watchword

import dev.watchword.phone.MiniService
import dev.watchword.phone.SoftwareDevice
import dev.watchword.phone.WireServer
import dev.watchword.phone.WireServer.Reply
import okhttp3.OkHttpClient
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.io.File
import java.security.KeyStore
import java.security.cert.X509Certificate
import javax.net.ssl.HostnameVerifier
import javax.net.ssl.KeyManagerFactory
import javax.net.ssl.SSLContext
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509TrustManager
import okhttp3.Request as OkRequest

private const val PASSWORD = "of a test"

/** Pinned connections: nothing is sent over one that isn't used. */
class ConnectionCheckTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val service = MiniService(SoftwareDevice())
    private val checked = mutableListOf<Pair<String, X509Certificate>>()
    private var refuses: (String) -> Boolean = { false }
    private lateinit var keys: KeyStore
    private lateinit var server: WireServer

    @Before
    fun start() {
        keys = KeyStore.getInstance(selfSigned(), PASSWORD.toCharArray())
        val managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm()).apply { init(keys, PASSWORD.toCharArray()) }
        val context = SSLContext.getInstance("TLS").apply { init(managers.keyManagers, null, null) }
        server = WireServer(context.serverSocketFactory) {
            if (it.target == "/away") {
                Reply.Of(302, headers = mapOf("Location" to "https://127.0.0.1:${server.port}/"))
            } else {
                Reply.Of(200)
            }
        }
    }

    @After
    fun close() {
        server.close()
    }

    /** A key of `localhost` in a file, by Java's own tool. */
    private fun selfSigned(): File {
        val file = File(folder.root, "keys.p12")
        val tool = File(System.getProperty("java.home"), "bin/keytool").path
        val options = "-genkeypair -alias a -keyalg EC -groupname secp256r1 -dname CN=localhost -validity 2 -storetype PKCS12"
        val command = listOf(tool) + options.split(" ") + listOf("-keystore", file.path, "-storepass", PASSWORD)
        val process = ProcessBuilder(command).redirectErrorStream(true).start()
        val said = process.inputStream.readBytes().toString(Charsets.UTF_8)
        check(process.waitFor() == 0) { said }
        return file
    }

    private fun client(): OkHttpClient {
        val trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm()).run {
            init(keys)
            // A key's own certificate isn't trusted by that alone.
            init(KeyStore.getInstance("PKCS12").apply { load(null) }.apply { setCertificateEntry("a", keys.getCertificate("a")) })
            trustManagers.filterIsInstance<X509TrustManager>().single()
        }
        val sockets = SSLContext.getInstance("TLS").apply { init(null, arrayOf(trust), null) }.socketFactory
        val watchword = service.watchword(WatchwordConfig("https://attest.example", "clinic", listOf(Api("api", listOf(origin())))))
        val check = ConnectionCheck { host, presented ->
            checked += host to presented.first()
            if (refuses(host)) throw WatchwordException.Pin(host, "another key than those that are pinned")
        }
        return OkHttpClient.Builder()
            .sslSocketFactory(sockets, trust)
            .hostnameVerifier(HostnameVerifier { _, _ -> true })
            .watchword(watchword, check)
            .build()
    }

    private fun origin() = "https://localhost:${server.port}"

    private fun get(path: String) = OkRequest.Builder().url(origin() + path).build()

    @Test
    fun `a connection is looked at before anything is sent`() {
        client().newCall(get("/")).execute().close()
        assertEquals(listOf("localhost" to keys.getCertificate("a")), checked)
        assertEquals(1, server.requests.size)
    }

    @Test
    fun `nothing is sent over one that isn't used`() {
        refuses = { true }
        val error = assertThrows(WatchwordException.Pin::class.java) { client().newCall(get("/")).execute() }
        assertEquals("localhost", error.host)
        assertEquals(0, server.requests.size)
    }

    @Test
    fun `a redirect is looked at too`() {
        refuses = { it == "127.0.0.1" }
        assertThrows(WatchwordException.Pin::class.java) { client().newCall(get("/away")).execute() }
        assertEquals(listOf("/away"), server.requests.map { it.target })
    }
}
