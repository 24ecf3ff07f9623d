package dev.watchword.internal

import dev.watchword.Attempts
import dev.watchword.WireBody
import okhttp3.MediaType
import okhttp3.RequestBody
import okio.BufferedSink
import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.OutputStream

/** A body of OkHttp's, as a proof has to know it. */
internal class OkHttpBody(private val body: RequestBody) : WireBody {
    override val length: Long get() = body.contentLength()

    override val isRepeatable: Boolean get() = !OkHttpCalls.isOneShot(body)

    override fun writeTo(out: OutputStream) {
        OkHttpCalls.write(body, out)
    }
}

/** A body that is in memory. */
internal class KeptBody(private val type: MediaType?, private val bytes: ByteArray) : RequestBody() {
    override fun contentType(): MediaType? = type

    override fun contentLength(): Long = bytes.size.toLong()

    override fun writeTo(sink: BufferedSink) {
        sink.write(bytes)
    }
}

/**
 * A body that can be written once only, and is kept while it is: a gate that wants its length gets it then.
 *
 * What is larger than [Attempts.MAX_KEPT_BYTES] isn't kept.
 */
internal class KeepingBody(private val body: RequestBody) : OneShotBody() {
    private val bytes = ByteArrayOutputStream()
    private var isBegun = false
    private var isWhole = false
    private var isTooLarge = false

    override fun contentType(): MediaType? = body.contentType()

    override fun contentLength(): Long = body.contentLength()

    override fun writeTo(sink: BufferedSink): Unit = writeOnce(sink.outputStream())

    /** Returns what was written, or reads what wasn't begun; null where it can't be had whole, or is too large. */
    fun kept(): ByteArray? {
        if (!isBegun) {
            try {
                writeOnce(null)
            } catch (error: IOException) {
                if (!isTooLarge) throw error
            }
        }
        return if (isWhole && !isTooLarge) bytes.toByteArray() else null
    }

    private fun writeOnce(out: OutputStream?) {
        isBegun = true
        OkHttpCalls.write(body, Tee(out))
        isWhole = true
    }

    private inner class Tee(private val out: OutputStream?) : OutputStream() {
        override fun write(byte: Int): Unit = write(byteArrayOf(byte.toByte()), 0, 1)

        override fun write(data: ByteArray, offset: Int, length: Int) {
            isTooLarge = isTooLarge || bytes.size() + length > Attempts.MAX_KEPT_BYTES
            if (isTooLarge) bytes.reset() else bytes.write(data, offset, length)
            if (out == null && isTooLarge) throw IOException("the body is larger than what is kept")
            out?.write(data, offset, length)
        }

        override fun flush() {
            out?.flush()
        }
    }
}
