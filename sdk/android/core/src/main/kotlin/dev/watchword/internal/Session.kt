package dev.watchword.internal

/**
 * One token and the keys of its proofs. Times are those of the device's boot clock.
 *
 * @property expiresAt counted from before the token was asked for, so that it is never taken for longer than it lives.
 * @property renewAt from then on the token is replaced, while it still works.
 * @property sessionKey what session proofs are made with, 32 bytes; null where the device couldn't open it or none came.
 * @property own what the token says of its keys; null if that can't be read.
 */
internal class HeldToken(
    val token: String,
    val expiresAt: Double,
    val renewAt: Double,
    val sessionKey: ByteArray?,
    val own: OwnToken? = OwnToken.read(token),
) {
    fun renewedAt(time: Double): HeldToken = HeldToken(token, expiresAt, time, sessionKey, own)
}

/**
 * A challenge that came with tokens, for the next renewal; [expiresAt] in boot time.
 *
 * @property ticket what the service wants to see again beside it; null where it gave nothing.
 */
internal class NextChallenge(val challenge: String, val expiresAt: Double, val ticket: String? = null) {
    companion object {
        private const val MAX_TICKET = 5462

        /** Returns a ticket, null for what can't be one: a renewal works without it. */
        fun ticket(given: Any?): String? = (given as? String)?.takeIf { it.length in 1..MAX_TICKET }
    }
}

/**
 * An enrolled instance.
 *
 * @property tokens by audience.
 * @property bnd what they are bound to, null for nothing.
 * @property bootId the start of the device that their times are of.
 * @property asksDevice whether device proofs are to stand for session proofs: this device couldn't open a session key.
 */
internal class Session(
    val instance: String,
    val level: String,
    val tokens: Map<String, HeldToken>,
    val bnd: String?,
    val bootId: String,
    val asksDevice: Boolean,
    val next: NextChallenge?,
) {
    fun copy(tokens: Map<String, HeldToken> = this.tokens, next: NextChallenge? = this.next): Session =
        Session(instance, level, tokens, bnd, bootId, asksDevice, next)
}

/**
 * A final refusal that the service signed over our statement.
 *
 * @property until when the cool-down ends, in boot time of [bootId].
 */
internal class SignedRefusal(val type: String, val status: Int, val title: String, val ref: String?, val until: Double, val bootId: String)

/**
 * All that outlives the process.
 *
 * @property ahead the service's time less the boot clock, in seconds, in [aheadBootId]; null before it told any.
 * @property speaks whether the service said that it speaks protocol 1.1.
 * @property place in the line of those who enrol, which counts after any start of the device; null while there is none.
 */
internal class Remembered(
    val session: Session? = null,
    val refusal: SignedRefusal? = null,
    val ahead: Double? = null,
    val aheadBootId: String = "",
    val speaks: Boolean = false,
    val place: String? = null,
) {
    fun copy(
        session: Session? = this.session,
        refusal: SignedRefusal? = this.refusal,
        ahead: Double? = this.ahead,
        aheadBootId: String = this.aheadBootId,
        speaks: Boolean = this.speaks,
        place: String? = this.place,
    ): Remembered = Remembered(session, refusal, ahead, aheadBootId, speaks, place)

    /** Returns the document for the [dev.watchword.Store]; it holds tokens and session keys. */
    fun write(): ByteArray = StrictJson.write(
        linkedMapOf(
            "v" to VERSION,
            "speaks" to speaks,
            "ahead" to ahead?.let { linkedMapOf("seconds" to it, "boot_id" to aheadBootId) },
            "session" to session?.let(::written),
            "refusal" to
                refusal?.let {
                    linkedMapOf(
                        "type" to it.type,
                        "status" to it.status,
                        "title" to it.title,
                        "ref" to it.ref,
                        "until" to it.until,
                        "boot_id" to it.bootId,
                    )
                },
        ) + if (place == null) emptyMap() else mapOf("place" to place),
    )

    private fun written(session: Session): Map<String, Any?> = linkedMapOf(
        "instance" to session.instance,
        "level" to session.level,
        "bnd" to session.bnd,
        "boot_id" to session.bootId,
        "asks_device" to session.asksDevice,
        "next" to
            session.next?.let {
                linkedMapOf<String, Any?>("challenge" to it.challenge, "expires_at" to it.expiresAt) +
                    (if (it.ticket == null) emptyMap() else mapOf("ticket" to it.ticket))
            },
        "tokens" to
            session.tokens.mapValues { (_, held) ->
                linkedMapOf(
                    "token" to held.token,
                    "expires_at" to held.expiresAt,
                    "renew_at" to held.renewAt,
                    "session_key" to held.sessionKey?.let(Base64Url::encode),
                )
            },
    )

    companion object {
        private const val VERSION = 1
        private const val MAX_BYTES = 1024 * 1024
        private const val SESSION_KEY_BYTES = 32

        /**
         * Returns what a stored document holds; nothing where it can't be read (the app enrols then).
         *
         * Every version that was ever written is read: an update of the app costs no enrolment.
         */
        fun read(document: ByteArray): Remembered = try {
            val members = StrictJson.read(document, MAX_BYTES)
            when (members["v"]) {
                1L -> readFirst(members)
                else -> Remembered()
            }
        } catch (_: MalformedException) {
            Remembered()
        } catch (_: IllegalArgumentException) {
            Remembered()
        }

        private fun readFirst(members: Map<String, Any?>): Remembered {
            val ahead = objectOf(members["ahead"])
            return Remembered(
                session = objectOf(members["session"])?.let(::readSession),
                refusal = objectOf(members["refusal"])?.let(::readRefusal),
                ahead = (ahead?.get("seconds") as? Number)?.toDouble(),
                aheadBootId = ahead?.text("boot_id").orEmpty(),
                speaks = members["speaks"] == true,
                place = Problem.place(members["place"]),
            )
        }

        private fun readSession(members: Map<String, Any?>): Session = Session(
            instance = members.text("instance"),
            level = members.text("level"),
            tokens =
            members.members("tokens").mapValues { (_, value) ->
                val held = objectOf(value) ?: throw MalformedException("expected a token")
                HeldToken(
                    held.text("token"),
                    held.seconds("expires_at"),
                    held.seconds("renew_at"),
                    held["session_key"]?.let { sessionKey(Base64Url.decode(held.text("session_key"))) },
                )
            },
            bnd = members["bnd"]?.let { members.text("bnd") },
            bootId = members.text("boot_id"),
            asksDevice = members["asks_device"] == true,
            next =
            objectOf(members["next"])?.let {
                NextChallenge(it.text("challenge"), it.seconds("expires_at"), NextChallenge.ticket(it["ticket"]))
            },
        )

        private fun readRefusal(members: Map<String, Any?>): SignedRefusal = SignedRefusal(
            members.text("type"),
            members.seconds("status").toInt(),
            members["title"] as? String ?: "",
            members["ref"] as? String,
            members.seconds("until"),
            members.text("boot_id"),
        )

        /** Returns [key] if it has a session key's length. */
        fun sessionKey(key: ByteArray): ByteArray =
            key.also { require(it.size == SESSION_KEY_BYTES) { "got a session key of another length" } }
    }
}
