package dev.watchword.internal

import dev.watchword.Answer
import dev.watchword.Attempts
import dev.watchword.Ports
import dev.watchword.UnreadableAnswerException
import dev.watchword.WatchwordException
import java.io.IOException

/**
 * A problem document of Watchword's (RFC 9457).
 *
 * @property now the time that it tells, seconds since 1970; null where it tells none.
 * @property signed a final refusal signed over the statement; null where there is none.
 * @property place in the line of those who enrol; null where there is none, or what can't be one.
 */
internal class Problem(
    val type: String,
    val title: String,
    val ref: String?,
    val reasons: List<String>,
    val now: Long?,
    val signed: String?,
    val place: String?,
) {
    companion object {
        private const val TYPE = "urn:watchword:problem:"
        private const val MAX_TEXT = 200
        private const val MAX_PLACE = 128

        /** Returns a place in the line of those who enrol; null if it can't be one. */
        fun place(value: Any?): String? = (value as? String)?.takeIf { it.length in 1..MAX_PLACE && it.all(::isInPlace) }

        private fun isInPlace(char: Char) = char in 'a'..'z' || char in 'A'..'Z' || char in '0'..'9' || char == '-' || char == '_'

        /** Returns the problem in an answer, null if it isn't one of Watchword's. */
        fun read(contentType: String?, body: ByteArray): Problem? {
            if (mediaType(contentType) != "application/problem+json") return null
            val document =
                try {
                    StrictJson.read(body, Attempts.MAX_ANSWER_BYTES)
                } catch (_: MalformedException) {
                    return null
                }
            val type = document["type"] as? String ?: return null
            if (!type.startsWith(TYPE)) return null
            return Problem(
                type = type.removePrefix(TYPE).take(MAX_TEXT),
                title = (document["title"] as? String).orEmpty().take(MAX_TEXT),
                ref = document["ref"] as? String,
                reasons = (document["reasons"] as? List<*>).orEmpty().filterIsInstance<String>(),
                now = time(document["now"]),
                signed = document["signed"] as? String,
                place = place(document["place"]),
            )
        }
    }
}

/** Returns a time of the wire, whole seconds since 1970; null if it is none. */
internal fun time(value: Any?): Long? = (value as? Long)?.takeIf { it in 1L..MAX_TIME }

private const val MAX_TIME = 9_999_999_999

/** Returns the media type in a `Content-Type`, in lower case and without its parameters. */
internal fun mediaType(contentType: String?): String = contentType.orEmpty().substringBefore(';').trim().lowercase(java.util.Locale.ROOT)

/**
 * Talks to the service: one JSON request, one JSON answer, and patience in between, with growing pauses and full jitter,
 * so that phones which lost the service at one moment don't return at one moment.
 *
 * @param hear is told each time that the service tells, in seconds since 1970.
 */
internal class Exchange(private val service: String, private val ports: Ports, private val hear: (Long) -> Unit) {
    /** Says that an attempt failed and may be repeated. */
    private class Later(val why: String, val retryAfter: Double? = null, cause: Throwable? = null, val place: String? = null) :
        Exception(why, cause)

    /**
     * Returns the answer to a POST.
     *
     * @param attempts how often it may be sent, 1 or more.
     * @param hearPlace is told each place in the line that the service gives, and the next attempt brings it; null where places
     * mean nothing.
     * @throws WatchwordException that says what came instead.
     */
    fun post(path: String, body: Map<String, Any?>, attempts: Int, hearPlace: ((String) -> Unit)? = null): Map<String, Any?> {
        var content = StrictJson.write(body)
        var attempt = 0
        while (true) {
            val later =
                try {
                    return sort(send { ports.transport.post(service + path, HEADERS, content, TIMEOUT_MILLIS) })
                } catch (error: Later) {
                    error
                }
            attempt++
            if (later.place != null && hearPlace != null) {
                hearPlace(later.place)
                content = StrictJson.write(body + ("place" to later.place))
            }
            if (attempt >= attempts || (later.retryAfter ?: 0.0) > MAX_PAUSE) {
                val message = "the service is not available after $attempt attempt(s): ${later.why}"
                throw WatchwordException.Offline("service-unavailable", message, later.retryAfter, later.cause)
            }
            ports.sleep(pause(attempt - 1, later.retryAfter))
        }
    }

