package dev.watchword.phone

import dev.watchword.Answer
import dev.watchword.PublicKeyJwk
import dev.watchword.Transport
import dev.watchword.internal.Base64Url
import dev.watchword.internal.P256
import dev.watchword.internal.sha256
import org.json.JSONArray
import org.json.JSONObject
import java.security.KeyPair
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.util.Collections

private const val DAY = 86_400L

/** Signs root lists and pin sets of one app, and hands them out as the service does. */
class PinPublisher(private val app: String) : Transport {
    private class Signer(val keys: KeyPair) {
        val jwk = PublicKeyJwk.of(keys.public as ECPublicKey)
        val kid = Base64Url.encode(sha256("""{"crv":"P-256","kty":"EC","x":"${jwk.x}","y":"${jwk.y}"}""".toByteArray()))

        fun sign(text: String): String = Signature.getInstance("SHA256withECDSA").run {
            initSign(keys.private)
            update(text.toByteArray())
            Base64Url.encode(P256.fixedSignature(sign()))
        }

        fun header(type: String) = Base64Url.encode("""{"alg":"ES256","kid":"$kid","typ":"$type"}""".toByteArray())
    }

    private val root = Signer(Authority.pair())
    private var pinKey = Signer(Authority.pair())
    private var version = 0L
    private val lists = mutableListOf<String>()
    private var set: String? = null

    /** Paths that were asked for, in order. */
    val asked: MutableList<String> = Collections.synchronizedList(mutableListOf())

    /** The ETags that were sent along, in order; empty text for none. */
    val tags: MutableList<String> = Collections.synchronizedList(mutableListOf())

    /** What was reported, with its address. */
    val reports: MutableList<Pair<String, JSONObject>> = Collections.synchronizedList(mutableListOf())

    /** Answers reports and fetches from now on; null takes reports, and hands out what is published. */
    @Volatile
    var status: Int? = null

    init {
        publishRoots()
    }

    /** Publishes the next root list; with [newKey] another key signs sets from now on, and what the old one signed is withdrawn. */
    fun publishRoots(newKey: Boolean = false) {
        if (newKey) pinKey = Signer(Authority.pair())
        val payload = JSONObject()
            .put("ver", lists.size + 1)
            .put("exp", now() + DAY)
            .put("threshold", 1)
            .put("keys", JSONArray().put(JSONObject(root.jwk.members())))
            .put("pin_keys", JSONArray().put(JSONObject(pinKey.jwk.members())))
            .put("floors", JSONObject())
        val encoded = Base64Url.encode(payload.toString().toByteArray())
        val protected = root.header("watchword-pin-roots+jwt")
        val signature = JSONObject().put("protected", protected).put("signature", root.sign("$protected.$encoded"))
        lists += JSONObject().put("payload", encoded).put("signatures", JSONArray().put(signature)).toString()
    }

    /**
     * Publishes the next set.
     *
     * @param hosts by host, pins to their roles.
     */
    fun publish(hosts: Map<String, Map<String, String>>, reports: String? = null, report: Boolean = false, hard: Long = now() + DAY) {
        val entries = JSONObject()
        for ((host, pins) in hosts) {
            entries.put(host, JSONObject().put("pins", JSONObject(pins)).also { if (report) it.put("mode", "report") })
        }
        val payload = JSONObject()
            .put("app", app)
            .put("ver", ++version)
            .put("iat", hard - 2 * DAY)
            .put("soft", hard)
            .put("hard", hard)
            .put("roots", 1)
            .put("hosts", entries)
        if (reports != null) payload.put("reports", reports)
        val signed = "${pinKey.header("watchword-pins+jwt")}.${Base64Url.encode(payload.toString().toByteArray())}"
        set = "$signed.${pinKey.sign(signed)}"
    }

    /** Returns the file that a version of the app is built with now. */
    fun builtin(): ByteArray = JSONObject()
        .put("app", app)
        .put("app_version", "1.0")
        .put("floor", 1)
        .put("roots", JSONObject(lists.last()))
        .put("set", set ?: JSONObject.NULL)
        .put("authorities", JSONObject())
        .toString().toByteArray()

    override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int): Answer {
        val path = "/" + url.substringAfter("://").substringAfter('/')
        asked += path
        tags += headers["If-None-Match"].orEmpty()
        status?.let { return Answer(it, emptyMap(), ByteArray(0)) }
        val found = when {
            path == "/v1/pins/$app" -> set
            path.startsWith("/v1/pins/$app/roots/") -> lists.getOrNull(path.substringAfterLast('/').toInt() - 1)
            else -> null
        } ?: return Answer(404, emptyMap(), ByteArray(0))
        val tag = "\"${Base64Url.encode(sha256(found.toByteArray()))}\""
        if (headers["If-None-Match"] == tag) return Answer(304, emptyMap(), ByteArray(0))
        return Answer(200, mapOf("etag" to tag), found.toByteArray())
    }

    override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer {
        check(headers == mapOf("Content-Type" to "application/json", "Accept-Encoding" to "identity")) { "a report with more headers" }
        reports += url to JSONObject(String(body))
        return Answer(status ?: 204, emptyMap(), ByteArray(0))
    }

    private fun now() = System.currentTimeMillis() / 1000
}
