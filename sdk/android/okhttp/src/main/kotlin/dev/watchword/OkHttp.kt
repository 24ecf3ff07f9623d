@file:JvmName("WatchwordOkHttp")

package dev.watchword

import dev.watchword.internal.AttemptInterceptor
import dev.watchword.internal.PinInterceptor
import dev.watchword.internal.RetryInterceptor
import okhttp3.OkHttpClient
import java.security.cert.X509Certificate

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
 * @param pins checks connections before anything is sent over them; null where no host is pinned.
 */
@JvmOverloads
public fun OkHttpClient.Builder.watchword(watchword: Watchword, pins: ConnectionCheck? = null): OkHttpClient.Builder {
    addInterceptor(RetryInterceptor(watchword))
    if (pins != null) addNetworkInterceptor(PinInterceptor(pins))
    return addNetworkInterceptor(AttemptInterceptor())
}

/** Decides whether a TLS connection may be used. */
public fun interface ConnectionCheck {
    /**
     * Returns if anything may be sent over a connection. Called before each request and each redirect, on any thread.
     *
     * @param host as the request's URL names it.
     * @param presented the certificates that the peer presented, its own first. The platform trusts them for this host, but
     *   they aren't the chain that it verified: who intercepts can add a genuine authority's. Have the platform verify
     *   them (`X509TrustManagerExtensions.checkServerTrusted`) and judge what that returns.
     * @throws WatchwordException.Pin if it mustn't.
     */
    @Throws(WatchwordException.Pin::class)
    public fun check(host: String, presented: List<X509Certificate>)
}