    /** Returns the answer to one GET; null for whatever isn't a JSON object. */
    fun get(path: String): Map<String, Any?>? = try {
        sort(send { ports.transport.get(service + path, mapOf("Accept-Encoding" to "identity"), TIMEOUT_MILLIS) })
    } catch (_: Later) {
        null
    } catch (_: WatchwordException) {
        null
    }

    /** Returns the seconds to wait after a failed attempt (0 is the first), on top of what was asked for. */
    fun pause(attempt: Int, retryAfter: Double? = null): Double =
        (retryAfter ?: 0.0) + ports.jitter() * minOf(MAX_PAUSE, FIRST_PAUSE * (1 shl attempt))

    private fun send(request: () -> Answer): Answer {
        val answer =
            try {
                request()
            } catch (error: WatchwordException) {
                throw error
            } catch (error: UnreadableAnswerException) {
                throw unreadable(error.message.orEmpty())
            } catch (error: IOException) {
                throw Later(error.toString().take(MAX_TEXT), cause = error)
            }
        // A transport of the app's own is held to the same rules.
        val encoding = answer.headers["content-encoding"]?.trim() ?: "identity"
        if (!encoding.equals("identity", ignoreCase = true)) throw unreadable("got a compressed answer, which wasn't asked for")
        return answer
    }

    /**
     * Returns a success's object, or throws what the answer means.
     *
     * A refusal counts only as a problem document of Watchword's: whatever else stands in the way (a captive portal, a
     * firewall) must not make an app give up its instance.
     */
    private fun sort(answer: Answer): Map<String, Any?> {
        val contentType = answer.headers["content-type"]
        val problem = Problem.read(contentType, answer.body)
        problem?.now?.let(hear)
        if (answer.status in LATER) {
            val why = problem?.reasons.orEmpty().joinToString(", ")
            val told = "HTTP ${answer.status}" + if (why.isEmpty()) "" else " ($why)"
            throw Later(told, retryAfter(answer), place = problem?.place)
        }
        if (answer.status == OK || answer.status == CREATED) {
            if (mediaType(contentType) != "application/json") throw unreadable("HTTP ${answer.status} that isn't JSON")
            return try {
                StrictJson.read(answer.body, Attempts.MAX_ANSWER_BYTES).also { time(it["now"])?.let(hear) }
            } catch (error: MalformedException) {
                throw unreadable("HTTP ${answer.status} without a JSON object: ${error.message}")
            }
        }
        if (problem == null) throw unreadable("HTTP ${answer.status} without a problem document of the service")
        throw refused(problem, answer.status)
    }

    private fun refused(problem: Problem, status: Int): WatchwordException.Refused = WatchwordException.Refused(
        type = problem.type,
        status = status,
        title = problem.title,
        ref = problem.ref,
        reasons = problem.reasons,
        signed = problem.signed,
    )

    companion object {
        /** How often a request is sent, and a busy device asked. */
        const val MAX_ATTEMPTS = 4

        /** The longest pause, in seconds; a service that asks for more is reported as unavailable at once. */
        const val MAX_PAUSE = 8.0

        private const val FIRST_PAUSE = 0.5
        private const val TIMEOUT_MILLIS = 10_000
        private const val OK = 200
        private const val CREATED = 201
        private const val MAX_TEXT = 200
        private val LATER = setOf(408, 425, 429, 500, 502, 503, 504)

        /** Nothing is compressed: few bytes could become very many. */
        private val HEADERS = mapOf("Content-Type" to "application/json", "Accept-Encoding" to "identity")

        /** Returns the error of an answer that isn't the service's. */
        fun unreadable(what: String): WatchwordException.Offline =
            WatchwordException.Offline("unreadable-answer", "the answer isn't the service's: $what")

        /** Returns the seconds in `Retry-After`; its other form, a date, is taken as not given. */
        private fun retryAfter(answer: Answer): Double? =
            answer.headers["retry-after"]?.trim()?.takeIf { it.length in 1..9 && it.all { digit -> digit in '0'..'9' } }?.toDouble()
    }
}
