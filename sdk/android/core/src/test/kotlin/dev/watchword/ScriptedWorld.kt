package dev.watchword

import dev.watchword.internal.Base64Url
import dev.watchword.internal.P256
import dev.watchword.internal.base64
import dev.watchword.internal.sha256
import org.json.JSONArray
import org.json.JSONObject
import java.net.ConnectException
import java.net.SocketException
import java.net.SocketTimeoutException
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock
import kotlin.math.floor

/** A request as the service, the gate or another host gets it; header names in lower case. */
class Received(val method: String, val url: String, val headers: Map<String, String>, val body: ByteArray?, val isStream: Boolean) {
    val origin = url.split('/').take(3).joinToString("/")
    val target = url.removePrefix(origin).ifEmpty { "/" }
    val json: JSONObject by lazy { JSONObject(String(body ?: ByteArray(0))) }
    val statement: JSONObject by lazy { JSONObject(String(Base64Url.decode(json.getString("statement")))) }
}

/** The right time, and the phone's clocks beside it. */
class SimulatedClock(now: Double, private var wallAhead: Double, private var bootTime: Double, override var bootId: String) : Clock {
    @Volatile var now = now
        private set

    override fun wall(): Double = now + wallAhead

    override fun boot(): Double = bootTime

    @Synchronized
    fun advance(seconds: Double) {
        now += seconds
        bootTime += seconds
    }

    fun set(ahead: Double) {
        wallAhead = ahead
    }

    fun boot(time: Double, id: String) {
        bootTime = time
        bootId = id
    }
}

/** Keeps one document in memory. */
class MemoryStore(var document: ByteArray? = null) : Store {
    override fun read(): ByteArray? = document

    override fun write(data: ByteArray) {
        document = data
    }

    override fun clear() {
        document = null
    }
}

/**
 * Plays the service, the gate and every other host by the exchanges of a scenario's step, and compares what comes with what
 * the scenario expects. What differs is an [AssertionError], which nothing of the SDK catches.
 */
