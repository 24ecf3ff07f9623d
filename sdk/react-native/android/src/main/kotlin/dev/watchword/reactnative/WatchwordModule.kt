package dev.watchword.reactnative

import android.util.Base64
import com.facebook.react.bridge.Arguments
import com.facebook.react.bridge.Promise
import com.facebook.react.bridge.ReactApplicationContext
import com.facebook.react.bridge.ReadableMap
import dev.watchword.Watchword
import dev.watchword.WatchwordException
import java.util.concurrent.Executor
import java.util.concurrent.Executors

/**
 * What JavaScript sees. Nothing that it returns holds a token or a key.
 *
 * @param background where calls wait that can.
 */
public class WatchwordModule internal constructor(context: ReactApplicationContext, private val background: Executor) :
    NativeWatchwordSpec(context) {
    public constructor(context: ReactApplicationContext) : this(context, BACKGROUND)

    private val listener: (Failure) -> Unit = { failure ->
        // Null until JavaScript has this module.
        if (mEventEmitterCallback != null) emitOnError(failure.event())
    }

    init {
        WatchwordReactNative.context = context.applicationContext
        WatchwordReactNative.listeners += listener
    }

    override fun invalidate() {
        WatchwordReactNative.listeners -= listener
    }

    override fun configure(configuration: ReadableMap): String = try {
        WatchwordReactNative.configure(reactApplicationContext.applicationContext, configuration.toHashMap())
        ""
    } catch (error: IllegalArgumentException) {
        error.message ?: "the configuration can't be read"
    } catch (error: IllegalStateException) {
        error.message ?: "the configuration can't be used"
    }

    override fun bind(value: String?): Boolean {
        val watchword = WatchwordReactNative.watchword ?: return false
        watchword.bind(value)
        return true
    }

    override fun prefetch() {
        WatchwordReactNative.watchword?.prefetch()
    }

    override fun forgetSecret(name: String) {
        WatchwordReactNative.watchword?.forgetSecret(name)
    }

    override fun ready(promise: Promise) {
        val watchword = WatchwordReactNative.watchword ?: return reject(promise, NOT_CONFIGURED)
        watchword.prefetch { error -> if (error == null) promise.resolve(null) else reject(promise, Failure.of(error)) }
    }

    override fun enrol(promise: Promise): Unit = answer(promise) {
        it.enrol()
        null
    }

    override fun secret(name: String, promise: Promise): Unit = answer(promise) { watchword ->
        watchword.secret(name).use { Base64.encodeToString(it.bytes(), Base64.NO_WRAP) }
    }

    override fun status(promise: Promise): Unit = background.execute {
        val watchword = WatchwordReactNative.watchword
        val status = Arguments.createMap()
        status.putBoolean("isConfigured", watchword != null)
        watchword?.level?.let { status.putString("level", it) }
        promise.resolve(status)
    }

    /** Settles a promise with what [call] returns or throws, on a thread that may wait. */
    private fun answer(promise: Promise, call: (Watchword) -> Any?) {
        val watchword = WatchwordReactNative.watchword ?: return reject(promise, NOT_CONFIGURED)
        background.execute {
            try {
                promise.resolve(call(watchword))
            } catch (error: WatchwordException) {
                reject(promise, Failure.of(error))
            } catch (error: IllegalArgumentException) {
                reject(promise, Failure(Failure.CONFIGURATION, error.message.orEmpty()))
            }
        }
    }

    private fun reject(promise: Promise, failure: Failure): Unit = promise.reject(failure.code, failure.message, failure.details())

    private companion object {
        val NOT_CONFIGURED = Failure(Failure.CONFIGURATION, "configure() comes first: say where service and APIs are")
        val BACKGROUND: Executor = Executors.newCachedThreadPool { Thread(it, "watchword-react-native").apply { isDaemon = true } }
    }
}
