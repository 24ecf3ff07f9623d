package dev.watchword

import dev.watchword.internal.Base64Url
import dev.watchword.internal.Covered
import dev.watchword.internal.Exchange
import dev.watchword.internal.Freshness
import dev.watchword.internal.Hpke
import dev.watchword.internal.OwnToken
import dev.watchword.internal.P256
import dev.watchword.internal.Proof
import dev.watchword.internal.Purpose
import dev.watchword.internal.Refusals
import dev.watchword.internal.Statement
import dev.watchword.internal.sha256
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized
import java.io.ByteArrayInputStream
import java.io.File
import java.math.BigInteger
import java.security.KeyFactory
import java.security.PublicKey
import java.security.Signature
import java.security.cert.CertificateFactory
import java.security.spec.ECPrivateKeySpec

/** Checks every vector of docs/protocol-vectors.json that is a client's. */
@RunWith(Parameterized::class)
class VectorsTest(@Suppress("unused") private val id: String, private val group: String, private val vector: JSONObject) {
    @Test
    fun holds() = when (group) {
        "enrolments" -> enrolment()
        "statements" -> statement()
        "test_instance" -> testInstance()
        "proofs.sealed.keys" -> sessionKey()
        "secret.keys" -> secret()
        "proofs.requests" -> request()
        "der.vectors" -> der()
        "refusals.vectors" -> refusal()
        "pins.vectors" -> PinVectors(DOCUMENT.getJSONObject("pins"), vector).run()
        else -> throw AssertionError("got vectors of the group $group, which this runner doesn't know")
    }

    private fun enrolment() {
        val bytes = Base64Url.decode(vector.getString("statement"))
        val evidence = vector.getJSONObject("evidence")
        assertEquals(vector.getString("binding"), hex(sha256(bytes)))
        assertEquals(vector.getString("challenge"), JSONObject(String(bytes)).getString("challenge"))
        val chain = DOCUMENT.getJSONArray(
            "enrolments",
        ).getJSONObject(1).getJSONObject("enrol").getJSONObject("evidence").getJSONArray("chain")
        if (evidence.getString("format") == "android-key" && evidence.has("signature")) {
            val leaf = Base64Url.decode(chain.getString(0))
            val key = CertificateFactory.getInstance("X.509").generateCertificate(ByteArrayInputStream(leaf)).publicKey
            verify(key, RENEWAL + bytes, Base64Url.decode(evidence.getString("signature")))
        }
    }

    private fun statement() {
        val members = vector.getJSONObject("members")
        val bytes = Base64Url.decode(vector.getString("statement"))
        assertEquals(vector.getString("binding"), hex(sha256(bytes)))
        if (members.getJSONObject("seal_jwk").getString("kty") == "OKP") {
            // This SDK makes P-256 keys alone, so that it never writes such a statement.
            assertTrue(alike(JSONObject(String(bytes)), members))
            return
        }
        val built =
            Statement(
                purpose = Purpose.values().single { it.text == members.getString("purpose") },
                issuer = members.getString("iss"),
                audiences = members.getJSONArray("aud").let { list -> List(list.length()) { list.getString(it) } },
                app = members.getString("app"),
                challenge = members.getString("challenge"),
                proofJwk = members.optJSONObject("proof_jwk")?.let(::jwk),
                sealJwk = jwk(members.getJSONObject("seal_jwk")),
                bnd = members.opt("bnd") as String?,
                isProvenByDevice = members.has("prf"),
                secret = members.opt("secret") as String?,
            )
        assertTrue(alike(JSONObject(String(bytes)), JSONObject(String(built.bytes))))
        assertEquals(hex(sha256(built.bytes)), hex(built.binding))
        if (vector.has("header_value")) assertEquals(members.getString("bnd"), Statement.boundTo(vector.getString("header_value")))
    }

    private fun testInstance() {
        val key = P256.publicKey(jwk(vector.getJSONObject("proof_jwk")))
        val signed = "watchword/test/v1\u0000".toByteArray() + bytes(vector.getString("binding"))
        assertEquals(vector.getString("signed"), hex(signed))
        verify(key, signed, Base64Url.decode(vector.getJSONObject("evidence").getString("key_signature")))
        val renewal = vector.getJSONObject("renewal")
        val statement = Base64Url.decode(renewal.getString("statement"))
        verify(key, RENEWAL + statement, Base64Url.decode(renewal.getJSONObject("evidence").getString("signature")))
    }

