package dev.watchword

/**
 * The default [Transport]: the platform's `HttpURLConnection`.
 *
 * @param open opens a connection that isn't connected yet; for pins, a proxy or a test.
 */
public class HttpTransport
@JvmOverloads
constructor(
    private val open: (java.net.URL) -> java.net.HttpURLConnection = {
        it.openConnection() as java.net.HttpURLConnection
    },
) : Transport {
    override fun post(
        url: String,
        headers: Map<String, String>,
        body: ByteArray,
        timeoutMillis: Int,
    ): Answer = TODO()

    override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int): Answer = TODO()
}
