package dev.watchword.phone

import dev.watchword.Answer
import dev.watchword.Clock
import dev.watchword.Ports
import dev.watchword.Store
import dev.watchword.Transport
import dev.watchword.Watchword
import dev.watchword.WatchwordConfig
import org.json.JSONArray
import org.json.JSONObject
import java.io.IOException
import java.math.BigInteger
import java.security.AlgorithmParameters
import java.security.KeyFactory
import java.security.MessageDigest
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec
import java.security.spec.ECParameterSpec
import java.security.spec.ECPoint
import java.security.spec.ECPublicKeySpec
import java.util.Base64
import java.util.Collections
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger
import javax.crypto.Mac
import javax.crypto.spec.SecretKeySpec

/**
 * A service in this process: hands out tokens without asking who for. What its gate verifies are proofs alone.
 *
 * @param device whose proof key stands in tokens.
 */
class MiniService(private val device: SoftwareDevice) : Transport {
    /** What was asked for, by path. */
    val asked: MutableList<String> = Collections.synchronizedList(mutableListOf<String>())

    /** Runs before each answer; a test lets it fail there. */
    @Volatile
    var before: (String) -> Unit = {}

    private val count = AtomicInteger()
    private val keys = ConcurrentHashMap<String, ByteArray>()
    private val revoked = ConcurrentHashMap.newKeySet<String>()

    /** Makes what stands in the place of an app's process. */
    fun watchword(config: WatchwordConfig, store: Store = MemoryStore(), clock: Clock = JvmClock): Watchword =
        Watchword(config, Ports(device, store, clock, this, sleep = {}, jitter = { 0.5 }))

    /** Refuses all tokens that were handed out so far. */
    fun revoke() {
        revoked += keys.keys
    }

    override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int): Answer {
        val path = "/" + url.substringAfter("://").substringAfter('/')
        asked += path
        before(path)
        val request = JSONObject(String(body, Charsets.UTF_8))
        return when (path) {
            "/v1/challenges" -> answer(200, JSONObject().put("challenge", "Y2hhbGxlbmdl").put("expires_in", 300).put("protocol", "1.1"))
            "/v1/attestations" -> answer(201, tokens(request.getString("statement")))
            "/v1/tokens" -> answer(200, tokens(request.getString("statement")))
            else -> throw IOException("the small service knows no $path")
        }
    }

    override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int): Answer = throw IOException("nothing is there")

    /**
     * Returns why a gate would refuse a request, null where it wouldn't.
     *
     * @param kind `session` or `device`.
     */
    fun refusal(request: WireServer.Request, kind: String): String? {
        val token = request.headers["watchword-token"] ?: return "token-required"
        if (token in revoked) return "token-refused"
        val key = keys[token] ?: return "token-refused"
        val input = request.headers["signature-input"]?.removePrefix("watchword=") ?: return "proof-required"
        val signature = request.headers["signature"]?.removeSurrounding("watchword=:", ":") ?: return "proof-required"
        if (kind == "device" != "ecdsa-p256-sha256" in input) return "proof-required"
        val hash = MessageDigest.getInstance("SHA-256").digest(request.body)
        val digest = "sha-256=:${Base64.getEncoder().encodeToString(hash)}:"
        val hasBody = request.body.isNotEmpty() || request.headers["transfer-encoding"] != null
        if (hasBody && request.headers["content-digest"] != digest) return "proof-refused"
        val base = base(request, token, input, if (hasBody) digest else null)
        val bytes = Base64.getDecoder().decode(signature)
        val good = if (kind == "device") verified(base, bytes) else hmac(key, base).contentEquals(bytes)
        return if (good) null else "proof-refused"
    }

    private fun base(request: WireServer.Request, token: String, input: String, digest: String?): ByteArray {
        val path = request.target.substringBefore('?')
        val query = request.target.substringAfter('?', "")
        return listOfNotNull(
            "\"watchword-token\": $token",
            "\"@method\": ${request.method}",
            "\"@authority\": ${request.headers["host"]}",
            "\"@path\": $path",
            "\"@query\": ?$query",
            digest?.let { "\"content-digest\": $it" },
            "\"@signature-params\": $input",
        ).joinToString("\n").toByteArray()
    }

    private fun verified(base: ByteArray, signature: ByteArray): Boolean =
        java.security.Signature.getInstance("SHA256withECDSAinP1363Format", "SunEC").run {
            initVerify(device.proofKey)
            update(base)
            verify(signature)
        }

    private fun tokens(statement: String): JSONObject {
        val bytes = Base64.getUrlDecoder().decode(statement)
        val said = JSONObject(String(bytes, Charsets.UTF_8))
        val audiences = said.getJSONArray("aud")
        val tokens = JSONArray()
        for (at in 0 until audiences.length()) {
            tokens.put(token(audiences.getString(at), bytes, key(said.getJSONObject("seal_jwk"))))
        }
        return JSONObject()
            .put("instance", "instance-1")
            .put("level", "hardware")
            .put("tokens", tokens)
            .put("now", System.currentTimeMillis() / 1000)
    }

    private fun token(audience: String, statement: ByteArray, seal: ECPublicKey): JSONObject {
        val number = count.incrementAndGet()
        val sid = "sid-$number"
        val jwk = JSONObject(device.proofJwk.members())
        val claims = JSONObject().put("sid", sid).put("aud", audience).put("cnf", JSONObject().put("jwk", jwk))
        val token = "e30.${base64url(claims.toString().toByteArray())}.c2lnbmF0dXJl"
        val key = ByteArray(32) { (it + number).toByte() }
        keys[token] = key
        val binding = MessageDigest.getInstance("SHA-256").digest(statement)
        val info = "watchword/seal/v1\u0000".toByteArray() + binding + byteArrayOf(0, 0, 0, sid.length.toByte()) + sid.toByteArray()
        return JSONObject()
            .put("aud", audience)
            .put("token", token)
            .put("expires_in", 300)
            .put("session_key", base64url(Sealer.seal(seal, info, key)))
    }

    private fun key(jwk: JSONObject): ECPublicKey {
        val (x, y) = listOf("x", "y").map { BigInteger(1, Base64.getUrlDecoder().decode(jwk.getString(it))) }
        val curve = AlgorithmParameters.getInstance("EC").run {
            init(ECGenParameterSpec("secp256r1"))
            getParameterSpec(ECParameterSpec::class.java)
        }
        return KeyFactory.getInstance("EC", "SunEC").generatePublic(ECPublicKeySpec(ECPoint(x, y), curve)) as ECPublicKey
    }

    private fun answer(status: Int, document: JSONObject) =
        Answer(status, mapOf("content-type" to "application/json"), document.toString().toByteArray())

    private fun hmac(key: ByteArray, data: ByteArray): ByteArray = Mac.getInstance("HmacSHA256").run {
        init(SecretKeySpec(key, algorithm))
        doFinal(data)
    }

    private fun base64url(data: ByteArray): String = Base64.getUrlEncoder().withoutPadding().encodeToString(data)
}

/** Keeps a document as long as the test lasts. */
class MemoryStore : Store {
    @Volatile private var held: ByteArray? = null

    override fun read(): ByteArray? = held

    override fun write(data: ByteArray) {
        held = data
    }

    override fun clear() {
        held = null
    }
}

/** This machine's clocks, which start with the process. */
object JvmClock : Clock {
    override val bootId: String = "jvm"

    override fun wall(): Double = System.currentTimeMillis() / 1000.0

    override fun boot(): Double = System.nanoTime() / 1e9
}