    private fun sessionKey() {
        val sealed = PROOFS.getJSONObject("sealed")
        val info = "watchword/seal/v1\u0000".toByteArray() + bytes(sealed.getString("binding")) + prefixed(sealed.getString("sid"))
        assertEquals(PROOFS.getJSONObject("session_key").getString("key"), hex(opened(info)))
    }

    private fun secret() {
        val secret = DOCUMENT.getJSONObject("secret")
        val parts = listOf("app", "name", "version", "lease", "expires_at").map { secret.get(it).toString() }
        val info = "watchword/secret/v1\u0000".toByteArray() + bytes(secret.getString("binding")) + prefixed(*parts.toTypedArray())
        assertEquals(secret.getString("info"), hex(info))
        assertEquals(secret.getString("value"), String(opened(info)))
    }

    /** Opens what is sealed, and sees that nothing else opens. */
    private fun opened(info: ByteArray): ByteArray {
        val key = vector.getJSONObject("seal_key")
        val scalar = BigInteger(1, Base64Url.decode(key.getString("d")))
        val private = KeyFactory.getInstance("EC").generatePrivate(ECPrivateKeySpec(scalar, P256.PARAMETERS))
        val sealed = Base64Url.decode(vector.getString("sealed"))

        fun open(info: ByteArray, sealed: ByteArray) = Hpke.open(jwk(key), info, sealed) { agreed(private, it) }
        for (place in listOf(0, 40, sealed.size - 1)) {
            val changed = sealed.copyOf().also { it[place] = (it[place].toInt() xor 1).toByte() }
            assertThrows(IllegalArgumentException::class.java) { open(info, changed) }
        }
        assertThrows(IllegalArgumentException::class.java) { open(info + byteArrayOf(0), sealed) }
        assertThrows(IllegalArgumentException::class.java) { open(info, sealed.copyOf(80)) }
        return open(info, sealed)
    }

    private fun request() {
        val token = PROOFS.getString("token")
        val own = checkNotNull(OwnToken.read(token))
        val key = P256.publicKey(PublicKeyJwk(own.key.getValue("x"), own.key.getValue("y")))
        val body = (vector.opt("body") as? String)?.let(::bytes)
        val digest = body?.let { Proof.contentDigest(sha256(it)) }
        assertEquals(vector.opt("content_digest").takeIf { it != JSONObject.NULL }, digest)
        val (host, target) = vector.getString("host") to vector.getString("target")
        val covered = Covered.of(vector.getString("method"), "https://$host$target", host, digest)
        assertEquals(vector.getString("authority"), covered.authority)
        assertEquals(vector.getString("path"), covered.path)
        assertEquals(vector.getString("query"), covered.query)
        val gate = vector.opt("gate_nonce") as? String
        val created = PROOFS.getLong("created")

        fun fresh(headers: JSONObject): Freshness {
            val nonce = headers.getString("Signature-Input").substringAfter("nonce=\"").substringBefore('"')
            return Freshness(created, nonce.removePrefix(gate.orEmpty()), gate)
        }
        val session = vector.getJSONObject("session")
        val sessionKey = bytes(PROOFS.getJSONObject("session_key").getString("key"))
        assertEquals(map(session), Proof(covered, token, own, fresh(session)).bySession(sessionKey))
        val device = vector.getJSONObject("device")
        val fixed = java.util.Base64.getDecoder().decode(device.getString("Signature").removeSurrounding("watchword=:", ":"))
        val made =
            Proof(covered, token, own, fresh(device)).byDevice { base ->
                P256.derSignature(fixed).also { verify(key, base, it) }
            }
        assertEquals(map(device), made)
        vector.optJSONObject("dpop")?.let { dpop(it.getString("DPoP"), covered, token, own, gate, created, key) }
    }

    private fun dpop(proof: String, covered: Covered, token: String, own: OwnToken, gate: String?, created: Long, key: PublicKey) {
        val parts = proof.split('.')
        val claims = JSONObject(String(Base64Url.decode(parts[1])))
        val fixed = Base64Url.decode(parts[2])
        verify(key, "${parts[0]}.${parts[1]}".toByteArray(), P256.derSignature(fixed))
        // Members may stand in another order: what is made has to say the same, and its own base is what is signed.
        var signed = ByteArray(0)
        val made =
            Proof(covered, token, own, Freshness(created, claims.getString("jti"), gate)).byDpop { base ->
                P256.derSignature(fixed).also { signed = base }
            }
        val own2 = made.getValue("DPoP").split('.')
        assertArrayEquals("${own2[0]}.${own2[1]}".toByteArray(), signed)
        for (part in 0..1) {
            assertTrue(alike(JSONObject(String(Base64Url.decode(parts[part]))), JSONObject(String(Base64Url.decode(own2[part])))))
        }
    }

