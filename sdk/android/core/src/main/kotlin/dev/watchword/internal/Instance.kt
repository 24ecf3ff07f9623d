package dev.watchword.internal

import dev.watchword.DeviceException
import dev.watchword.DeviceException.Kind
import dev.watchword.Ports
import dev.watchword.WatchwordConfig
import dev.watchword.WatchwordException
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/**
 * One instance of the app: enrols, renews, and remembers what the service and the device said.
 *
 * What asks the service or the device for tokens waits for its turn: one after the other, since App Attest counts what a key
 * signs, and since two renewals are one too many. All else returns at once.
 */
internal class Instance(private val config: WatchwordConfig, private val ports: Ports) {
    private val exchange = Exchange(config.service, ports, ::hear)
    private val refusals = Refusals(exchange, config.issuer, config.app)
    private val audiences = config.apis.map { it.audience }
    private val turn = ReentrantLock()
    private val stored = Any()

    /** Null until the store was read, which is never done on a thread that only looks. */
    @Volatile private var remembered: Remembered? = null

    /** What is thrown without asking anybody, until a moment in boot time. */
    private class Hold(val error: WatchwordException, val until: Double) {
        /** Returns what is thrown at [now], null once that moment has passed. */
        fun thrown(now: Double): WatchwordException? = when {
            now >= until -> null
            error is WatchwordException.Offline -> WatchwordException.Offline(error.code, error.message.orEmpty(), until - now, error)
            else -> error
        }
    }

    @Volatile private var hold: Hold? = null

    /** What tokens are to be bound to, null for nothing. */
    @Volatile var bnd: String? = null

    /** Whether the device made keys that no evidence was made with yet: a busy or locked device is asked again with them. */
    private var hasUnusedKeys = false

    /** How often in a row the device was too busy. */
    private var busy = 0

    /** The level that was attested, null before the enrolment or before the store was read. */
    val level: String? get() = remembered?.session?.level

    /** Whether the service said that it speaks protocol 1.1. */
    val speaks: Boolean get() = known().speaks

    /** The service's time, seconds since 1970; null while it told none since the device's start. */
    val serviceTime: Double? get() = known().let { it.ahead?.takeIf { _ -> it.aheadBootId == ports.clock.bootId }?.plus(boot()) }

    fun boot(): Double = ports.clock.boot()

    /** Returns a token that is valid now, and bound to what it is to be bound to; null if there is none. */
    fun valid(audience: String): HeldToken? {
        val session = known().session ?: return null
        if (session.bnd != bnd || session.bootId != ports.clock.bootId) return null
        return session.tokens[audience]?.takeIf { boot() < it.expiresAt }
    }

    /** Tells whether a token is to be renewed while it still works. */
    fun isDue(held: HeldToken): Boolean = boot() >= held.renewAt && holding() == null

    /**
     * Gets new tokens, by a renewal or an enrolment.
     *
     * @param lost a token whose key is gone: the instance is forgotten if it still holds that.
     * @param refused a token that a gate turned down: before its end, a whole fleet may be told that at once.
     * @param isNeeded asked when the turn has come: another caller may have been quicker.
     */
    fun refresh(lost: String? = null, refused: String? = null, isNeeded: () -> Boolean) = turn.withLock {
        if (isNeeded()) {
            requireRead()
            holding()?.let { throw it }
            val isLost = lost != null && known().session?.tokens?.values?.any { it.token == lost } == true
            if (isLost) update { it.copy(session = null) }
            if (isEarly(refused)) ports.sleep(ports.jitter() * CUT_SPAN)
            remembering(isEarly = false) { refreshOnce(Exchange.MAX_ATTEMPTS, isEarly = false) }
        }
    }

    /** Tries once to renew while a token is valid; puts it off where that fails. */
    fun refreshEarly(audience: String) = turn.withLock {
        val held = valid(audience)
        if (held != null && isDue(held)) {
            try {
                remembering(isEarly = true) { refreshOnce(1, isEarly = true) }
            } catch (_: WatchwordException) {
                postpone()
            }
        }
    }

    /** Enrols a new instance whatever was refused before. */
    fun enrol() = turn.withLock {
        requireRead()
        hold = null
        update { it.copy(refusal = null) }
        remembering(isEarly = false) { enrolMending() }
    }

