package dev.watchword

import java.io.IOException
import java.io.OutputStream

/**
 * A request's body, as far as a proof has to know it.
 *
 * @property length in bytes, -1 where it isn't known (`Transfer-Encoding: chunked`).
 * @property isRepeatable whether [writeTo] may be called more than once.
 */
public interface WireBody {
    public val length: Long
    public val isRepeatable: Boolean

    /** Writes the body's bytes as they go over the wire. */
    @Throws(IOException::class)
    public fun writeTo(out: OutputStream)
}

/**
 * A request of the app, before anything of it is sent.
 *
 * @property method in upper case.
 * @property url absolute.
 * @property idempotencyKey the value of the header `Idempotency-Key`, null where there is none.
 * @property body null where there is none.
 */
public class AppRequest
@JvmOverloads
constructor(
    public val method: String,
    public val url: String,
    public val idempotencyKey: String? = null,
    public val body: WireBody? = null,
)

/**
 * One attempt on the wire, exactly as it is sent.
 *
 * @property method in upper case.
 * @property url absolute; path and query are the bytes of the request line.
 * @property host the header `Host`; null for what the URL says, its port left out where it is the scheme's own.
 * @property contentDigest the app's own header `Content-Digest`, which counts where the body isn't repeatable.
 * @property body null where there is none.
 */
public class WireRequest
@JvmOverloads
constructor(
    public val method: String,
    public val url: String,
    public val host: String? = null,
    public val contentDigest: String? = null,
    public val body: WireBody? = null,
)

/**
 * What to do to the headers of one attempt: first remove, then set.
 *
 * @property remove names, in any case.
 * @property set by name.
 */
public class WireHeaders internal constructor(
    public val remove: Set<String>,
    public val set: Map<String, String>,
) {
    override fun toString(): String = "WireHeaders(set=${set.keys})"
}

/** What is to be done with an answer. */
public enum class Verdict {
    /** Hand it to the app. */
    DELIVER,

    /** Close it and send the request again. */
    REPEAT,

    /** Close it and send the request again with its body's length; see [Attempts.lengthMissing]. */
    REPEAT_WITH_LENGTH,
}

/**
 * Carries one request of the app through its attempts: a proof for each, and what to do about a refusal or a lost answer.
 *
 * For adapters of HTTP libraries. Above the library's own retries and redirects:
 *
 * ```
 * val attempts = watchword.attempts(AppRequest(...)) ?: return library.send(request)  // not one of our APIs
 * if (attempts.wantsLength) buffer the body, at most MAX_KEPT_BYTES, or throw attempts.lengthMissing()
 * attempts.prepare()
 * while (true) {
 *     val answer = try { library.send(request) } catch (error: IOException) { attempts.lost(error); continue }
 *     when (attempts.judge(answer.code, answer::header) { first 64 KiB of the body }) { ... }
 * }
 * ```
 *
 * Below them, for each attempt on the wire:
 *
 * ```
 * val headers = attempts.sign(WireRequest(...))   // throws OutcomeUnknown where a library mustn't repeat
 * val answer = wire.send(request with headers)
 * attempts.answered(answer.code, answer::header)
 * ```
 *
 * One thread at a time.
 */
public class Attempts internal constructor() {
    /** Whether the body, whose length isn't known, has to be read whole before the request is sent. */
    public val wantsLength: Boolean get() = TODO()

    /**
     * Waits for a token; returns without one where the API's requests may go unproved.
     *
     * @throws WatchwordException if there is no token to be had.
     */
    @Throws(WatchwordException::class)
    public fun prepare(): Unit = TODO()

    /**
     * Returns what one attempt on the wire carries. An attempt at another origin, and all that come after it, carry nothing
     * of Watchword's.
     *
     * @throws WatchwordException.OutcomeUnknown if the request may have been carried out already and mustn't be repeated.
     * @throws WatchwordException.DeviceFailed if the device's key can't sign.
     */
    @Throws(IOException::class)
    public fun sign(request: WireRequest): WireHeaders = TODO()

    /**
     * Notes that an attempt on the wire was answered.
     *
     * @param header returns a header's value by its name in any case, null where there is none.
     */
    public fun answered(status: Int, header: (String) -> String?): Unit = TODO()

    /**
     * Judges the last answer, after redirects.
     *
     * @param header see [answered].
     * @param body returns the first 64 KiB of the answer's body, decoded, without taking it from the app; called at most
     *   once, and only after a refusal.
     * @throws WatchwordException if another token is needed and there is none to be had, or if the request's outcome is
     *   unknown. The answer is to be closed then.
     */
    @Throws(IOException::class)
    public fun judge(status: Int, header: (String) -> String?, body: () -> ByteArray): Verdict = TODO()

    /**
     * Judges an error of the library's: returns where the request is to be sent again.
     *
     * @throws IOException [error] itself where nothing was sent, or where it says enough.
     * @throws WatchwordException.OutcomeUnknown where the request may have been carried out, and mustn't be repeated.
     */
    @Throws(IOException::class)
    public fun lost(error: IOException): Unit = TODO()

    /** Returns what to throw where the body is longer than [MAX_KEPT_BYTES]. */
    public fun lengthMissing(): WatchwordException.LengthRequired = TODO()

    public companion object {
        /** Most bytes of a stream that are kept, so that it can be sent with its length: 1 MiB. */
        public const val MAX_KEPT_BYTES: Int = 1024 * 1024

        /** Most bytes of an answer that [judge] reads: 64 KiB. */
        public const val MAX_ANSWER_BYTES: Int = 64 * 1024
    }
}
