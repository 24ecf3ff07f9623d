package dev.watchword.internal

import dev.watchword.Pins
import dev.watchword.WatchwordException
import okhttp3.Connection
import okhttp3.Interceptor
import okhttp3.OkHttpClient
import okhttp3.Response
import java.security.cert.X509Certificate
import java.util.Collections
import java.util.WeakHashMap

private const val UPGRADE = "Upgrade"
private const val MAX_STALE = 8

/** One way of a request through OkHttp's redirects, as both interceptors see it. */
internal class PinPassage {
    /** Whether anything was sent. */
    @Volatile
    var isOut = false

    /** Whether the connection was used until the pins changed: a new one may be right. */
    @Volatile
    var isStale = false
}

/**
 * Above OkHttp's redirects: takes another connection where one of the time before the newest pins isn't used any more.
 *
 * @param client that this belongs to.
 */
internal class PinnedCalls(private val current: () -> Pins?, private val client: OkHttpClient.Builder) : Interceptor {
    override fun intercept(chain: Interceptor.Chain): Response {
        val request = chain.request()
        val pins = current() ?: return chain.proceed(request)
        val host = OkHttpCalls.host(OkHttpCalls.url(request))
        // OkHttp leads a WebSocket past network interceptors, so that nobody would look at its connection.
        if (request.header(UPGRADE).equals("websocket", ignoreCase = true) && pins.isPinned(host)) {
            throw WatchwordException.Pin(
                host,
                "a WebSocket to $host isn't opened: the host is pinned, and OkHttp lets nobody look at its connection",
            )
        }
        var left = MAX_STALE
        while (true) {
            val passage = PinPassage()
            try {
                return chain.proceed(request.newBuilder().tag(PinPassage::class.java, passage).build())
            } catch (refusal: Refusal) {
                val error = refusal.error as? WatchwordException.Pin ?: throw refusal
                if (passage.isOut || !passage.isStale || left-- == 0) throw error
                OkHttpCalls.closeIdle(client)
            }
        }
    }
}

/** Between a TLS handshake and the first byte of a request, also of one over a connection that is open: asks whether it may be used. */
internal class PinInterceptor(private val current: () -> Pins?) : Interceptor {
    private val accepted = Collections.synchronizedMap(WeakHashMap<Connection, Boolean>())

    override fun intercept(chain: Interceptor.Chain): Response {
        val request = chain.request()
        val pins = current() ?: return chain.proceed(request)
        val url = OkHttpCalls.url(request)
        val host = OkHttpCalls.host(url)
        val passage = request.tag(PinPassage::class.java)
        val connection = chain.connection()
        try {
            if (url.isHttps) pins.check(host, presented(connection)) else pins.checkCleartext(host)
        } catch (error: WatchwordException.Pin) {
            passage?.isStale = connection in accepted
            throw Refusal(error)
        }
        if (connection != null) accepted[connection] = true
        passage?.isOut = true
        return chain.proceed(request)
    }

    private fun presented(connection: Connection?): List<X509Certificate> =
        connection?.let(OkHttpCalls::certificates).orEmpty().filterIsInstance<X509Certificate>()
}