    /**
     * Returns a secret that the service hands to this instance for a while.
     *
     * Enrols where there is no instance yet, or where the service doesn't know it any more, once.
     */
    fun fetchSecret(name: String, attempts: Int): Delivery = turn.withLock {
        requireRead()
        holding()?.let { throw it }
        if (known().session == null) remembering(isEarly = false) { enrolMending() }
        // A device that fails here says nothing of the tokens, which it isn't held back for.
        remembering(isEarly = true) {
            try {
                askSecret(name, attempts)
            } catch (error: WatchwordException.Refused) {
                if (error.type != "instance-unknown") throw error
                enrolMending()
                askSecret(name, attempts)
            } catch (error: DeviceException) {
                if (error.kind != Kind.KEY_LOST) throw error
                enrolTwice()
                askSecret(name, attempts)
            }
        }
    }

    /** Returns ECDSA over [message] by the proof key, DER; a busy device is asked again. */
    fun sign(message: ByteArray): ByteArray = device(Exchange.MAX_ATTEMPTS) { ports.device.sign(message) }

    /** Returns what the app is told of a device's failure while it signs a request: nothing else changes. */
    fun signFailure(error: DeviceException): WatchwordException = told(error)

    // What follows has the turn.

    private fun isEarly(refused: String?): Boolean =
        known().session?.tokens?.values?.any { it.token == refused && boot() < it.expiresAt } == true

    private fun refreshOnce(attempts: Int, isEarly: Boolean) {
        val session = known().session
        if (session == null) {
            enrolMending()
            return
        }
        try {
            renew(session, attempts)
        } catch (error: WatchwordException.Refused) {
            if (error.type != "instance-unknown") throw error
            enrolMending()
        } catch (error: DeviceException) {
            if (isEarly || !isMendable(error)) throw error
            mend(error)
        }
    }

    private fun enrolMending() {
        try {
            enrolTwice()
        } catch (error: DeviceException) {
            if (!isMendable(error)) throw error
            mend(error)
        }
    }

    /** Tells whether new keys may help. */
    private fun isMendable(error: DeviceException) = error.kind == Kind.KEY_LOST || error.kind == Kind.FAULT

    private fun mend(error: DeviceException) {
        if (error.kind == Kind.FAULT) ports.sleep(exchange.pause(0))
        enrolTwice()
    }

    /** Enrols; a refused challenge (it may have expired while the vendor was slow) is replaced once. */
    private fun enrolTwice() {
        try {
            enrolOnce()
        } catch (error: WatchwordException.Refused) {
            if (error.type != "challenge-refused") throw error
            enrolAgain()
        }
    }

    /** Enrols a second time; if that challenge is refused too, others used up what the place was good for. */
    private fun enrolAgain() {
        try {
            enrolOnce()
        } catch (error: WatchwordException.Refused) {
            if (error.type == "challenge-refused") take(place = null)
            throw error
        }
    }

    private fun enrolOnce() {
        val (challenge, bnd) = enrolmentChallenge() to bnd
        if (!hasUnusedKeys) {
            // Stored first: if the process ends here, nothing of the old instance is left whose keys are gone.
            store(known().copy(session = null))
            try {
                device(Exchange.MAX_ATTEMPTS) { ports.device.createKeys() }
            } catch (error: DeviceException) {
                store(known())
                throw error
            }
            update(isStored = false) { it.copy(session = null) }
            hasUnusedKeys = true
        }
        val asksDevice = !ports.device.canOpen
        val (statement, evidence) =
            try {
                val statement = statement(Purpose.ENROL, challenge, bnd = bnd, asksDevice = asksDevice)
                statement to device(Exchange.MAX_ATTEMPTS) { ports.device.attest(statement.binding) }
            } catch (error: DeviceException) {
                hasUnusedKeys = error.kind in KEEPING_KEYS
                throw error
            }
        hasUnusedKeys = false
        accept("/v1/attestations", statement, mapOf("evidence" to evidence), Exchange.MAX_ATTEMPTS, bnd, asksDevice)
    }

    private fun renew(session: Session, attempts: Int) {
        val next = session.next?.takeIf { known().speaks && session.bootId == ports.clock.bootId && boot() < it.expiresAt }
        if (next == null) {
            renewTwice(session, attempts)
            return
        }
        try {
            renewOnce(session, next.challenge, attempts, next.ticket)
        } catch (error: WatchwordException.Refused) {
            // Also a service that was rolled back, and doesn't know what is in the statement, is asked anew.
            if (error.isFinal || error.type == "instance-unknown") throw error
            update { it.copy(session = session.copy(next = null)) }
            renewOnce(session, challenge(Purpose.RENEW, attempts), attempts)
        }
    }

    private fun renewTwice(session: Session, attempts: Int) {
        try {
            renewOnce(session, challenge(Purpose.RENEW, attempts), attempts)
        } catch (error: WatchwordException.Refused) {
            if (error.type != "challenge-refused") throw error
            renewOnce(session, challenge(Purpose.RENEW, attempts), attempts)
        }
    }

