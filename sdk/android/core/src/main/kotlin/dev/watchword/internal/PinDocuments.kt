package dev.watchword.internal

import java.security.interfaces.ECPublicKey
import java.util.Locale

/**
 * Says why a document of pins isn't taken, or a connection not used.
 *
 * @property reason the reason's code, the same in every SDK, for example `pins.set_signature`.
 */
internal class PinRefusal(val reason: String, detail: String) : Exception("$reason: $detail")

/** SHA-256 of a SubjectPublicKeyInfo, in base64url. Compared as text: each has one spelling. */
internal typealias PinText = String

/** What a pin set says of one host; [pins] by their role: `c`, `n`, `b` or `a`. */
internal data class HostPins(
    val host: String,
    val pins: Map<PinText, String>,
    val isReported: Boolean,
    val hasSubdomains: Boolean,
    val isClosedAfter: Boolean,
) {
    /** Tells whether a chain holds a pinned key where its role has it: an authority's above the leaf, every other at the leaf. */
    fun matches(chain: List<PinText>): Boolean =
        pins.any { (pin, role) -> if (role == AUTHORITY) pin in chain.drop(1) else pin == chain.firstOrNull() }

    private companion object {
        const val AUTHORITY = "a"
    }
}

/**
 * A pin set whose signature was verified. Times are seconds since 1970.
 *
 * @property key the id of the key that signed it.
 * @property soft from here on the app looks for a newer one.
 * @property hard from here on it is enforced no more.
 * @property roots the lowest root list that it may be read under.
 */
internal data class PinSet(
    val app: String,
    val version: Long,
    val issued: Long,
    val soft: Long,
    val hard: Long,
    val roots: Long,
    val hosts: Map<String, HostPins>,
    val reports: String?,
    val key: String,
) {
    /** Returns what it says of a host: its own entry, else that of the nearest name above it which includes it. */
    fun entry(host: String): HostPins? {
        var name = plainHost(host)
        hosts[name]?.let { return it }
        while ('.' in name) {
            name = name.substringAfter('.')
            hosts[name]?.takeIf { it.hasSubdomains }?.let { return it }
        }
        return null
    }

    /** Tells whether failures would be reported to a host that it pins, where the report would fail by what it tells of. */
    val reportsToItself: Boolean get() = reports != null && entry(checkNotNull(PinNames.hostOfUrl(reports))) != null
}

/** A root list whose signatures were verified; keys by their thumbprints. */
internal data class RootList(
    val version: Long,
    val expires: Long,
    val threshold: Long,
    val keys: Map<String, ECPublicKey>,
    val pinKeys: Map<String, ECPublicKey>,
    val floors: Map<String, Long>,
)

/** What ships in a version of an app; trusted because its package is. */
internal data class Builtin(
    val app: String,
    val appVersion: String,
    val floor: Long,
    val roots: RootList,
    val set: PinSet?,
    val authorities: Map<String, Set<PinText>>,
)

/** Returns a host's name as pin sets have it: ASCII letters in lower case, no dot at its end, other scripts as A-labels. */
internal fun plainHost(host: String): String = try {
    java.net.IDN.toASCII(host)
} catch (_: IllegalArgumentException) {
    host // No name at all; it has no entry.
}.lowercase(Locale.ROOT).trimEnd('.')

