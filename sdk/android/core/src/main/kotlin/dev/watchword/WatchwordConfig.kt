package dev.watchword

import dev.watchword.internal.Origin

/** How a request proves that it comes from this instance. */
public enum class ProofKind {
    /** By the token alone. */
    BEARER,

    /** By the token's session key: an HMAC, a few microseconds. */
    SESSION,

    /** By the device's own key: a signature of 5 to 50 ms. */
    DEVICE,
}

/** Chooses the proof for a request; where a route asks for another one, the request is sent once more with that. */
public fun interface ProofChoice {
    /**
     * Returns the proof for a request.
     *
     * @param method as it is sent.
     * @param path of the URL as it is sent, percent-encoded, at least `/`.
     */
    public fun choose(method: String, path: String): ProofKind
}

/**
 * Chooses by the path, in the words of the routes in `watchword.yaml`; the first list that fits.
 *
 * `*` is one segment, a last `**` any rest (also none).
 *
 * @param device patterns of paths that ask for the device's own key, such as `/payments/` followed by `**`.
 * @param session patterns of paths that ask for a session proof.
 * @param bearer patterns of paths that are sent with the token alone.
 * @param otherwise for every other path.
 * @throws IllegalArgumentException on a pattern that doesn't begin with a slash or has `**` before its end.
 */
public class Proofs
@JvmOverloads
constructor(
    private val device: List<String> = emptyList(),
    private val session: List<String> = emptyList(),
    private val bearer: List<String> = emptyList(),
    private val otherwise: ProofKind = ProofKind.SESSION,
) : ProofChoice {
    init {
        for (pattern in device + session + bearer) {
            require(pattern.startsWith("/") && pattern.split("/").dropLast(1).none { "**" in it }) {
                "got the pattern '$pattern', expected a path such as /login or /payments/**"
            }
        }
    }

    override fun choose(method: String, path: String): ProofKind = when {
        device.any { fits(it, path) } -> ProofKind.DEVICE
        session.any { fits(it, path) } -> ProofKind.SESSION
        bearer.any { fits(it, path) } -> ProofKind.BEARER
        else -> otherwise
    }

    private fun fits(pattern: String, path: String): Boolean {
        val rest = pattern.endsWith("/**")
        val wanted = pattern.split("/").let { if (rest) it.dropLast(1) else it }
        val got = path.split("/").let { if (rest) it.take(wanted.size) else it }
        return wanted.size == got.size && wanted.zip(got).all { (want, have) -> want == "*" || want == have }
    }
}

/**
 * One API that the app talks to.
 *
 * @property audience the API's `audience` in `watchword.yaml`, for example `https://api.clinic.example`.
 * @param origins where the API is reached: `https`, or `http` on loopback. Nothing of Watchword's is sent anywhere else.
 * @property proof which proof a request carries first.
 * @property dpop whether device proofs are made as DPoP (RFC 9449), which covers neither query nor body.
 * @property sendUnproved whether a request goes without a token where none is to be had, with `Watchword-Status` in its
 *   place once the service speaks protocol 1.1. For a roll-out: a gate in `monitor` counts it, one in `enforce` refuses it.
 * @throws IllegalArgumentException on an origin without TLS, or that isn't one.
 */
public class Api
@JvmOverloads
constructor(
    public val audience: String,
    origins: Collection<String> = listOf(audience),
    public val proof: ProofChoice = Proofs(),
    public val dpop: Boolean = false,
    public val sendUnproved: Boolean = false,
) {
    internal val origins: Set<Origin> = origins.map(Origin::safe).toSet()

    override fun toString(): String = "Api($audience)"
}

/**
 * What an app says once of its service and its APIs.
 *
 * @property service where the service listens: `https`, or `http` on loopback; no path.
 * @property app the app's name under `apps` in `watchword.yaml`.
 * @property apis at least one; no audience and no origin twice.
 * @property issuer the service's `issuer` where it isn't [service].
 * @param pins the file that `watchword pins release` wrote for this version of the app: root list, pin set and
 *   authorities that it is built with. Null pins no host.
 * @property waitMillis most milliseconds that a call waits for a token or a secret; the work goes on without it.
 * @throws IllegalArgumentException on what can't be right, naming what was got and what was expected.
 */
public class WatchwordConfig
@JvmOverloads
constructor(
    service: String,
    public val app: String,
    public val apis: List<Api>,
    issuer: String? = null,
    public val waitMillis: Long = DEFAULT_WAIT_MILLIS,
    internal val pins: ByteArray? = null,
) {
    /** An app with one origin for each API, which is its audience too. */
    public constructor(service: String, app: String, vararg apis: String) :
        this(service, app, apis.map { Api(it) })

    public val service: String = service.removeSuffix("/")
    public val issuer: String = issuer ?: this.service

    init {
        Origin.safe(this.service)
        require(app.isNotEmpty()) { "got no app, expected its name in watchword.yaml" }
        require(apis.isNotEmpty()) { "got no API, expected at least one" }
        require(apis.map { it.audience }.toSet().size == apis.size) { "got an audience twice, expected each once" }
        require(apis.flatMap { it.origins }.let { it.toSet().size == it.size }) {
            "got an origin for two APIs, expected each origin once"
        }
        require(waitMillis > 0) { "got a wait of $waitMillis ms, expected more than 0" }
    }

    public companion object {
        /** A call waits at most 10 seconds. */
        public const val DEFAULT_WAIT_MILLIS: Long = 10_000
    }
}