    private fun renewOnce(session: Session, challenge: String, attempts: Int, ticket: String? = null) {
        val bnd = bnd
        val asksDevice = session.asksDevice || !ports.device.canOpen
        val statement = statement(Purpose.RENEW, challenge, bnd = bnd, asksDevice = asksDevice)
        val evidence = device(attempts) { ports.device.renew(statement.bytes) }
        val body = linkedMapOf<String, Any?>("instance" to session.instance, "evidence" to evidence)
        if (ticket != null) body["ticket"] = ticket
        accept("/v1/tokens", statement, body, attempts, bnd, asksDevice)
    }

    private fun askSecret(name: String, attempts: Int): Delivery = try {
        askSecretOnce(name, attempts)
    } catch (error: WatchwordException.Refused) {
        if (error.type != "challenge-refused") throw error
        askSecretOnce(name, attempts)
    }

    private fun askSecretOnce(name: String, attempts: Int): Delivery {
        val instance = checkNotNull(known().session) { "an enrolment leaves a session" }.instance
        val statement = statement(Purpose.SECRET, challenge(Purpose.SECRET, attempts), secret = name)
        val evidence = device(attempts) { ports.device.renew(statement.bytes) }
        val body = mapOf("instance" to instance, "statement" to Base64Url.encode(statement.bytes), "evidence" to evidence)
        val sentAt = boot()
        val answer = post("/v1/secrets", statement, body, attempts)
        return Delivery.read(answer, statement, sentAt, config.app, name, share()) { info, sealed ->
            opened(attempts, info, sealed)
        }
    }

    /** Returns a challenge to enrol with, asked for with the place in the line that there is. */
    private fun enrolmentChallenge(): String {
        val place = known().place
        return try {
            challenge(Purpose.ENROL, Exchange.MAX_ATTEMPTS, place, ::take)
        } catch (error: WatchwordException.Refused) {
            if (place == null) throw error
            // A service that was rolled back doesn't know places.
            take(place = null)
            challenge(Purpose.ENROL, Exchange.MAX_ATTEMPTS, null, ::take)
        }
    }

    private fun take(place: String?) {
        if (place != known().place) update { it.copy(place = place) }
    }

    private fun challenge(purpose: Purpose, attempts: Int, place: String? = null, hearPlace: ((String) -> Unit)? = null): String {
        val asked = linkedMapOf<String, Any?>("app" to config.app, "purpose" to purpose.text)
        if (place != null) asked["place"] = place
        val answer = exchange.post("/v1/challenges", asked, attempts, hearPlace)
        val speaks = (answer["protocol"] as? String)?.let(SPEAKS::matches) == true
        if (speaks != known().speaks) update { it.copy(speaks = speaks) }
        return (answer["challenge"] as? String)?.takeIf { it.isNotEmpty() }
            ?: throw Exchange.unreadable("a challenge is missing")
    }

    private fun statement(
        purpose: Purpose,
        challenge: String,
        bnd: String? = null,
        asksDevice: Boolean = false,
        secret: String? = null,
    ): Statement = Statement(
        purpose = purpose,
        issuer = config.issuer,
        audiences = audiences,
        app = config.app,
        challenge = challenge,
        proofJwk = device(1) { ports.device.proofJwk },
        sealJwk = device(1) { ports.device.sealJwk },
        bnd = bnd,
        isProvenByDevice = asksDevice && known().speaks,
        secret = secret,
    )

    /** Sends evidence and keeps the tokens of the answer. */
    private fun accept(path: String, statement: Statement, body: Map<String, Any?>, attempts: Int, bnd: String?, asksDevice: Boolean) {
        val sentAt = boot()
        val answer = post(path, statement, linkedMapOf<String, Any?>("statement" to Base64Url.encode(statement.bytes)) + body, attempts)
        val session =
            try {
                session(answer, statement, sentAt, attempts, bnd, asksDevice)
            } catch (_: MalformedException) {
                throw Exchange.unreadable("an instance, a level or a token for each API is missing")
            } catch (_: IllegalArgumentException) {
                throw Exchange.unreadable("a session key isn't one")
            }
        hold = null
        busy = 0
        update { it.copy(session = session, refusal = null, place = null) }
        // It only says when to look: whatever else stands there isn't worth losing tokens for.
        (answer["pins"] as? Long)?.takeIf { it in 1 until MAX_NUMBER }?.let(ports.hearPins)
    }