class ScriptedWorld(
    private val config: JSONObject,
    private val clock: SimulatedClock,
    private val phone: SimulatedPhone,
    private val meanwhile: (JSONArray) -> Unit,
) : Transport {
    private val audience = config.getJSONArray("audiences").getString(0)
    private val serviceKey by lazy(::newKey)
    private val otherKey by lazy(::newKey)
    private val sessionKeys = HashMap<String, ByteArray>()
    private val proofKeys = HashMap<String, PublicKeyJwk>()
    private val nonces = HashSet<String>()
    private var exchanges = JSONArray()
    private var next = 0
    private var arrived = 0

    @Volatile private var failure: AssertionError? = null
    private val lock = ReentrantLock()
    private val moved = lock.newCondition()

    /** Takes the exchanges of a step. */
    fun begin(step: JSONArray?) {
        exchanges = step ?: JSONArray()
        next = 0
        arrived = 0
    }

    /** Sees that all exchanges came about. */
    fun end() {
        failure?.let { throw it }
        if (next != exchanges.length()) throw AssertionError("${exchanges.length() - next} requests didn't come: ${exchanges.get(next)}")
    }

    override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer {
        check(headers["Content-Type"] == "application/json") { "a POST that isn't JSON" }
        check(headers["Accept-Encoding"] == "identity") { "a request that allows compression" }
        return exchange(Received("POST", url, lower(headers), body, isStream = false))
    }

    override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int): Answer =
        exchange(Received("GET", url, lower(headers), null, isStream = false))

    private fun lower(headers: Map<String, String>) = headers.mapKeys { it.key.lowercase() }

    /** Compares a request with the next exchange and answers it. */
    fun exchange(got: Received): Answer {
        val exchange =
            try {
                lock.withLock { taken(got) }
            } catch (error: AssertionError) {
                // Also where nobody waits for what becomes of the request, as for an early renewal.
                failure = failure ?: error
                throw error
            }
        exchange.optJSONArray("meanwhile")?.let(meanwhile)
        return lock.withLock { answer(exchange.getJSONObject("answer"), got) }
    }

    /** Returns the exchange that a request is the next of, when all that belong to it have come. */
    private fun taken(got: Received): JSONObject {
        if (next >= exchanges.length()) throw AssertionError("unexpected ${got.method} ${got.url}")
        val present = next
        val exchange = exchanges.getJSONObject(present)
        compare(exchange.getJSONObject("expect"), got)
        arrived++
        if (arrived == exchange.optInt("times", 1)) {
            next++
            arrived = 0
            moved.signalAll()
        }
        while (next == present) moved.await()
        return exchange
    }

    private fun compare(expect: JSONObject, got: Received) {
        val to =
            when (got.origin) {
                config.getString("service") -> "service"
                audience -> "api"
                else -> "other"
            }
        same("to", expect.getString("to"), to)
        same("method", expect.getString("method"), got.method)
        same("path", expect.getString("path"), got.target)
        expect.optJSONObject("json")?.let { json -> json.keys().forEach { same(it, json.get(it), got.json.opt(it) ?: JSONObject.NULL) } }
        expect.optJSONObject("statement")?.let { statement ->
            statement.keys().forEach { name ->
                same("statement $name", statement.get(name), got.statement.opt(name) ?: JSONObject.NULL)
            }
        }
        if (expect.has("bound_to")) {
            val value = expect.get("bound_to")
            val bnd = if (value == JSONObject.NULL) null else Base64Url.encode(sha256((value as String).toByteArray()))
            same("bnd", bnd, got.statement.opt("bnd"))
        }
        if (expect.has("keys")) {
            val x = got.statement.getJSONObject("seal_jwk").getString("x")
            same("keys", expect.getInt("keys"), phone.sealKeys.indexOfFirst { it.x == x } + 1)
        }
        same("Watchword-Status", expect.opt("status"), got.headers["watchword-status"])
        if (to != "service") compareProof(expect, got)
        expect.optJSONObject("headers")?.let { headers ->
            headers.keys().forEach { same(it, headers.get(it), got.headers[it] ?: JSONObject.NULL) }
        }
        compareBody(expect, got)
    }

    private fun compareBody(expect: JSONObject, got: Received) {
        if (expect.has("body")) {
            same("body", expect.getString("body"), String(got.body ?: ByteArray(0)))
            same("stream", false, got.isStream)
        }
        if (expect.has("stream")) same("stream", expect.getString("stream"), String(got.body ?: ByteArray(0)))
        if (expect.has("stream_size")) same("stream_size", expect.getInt("stream_size"), got.body?.size)
        if (expect.has("stream") || expect.has("stream_size")) same("stream", true, got.isStream)
    }

    private fun compareProof(expect: JSONObject, got: Received) {
        val token = got.headers["watchword-token"]
        same("token", expect.opt("token").takeIf { it != JSONObject.NULL }, token?.let(::nameOf))
        val signed = got.headers["signature-input"]
        val kind =
            when {
                got.headers["dpop"] != null -> "dpop"
                signed?.contains("alg=\"hmac-sha256\"") == true -> "session"
                signed != null -> "device"
                token != null -> "bearer"
                else -> null
            }
        same("proof", expect.opt("proof").takeIf { it != JSONObject.NULL }, kind)
        if (token == null || kind == "bearer") return
        if (kind == "dpop") compareDpop(token, got) else compareSignature(expect, token, kind == "session", got)
    }

    private fun compareSignature(expect: JSONObject, token: String, isSession: Boolean, got: Received) {
        val parameters = got.headers.getValue("signature-input").removePrefix("watchword=")
        val found = PARAMETERS.matchEntire(parameters) ?: throw AssertionError("got the signature parameters $parameters")
        val (digest, created, nonce, algorithm, keyId) = found.destructured
        same("the digest's component", got.body != null && !got.isStream && got.body.isNotEmpty(), digest.isNotEmpty())
        same("alg", if (isSession) "hmac-sha256" else "ecdsa-p256-sha256", algorithm)
        val lines =
            listOfNotNull(
                "\"watchword-token\": $token",
                "\"@method\": ${got.method}",
                "\"@authority\": ${got.origin.substringAfter("://")}",
                "\"@path\": ${got.target.substringBefore('?')}",
                "\"@query\": ?${got.target.substringAfter('?', "")}",
                "\"content-digest\": ${got.headers["content-digest"]}".takeIf { digest.isNotEmpty() },
                "\"@signature-params\": $parameters",
            )
        if (digest.isNotEmpty()) same("digest", "sha-256=:${base64(sha256(got.body ?: ByteArray(0)))}:", got.headers["content-digest"])
        val base = lines.joinToString("\n").toByteArray()
        val signature = got.headers.getValue("signature").removeSurrounding("watchword=:", ":")
        if (isSession) {
            same("keyid", claims(token).getString("sid"), keyId)
            same("the session proof", base64(hmac(sessionKeys.getValue(token), base)), signature)
        } else {
            same("keyid", thumbprint(token), keyId)
            verify(token, base, java.util.Base64.getDecoder().decode(signature))
        }
        val gate = expect.optString("gate_nonce", "")
        if (!nonce.startsWith(gate) ||
            nonce.length != gate.length + 22
        ) {
            throw AssertionError("got the nonce $nonce, expected $gate and 22 more")
        }
        if (!nonces.add(nonce)) throw AssertionError("got a nonce twice")
        // One second less is right too: the client rounds down what it has heard.
        val ahead = created.toDouble() - floor(clock.now + expect.optDouble("created_ahead", 0.0))
        if (ahead != 0.0 && ahead != -1.0) throw AssertionError("got created $ahead s ahead of what was expected")
    }

    private fun compareDpop(token: String, got: Received) {
        val parts = got.headers.getValue("dpop").split('.')
        val claims = JSONObject(String(Base64Url.decode(parts[1])))
        same("htm", got.method, claims.getString("htm"))
        same("htu", got.origin + got.target.substringBefore('?'), claims.getString("htu"))
        same("ath", Base64Url.encode(sha256(token.toByteArray())), claims.getString("ath"))
        if (!nonces.add(claims.getString("jti"))) throw AssertionError("got a nonce twice")
        verify(token, "${parts[0]}.${parts[1]}".toByteArray(), Base64Url.decode(parts[2]))
    }

    private fun verify(token: String, message: ByteArray, fixed: ByteArray) {
        val isRight =
            Signature.getInstance("SHA256withECDSA").run {
                initVerify(P256.publicKey(proofKeys.getValue(token)))
                update(message)
                verify(P256.derSignature(fixed))
            }
        if (!isRight) throw AssertionError("got a device proof that doesn't verify")
    }

    private fun answer(answer: JSONObject, got: Received): Answer {
        clock.advance(answer.optDouble("takes", 0.0))
        when (answer.optString("fails")) {
            "unsent" -> throw ConnectException("refused")
            "lost" -> throw SocketException("reset")
            "timeout" -> throw SocketTimeoutException("timed out")
            "dies" -> throw Death()
        }
        val headers = HashMap<String, String>()
        var body = ByteArray(0)
        val document: JSONObject? =
            answer.optJSONObject("json")?.let { JSONObject(it.toString()) }
                ?: answer.optJSONObject("session")?.let { session(it, got) }
                ?: answer.optJSONObject("secret")?.let { secret(it, got) }
                ?: answer.optJSONObject("problem")?.let { problem(it, answer.getInt("status"), got) }
                ?: if (answer.has("jwks")) jwks() else null
        if (document != null) {
            if (answer.has("now_ahead")) document.put("now", floor(clock.now + answer.getDouble("now_ahead")).toLong())
            if (answer.has("now")) document.put("now", answer.get("now"))
            headers["content-type"] = if (answer.has("problem")) "application/problem+json" else "application/json"
            body = document.toString().toByteArray()
        }
        if (answer.has("text")) {
            headers["content-type"] = "text/html"
            body = answer.getString("text").toByteArray()
        }
        if (answer.has("filler") || answer.has("gzip")) {
            // The right answer, but for how much there is of it, or for its form.
            headers["content-type"] = "application/json"
            val right = JSONObject().put("challenge", "c0").put("expires_in", 300).put("protocol", "1.1")
            body = right.put("filler", "x".repeat(answer.optInt("filler", answer.optInt("gzip")))).toString().toByteArray()
        }
        if (answer.has("gzip")) {
            // As a library hands it on that undoes the compression and keeps the header.
            headers["content-encoding"] = "gzip"
        }
        if (answer.has("date_ahead")) headers["date"] = date(clock.now + answer.getDouble("date_ahead"))
        answer.optJSONObject("headers")?.let { own -> own.keys().forEach { headers[it] = own.getString(it) } }
        return Answer(answer.getInt("status"), headers, body)
    }

    private fun session(session: JSONObject, got: Received): JSONObject {
        val tokens = JSONArray()
        val audiences = got.statement.getJSONArray("aud")
        for (index in 0 until audiences.length()) {
            val (sid, key) = Base64Url.encode(random(16)) to random(32)
            val proof = phone.proofKey
            val claims =
                JSONObject().put("jti", session.getString("tokens")).put("sid", sid)
                    .put("cnf", JSONObject().put("jwk", JSONObject(proof.members())))
            if (session.has("prf")) claims.put("prf", session.get("prf"))
            val token = "${encoded(JSONObject().put("alg", "ES256"))}.${encoded(claims)}.${Base64Url.encode(random(64))}"
            sessionKeys[token] = key
            proofKeys[token] = proof
            val each =
                JSONObject().put("aud", audiences.getString(index)).put("token", token).put("expires_in", session.get("life"))
            val seal = session.optString("seal", "sealed")
            if (seal != "none") {
                val recipient = if (seal == "broken") PublicKeyJwk.of(newKey().public as ECPublicKey) else sealKey(got)
                val info = "watchword/seal/v1\u0000".toByteArray() + binding(got) + prefixed(sid)
                each.put("session_key", Base64Url.encode(sealed(recipient, info, key)))
            }
            tokens.put(each)
        }
        val answer = JSONObject().put("instance", session.get("instance")).put("level", "hardware").put("tokens", tokens)
        if (session.has("next")) answer.put("next", session.get("next"))
        return answer
    }

    private fun secret(secret: JSONObject, got: Received): JSONObject {
        val (lease, end) = Base64Url.encode(random(16)) to (clock.now.toLong() + secret.getLong("life"))
        val info =
            "watchword/secret/v1\u0000".toByteArray() + binding(got) +
                prefixed(config.getString("app"), secret.getString("name"), "1", lease, end.toString())
        return JSONObject()
            .put("name", secret.get("name")).put("version", 1).put("lease", lease)
            .put("expires_in", secret.get("life")).put("expires_at", end)
            .put("sealed", Base64Url.encode(sealed(sealKey(got), info, secret.getString("value").toByteArray())))
    }

    private fun problem(problem: JSONObject, status: Int, got: Received): JSONObject {
        val slug = problem.getString("slug")
        val document = JSONObject().put("type", "urn:watchword:problem:$slug").put("title", "No").put("status", status)
        for (name in listOf("ref", "place")) if (problem.has(name)) document.put(name, problem.get(name))
        if (problem.has("signed")) document.put("signed", refusal(problem.getString("signed"), slug, got))
        return document
    }

    /** Returns a signed refusal that differs in one thing from a good one. */
    private fun refusal(difference: String, slug: String, got: Received): String {
        val header =
            JSONObject().put("alg", "ES256").put("kid", "k1")
                .put("typ", if (difference == "other-type") "watchword+jwt" else "watchword-refusal+jwt")
        val payload =
            JSONObject().put("v", 1)
                .put("iss", if (difference == "other-issuer") "https://other.example" else config.getString("issuer"))
                .put("app", if (difference == "other-app") "other" else config.getString("app"))
                .put("binding", Base64Url.encode(if (difference == "other-binding") random(32) else binding(got)))
                .put("type", if (difference == "other-class") "instance-unknown" else slug)
                .put("now", clock.now.toLong())
        val input = "${encoded(header)}.${encoded(payload)}"
        if (difference == "no-signature") return "$input."
        val signature =
            Signature.getInstance("SHA256withECDSA").run {
                initSign((if (difference == "other-key") otherKey else serviceKey).private)
                update(input.toByteArray())
                sign()
            }
        return "$input.${Base64Url.encode(P256.fixedSignature(signature))}"
    }

    private fun jwks(): JSONObject {
        val key = JSONObject(PublicKeyJwk.of(serviceKey.public as ECPublicKey).members()).put("kid", "k1").put("alg", "ES256")
        return JSONObject().put("keys", JSONArray().put(key))
    }

    private fun binding(got: Received) = sha256(Base64Url.decode(got.json.getString("statement")))

    private fun sealKey(got: Received) = got.statement.getJSONObject("seal_jwk").let { PublicKeyJwk(it.getString("x"), it.getString("y")) }

    private fun encoded(document: JSONObject) = Base64Url.encode(document.toString().toByteArray())

    private fun thumbprint(token: String): String {
        val key = proofKeys.getValue(token)
        return Base64Url.encode(sha256("{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"${key.x}\",\"y\":\"${key.y}\"}".toByteArray()))
    }

    private fun date(time: Double): String = java.text.SimpleDateFormat("EEE, dd MMM yyyy HH:mm:ss 'GMT'", java.util.Locale.ROOT)
        .apply { timeZone = java.util.TimeZone.getTimeZone("UTC") }
        .format(java.util.Date(floor(time).toLong() * 1000))

    companion object {
        private val PARAMETERS =
            Regex(
                "\\(\"watchword-token\" \"@method\" \"@authority\" \"@path\" \"@query\"( \"content-digest\")?\\);" +
                    "created=([0-9]{10});nonce=\"([A-Za-z0-9_-]+)\";alg=\"([a-z0-9-]+)\";keyid=\"([A-Za-z0-9_-]+)\"",
            )

        fun claims(token: String) = JSONObject(String(Base64Url.decode(token.split('.')[1])))

        /** Returns the name that a scenario has for a token. */
        fun nameOf(token: String): String = claims(token).getString("jti")

        fun same(what: String, expected: Any?, got: Any?) {
            if (expected != got) throw AssertionError("$what: got $got, expected $expected")
        }
    }
}
