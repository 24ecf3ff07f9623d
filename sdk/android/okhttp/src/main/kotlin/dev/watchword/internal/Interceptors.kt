package dev.watchword.internal

import dev.watchword.AppRequest
import dev.watchword.Attempts
import dev.watchword.Verdict
import dev.watchword.Watchword
import dev.watchword.WatchwordException
import dev.watchword.WireRequest
import okhttp3.Call
import okhttp3.Interceptor
import okhttp3.Request
import okhttp3.RequestBody
import okhttp3.Response
import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.InterruptedIOException
import java.io.OutputStream
import java.net.ProtocolException
import java.util.Collections
import java.util.WeakHashMap

private const val IDEMPOTENCY_KEY = "Idempotency-Key"
private const val CONTENT_DIGEST = "Content-Digest"
private const val HOST = "Host"

/**
 * Carries what Watchword throws below OkHttp's retries up through them. Over HTTP/2 OkHttp tries again without end, on the same
 * connection, what fails by an [IOException]; what is against the protocol it doesn't try again, in any version.
 */
internal class Refusal(val error: WatchwordException) : ProtocolException(error.message) {
    override val cause: Throwable get() = error
}

/** Above OkHttp's retries and redirects: waits for a token and judges what came of a request. */
internal class RetryInterceptor(private val current: () -> Watchword?) : Interceptor {
    // What an interceptor above this one sends again is the same call.
    private val latest = Collections.synchronizedMap(WeakHashMap<Call, Attempts>())

    override fun intercept(chain: Interceptor.Chain): Response {
        val request = chain.request()
        val watchword = current() ?: return chain.proceed(request)
        val body = OkHttpCalls.body(request)?.let(::sendable)
        val asked = AppRequest(
            OkHttpCalls.method(request),
            url(request),
            request.header(IDEMPOTENCY_KEY),
            body?.let(::OkHttpBody),
        )
        val attempts = watchword.attempts(asked, latest[chain.call()]) ?: return chain.proceed(request)
        latest[chain.call()] = attempts
        attempts.isCanceled = { chain.call().isCanceled() }
        return send(chain, attempts, with(request, body))
    }

    private fun send(chain: Interceptor.Chain, attempts: Attempts, request: Request.Builder): Response {
        var wire = request.tag(Attempts::class.java, attempts).build()
        if (attempts.wantsLength) wire = withLength(wire, attempts).also { attempts.lengthGiven() }
        attempts.prepare()
        while (true) {
            val response = try {
                chain.proceed(wire)
            } catch (error: IOException) {
                lost(attempts, (error as? Refusal)?.error ?: error, chain.call().isCanceled())
                continue
            }
            when (judge(attempts, response)) {
                Verdict.DELIVER -> return response

                Verdict.REPEAT -> response.close()

                Verdict.REPEAT_WITH_LENGTH -> {
                    response.close()
                    wire = withLength(wire, attempts)
                }
            }
        }
    }

    /** Throws, unless the request is to be sent again; a call that was cancelled is as one that ran out of time. */
    private fun lost(attempts: Attempts, error: IOException, isCanceled: Boolean) {
        if (!isCanceled) return attempts.lost(error)
        val ended = InterruptedIOException("the call was cancelled")
        try {
            attempts.lost(ended)
        } catch (thrown: IOException) {
            throw if (thrown === ended) error else thrown
        }
    }

    private fun judge(attempts: Attempts, response: Response): Verdict = try {
        attempts.judge(OkHttpCalls.code(response), { response.header(it) }) { firstBytes(response) }
    } catch (error: Throwable) {
        response.close()
        throw error
    }

    /** Returns what the app will read too; nothing where that fails, as it will for the app. */
    private fun firstBytes(response: Response): ByteArray = try {
        response.peekBody(Attempts.MAX_ANSWER_BYTES.toLong()).bytes()
    } catch (_: IOException) {
        ByteArray(0)
    }

    /** Returns a body that can be proved, or kept while it is sent; OkHttp's own where it can be written again. */
    private fun sendable(body: RequestBody): RequestBody {
        if (!OkHttpCalls.isOneShot(body)) return body
        val length = body.contentLength()
        if (length < 0 || length > Attempts.MAX_KEPT_BYTES) return KeepingBody(body)
        return KeptBody(body.contentType(), written(body) ?: throw IOException("the body is longer than it said"))
    }

    private fun withLength(request: Request, attempts: Attempts): Request {
        val body = OkHttpCalls.body(request) ?: return request
        val bytes = (if (body is KeepingBody) body.kept() else written(body)) ?: throw attempts.lengthMissing()
        return with(request, KeptBody(body.contentType(), bytes)).build()
    }

    private fun with(request: Request, body: RequestBody?): Request.Builder = request.newBuilder().method(OkHttpCalls.method(request), body)

    /** Returns a body's bytes; null where they are more than what is kept. */
    private fun written(body: RequestBody): ByteArray? {
        val out = CappedBytes()
        return try {
            OkHttpCalls.write(body, out)
            out.bytes()
        } catch (error: IOException) {
            if (out.isFull) null else throw error
        }
    }
}

/** Bytes in memory, at most as many as are kept of a stream. */
private class CappedBytes : OutputStream() {
    private val kept = ByteArrayOutputStream()
    var isFull = false
        private set

    override fun write(byte: Int): Unit = write(byteArrayOf(byte.toByte()), 0, 1)

    override fun write(data: ByteArray, offset: Int, length: Int) {
        if (kept.size() + length > Attempts.MAX_KEPT_BYTES) {
            isFull = true
            throw IOException("the body is larger than what is kept")
        }
        kept.write(data, offset, length)
    }

    fun bytes(): ByteArray = kept.toByteArray()
}

/** Below OkHttp's retries and redirects: proves each attempt on the wire. */
internal class AttemptInterceptor : Interceptor {
    override fun intercept(chain: Interceptor.Chain): Response {
        val request = chain.request()
        val attempts = request.tag(Attempts::class.java) ?: return chain.proceed(request)
        val wire = WireRequest(
            OkHttpCalls.method(request),
            url(request),
            request.header(HOST),
            request.header(CONTENT_DIGEST),
            OkHttpCalls.body(request)?.let(::OkHttpBody),
        )
        val headers = try {
            attempts.sign(wire)
        } catch (error: WatchwordException) {
            throw Refusal(error)
        }
        val signed = request.newBuilder()
        headers.remove.forEach { signed.removeHeader(it) }
        headers.set.forEach { (name, value) -> signed.header(name, value) }
        val response = chain.proceed(signed.build())
        attempts.answered(OkHttpCalls.code(response)) { response.header(it) }
        if (headers.set.isEmpty()) return response
        // What stands above (a cache that stores what Vary names, a logger) reads our names and no token or proof.
        headers.set.keys.forEach { signed.header(it, "-") }
        return response.newBuilder().request(signed.build()).build()
    }
}

/** Returns the URL without its fragment, which isn't sent. */
private fun url(request: Request): String = OkHttpCalls.url(request).toString().substringBefore('#')
