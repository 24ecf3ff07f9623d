package dev.watchword

import java.io.ByteArrayOutputStream
import java.io.EOFException
import java.io.IOException
import java.io.InputStream
import java.net.HttpURLConnection
import java.net.SocketTimeoutException
import java.net.URL
import java.util.Locale
import java.util.concurrent.TimeUnit

/**
 * The default [Transport]: the platform's `HttpURLConnection`.
 *
 * @param limit most bytes of an answer.
 * @param open opens a connection that isn't connected yet; for a proxy or a test. Pins are checked whatever it sets.
 */
public class HttpTransport
@JvmOverloads
constructor(
    private val limit: Int = Attempts.MAX_ANSWER_BYTES,
    private val open: (URL) -> HttpURLConnection = { it.openConnection() as HttpURLConnection },
) : Transport {
    override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer =
        exchange(url, headers, timeoutMillis) { connection ->
            connection.requestMethod = "POST"
            connection.doOutput = true
            // With a length that is known the platform repeats no POST whose connection broke.
            connection.setFixedLengthStreamingMode(body.size)
            connection.outputStream.use { it.write(body) }
        }

    override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int): Answer = exchange(url, headers, timeoutMillis) {}

    /** Returns the same way to the service, over connections that the pins judge. */
    internal fun guardedBy(pins: Pins): HttpTransport = HttpTransport(limit) { pins.guard(open(it)) }

    private fun exchange(url: String, headers: Map<String, String>, timeoutMillis: Int, send: (HttpURLConnection) -> Unit): Answer {
        val end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeoutMillis.toLong())
        val connection = open(URL(url))
        try {
            connection.connectTimeout = timeoutMillis
            connection.readTimeout = timeoutMillis
            connection.instanceFollowRedirects = false
            connection.useCaches = false
            for ((name, value) in headers) connection.setRequestProperty(name, value)
            send(connection)
            val status = connection.responseCode
            if (status < MIN_STATUS) throw UnreadableAnswerException("got something that isn't HTTP")
            val answer = headersOf(connection)
            val encoding = answer["content-encoding"]?.trim() ?: "identity"
            if (!encoding.equals("identity", ignoreCase = true)) {
                throw UnreadableAnswerException("got a compressed answer, which wasn't asked for")
            }
            val stream = if (status >= MIN_ERROR) connection.errorStream else connection.inputStream
            val content = stream?.use { read(it, connection, end) } ?: ByteArray(0)
            // Not every platform says so itself. What isn't sent anew has its length all the same (RFC 9110 section 8.6).
            val length = answer["content-length"]?.toLongOrNull()
            if (status != NOT_MODIFIED && length != null && length > content.size) throw EOFException("the answer was cut off")
            return Answer(status, answer, content)
        } catch (error: WatchwordException) {
            throw error
        } catch (error: IOException) {
            connection.disconnect()
            throw error.pinRefusal() ?: error
        }
    }

    private fun headersOf(connection: HttpURLConnection): Map<String, String> {
        val out = LinkedHashMap<String, String>()
        for ((name, values) in connection.headerFields) {
            // The status line has no name.
            if (name != null && values.isNotEmpty()) out[name.lowercase(Locale.ROOT)] = values.joinToString(", ")
        }
        return out
    }

    private fun read(stream: InputStream, connection: HttpURLConnection, end: Long): ByteArray {
        val out = ByteArrayOutputStream()
        val buffer = ByteArray(BUFFER)
        while (true) {
            val left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime())
            // A server that sends a byte now and then never runs into the time that one reading has.
            if (left <= 0) throw SocketTimeoutException("the answer took too long")
            connection.readTimeout = left.toInt().coerceAtLeast(1)
            val count = stream.read(buffer)
            if (count < 0) return out.toByteArray()
            out.write(buffer, 0, count)
            if (out.size() > limit) {
                throw UnreadableAnswerException("got an answer of more than $limit bytes")
            }
        }
    }

    private companion object {
        private const val BUFFER = 8192
        private const val MIN_STATUS = 100
        private const val MIN_ERROR = 400
        private const val NOT_MODIFIED = HttpURLConnection.HTTP_NOT_MODIFIED
    }
}