/** The names of hosts and the addresses of reports, in their one spelling. */
internal object PinNames {
    private const val MAX_NAME = 253
    private const val MAX_URL = 512
    private const val MAX_PORT = 65535
    private val LABEL = Regex("[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
    private val NUMBER = Regex("[0-9]+|0x[0-9a-f]*")
    private val URL = Regex("https://([a-z0-9.-]+)(?::([0-9]{1,5}))?(/.*)?", RegexOption.DOT_MATCHES_ALL)
    private const val IN_PATH = "!$%&()*+,-./:;=?@_~"

    /** Tells whether this is a name that can have an entry; one that ends in a number is an address to every reader of URLs. */
    fun isHost(text: String): Boolean {
        val labels = text.split('.')
        return text.length <= MAX_NAME && labels.all(LABEL::matches) && !NUMBER.matches(labels.last())
    }

    /** Returns the host of an address that failures may be reported to; null if it is none. */
    fun hostOfUrl(url: String): String? {
        if (url.length > MAX_URL) return null
        val (host, port, path) = URL.matchEntire(url)?.destructured ?: return null
        if (port.isNotEmpty() && port.toInt() !in 1..MAX_PORT) return null
        if (!path.all { it in 'a'..'z' || it in 'A'..'Z' || it in '0'..'9' || it in IN_PATH }) return null
        return host.takeIf(::isHost)
    }
}

/** Reads the signed documents of pins strictly: nothing of one is believed before its signature was verified. */
internal object PinDocuments {
    const val MAX_SET_BYTES = 393_216
    const val MAX_ROOTS_BYTES = 65_536
    const val MAX_BUILTIN_BYTES = 851_968
    private const val SET = "pins.set_malformed"
    private const val ROOTS = "pins.roots_malformed"
    private const val SET_TYPE = "watchword-pins+jwt"
    private const val ROOTS_TYPE = "watchword-pin-roots+jwt"
    private const val MAX_HEADER = 4096
    private const val MAX_KID = 64
    private const val MAX_VERSION = (1L shl 53) - 1
    private const val MAX_TIME = 1L shl 40
    private const val MAX_HOSTS = 200
    private const val MAX_PINS = 20
    private const val MAX_KEYS = 16
    private const val MAX_SIGNATURES = 32
    private const val MAX_FLOORS = 200
    private const val MAX_APP_VERSION = 64
    private const val SIGNATURE_BYTES = 64
    private val APP = Regex("[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
    private val SET_MEMBERS = setOf("app", "ver", "iat", "soft", "hard", "roots", "hosts")
    private val ENTRY_MEMBERS = setOf("pins", "mode", "sub", "after")
    private val ROOTS_MEMBERS = setOf("ver", "exp", "threshold", "keys", "pin_keys", "floors")
    private val BUILTIN_MEMBERS = setOf("app", "app_version", "floor", "roots", "set", "authorities")
    private val ROLES = setOf("c", "n", "b", "a")

    /**
     * Returns a set that a pin key of the list signed; says nothing of its age or version.
     *
     * @throws PinRefusal if it isn't one.
     */
    fun set(data: ByteArray, roots: RootList): PinSet {
        if (data.size > MAX_SET_BYTES) throw PinRefusal(SET, "got ${data.size} bytes, expected at most $MAX_SET_BYTES")
        val jws = reading(SET) { jws(ascii(data), SET_TYPE, MAX_SET_BYTES) }
        val key = roots.pinKeys[jws.kid] ?: throw PinRefusal("pins.set_key", "root list ${roots.version} has no such pin key")
        if (!P256.verifies(key, jws.signed, jws.signature)) throw PinRefusal("pins.set_signature", "it isn't the key's")
        return reading(SET) { pinSet(StrictJson.read(jws.payload, MAX_SET_BYTES), jws.kid) }
    }

    /**
     * Returns a root list that [previous] vouches for, and that its own keys signed; it may have expired.
     *
     * @param previous null for a list that is trusted because of where it came from.
     * @throws PinRefusal if it isn't one.
     */
    fun roots(data: ByteArray, previous: RootList?): RootList {
        val document = signedList(data)
        val found = listOf(document)
        if (previous != null) require(previous, document)
        require(found, document)
        if (previous == null) return found
        if (found.version != previous.version + 1) {
            throw PinRefusal("pins.roots_version", "got version ${found.version}, expected ${previous.version + 1}")
        }
        for ((app, floor) in previous.floors) {
            if ((found.floors[app] ?: 0) < floor) throw PinRefusal("pins.roots_version", "$app: expected a floor of at least $floor")
        }
        return found
    }

    /** Returns the version that a list says of itself; no signature is looked at. */
    fun versionOf(data: ByteArray): Long = listOf(signedList(data)).version

    /**
     * Returns what a version of an app ships with; the list and the set in it are verified.
     *
     * @throws PinRefusal for anything else than such a file.
     */
    fun builtin(data: ByteArray): Builtin = reading("builtin") {
        val members = StrictJson.read(data, MAX_BUILTIN_BYTES)
        expect(members.keys == BUILTIN_MEMBERS) { "exactly the members $BUILTIN_MEMBERS" }
        val app = app(members["app"])
        val appVersion = members.text("app_version")
        expect(appVersion.codePointCount(0, appVersion.length) <= MAX_APP_VERSION) { "app_version of at most $MAX_APP_VERSION characters" }
        val floor = whole(members, "floor", MAX_VERSION)
        // Spaced or ordered otherwise it is the same list: what was signed of it is one text.
        val roots = roots(StrictJson.write(members.members("roots")), null)
        val signed = members["set"]
        expect(signed == null || signed is String) { "set to be text or null" }
        val set = (signed as? String)?.let { set(it.toByteArray(Charsets.UTF_8), roots) }
        expect(set == null || (set.app == app && set.version >= floor)) { "a set for $app from version $floor on" }
        Builtin(app, appVersion, floor, roots, set, authorities(members.members("authorities")))
    }

    private fun authorities(members: Map<String, Any?>): Map<String, Set<PinText>> {
        expect(members.size <= MAX_HOSTS) { "authorities of at most $MAX_HOSTS hosts" }
        return members.mapValues { (host, pins) ->
            expect(PinNames.isHost(host) && pins is List<*> && pins.size in 1..MAX_PINS) { "1 to $MAX_PINS authorities of a host" }
            (pins as List<*>).mapTo(HashSet()) { pin(it) }
        }
    }

    private class Jws(val kid: String, val payload: ByteArray, val signature: ByteArray, val signed: ByteArray)

    private fun jws(text: String, type: String, limit: Int): Jws {
        val parts = text.split('.')
        expect(parts.size == 3 && text.length <= limit) { "three segments of at most $limit characters" }
        val (head, payload, signature) = parts.map { Base64Url.decode(it, limit) }
        val header = StrictJson.read(head, MAX_HEADER)
        val kid = header.text("kid")
        expect(header == mapOf("alg" to "ES256", "typ" to type, "kid" to kid)) { "a header of exactly alg, typ and kid" }
        expect(kid.codePointCount(0, kid.length) <= MAX_KID) { "a kid of at most $MAX_KID characters" }
        expect(signature.size == SIGNATURE_BYTES) { "a signature of $SIGNATURE_BYTES bytes" }
        return Jws(kid, payload, signature, text.substringBeforeLast('.').toByteArray(Charsets.US_ASCII))
    }

    private fun pinSet(members: Map<String, Any?>, key: String): PinSet {
        expect(members.keys - "reports" == SET_MEMBERS) { "exactly the members $SET_MEMBERS and perhaps reports" }
        val hosts = members.members("hosts")
        expect(hosts.size <= MAX_HOSTS) { "at most $MAX_HOSTS hosts" }
        val reports = if ("reports" in members) members.text("reports") else null
        expect(reports == null || PinNames.hostOfUrl(reports) != null) { "reports to be an https URL of a host" }
        val (issued, soft, hard) = listOf("iat", "soft", "hard").map { whole(members, it, MAX_TIME) }
        expect(soft in issued..hard && issued < hard) { "iat, soft and hard in this order" }
        return PinSet(
            app = app(members["app"]),
            version = whole(members, "ver", MAX_VERSION),
            issued = issued,
            soft = soft,
            hard = hard,
            roots = whole(members, "roots", MAX_VERSION),
            hosts = hosts.keys.associateWith { entry(it, hosts.members(it)) },
            reports = reports,
            key = key,
        )
    }

    private fun entry(host: String, members: Map<String, Any?>): HostPins {
        expect(PinNames.isHost(host)) { "the name of a host" }
        expect("pins" in members && (members.keys - ENTRY_MEMBERS).isEmpty()) { "pins, and perhaps mode, sub and after" }
        val pins = members.members("pins")
        expect(pins.size in 1..MAX_PINS && pins.values.all { it in ROLES }) { "1 to $MAX_PINS pins, each with its role" }
        pins.keys.forEach(::pin)
        expect(members.getOrDefaultValue("mode", "report") == "report") { "the mode report, or none" }
        expect(members.getOrDefaultValue("sub", true) == true) { "sub true, or none" }
        expect(members.getOrDefaultValue("after", "closed") == "closed") { "after closed, or none" }
        expect("sub" !in members || '.' in host) { "no sub of a host without a dot" }
        return HostPins(host, pins.mapValues { it.value as String }, "mode" in members, "sub" in members, "after" in members)
    }

    private fun Map<String, Any?>.getOrDefaultValue(name: String, default: Any): Any? = if (name in this) this[name] else default

    /** A list as it came: what was signed, and header and signature by the id of the key. */
    private class SignedList(val payload: String, val signatures: Map<String, Jws>) {
        fun isSignedBy(kid: String, key: ECPublicKey): Boolean =
            signatures[kid]?.let { P256.verifies(key, it.signed, it.signature) } ?: false
    }

    private fun signedList(data: ByteArray): SignedList = reading(ROOTS) {
        val members = StrictJson.read(data, MAX_ROOTS_BYTES)
        expect(members.keys == setOf("payload", "signatures")) { "exactly payload and signatures" }
        val payload = members.text("payload")
        val written = members["signatures"] as? List<*>
        expect(written != null && written.size <= MAX_SIGNATURES) { "at most $MAX_SIGNATURES signatures" }
        val signatures = LinkedHashMap<String, Jws>()
        for (each in written.orEmpty()) {
            val signature = objectOf(each)
            expect(signature != null && signature.keys == setOf("protected", "signature")) { "exactly protected and signature" }
            // Each reads as a compact JWS of its own.
            val text = "${signature?.text("protected")}.$payload.${signature?.text("signature")}"
            val jws = jws(text, ROOTS_TYPE, MAX_ROOTS_BYTES)
            expect(signatures.put(jws.kid, jws) == null) { "each key's signature once" }
        }
        SignedList(payload, signatures)
    }

    private fun require(by: RootList, document: SignedList) {
        val count = by.keys.count { (kid, key) -> document.isSignedBy(kid, key) }
        if (count < by.threshold) {
            throw PinRefusal("pins.roots_threshold", "got $count signatures by keys of list ${by.version}, expected ${by.threshold}")
        }
    }

    private fun listOf(document: SignedList): RootList = reading(ROOTS) {
        val members = StrictJson.read(Base64Url.decode(document.payload, MAX_ROOTS_BYTES), MAX_ROOTS_BYTES)
        expect(members.keys == ROOTS_MEMBERS) { "exactly the members $ROOTS_MEMBERS" }
        val keys = keys(members["keys"])
        val pinKeys = keys(members["pin_keys"])
        expect(keys.keys.none { it in pinKeys }) { "no key that signs both lists and sets" }
        val floors = members.members("floors")
        expect(floors.size <= MAX_FLOORS) { "at most $MAX_FLOORS floors" }
        RootList(
            version = whole(members, "ver", MAX_VERSION),
            expires = whole(members, "exp", MAX_TIME),
            threshold = whole(members, "threshold", keys.size.toLong()),
            keys = keys,
            pinKeys = pinKeys,
            floors = floors.keys.associate { app(it) to whole(floors, it, MAX_VERSION) },
        )
    }

    private fun keys(value: Any?): Map<String, ECPublicKey> {
        expect(value is List<*> && value.size in 1..MAX_KEYS) { "1 to $MAX_KEYS keys" }
        val out = LinkedHashMap<String, ECPublicKey>()
        for (each in (value as List<*>)) {
            val jwk = objectOf(each) ?: throw MalformedException("expected each key to be a JWK")
            expect(jwk.keys == setOf("kty", "crv", "x", "y") && jwk["kty"] == "EC" && jwk["crv"] == "P-256") { "keys on P-256, public" }
            val thumbprint = linkedMapOf("crv" to "P-256", "kty" to "EC", "x" to jwk.text("x"), "y" to jwk.text("y"))
            val key = P256.publicKey(dev.watchword.PublicKeyJwk(jwk.text("x"), jwk.text("y")))
            expect(out.put(Base64Url.encode(sha256(StrictJson.write(thumbprint))), key) == null) { "each key once" }
        }
        return out
    }

    private fun app(value: Any?): String =
        (value as? String)?.takeIf(APP::matches) ?: throw MalformedException("expected an app of 1 to 128 letters, digits, dots and dashes")

    private fun whole(members: Map<String, Any?>, name: String, most: Long): Long =
        (members[name] as? Long)?.takeIf { it in 1..most } ?: throw MalformedException("expected a whole number from 1 to $most")

    private fun pin(value: Any?): PinText {
        val text = value as? String ?: throw MalformedException("expected a pin as text")
        expect(Base64Url.decode(text).size == P256.BYTES) { "pins of ${P256.BYTES} bytes" }
        return text
    }

    private fun ascii(data: ByteArray): String {
        expect(data.all { it >= 0 }) { "ASCII" }
        return String(data, Charsets.US_ASCII)
    }

    private inline fun expect(holds: Boolean, what: () -> String) {
        if (!holds) throw MalformedException("expected ${what()}")
    }

    /** Refuses what can't be read under the reason of the document in which it stands. */
    private inline fun <T> reading(reason: String, read: () -> T): T = try {
        read()
    } catch (error: MalformedException) {
        throw PinRefusal(reason, error.message.orEmpty())
    } catch (error: IllegalArgumentException) {
        throw PinRefusal(reason, error.message.orEmpty())
    } catch (error: PinRefusal) {
        throw if (reason == "builtin") PinRefusal(reason, error.message.orEmpty()) else error
    }
}
