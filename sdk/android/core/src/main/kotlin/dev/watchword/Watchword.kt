package dev.watchword

import dev.watchword.internal.Base64Url
import dev.watchword.internal.Delivery
import dev.watchword.internal.GateMemory
import dev.watchword.internal.HeldToken
import dev.watchword.internal.Instance
import dev.watchword.internal.Origin
import dev.watchword.internal.Secrets
import dev.watchword.internal.Statement
import dev.watchword.internal.Work
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException
import kotlin.coroutines.suspendCoroutine

/**
 * One instance of an app at one service: enrols, holds tokens, renews them in time, proves requests.
 *
 * Made once for each process; safe to use from any number of threads. Work with service and device runs on one thread of
 * its own, and at most one enrolment or renewal at a time. While a token is valid nothing waits for its renewal. Never
 * logs; no token, key or secret is in a `toString` or an exception.
 *
 * @property config what the app said of its service and its APIs.
 */
public class Watchword(public val config: WatchwordConfig, ports: Ports) {
    /** The keys of servers that this app accepts; null where it was built without pins. */
    public val pins: Pins? = Pins.of(config, ports)
    internal val ports = pins?.guarded() ?: ports
    internal val instance = Instance(config, this.ports)
    private val work = Work(this.ports, config.waitMillis)
    private val secrets = Secrets(this.ports) { name, attempts -> fetchSecret(name, attempts) }
    private val apis = config.apis.flatMap { api -> api.origins.map { it to (api to GateMemory()) } }.toMap()
    private val serviceHost = Origin.safe(config.service).host
    private val audiences = config.apis.map { it.audience }.toSet()

    /**
     * The level that the service attested, for example `hardware`; null before the enrolment, and after a start of the app until
     * what was kept has been read, which the first call does.
     */
    public val level: String? get() = instance.level

    /** Gets tokens in the background where none is valid. Returns at once and throws nothing. */
    public fun prefetch(): Unit = prefetch {}

    /**
     * Gets tokens in the background where none is valid, then calls [done], on a thread of its own.
     *
     * @param done is given what went wrong, or null.
     */
    public fun prefetch(done: (WatchwordException?) -> Unit) {
        pins?.refresh()
        val tell = { error: WatchwordException? -> work.tell { done(error) } }
        work.execute({ whenValid(config.apis.first().audience, MAX_ROUNDS, tell) }, tell)
    }

    /**
     * Suspends until there is a valid token; needs nothing but the standard library, and can't be cancelled.
     *
     * In an app that has kotlinx-coroutines take `awaitReady()` of the artifact `watchword-coroutines` instead: it ends when its
     * scope does. Take this one where there is no such library.
     *
     * @throws WatchwordException if there is none to be had.
     */
    public suspend fun ready(): Unit = suspendCoroutine { continuation ->
        prefetch { error -> if (error == null) continuation.resume(Unit) else continuation.resumeWithException(error) }
    }

    /**
     * Returns a token for one API that is valid now; waits at most [WatchwordConfig.waitMillis]. For libraries without an
     * adapter: a token alone passes only `bearer` routes.
     *
     * @throws WatchwordException if there is none to be had.
     * @throws IllegalArgumentException if the audience isn't configured.
     * @throws IllegalStateException on a thread that mustn't wait (Android's main thread).
     */
    @Throws(WatchwordException::class)
    public fun token(audience: String): String = credential(audience).token

    /**
     * Enrols a new instance with new keys. Only for an app that wants to try again after a final refusal: everything else
     * enrols by itself.
     *
     * Waits at most [WatchwordConfig.waitMillis]. After that it throws [WatchwordException.Offline], and the enrolment goes on
     * in the background; a second call waits for that one, and begins none of its own.
     *
     * @throws WatchwordException if it fails, or takes longer.
     * @throws IllegalStateException see [token].
     */
    @Throws(WatchwordException::class)
    public fun enrol(): Unit = work.run(ENROL) { instance.enrol() }

    /**
     * Binds tokens to a user's session from now on: to the value of the API's `binding_header`, for example what the app
     * sends as `Authorization`. Null binds them to nothing.
     *
     * A token that is bound to another value isn't used any more; the next call that needs one asks the service. The value
     * itself goes nowhere: its SHA-256 stands in the token.
     */
    public fun bind(value: String?) {
        instance.bnd = value?.let(Statement::boundTo)
    }

