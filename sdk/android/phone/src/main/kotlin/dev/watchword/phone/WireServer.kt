package dev.watchword.phone

import java.io.BufferedInputStream
import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.util.Collections
import java.util.Locale
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.atomic.AtomicInteger
import javax.net.ServerSocketFactory
import kotlin.concurrent.thread

/**
 * A server on loopback that answers as a test says, or drops connections.
 *
 * @param respond is given each request, in whichever thread.
 */
class WireServer(sockets: ServerSocketFactory = ServerSocketFactory.getDefault(), private val respond: (Request) -> Reply) :
    AutoCloseable {
    /**
     * A request as it came over the wire.
     *
     * @property headers by name in lower case.
     * @property number counts the server's requests from 1 on.
     * @property onConnection counts those of its connection.
     */
    class Request(
        val method: String,
        val target: String,
        val headers: Map<String, String>,
        val body: ByteArray,
        val number: Int,
        val onConnection: Int,
    ) {
        val nonce: String? get() = headers["signature-input"]?.let { NONCE.find(it)?.groupValues?.get(1) }
    }

    /** What becomes of a request. */
    sealed class Reply {
        /** Drops the connection: the request was read, and nothing is answered. */
        object Drop : Reply()

        /** An answer; [length] says another one than the body has, and the connection is dropped after it. */
        class Of(
            val status: Int,
            val body: ByteArray = ByteArray(0),
            val headers: Map<String, String> = emptyMap(),
            val length: Int? = null,
        ) : Reply()
    }

    private val socket: ServerSocket = sockets.createServerSocket(0, 100, InetAddress.getByName("127.0.0.1"))
    private val count = AtomicInteger()
    private val open = CopyOnWriteArrayList<Socket>()

    /** All requests that were read whole. */
    val requests: MutableList<Request> = Collections.synchronizedList(mutableListOf<Request>())

    val port: Int get() = socket.localPort

    val url: String get() = "http://127.0.0.1:$port"

    init {
        thread(isDaemon = true) {
            while (!socket.isClosed) {
                val connection = try {
                    socket.accept()
                } catch (_: IOException) {
                    break
                }
                open += connection
                thread(isDaemon = true) { serve(connection) }
            }
        }
    }

    override fun close() {
        socket.close()
        open.forEach { it.close() }
    }

    private fun serve(connection: Socket): Unit = connection.use {
        try {
            val input = BufferedInputStream(it.getInputStream())
            var onConnection = 0
            while (true) {
                val request = read(input, ++onConnection) ?: return
                requests += request
                if (!write(it.getOutputStream(), respond(request))) return
            }
        } catch (_: IOException) {
            // The client went away, or the server was closed.
        }
    }

    private fun read(input: InputStream, onConnection: Int): Request? {
        val (method, target) = (line(input) ?: return null).split(" ")
        val headers = generateSequence { line(input)?.ifEmpty { null } }
            .associate { it.substringBefore(':').lowercase(Locale.ROOT) to it.substringAfter(':').trim() }
        val body = when {
            headers["transfer-encoding"] == "chunked" -> chunks(input)
            else -> exactly(input, headers["content-length"]?.toInt() ?: 0)
        }
        return Request(method, target, headers, body, count.incrementAndGet(), onConnection)
    }

    private fun chunks(input: InputStream): ByteArray {
        val out = ByteArrayOutputStream()
        while (true) {
            val size = (line(input) ?: throw IOException("cut short")).trim().toInt(16)
            out.write(exactly(input, size))
            line(input)
            if (size == 0) return out.toByteArray()
        }
    }

    private fun exactly(input: InputStream, size: Int): ByteArray = input.readNBytes(size)

    private fun line(input: InputStream): String? {
        val out = StringBuilder()
        while (true) {
            when (val byte = input.read()) {
                -1 -> return null
                '\n'.code -> return out.toString().removeSuffix("\r")
                else -> out.append(byte.toChar())
            }
        }
    }

    /** Whether the connection goes on. */
    private fun write(out: OutputStream, reply: Reply): Boolean {
        if (reply !is Reply.Of) return false
        val head = StringBuilder("HTTP/1.1 ${reply.status} Said\r\nContent-Length: ${reply.length ?: reply.body.size}\r\n")
        reply.headers.forEach { (name, value) -> head.append("$name: $value\r\n") }
        out.write("$head\r\n".toByteArray())
        out.write(reply.body)
        out.flush()
        return reply.length == null
    }

    private companion object {
        val NONCE = Regex("nonce=\"([^\"]+)\"")
    }
}