    private fun der() {
        val der = bytes(vector.getString("der"))
        if (vector.isNull("raw")) {
            assertThrows(IllegalArgumentException::class.java) { P256.fixedSignature(der) }
            return
        }
        val raw = P256.fixedSignature(der)
        assertEquals(vector.getString("raw"), hex(raw))
        assertArrayEquals(der, P256.derSignature(raw))
        val key = P256.publicKey(jwk(DOCUMENT.getJSONObject("der").getJSONObject("key")))
        assertTrue(P256.verifies(key, bytes(vector.getString("message")), raw))
    }

    private fun refusal() {
        val refusals = DOCUMENT.getJSONObject("refusals")
        val keys = refusals.getJSONObject("jwks").toString().toByteArray()
        val transport =
            object : Transport {
                override fun post(url: String, headers: Map<String, String>, body: ByteArray, timeoutMillis: Int) =
                    throw AssertionError("nothing is posted")

                override fun get(url: String, headers: Map<String, String>, timeoutMillis: Int) =
                    Answer(200, mapOf("content-type" to "application/json"), keys)
            }
        val clock = SimulatedClock(0.0, 0.0, 0.0, "boot")
        val ports = Ports(SimulatedPhone(isStated = false, canOpen = true), MemoryStore(), clock, transport)
        val issuer = DOCUMENT.getString("issuer")
        val type = vector.getString("type").removePrefix("urn:watchword:problem:")
        val taken =
            Refusals(Exchange(issuer, ports) {}, issuer, refusals.getString("app"))
                .verifies(vector.getString("signed"), bytes(refusals.getString("binding")), type)
        assertEquals(vector.getBoolean("taken"), taken && type in setOf("evidence-refused", "instance-refused"))
    }

    private fun verify(key: PublicKey, message: ByteArray, der: ByteArray) = Signature.getInstance("SHA256withECDSA").run {
        initVerify(key)
        update(message)
        assertTrue(verify(der))
    }

    private fun jwk(key: JSONObject) = PublicKeyJwk(key.getString("x"), key.getString("y"))

    private fun map(document: JSONObject) = document.keys().asSequence().associateWith(document::getString)

    private fun alike(left: Any?, right: Any?): Boolean = when (left) {
        is JSONObject ->
            right is JSONObject && left.length() == right.length() &&
                left.keys().asSequence().all { alike(left.get(it), right.opt(it)) }

        is JSONArray -> left.toString() == right.toString()

        else -> left == right
    }

    companion object {
        private val DOCUMENT = JSONObject(File(System.getProperty("watchword.root"), "docs/protocol-vectors.json").readText())
        private val PROOFS = DOCUMENT.getJSONObject("proofs")
        private val RENEWAL = "watchword/renew/v1\u0000".toByteArray()

        private fun bytes(hex: String) = ByteArray(hex.length / 2) { hex.substring(2 * it, 2 * it + 2).toInt(16).toByte() }

        private fun hex(bytes: ByteArray) = bytes.joinToString("") { "%02x".format(it) }

        @JvmStatic
        @Parameterized.Parameters(name = "{0}")
        fun vectors(): List<Array<Any>> {
            val all = ArrayList<Array<Any>>()
            walk(DOCUMENT, emptyList(), all)
            val count = DOCUMENT.getJSONObject("count").getInt("client")
            println("vectors: ${all.size} of $count")
            check(all.size == count) { "got ${all.size} vectors, expected $count" }
            return all
        }

        /** Finds the objects with an `id` that are every client's, and the path that leads to each. */
        private fun walk(value: Any?, path: List<String>, found: MutableList<Array<Any>>) {
            if (value is JSONArray) {
                for (index in 0 until value.length()) walk(value.get(index), path, found)
            }
            if (value !is JSONObject) return
            if (value.has("id") && !value.has("by")) {
                val group = if (path.first() == "enrolments") "enrolments" else path.joinToString(".")
                found += arrayOf(value.getString("id"), group, value)
            }
            for (name in value.keys()) walk(value.get(name), path + name, found)
        }
    }
}
