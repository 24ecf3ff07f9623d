package dev.watchword

import dev.watchword.internal.Covered
import dev.watchword.internal.Freshness
import dev.watchword.internal.GateMemory
import dev.watchword.internal.HeldToken
import dev.watchword.internal.Origin
import dev.watchword.internal.OwnToken
import dev.watchword.internal.Problem
import dev.watchword.internal.Proof
import dev.watchword.internal.httpDate
import java.io.IOException
import java.io.InterruptedIOException
import java.io.OutputStream
import java.net.ConnectException
import java.net.NoRouteToHostException
import java.net.UnknownHostException
import java.security.DigestOutputStream
import java.security.MessageDigest
import javax.net.ssl.SSLHandshakeException
import javax.net.ssl.SSLPeerUnverifiedException
import kotlin.math.abs
import kotlin.math.floor

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
public class WireHeaders internal constructor(public val remove: Set<String>, public val set: Map<String, String>) {
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
 * if (attempts.wantsLength) buffer the body, at most MAX_KEPT_BYTES, or throw attempts.lengthMissing(); attempts.lengthGiven()
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
 * What is done before a refused request is sent again, each at most once, and twice in all:
 *
 * | the gate answers | what is done |
 * | --- | --- |
 * | `token-refused` | another token |
 * | `proof-nonce` | the gate's nonce is taken from the answer |
 * | `proof-refused`, and the clocks differ | the gate's time counts for its API from then on |
 * | `proof-required`, `proof-refused` | another token if there is one by now; else another proof |
 *
 * `proof-used` and a lost answer mean that the outcome is unknown: the API may have carried the request out. Only what is
 * idempotent by its method (RFC 9110 section 9.2.2) or by an `Idempotency-Key` is sent again, twice at most.
 *
 * One thread at a time.
 */
public class Attempts internal constructor(
    private val watchword: Watchword,
    private val api: Api,
    private val memory: GateMemory,
    private val origin: Origin,
    private val request: AppRequest,
) {
    private var wanted = api.proof.choose(request.method, Covered.of(request.method, request.url, null, null, origin).path)
    private var isRepeatable = request.body?.isRepeatable ?: true
    private val isIdempotent = isIdempotent(request.method)
    private var isLengthUnknown = request.body?.let { it.length < 0 } == true
    private var left = MAX_REPETITIONS
    private var unknownLeft = MAX_UNKNOWN
    private val done = HashSet<String>()
    private val tried = HashSet<ProofKind>()
    private var held: HeldToken? = null

    /** Tells whether the app still wants an answer; asked now and then by what waits for a token. */
    internal var isCanceled: () -> Boolean = { false }

    /** The proof of the last attempt on the wire, null where it carried no token. */
    internal var proof: ProofKind? = null
        private set

    /** Why the request goes without a token, null where it doesn't. */
    private var without: WatchwordException? = null

    /** What the present attempt reckoned with: the gate's time less the boot clock. */
    private var reckoned = 0.0

    /** Whether something of the request went out since the last answer. */
    private var isSent = false

    /** Whether the request may have been carried out, and no answer tells. */
    private var isUnknown = false

    /** Whether a redirect led to another origin, or anywhere. */
    private var isAway = false
    private var isRedirected = false

    /** Whether the body, whose length isn't known, has to be read whole before the request is sent; see [lengthGiven]. */
    public val wantsLength: Boolean get() = isLengthUnknown && memory.lengths

    /**
     * Waits for a token; returns without one where the API's requests may go unproved.
     *
     * @throws WatchwordException if there is no token to be had.
     */
    @Throws(WatchwordException::class)
    public fun prepare() {
        try {
            held = watchword.credential(api.audience, isCanceled)
        } catch (error: WatchwordException) {
            if (!api.sendUnproved) throw error
            without = error
        }
    }

    /**
     * Returns what one attempt on the wire carries. An attempt at another origin, and all that come after it, carry nothing
     * of Watchword's.
     *
     * @throws WatchwordException.OutcomeUnknown if the request may have been carried out already and mustn't be repeated.
     * @throws WatchwordException.DeviceFailed if the device's key can't sign.
     */
    @Throws(IOException::class)
    public fun sign(request: WireRequest): WireHeaders {
        proof = null
        if (isAway || !isOwn(request.url)) {
            isAway = true
            return WireHeaders(OUR_HEADERS, emptyMap())
        }
        if (isUnknown && !isIdempotent(request.method)) throw outcomeUnknown("a library was about to send it again")
        check(held != null || without != null) { "prepare() comes first" }
        val set = if (held == null) status() else proved(request)
        isSent = true
        isUnknown = true
        return WireHeaders(if (held == null) OUR_HEADERS else OUR_HEADERS + PROOF_HEADERS, set)
    }

    /**
     * Notes that an attempt on the wire was answered.
     *
     * @param header returns a header's value by its name in any case, null where there is none.
     */
    public fun answered(status: Int, header: (String) -> String?) {
        isSent = false
        isUnknown = status in GATEWAYS_OWN
        if (status in REDIRECTS) isRedirected = true
        if (isAway) return
        header(NONCE_HEADER)?.takeIf(GATE_NONCE::matches)?.let { memory.nonce = it }
    }

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
    public fun judge(status: Int, header: (String) -> String?, body: () -> ByteArray): Verdict {
        if (isAway) return Verdict.DELIVER
        if (status == LENGTH_REQUIRED && isLengthUnknown) {
            memory.lengths = true
            lengthGiven()
            isRedirected = false
            return Verdict.REPEAT_WITH_LENGTH
        }
        val sent = held
        if (status != UNAUTHORIZED || sent == null) return Verdict.DELIVER
        // Another 401 is the API's own (a user's wrong password), and left to the app.
        val problem = Problem.read(header("Content-Type"), body()) ?: return Verdict.DELIVER
        if (problem.type == "proof-used") {
            if (!mayRepeat()) throw outcomeUnknown("its proof was used before")
            isRedirected = false
            return Verdict.REPEAT
        }
        if (!isRepeatable || left <= 0) return Verdict.DELIVER
        try {
            if (!mend(sent, problem, header)) return Verdict.DELIVER
        } catch (error: WatchwordException) {
            if (!api.sendUnproved) throw error
            return Verdict.DELIVER
        }
        left--
        isRedirected = false
        return Verdict.REPEAT
    }

    /**
     * Judges an error of the library's: returns where the request is to be sent again.
     *
     * Where [sign] wasn't called since the last answer nothing was sent.
     *
     * @param isUnsent whether nothing was sent though [sign] was called: for an adapter that signs before there is a
     *   connection, and whose library doesn't connect a second time by itself.
     * @throws IOException [error] itself where nothing was sent, or where it says enough. After a timeout nothing is
     *   repeated: the time that there was is used up.
     * @throws WatchwordException.OutcomeUnknown where the request may have been carried out, and mustn't be repeated.
     */
    @JvmOverloads
    @Throws(IOException::class)
    public fun lost(error: IOException, isUnsent: Boolean = false) {
        if (error is WatchwordException) throw error
        if (isAway || !isSent || isUnsent) {
            isUnknown = isUnknown && !isUnsent
            throw error
        }
        if (error is InterruptedIOException || !mayRepeat()) {
            if (request.method in SAFE) throw error
            throw outcomeUnknown("${error.javaClass.simpleName}, no answer", error)
        }
        isRedirected = false
        isSent = false
    }

    /** Notes that the body has a length from now on, and can be sent again: it was read whole. */
    public fun lengthGiven() {
        isLengthUnknown = false
        isRepeatable = true
    }

    /** Returns what to throw where the body is longer than [MAX_KEPT_BYTES]; nothing of the request was carried out. */
    public fun lengthMissing(): WatchwordException.LengthRequired =
        WatchwordException.LengthRequired(request.method, origin.toString(), MAX_KEPT_BYTES)

    override fun toString(): String = "Attempts(${request.method} $origin)"

    /** Refuses [next], for the same call of the app, where this one may have been carried out. */
    internal fun forbidRepetition(next: Attempts) {
        if (isUnknown && !next.isIdempotent) throw outcomeUnknown("a library was about to send it again")
    }

    /** Tells whether an attempt goes to the API's own origin; the app's URL was read already. */
    private fun isOwn(url: String): Boolean = url == request.url || Origin.of(url) == origin

    private fun isIdempotent(method: String): Boolean = method in IDEMPOTENT || !request.idempotencyKey.isNullOrBlank()

    /** Tells whether a request with an unknown outcome is sent again; counts. */
    private fun mayRepeat(): Boolean {
        if (!isIdempotent || !isRepeatable || unknownLeft <= 0) return false
        unknownLeft--
        return true
    }

    private fun outcomeUnknown(why: String, cause: Throwable? = null) =
        WatchwordException.OutcomeUnknown(request.method, origin.toString(), why, cause)

    private fun mend(sent: HeldToken, problem: Problem, header: (String) -> String?): Boolean = when (problem.type) {
        "token-refused" ->
            done.add("token") && takeToken(sent) { watchword.replaceToken(api.audience, sent.token, isLost = false, isCanceled) }

        "proof-nonce" -> header(NONCE_HEADER)?.let(GATE_NONCE::matches) == true && done.add("nonce")

        "proof-refused", "proof-required" ->
            (problem.type == "proof-refused" && correctClock(problem, header)) ||
                // The device may have new keys by now, with which the token that was sent can't be proved.
                takeToken(sent) { watchword.credential(api.audience, isCanceled) } ||
                takeProof()

        else -> false
    }

    /** Takes what [get] returns; tells whether it is another token than the refused one. */
    private fun takeToken(refused: HeldToken, get: () -> HeldToken): Boolean = get().also { held = it }.token != refused.token

    /** Reckons with the gate's time where it differs; tells whether it did. */
    private fun correctClock(problem: Problem, header: (String) -> String?): Boolean {
        val told = problem.now?.toDouble() ?: httpDate(header("Date")) ?: return false
        val ahead = told - watchword.instance.boot()
        // Compared with what this attempt reckoned with: another request may have learned meanwhile.
        if (abs(ahead - reckoned) < CLOCK_TOLERANCE || !isNearService(ahead) || !done.add("clock")) return false
        memory.ahead = ahead
        return true
    }

    /** Tells whether a gate's time is near enough to the service's to count; all are where that isn't known. */
    private fun isNearService(ahead: Double): Boolean {
        val service = watchword.instance.serviceTime ?: return true
        return abs(ahead + watchword.instance.boot() - service) < MAX_APART + 1
    }

    /** Takes a proof that was not tried: only the gate knows which one its route asks for. */
    private fun takeProof(): Boolean {
        val held = held ?: return false
        wanted = LADDER.firstOrNull { feasible(held, it, isRepeatable) !in tried } ?: return false
        return true
    }

    /** Returns the proof that can be made: the device's own where there is no session key. */
    private fun feasible(held: HeldToken, wanted: ProofKind, isDigestKnown: Boolean): ProofKind = when {
        wanted == ProofKind.BEARER || held.own == null || !isDigestKnown -> ProofKind.BEARER
        wanted == ProofKind.SESSION && held.sessionKey == null -> ProofKind.DEVICE
        else -> wanted
    }

    /** Returns the status that goes in place of a token, to the API's own origin and once. */
    private fun status(): Map<String, String> {
        val status =
            when (without) {
                null -> return emptyMap()
                is WatchwordException.DeviceUnsupported -> "unsupported"
                is WatchwordException.Offline, is WatchwordException.Pin -> "offline"
                is WatchwordException.Refused -> "refused"
                else -> "device"
            }
        return if (isRedirected || !watchword.instance.speaks) emptyMap() else mapOf(STATUS_HEADER to status)
    }

    /** Returns token and proof; without them where the device can't sign and the request may go unproved. */
    private fun proved(request: WireRequest): Map<String, String> {
        try {
            val sent = checkNotNull(held) { "nothing is proved without a token" }
            try {
                return attached(request, sent)
            } catch (error: DeviceException) {
                if (error.kind != DeviceException.Kind.KEY_LOST) throw error
            }
            val fresh = watchword.replaceToken(api.audience, sent.token, isLost = true, isCanceled)
            held = fresh
            return attached(request, fresh)
        } catch (error: DeviceException) {
            return unproved(watchword.instance.signFailure(error))
        } catch (error: WatchwordException) {
            return unproved(error)
        }
    }

    private fun unproved(error: WatchwordException): Map<String, String> {
        if (!api.sendUnproved) throw error
        held = null
        without = error
        return status()
    }

    private fun attached(request: WireRequest, held: HeldToken): Map<String, String> {
        val body = request.body
        val isDigestKnown = body == null || body.isRepeatable || request.contentDigest != null
        val proof = feasible(held, wanted, isDigestKnown)
        this.proof = proof
        tried += proof
        val token = mapOf(TOKEN_HEADER to held.token)
        val own = held.own
        if (proof == ProofKind.BEARER || own == null) return token
        val fresh = Freshness(created(), watchword.nonce(), memory.nonce)
        if (proof == ProofKind.DEVICE && api.dpop && !standsForSession(own)) {
            val covered = Covered.of(request.method, request.url, request.host, null, origin)
            return token + Proof(covered, held.token, own, fresh).byDpop(watchword.instance::sign)
        }
        val digest = digest(request)
        val covered = Covered.of(request.method, request.url, request.host, digest, origin)
        val made = Proof(covered, held.token, own, fresh)
        val key = held.sessionKey
        val headers =
            if (proof == ProofKind.SESSION && key != null) made.bySession(key) else made.byDevice(watchword.instance::sign)
        return token + headers + (if (digest == null) emptyMap() else mapOf(DIGEST_HEADER to digest))
    }

    /** Tells whether a device proof is made in place of a session proof; DPoP stands for none. */
    private fun standsForSession(own: OwnToken): Boolean = own.isProvenByDevice && wanted == ProofKind.SESSION

    /** Returns the gate's time, whole seconds since 1970, as far as it is known. */
    private fun created(): Long {
        val boot = watchword.instance.boot()
        val service = watchword.instance.serviceTime
        val gate = memory.ahead?.takeIf(::isNearService)
        reckoned = gate ?: ((service ?: watchword.ports.clock.wall()) - boot)
        return floor(boot + reckoned).toLong()
    }

    /** Returns the body's digest, null where there is no body. */
    private fun digest(request: WireRequest): String? {
        val body = request.body ?: return null
        if (!body.isRepeatable) return request.contentDigest
        if (body.length == 0L) return null
        val hash = MessageDigest.getInstance("SHA-256")
        DigestOutputStream(Discarding, hash).use(body::writeTo)
        return Proof.contentDigest(hash.digest())
    }

    private object Discarding : OutputStream() {
        override fun write(byte: Int) = Unit

        override fun write(bytes: ByteArray, start: Int, count: Int) = Unit
    }

    public companion object {
        /** Tells whether an error of a connection that is made comes about before anything is sent. */
        internal fun isBeforeSending(error: IOException): Boolean = error is ConnectException ||
            error is NoRouteToHostException ||
            error is UnknownHostException ||
            error is SSLHandshakeException ||
            error is SSLPeerUnverifiedException

        /** Most bytes of a stream that are kept, so that it can be sent with its length: 1 MiB. */
        public const val MAX_KEPT_BYTES: Int = 1024 * 1024

        /** Most bytes of an answer that [judge] reads: 64 KiB. */
        public const val MAX_ANSWER_BYTES: Int = 64 * 1024

        /** How often a refused request is sent again. */
        private const val MAX_REPETITIONS = 2

        /** How often a request whose outcome is unknown is sent again, where it may be. */
        private const val MAX_UNKNOWN = 2

        /** Seconds by which clocks may seem to differ and be right: what is told has whole seconds. */
        private const val CLOCK_TOLERANCE = 2.0

        /** Seconds by which a gate's time may differ from the service's and count. */
        private const val MAX_APART = 120.0

        private const val TOKEN_HEADER = "Watchword-Token"
        private const val STATUS_HEADER = "Watchword-Status"
        private const val NONCE_HEADER = "Watchword-Nonce"
        private const val DIGEST_HEADER = "Content-Digest"
        private const val LENGTH_REQUIRED = 411
        private const val UNAUTHORIZED = 401
        private val REDIRECTS = 300..399
        private val GATE_NONCE = Regex("[A-Za-z0-9_-]{30}")
        private val SAFE = setOf("GET", "HEAD", "OPTIONS", "TRACE")
        private val IDEMPOTENT = SAFE + setOf("PUT", "DELETE")
        private val OUR_HEADERS = setOf(TOKEN_HEADER, STATUS_HEADER)
        private val PROOF_HEADERS = setOf("Signature-Input", "Signature", "DPoP")
        private val LADDER = listOf(ProofKind.SESSION, ProofKind.DEVICE)

        /** Answers of a gateway that lost the API's: it may have carried the request out. */
        private val GATEWAYS_OWN = setOf(502, 504)
    }
}
