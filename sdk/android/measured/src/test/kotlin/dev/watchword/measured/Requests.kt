package dev.watchword.measured

import dev.watchword.WatchwordConfig
import dev.watchword.phone.MiniService
import dev.watchword.phone.SoftwareDevice
import dev.watchword.watchword
import okhttp3.OkHttpClient
import okhttp3.Request
import java.io.BufferedInputStream
import java.io.InputStream
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import kotlin.concurrent.thread

private const val WARM_UP = 5_000
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

/** Answers each request, none of which has a body, in the same words. */
private fun serve(socket: Socket) = socket.use {
    it.tcpNoDelay = true
    val input = BufferedInputStream(it.getInputStream())
    while (readHead(input)) {
        it.getOutputStream().write(ANSWER)
    }
}

private fun readHead(input: InputStream): Boolean {
    var ending = 0
    while (ending != 0x0d0a0d0a) {
        val byte = input.read()
        if (byte < 0) return false
        ending = (ending shl 8) or byte
    }
    return true
}