    /** Returns the session of an answer. */
    private fun session(
        answer: Map<String, Any?>,
        statement: Statement,
        sentAt: Double,
        attempts: Int,
        bnd: String?,
        asksDevice: Boolean,
    ): Session {
        val given = (answer["tokens"] as? List<*>).orEmpty().mapNotNull(::objectOf).associateBy { it["aud"] }
        val share = share()
        var (opened, unopened) = false to false
        val tokens =
            audiences.associateWith { audience ->
                val each = given[audience] ?: throw MalformedException("expected a token for each API")
                val (token, life) = each.text("token") to each.seconds("expires_in")
                if (!token.all { it in VISIBLE }) throw MalformedException("expected a token that a header can hold")
                val own = OwnToken.read(token)
                val sealed = each["session_key"]?.let { Base64Url.decode(each.text("session_key"), MAX_SEALED) }
                val key = if (sealed == null) null else sessionKey(attempts, statement, own, sealed)
                if (sealed != null && key == null) unopened = true
                if (key != null) opened = true
                HeldToken(token, sentAt + life, sentAt + life * share, key, own)
            }
        val next = objectOf(answer["next"])
        val challenge = next?.get("challenge") as? String
        val life = (next?.get("expires_in") as? Number)?.toDouble() ?: 0.0
        return Session(
            instance = answer.text("instance"),
            level = answer.text("level"),
            tokens = tokens,
            bnd = bnd,
            bootId = ports.clock.bootId,
            asksDevice = unopened || (asksDevice && !opened),
            next =
            if (challenge.isNullOrEmpty() || life <= 0) {
                null
            } else {
                NextChallenge(challenge, sentAt + life, NextChallenge.ticket(next["ticket"]))
            },
        )
    }

    /** Returns a session key; null where the device can't open it. */
    private fun sessionKey(attempts: Int, statement: Statement, own: OwnToken?, sealed: ByteArray): ByteArray? {
        requireNotNull(own) { "got a session key beside a token that names no session" }
        val info = SEAL_LABEL + statement.binding + lengthPrefixed(own.sessionId.toByteArray(Charsets.UTF_8))
        return opened(attempts, info, sealed)?.let(Remembered::sessionKey)
    }

    private fun opened(attempts: Int, info: ByteArray, sealed: ByteArray): ByteArray? {
        if (!ports.device.canOpen) return null
        return try {
            device(attempts) { ports.device.openSealed(info, sealed) }
        } catch (_: DeviceException) {
            null
        }
    }

    /** Posts a statement; remembers a final refusal that the service signed over it beyond the process. */
    private fun post(path: String, statement: Statement, body: Map<String, Any?>, attempts: Int): Map<String, Any?> = try {
        exchange.post(path, body, attempts)
    } catch (error: WatchwordException.Refused) {
        val signed = error.signed
        if (error.isFinal && signed != null && refusals.verifies(signed, statement.binding, error.type)) {
            val refusal =
                SignedRefusal(error.type, error.status, error.title, error.ref, boot() + COOL_DOWN, ports.clock.bootId)
            update { it.copy(refusal = refusal) }
        }
        throw error
    }

    /** Turns what a device throws into what the app is told; holds back what would only fail again, or what is to wait. */
    private fun <T> remembering(isEarly: Boolean, work: () -> T): T {
        try {
            return work()
        } catch (error: WatchwordException.Refused) {
            if (error.isFinal) hold = Hold(error, boot() + COOL_DOWN)
            throw error
        } catch (error: WatchwordException.Offline) {
            val pause = error.retryAfter ?: 0.0
            if (pause > Exchange.MAX_PAUSE) hold = Hold(error, boot() + minOf(pause, COOL_DOWN))
            throw error
        } catch (error: DeviceException) {
            val told = told(error)
            val pause = if (isEarly) null else heldFor(error)
            if (pause != null) hold = Hold(told, boot() + pause)
            throw told
        }
    }

    /** Returns for how many seconds the device isn't asked again, null if it may be at once. */
    private fun heldFor(error: DeviceException): Double? = when (error.kind) {
        Kind.UNSUPPORTED, Kind.KEY_LOST, Kind.FAULT -> COOL_DOWN

        Kind.TRANSIENT -> {
            val span = minOf(COOL_DOWN, BUSY_PAUSE * (1 shl minOf(busy, MAX_DOUBLINGS)))
            busy++
            minOf(COOL_DOWN, (error.retryAfter ?: 0.0) + ports.jitter() * span)
        }

        Kind.LOCKED, Kind.OFFLINE -> null
    }

