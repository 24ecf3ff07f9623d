package dev.watchword.measured

import dev.watchword.AppRequest
import dev.watchword.Watchword
import dev.watchword.WatchwordConfig
import dev.watchword.WireRequest
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
 * Sends a number of GETs by a bare OkHttp, by one that adds fixed headers of the same length as ours, and by one with Watchword,
 * in turns over one connection each, and prints the nanoseconds of each three.
 */
fun main(arguments: Array<String>) {
    val server = ServerSocket(0, 0, InetAddress.getLoopbackAddress())
    thread(isDaemon = true) { while (true) server.accept().let { thread(isDaemon = true) { serve(it) } } }
    val api = "http://127.0.0.1:${server.localPort}"
    val watchword = MiniService(SoftwareDevice()).watchword(WatchwordConfig("http://127.0.0.1:1", "clinic-android", api))
    val protectedClient = OkHttpClient.Builder().watchword(watchword).build()
    val bareClient = OkHttpClient.Builder().build()
    val url = "$api/v1/records/7?part=1"
    val request = Request.Builder().url(url).build()
    val sizedClient = sized(proved(watchword, url))
    val clients = listOf(bareClient, sizedClient, protectedClient)
    repeat(WARM_UP) { clients.forEach { it.took(request) } }
    val rounds = List(arguments[0].toInt()) { clients.map { it.took(request) } }
    print(rounds.joinToString("\n") { it.joinToString(" ") })
    System.exit(0)
}

/** Returns the headers of one genuine attempt. */
private fun proved(watchword: Watchword, url: String): Map<String, String> {
    val attempts = checkNotNull(watchword.attempts(AppRequest("GET", url)))
    attempts.prepare()
    return attempts.sign(WireRequest("GET", url)).set
}

/** Returns a client that sends these headers with each request: what their bytes cost, whoever makes them. */
private fun sized(headers: Map<String, String>): OkHttpClient = OkHttpClient.Builder()
    .addNetworkInterceptor { chain ->
        chain.proceed(chain.request().newBuilder().apply { headers.forEach { (name, value) -> header(name, value) } }.build())
    }.build()

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