    /**
     * Returns a secret that the service hands to this instance for a while; fetches it where none is held, and again in the
     * background when most of its time has passed.
     *
     * `watchword.secret("push").use { key -> library.start(key.bytes()) }`
     *
     * @throws WatchwordException if there is none to be had.
     * @throws IllegalArgumentException on a name that no secret can have.
     * @throws IllegalStateException see [token].
     */
    @Throws(WatchwordException::class)
    public fun secret(name: String): Secret {
        require(SECRET.matches(name)) { "got the name '$name', expected 1 to 64 of a-z, 0-9 and -" }
        val key = "secret $name"
        if (secrets.isDue(name)) work.beginEarly(key) { secrets.refreshEarly(name) }
        return work.await(key, { secrets.refresh(name) }, { secrets.copy(name) })
    }

    /** Overwrites a secret now; who needs it again fetches it. Copies that the app was given are the app's. */
    public fun forgetSecret(name: String): Unit = secrets.forget(name)

    /** Tells whether a request to this URL goes to one of the configured APIs, and is proved therefore. Returns at once. */
    public fun covers(url: String): Boolean = Origin.of(url) in apis

    /**
     * Returns what carries a request through its attempts; null where it goes to none of the configured APIs.
     *
     * @param earlier what was returned for the same call of the app, which something above the adapter sends again; null the
     *   first time.
     * @throws WatchwordException.OutcomeUnknown if the request may have been carried out already and mustn't be repeated.
     */
    @JvmOverloads
    @Throws(WatchwordException::class)
    public fun attempts(request: AppRequest, earlier: Attempts? = null): Attempts? {
        val origin = Origin.of(request.url) ?: return null
        val (api, memory) = apis[origin] ?: return null
        return Attempts(this, api, memory, origin, request).also { earlier?.forbidRepetition(it) }
    }

    override fun toString(): String = "Watchword(app=${config.app}, ${if (level == null) "not enrolled" else "enrolled"})"

    /**
     * Returns a token and the keys of its proofs; see [token].
     *
     * @param isCanceled is asked now and then, while it waits, whether the caller still wants it.
     * @throws java.io.IOException that says `Canceled` where it doesn't.
     */
    internal fun credential(audience: String, isCanceled: () -> Boolean = { false }): HeldToken {
        require(audience in audiences) { "got the audience '$audience', expected one of $audiences" }
        // Before the store is looked at: read on a thread that mustn't wait it fails, and would count as empty.
        work.requireWaiting()
        pins?.refresh()
        val held = instance.valid(audience)
        if (held != null && instance.isDue(held)) work.beginEarly(REFRESH) { instance.refreshEarly(audience) }
        return work.await(REFRESH, { instance.refresh { instance.valid(audience) == null } }, { instance.valid(audience) }, isCanceled)
    }

    /**
     * Returns another token than [refused], which an API's gate turned down; of several callers only the first renews.
     *
     * @param isLost whether it was turned down by the device instead, whose key is gone.
     * @param isCanceled see [credential].
     */
    internal fun replaceToken(audience: String, refused: String, isLost: Boolean, isCanceled: () -> Boolean): HeldToken {
        val other = { instance.valid(audience)?.takeIf { it.token != refused } }
        val refresh = { instance.refresh(refused.takeIf { isLost }, refused.takeIf { !isLost }) { other() == null } }
        return work.await(REFRESH, refresh, other, isCanceled)
    }

    /** Renews now, or enrols where there is nothing to renew. */
    internal fun renew(): Unit = work.run(RENEW) { instance.refresh { true } }

    /** Returns 22 characters of base64url that were never used before. */
    internal fun nonce(): String = Base64Url.encode(ports.entropy(NONCE_BYTES))

    private fun fetchSecret(name: String, attempts: Int): Delivery {
        pins?.checkSecret(serviceHost)
        return instance.fetchSecret(name, attempts)
    }

    private fun whenValid(audience: String, rounds: Int, done: (WatchwordException?) -> Unit) {
        if (instance.valid(audience) != null) return done(null)
        val flight = work.begin(REFRESH) { instance.refresh { instance.valid(audience) == null } }
        work.whenDone(flight) { error ->
            when {
                flight.isEarly && rounds > 0 -> whenValid(audience, rounds - 1, done)
                error is WatchwordException -> done(error)
                error != null -> done(WatchwordException.DeviceFailed(DeviceException.Kind.FAULT, "got a defect", cause = error))
                else -> done(null)
            }
        }
    }

    public companion object {
        private const val REFRESH = "refresh"
        private const val ENROL = "enrol"
        private const val RENEW = "renew"
        private val SECRET = Regex("[a-z0-9-]{1,64}")
        private const val NONCE_BYTES = 16
        private const val MAX_ROUNDS = 4
    }
}