    private fun told(error: DeviceException): WatchwordException = when (error.kind) {
        Kind.UNSUPPORTED -> WatchwordException.DeviceUnsupported(error)

        Kind.KEY_LOST -> WatchwordException.KeyLost(error)

        Kind.OFFLINE ->
            WatchwordException.Offline("service-unavailable", "the device's vendor can't be reached", error.retryAfter, error)

        Kind.TRANSIENT, Kind.LOCKED, Kind.FAULT ->
            WatchwordException.DeviceFailed(error.kind, "the device failed: ${error.message}", error.retryAfter, error)
    }

    /**
     * Asks the device, a busy one up to [attempts] times.
     *
     * @throws DeviceException for whatever it throws.
     */
    private fun <T> device(attempts: Int, work: () -> T): T {
        var attempt = 0
        while (true) {
            val error =
                try {
                    return work()
                } catch (error: DeviceException) {
                    error
                } catch (error: RuntimeException) {
                    DeviceException(Kind.FAULT, "got a ${error.javaClass.simpleName} of the device", error)
                }
            attempt++
            // A device that names a pause was asked again already.
            val isLast = attempt >= attempts || error.retryAfter != null
            if (error.kind != Kind.TRANSIENT || isLast) throw error
            ports.sleep(exchange.pause(attempt - 1))
        }
    }

    private fun postpone() {
        val (known, now) = known() to boot()
        val session = known.session ?: return
        val tokens =
            session.tokens.mapValues { (_, held) ->
                held.renewedAt(now + (held.expiresAt - now) * POSTPONED_SHARE)
            }
        remembered = known.copy(session = session.copy(tokens = tokens))
    }

    private fun share(): Double = RENEW_FROM + RENEW_SPAN * ports.jitter()

    /** Returns what must be thrown without asking anybody, null for nothing. */
    private fun holding(): WatchwordException? {
        hold?.thrown(boot())?.let { return it }
        val refusal = known().refusal ?: return null
        val left = refusal.until - boot()
        // However it was written: nothing locks a phone out for longer.
        if (refusal.bootId != ports.clock.bootId || left <= 0 || left > COOL_DOWN) return null
        return WatchwordException.Refused(refusal.type, refusal.status, refusal.title, refusal.ref, emptyList())
    }

    private fun hear(now: Long) {
        update(isStored = false) { it.copy(ahead = now - boot(), aheadBootId = ports.clock.bootId) }
    }

    private fun known(): Remembered = remembered ?: synchronized(stored) {
        remembered ?: read()?.also { remembered = it } ?: Remembered()
    }

    /** Returns what is stored, nothing where that can't be read; null where it can't be read yet. */
    private fun read(): Remembered? = try {
        ports.store.read()?.let(Remembered::read) ?: Remembered()
    } catch (error: DeviceException) {
        if (error.kind == Kind.LOCKED) null else Remembered()
    } catch (_: Exception) {
        Remembered()
    }

    /** Throws while the store can't be read: an enrolment would take the place of an instance that is there. */
    private fun requireRead() {
        known()
        if (remembered == null) throw told(DeviceException(Kind.LOCKED, "what it stores can't be read before it is unlocked"))
    }

    private fun update(isStored: Boolean = true, change: (Remembered) -> Remembered) {
        val new = synchronized(stored) { change(known()).also { remembered = it } }
        if (isStored) store(new)
    }

    private fun store(document: Remembered) {
        try {
            ports.store.write(document.write())
        } catch (_: Exception) {
            // The next start of the app renews or enrols; this one goes on.
        }
    }

    private companion object {
        /** A token is renewed at a random point of its life, so that phones which enrolled together don't return together. */
        const val RENEW_FROM = 0.6
        const val RENEW_SPAN = 0.2

        /** A failed early renewal is repeated when so much of the token's remaining life has passed. */
        const val POSTPONED_SHARE = 0.2

        /** The longest that nobody is asked after a final refusal, a failure of the device or a `Retry-After`, in seconds. */
        const val COOL_DOWN = 3600.0

        /** Upper bound of the first pause after a device was too busy several times, in seconds; it doubles. */
        const val BUSY_PAUSE = 5.0
        const val MAX_DOUBLINGS = 10

        /** Within so many seconds a token is replaced that was refused before its end. */
        const val CUT_SPAN = 5.0

        val VISIBLE = '!'..'~'
        const val MAX_SEALED = 256
        const val MAX_NUMBER = 1L shl 53
        val SEAL_LABEL = "watchword/seal/v1\u0000".toByteArray(Charsets.US_ASCII)
        val KEEPING_KEYS = setOf(Kind.TRANSIENT, Kind.LOCKED, Kind.OFFLINE)
        val SPEAKS = Regex("1\\.[1-9][0-9]{0,3}")
    }
}
