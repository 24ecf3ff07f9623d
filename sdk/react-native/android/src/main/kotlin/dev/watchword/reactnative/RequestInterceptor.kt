package dev.watchword.reactnative

import dev.watchword.Attempts
import dev.watchword.Watchword
import dev.watchword.WatchwordException
import okhttp3.Interceptor
import okhttp3.MediaType
import okhttp3.RequestBody
import okhttp3.Response
import okio.BufferedSink
import okio.buffer
import okio.sink
import okio.source
import java.io.ByteArrayOutputStream
import java.io.Closeable
import java.io.File
import java.io.IOException
import java.io.OutputStream

/**
 * Stands above Watchword's interceptors: takes a copy of each body, and tells JavaScript why a request failed.
 *
 * React Native's bodies of files read a stream that is empty the second time, and don't say so: read once for the proof, they would be
 * sent empty.
 *
 * @param current the instance, null before there is one.
 * @param directory for bodies that are too large for memory; null where there is none yet.
 * @param tell is given what went wrong; `fetch` says no more than "Network request failed".
 */
internal class RequestInterceptor(
    private val current: () -> Watchword?,
    private val directory: () -> File?,
    private val tell: (Failure) -> Unit,
) : Interceptor {
    override fun intercept(chain: Interceptor.Chain): Response {
        val request = chain.request()
        val body = request.body
        val watchword = current()
        // Nobody but an API of ours needs a copy.
        val isOurs = watchword?.covers(request.url.toString().substringBefore('#')) == true
        try {
            if (body == null || !isOurs) return chain.proceed(request)
            return copied(body).use { chain.proceed(request.newBuilder().method(request.method, it.body).build()) }
        } catch (error: WatchwordException) {
            tell(Failure.of(error))
            throw error
        }
    }

    private fun copied(body: RequestBody): Copy {
        val copy = Copy(directory)
        try {
            val sink = copy.sink().buffer()
            body.writeTo(sink)
            sink.close()
        } catch (error: Throwable) {
            // Whatever a body throws, nothing of it stays in a file.
            copy.close()
            if (error !is IOException) throw error
            val told = "the request's body can't be read whole, or there is no room to keep it (${error.javaClass.simpleName})"
            tell(Failure(Failure.BODY_UNREADABLE, told))
            throw IOException(told, error)
        }
        copy.type = body.contentType()
        return copy
    }
}

/** The bytes of a body: in memory, or in a file from [Attempts.MAX_KEPT_BYTES] on, which lasts as long as the call. */
private class Copy(private val directory: () -> File?) :
    OutputStream(),
    Closeable {
    private val memory = ByteArrayOutputStream()
    private var file: File? = null
    private var out: OutputStream = memory
    var type: MediaType? = null

    override fun write(byte: Int): Unit = write(byteArrayOf(byte.toByte()), 0, 1)

    override fun write(data: ByteArray, offset: Int, length: Int) {
        if (file == null && memory.size() + length > Attempts.MAX_KEPT_BYTES) spill()
        out.write(data, offset, length)
    }

    /** The sink's end is the body's, not the copy's. */
    fun sink() = object : OutputStream() {
        override fun write(byte: Int): Unit = this@Copy.write(byte)

        override fun write(data: ByteArray, offset: Int, length: Int): Unit = this@Copy.write(data, offset, length)

        override fun close() {
            out.close()
        }
    }.sink()

    val body = object : RequestBody() {
        override fun contentType(): MediaType? = type

        override fun contentLength(): Long = file?.length() ?: memory.size().toLong()

        override fun writeTo(sink: BufferedSink) {
            val held = file
            if (held == null) sink.write(memory.toByteArray()) else held.source().use { sink.writeAll(it) }
        }
    }

    private fun spill() {
        val made = File.createTempFile("watchword", null, directory() ?: throw IOException("no directory for files yet"))
        file = made
        out = made.outputStream().also { memory.writeTo(it) }
        memory.reset()
    }

    override fun close() {
        try {
            out.close()
        } finally {
            file?.delete()
        }
    }
}
