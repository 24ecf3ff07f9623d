@file:JvmName("WatchwordUrlConnection")

package dev.watchword

import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.Closeable
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import java.io.SequenceInputStream
import java.net.HttpURLConnection
import java.net.URL

/**
 * An API's answer over `HttpURLConnection`.
 *
 * @property status the HTTP status.
 * @property body the answer's bytes; to be read once.
 */
public class UrlResponse internal constructor(
    public val status: Int,
    public val body: InputStream,
    private val connection: HttpURLConnection,
    internal val proof: ProofKind? = null,
) : Closeable {
    /** Returns a header's value by its name in any case, null where there is none. */
    public fun header(name: String): String? = connection.getHeaderField(name)

    /** Returns all headers; the status line has the name null. */
    public fun headers(): Map<String?, List<String>> = connection.headerFields

    override fun close(): Unit = body.close()

    /** Returns the same answer, whose first bytes were read already. */
    internal fun behind(head: ByteArray): UrlResponse =
        UrlResponse(status, SequenceInputStream(ByteArrayInputStream(head), body), connection, proof)
}

/**
 * Sends one request by `HttpURLConnection` (`HttpsURLConnection` for `https`), with token and proof where it goes to one of
 * the configured APIs, and without anything of Watchword's elsewhere.
 *
 * It follows no redirect: the answer says where it leads. Call it on a background thread.
 *
 * ```kotlin
 * watchword.send(URL("https://api.example/patients")).use { answer -> answer.body.readBytes() }
 * ```
 *
 * @param headers of the app's; a `Content-Digest` or anything of Watchword's is set here and needn't be among them.
 * @param body null where there is none.
 * @param open opens a connection that isn't connected yet, with timeouts or a proxy. In an app with pins its TLS sockets are
 *   [Pins.socketFactory]'s, whatever is set here.
 * @throws WatchwordException if there is no token, or if the outcome is unknown.
 * @throws IOException of the connection's own.
 */
@JvmOverloads
@Throws(IOException::class)
public fun Watchword.send(
    url: URL,
    method: String = "GET",
    headers: Map<String, String> = emptyMap(),
    body: ByteArray? = null,
    open: (URL) -> HttpURLConnection = { it.openConnection() as HttpURLConnection },
): UrlResponse {
    val wire = UrlRequest(url, method, headers, body) { open(it).also { connection -> pins?.guard(connection) } }
    val attempts = attempts(AppRequest(method, wire.address, wire.header("Idempotency-Key"), wire.body)) ?: return wire.send(null)
    attempts.prepare()
    while (true) {
        val answer = try {
            wire.send(attempts)
        } catch (error: IOException) {
            // Throws, unless the request is to be sent again; it was signed before there was a connection.
            attempts.lost(error, Attempts.isBeforeSending(error))
            continue
        }
        val head = ByteArrayOutputStream()
        val verdict = try {
            attempts.judge(answer.status, answer::header) { head.apply { writeFirst(answer.body) }.toByteArray() }
        } catch (error: Throwable) {
            answer.close()
            throw error
        }
        if (verdict == Verdict.DELIVER) return answer.behind(head.toByteArray())
        answer.close()
    }
}

/** One request, as often as it has to be sent. */
private class UrlRequest(
    private val url: URL,
    private val method: String,
    private val headers: Map<String, String>,
    body: ByteArray?,
    private val open: (URL) -> HttpURLConnection,
) {
    // A POST without a body the platform sends again by itself where its connection breaks, but not one that is streamed.
    private val bytes: ByteArray? = body ?: if (method in STREAMED) ByteArray(0) else null

    val address: String = url.toString().substringBefore('#')
    val body: WireBody? = bytes?.let(::BytesBody)

    fun header(name: String): String? = headers.entries.firstOrNull { it.key.equals(name, ignoreCase = true) }?.value

    /** Sends it once; what pins speak against is thrown as that, whatever the platform makes of it. */
    fun send(attempts: Attempts?): UrlResponse = try {
        sendOnce(attempts)
    } catch (error: IOException) {
        throw error.pinRefusal() ?: error
    }

    private fun sendOnce(attempts: Attempts?): UrlResponse {
        val connection = open(url)
        connection.instanceFollowRedirects = false
        connection.requestMethod = method
        headers.forEach { (name, value) -> connection.setRequestProperty(name, value) }
        if (attempts != null) sign(attempts, connection)
        if (bytes != null) {
            connection.doOutput = true
            // Sent once: without this the platform keeps the body and sends it again by itself.
            connection.setFixedLengthStreamingMode(bytes.size)
            connection.outputStream.use { it.write(bytes) }
        }
        val status = connection.responseCode
        attempts?.answered(status) { connection.getHeaderField(it) }
        val stream = if (status >= HttpURLConnection.HTTP_BAD_REQUEST) connection.errorStream else connection.inputStream
        return UrlResponse(status, stream ?: ByteArrayInputStream(ByteArray(0)), connection, attempts?.proof)
    }

    private fun sign(attempts: Attempts, connection: HttpURLConnection) {
        val signed = attempts.sign(WireRequest(method, address, null, header("Content-Digest"), body))
        for (name in headers.keys) {
            if (signed.remove.any { it.equals(name, ignoreCase = true) }) connection.setRequestProperty(name, null)
        }
        signed.set.forEach { (name, value) -> connection.setRequestProperty(name, value) }
    }
}

private val STREAMED = setOf("POST", "PATCH")

private class BytesBody(private val bytes: ByteArray) : WireBody {
    override val length: Long get() = bytes.size.toLong()
    override val isRepeatable: Boolean get() = true

    override fun writeTo(out: OutputStream): Unit = out.write(bytes)
}

private fun ByteArrayOutputStream.writeFirst(stream: InputStream) {
    val buffer = ByteArray(DEFAULT_BUFFER_SIZE)
    while (size() < Attempts.MAX_ANSWER_BYTES) {
        val count = try {
            stream.read(buffer, 0, minOf(buffer.size, Attempts.MAX_ANSWER_BYTES - size()))
        } catch (_: IOException) {
            return // The app meets the same error when it reads on.
        }
        if (count < 0) return
        write(buffer, 0, count)
    }
}
