package dev.watchword.reactnative

import com.facebook.react.bridge.Arguments
import com.facebook.react.bridge.WritableMap
import dev.watchword.WatchwordException

/**
 * What JavaScript is told of an error: its name, what it says, and numbers and texts that stand beside it.
 *
 * Causes stay here: they may be any library's, and say what was sent.
 */
internal class Failure(val code: String, val message: String, val details: Map<String, Any> = emptyMap()) {
    fun details(): WritableMap = Arguments.createMap().also { written ->
        for ((name, value) in details) {
            when (value) {
                is Boolean -> written.putBoolean(name, value)
                is Double -> written.putDouble(name, value)
                else -> written.putString(name, value.toString())
            }
        }
    }

    fun event(): WritableMap = details().apply {
        putString("code", code)
        putString("message", message)
    }

    companion object {
        /** A mistake of the app. */
        const val CONFIGURATION = "configuration"

        /** A body that can't be read whole, or for which there is no room. */
        const val BODY_UNREADABLE = "body-unreadable"

        fun of(error: WatchwordException): Failure = Failure(error.code, error.message.orEmpty(), beside(error))

        private fun beside(error: WatchwordException): Map<String, Any> = listOfNotNull(
            (error as? WatchwordException.Refused)?.ref?.let { "ref" to it },
            ("isFinal" to true).takeIf { isFinal(error) },
            retryAfter(error)?.let { "retryAfter" to it },
            (error as? WatchwordException.Pin)?.let { "host" to it.host },
            (error as? WatchwordException.OutcomeUnknown)?.let { "method" to it.method },
            (error as? WatchwordException.OutcomeUnknown)?.let { "origin" to it.origin },
            (error as? WatchwordException.LengthRequired)?.let { "method" to it.method },
            (error as? WatchwordException.LengthRequired)?.let { "origin" to it.origin },
        ).toMap()

        private fun isFinal(error: WatchwordException): Boolean =
            (error as? WatchwordException.Refused)?.isFinal ?: (error is WatchwordException.DeviceUnsupported)

        private fun retryAfter(error: WatchwordException): Double? = when (error) {
            is WatchwordException.Offline -> error.retryAfter
            is WatchwordException.DeviceFailed -> error.retryAfter
            else -> null
        }
    }
}
