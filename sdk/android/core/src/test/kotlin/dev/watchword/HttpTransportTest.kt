package dev.watchword

import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.IOException
import java.net.InetAddress
import java.net.ServerSocket
import java.net.SocketException
import java.util.Collections

/** Shows what the default transport makes of answers as they come over the wire, from a server that says anything. */
class HttpTransportTest {
    private val socket = ServerSocket(0, 10, InetAddress.getLoopbackAddress())
    private val url = "http://127.0.0.1:${socket.localPort}"
    private val requests = Collections.synchronizedList(ArrayList<String>())

    @After
    fun close() = socket.close()

    /** Answers each connection with what is next, and closes it. */
    private fun serve(vararg answers: ByteArray) {
        Thread {
            for (answer in answers) {
                val connection =
                    try {
                        socket.accept()
                    } catch (_: SocketException) {
                        return@Thread // The test is over.
                    }
                connection.use {
                    val reader = connection.getInputStream().bufferedReader(Charsets.ISO_8859_1)
                    val head = generateSequence { reader.readLine() }.takeWhile { it.isNotEmpty() }.toList()
                    val length =
                        head.firstOrNull { it.startsWith("Content-Length:", ignoreCase = true) }?.substringAfter(": ")?.toInt() ?: 0
                    val body = CharArray(length).also { if (length > 0) reader.read(it) }
                    requests += head.joinToString("\n") + "\n\n" + String(body)
                    connection.getOutputStream().write(answer)
                    connection.getOutputStream().flush()
                }
            }
        }.apply { isDaemon = true }.start()
    }

    private fun answer(status: String, vararg headers: String, body: ByteArray = ByteArray(0)) =
        ("HTTP/1.1 $status\r\n" + headers.joinToString("") { "$it\r\n" } + "Content-Length: ${body.size}\r\nConnection: close\r\n\r\n")
            .toByteArray() + body

    private fun post() = HttpTransport().post(
        "$url/v1/challenges",
        mapOf("Content-Type" to "application/json", "Accept-Encoding" to "identity"),
        "{}".toByteArray(),
        20_000,
    )

    @Test
    fun anAnswerAsItCame() {
        serve(answer("201 Created", "Content-Type: application/json", "Retry-After: 5", body = "{\"a\":1}".toByteArray()))
        val answer = post()
        assertEquals(201, answer.status)
        assertEquals("application/json", answer.headers["content-type"])
        assertEquals("5", answer.headers["retry-after"])
        assertArrayEquals("{\"a\":1}".toByteArray(), answer.body)
        val request = requests.single()
        assertTrue(request, request.startsWith("POST /v1/challenges HTTP/1.1\n") && request.endsWith("\n\n{}"))
        assertTrue(request, request.contains("Accept-Encoding: identity") && request.contains("Content-Length: 2"))
    }

    @Test
    fun refusalsHaveTheirBody() {
        serve(answer("403 Forbidden", "Content-Type: application/problem+json", body = "{}".toByteArray()))
        val answer = post()
        assertEquals(403, answer.status)
        assertArrayEquals("{}".toByteArray(), answer.body)
    }

    @Test
    fun redirectsAreNotFollowed() {
        serve(answer("302 Found", "Location: $url/elsewhere"), answer("200 OK"))
        assertEquals(302, post().status)
        assertEquals(1, requests.size)
    }

    @Test
    fun largeAnswersAreCut() {
        serve(answer("200 OK", body = ByteArray(64 * 1024)), answer("200 OK", body = ByteArray(64 * 1024 + 1)))
        assertEquals(64 * 1024, post().body.size)
        assertThrows(UnreadableAnswerException::class.java) { post() }
    }

    @Test
    fun compressedAnswersAreNotRead() {
        serve(
            answer("200 OK", "Content-Encoding: gzip", body = ByteArray(10)),
            answer("403 No", "Content-Encoding: br", body = ByteArray(10)),
        )
        assertThrows(UnreadableAnswerException::class.java) { post() }
        assertThrows(UnreadableAnswerException::class.java) { post() }
    }

    @Test
    fun brokenConnectionsAreErrors() {
        val cut = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}".toByteArray()
        serve(ByteArray(0), cut)
        repeat(2) { assertThrows(IOException::class.java) { post() } }
        assertEquals(2, requests.size)
    }

    @Test
    fun whatIsNoHttpIsAnError() {
        serve("SSH-2.0-OpenSSH_9.2\r\n".toByteArray())
        assertThrows(IOException::class.java) { post() }
    }

    @Test
    fun getsAreSent() {
        serve(answer("200 OK", body = "{}".toByteArray()))
        val answer = HttpTransport().get("$url/.well-known/jwks.json", mapOf("Accept-Encoding" to "identity"), 20_000)
        assertEquals(200, answer.status)
        assertTrue(requests.single().startsWith("GET /.well-known/jwks.json HTTP/1.1"))
    }
}
