@file:JvmName("WatchwordOkHttp")

package dev.watchword

import dev.watchword.internal.AttemptInterceptor
import dev.watchword.internal.PinInterceptor
import dev.watchword.internal.PinnedCalls
import dev.watchword.internal.RetryInterceptor
import okhttp3.OkHttpClient

/**
 * Attaches token and proof to each request that goes to one of the configured APIs; everything else passes untouched.
 *
 * ```kotlin
 * val client = OkHttpClient.Builder().watchword(watchword).build()
 * ```
 *
 * Call it last: interceptors that the app adds after it see tokens, and what they change of a request isn't proved. The
 * client needs two interceptors, because OkHttp repeats and redirects requests between them:
 *
 * - an application interceptor waits for a token, and sends a request again after a refusal that can be mended;
 * - a network interceptor signs each attempt on the wire, refuses one that mustn't be repeated, and takes everything of
 *   Watchword's off a request that is redirected to another origin.
 *
 * Errors are [WatchwordException]s, thrown by `execute` and handed to `onFailure`. Works with OkHttp 3.13 to 5.
 *
 * Where the app was built with pins ([Watchword.pins]), each connection of the client to a pinned host is checked before
 * anything is sent over it, also to hosts that are no API of Watchword's. A WebSocket to a pinned host isn't opened.
 */
public fun OkHttpClient.Builder.watchword(watchword: Watchword): OkHttpClient.Builder = attached(watchword.pins != null) { watchword }

/**
 * Does the same in a client that is made before the app has its [Watchword], as React Native's is.
 *
 * @param watchword is asked for each request. As long as it returns null, requests pass untouched; from then on it returns the
 *   same one.
 */
public fun OkHttpClient.Builder.watchword(watchword: () -> Watchword?): OkHttpClient.Builder = attached(true, watchword)

private fun OkHttpClient.Builder.attached(mayPin: Boolean, watchword: () -> Watchword?): OkHttpClient.Builder {
    addInterceptor(RetryInterceptor(watchword))
    if (mayPin) {
        val pins = { watchword()?.pins }
        addInterceptor(PinnedCalls(pins, this))
        addNetworkInterceptor(PinInterceptor(pins))
    }
    return addNetworkInterceptor(AttemptInterceptor())
}
