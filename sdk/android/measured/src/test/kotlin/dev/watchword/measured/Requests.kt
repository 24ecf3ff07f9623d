package dev.watchword.measured

import dev.watchword.WatchwordConfig
import dev.watchword.phone.MiniService
import dev.watchword.phone.SoftwareDevice
import dev.watchword.watchword
import okhttp3.OkHttpClient
import okhttp3.Request
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import kotlin.concurrent.thread

private const val WARM_UP = 5_000
private val END = "\r\n\r\n".toByteArray()
private val ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".toByteArray()

/**
 * Sends a number of GETs by a bare OkHttp and by one with Watchword, in turns over one connection each, and prints the
 * nanoseconds of each pair.
 */
fun main(arguments: Array<String>) {
    val server = ServerSocket(0, 0, InetAddress.getLoopbackAddress())
    thread(isDaemon = true) { while (true) server.accept().let { thread(isDaemon = true) { serve(it) } } }
    val api = "http://127.0.0.1:${server.localPort}"
    val watchword = MiniService(SoftwareDevice()).watchword(WatchwordConfig("http://127.0.0.1:1", "clinic-android", api))
    val protectedClient = OkHttpClient.Builder().watchword(watchword).build()
    val bareClient = OkHttpClient.Builder().build()
    val request = Request.Builder().url("$api/v1/records/7?part=1").build()
    repeat(WARM_UP) {
        bareClient.took(request)
        protectedClient.took(request)
    }
    val pairs = List(arguments[0].toInt()) { bareClient.took(request) to protectedClient.took(request) }
    print(pairs.joinToString("\n") { (bare, ours) -> "$bare $ours" })
    System.exit(0)
}

private fun OkHttpClient.took(request: Request): Long {
    val started = System.nanoTime()
    newCall(request).execute().use { check(it.isSuccessful) }
    return System.nanoTime() - started
}

/** Answers each request, none of which has a body, in the same words, and spends as little on its head as can be. */
private fun serve(socket: Socket) = socket.use {
    it.tcpNoDelay = true
    val input = it.getInputStream()
    val buffer = ByteArray(16_384)
    var filled = 0
    while (true) {
        val taken = input.read(buffer, filled, buffer.size - filled)
        if (taken < 0) break
        filled += taken
        if (END.indices.all { at -> filled >= END.size && buffer[filled - END.size + at] == END[at] }) {
            it.getOutputStream().write(ANSWER)
            filled = 0
        }
    }
}
