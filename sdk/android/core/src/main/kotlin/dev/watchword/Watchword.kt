package dev.watchword

/**
 * One instance of an app at one service: enrols, holds tokens, renews them in time, proves requests.
 *
 * Made once for each process; safe to use from any number of threads. Work with service and device runs on one thread of
 * its own, and at most one enrolment or renewal at a time. While a token is valid nothing waits for its renewal. Never
 * logs; no token, key or secret is in a `toString` or an exception.
 */
public class Watchword(public val config: WatchwordConfig, ports: Ports) {
    /** The level that the service attested, for example `hardware`; null before the enrolment. */
    public val level: String? get() = TODO()

    /** Gets tokens in the background where none is valid. Returns at once and throws nothing. */
    public fun prefetch(): Unit = TODO()

    /**
     * Gets tokens in the background where none is valid, then calls [done], on a thread of the SDK's.
     *
     * @param done is given what went wrong, or null.
     */
    public fun prefetch(done: (WatchwordException?) -> Unit): Unit = TODO()

    /**
     * Suspends until there is a valid token; needs nothing but the standard library, and can't be cancelled. (The artifact
     * `coroutines` has the cancellable variant.)
     *
     * @throws WatchwordException if there is none to be had.
     */
    public suspend fun ready(): Unit = TODO()

    /**
     * Returns a token for one API that is valid now; waits at most [WatchwordConfig.waitMillis]. For libraries without an
     * adapter: a token alone passes only `bearer` routes.
     *
     * @throws WatchwordException if there is none to be had.
     * @throws IllegalArgumentException if the audience isn't configured.
     * @throws IllegalStateException on a thread that mustn't wait (Android's main thread).
     */
    @Throws(WatchwordException::class)
    public fun token(audience: String): String = TODO()

    /**
     * Enrols a new instance with new keys. Only for an app that wants to try again after a final refusal: everything else
     * enrols by itself.
     *
     * @throws WatchwordException if it fails.
     * @throws IllegalStateException see [token].
     */
    @Throws(WatchwordException::class)
    public fun enrol(): Unit = TODO()

    /**
     * Binds tokens to a user's session from now on: to the value of the API's `binding_header`, for example what the app
     * sends as `Authorization`. Null binds them to nothing.
     *
     * A token that is bound to another value isn't used any more; the next call that needs one asks the service. The value
     * itself goes nowhere: its SHA-256 stands in the token.
     */
    public fun bind(value: String?): Unit = TODO()

    /**
     * Returns a secret that the service hands to this instance for a while; fetches it where none is held, and again in the
     * background when most of its time has passed.
     *
     * `watchword.secret("push").use { key -> library.start(key.bytes()) }`
     *
     * @throws WatchwordException if there is none to be had.
     * @throws IllegalStateException see [token].
     */
    @Throws(WatchwordException::class)
    public fun secret(name: String): Secret = TODO()

    /** Overwrites a secret now; who needs it again fetches it. */
    public fun forgetSecret(name: String): Unit = TODO()

    /** Returns what carries a request through its attempts; null where it goes to none of the configured APIs. */
    public fun attempts(request: AppRequest): Attempts? = TODO()

    public companion object
}
