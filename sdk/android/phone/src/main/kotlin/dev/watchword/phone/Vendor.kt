package dev.watchword.phone

import android.security.KeyStoreException
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import android.security.keystore.StrongBoxUnavailableException
import org.json.JSONArray
import org.json.JSONObject
import java.io.ByteArrayInputStream
import java.net.HttpURLConnection
import java.net.URL
import java.security.ProviderException
import java.security.PublicKey
import java.security.cert.Certificate
import java.security.cert.CertificateFactory
import java.util.Base64

/** Certificates of a key, leaf first, and where it lives ([KeyProperties]' security levels). */
class Vouched(val chain: List<Certificate>, val level: Int)

/** Who made a phone, and vouches for keys in it. */
fun interface Vendor {
    /** Returns what stands for a new key; throws what Android would. */
    fun vouch(key: PublicKey, spec: KeyGenParameterSpec): Vouched
}

/** Vouches for nothing: each key has one certificate that says nothing, as on a phone without attestation. */
object UnattestedVendor : Vendor {
    override fun vouch(key: PublicKey, spec: KeyGenParameterSpec): Vouched =
        Vouched(listOf(BareCertificate(key)), KeyProperties.SECURITY_LEVEL_TRUSTED_ENVIRONMENT)
}

/** A certificate that holds a key, and in place of its DER the key's. */
class BareCertificate(private val key: PublicKey) : Certificate("X.509") {
    override fun getEncoded(): ByteArray = key.encoded

    override fun getPublicKey(): PublicKey = key

    override fun verify(key: PublicKey?): Unit = Unit

    override fun verify(key: PublicKey?, provider: String?): Unit = Unit

    override fun toString(): String = "BareCertificate"
}

/**
 * Has a key certified by `watchword lab attester`, as a phone's hardware and vendor would.
 *
 * @param url where the attester listens.
 * @param kind of phone, such as `genuine-android`; `watchword lab phones` lists them.
 * @param device the phone's name.
 */
class LabVendor(private val url: String, private val kind: String, private val device: String) : Vendor {
    override fun vouch(key: PublicKey, spec: KeyGenParameterSpec): Vouched {
        val challenge = spec.attestationChallenge ?: return UnattestedVendor.vouch(key, spec)
        val asked = JSONObject()
            .put("kind", kind)
            .put("device", device)
            .put("key", base64url(key.encoded))
            .put("challenge", base64url(challenge))
        if (spec.isStrongBoxBacked) asked.put("strongbox", true)
        val (status, answer) = post("/v1/android/chain", asked)
        if (status == HttpURLConnection.HTTP_UNAVAILABLE) throw failure(answer.getJSONObject("fault"))
        check(status == HttpURLConnection.HTTP_OK) { "the attester answered $status: $answer" }
        return Vouched(certificates(answer.getJSONArray("chain")), level(answer.getString("security_level")))
    }

    /** Returns a Play Integrity token; throws with Google's code where the lab's Google fails. */
    fun playToken(requestHash: String): String {
        val (status, answer) = post(
            "/v1/play/token",
            JSONObject().put("kind", kind).put("device", device).put("request_hash", requestHash),
        )
        if (status == HttpURLConnection.HTTP_UNAVAILABLE) throw PlayFailure(answer.getJSONObject("fault").getInt("code"))
        check(status == HttpURLConnection.HTTP_OK) { "the attester answered $status: $answer" }
        return answer.getString("token")
    }

    private fun failure(fault: JSONObject): Exception {
        val code = fault.getInt("internal_code")
        if (fault.getString("exception").endsWith(".StrongBoxUnavailableException")) {
            return StrongBoxUnavailableException("Failed to generate key pair.", keystoreException(fault, code))
        }
        return ProviderException("Failed to generate key pair.", keystoreException(fault, code))
    }

    private fun keystoreException(fault: JSONObject, code: Int) = KeyStoreException(
        code,
        fault.getInt("numeric_code"),
        fault.getBoolean("transient"),
        fault.getInt("retry_policy"),
        fault.getBoolean("system_error"),
        fault.getBoolean("requires_user_authentication"),
    )

    private fun certificates(chain: JSONArray): List<Certificate> {
        val factory = CertificateFactory.getInstance("X.509")
        return (0 until chain.length()).map {
            factory.generateCertificate(ByteArrayInputStream(Base64.getUrlDecoder().decode(chain.getString(it))))
        }
    }

    private fun level(name: String): Int = when (name) {
        "strongbox" -> KeyProperties.SECURITY_LEVEL_STRONGBOX
        "tee" -> KeyProperties.SECURITY_LEVEL_TRUSTED_ENVIRONMENT
        else -> KeyProperties.SECURITY_LEVEL_SOFTWARE
    }

    private fun post(path: String, body: JSONObject): Pair<Int, JSONObject> {
        val connection = URL(url + path).openConnection() as HttpURLConnection
        connection.doOutput = true
        connection.setRequestProperty("Content-Type", "application/json")
        connection.outputStream.use { it.write(body.toString().toByteArray()) }
        val status = connection.responseCode
        val stream = if (status >= HttpURLConnection.HTTP_BAD_REQUEST) connection.errorStream else connection.inputStream
        return status to JSONObject(stream.use { it.readBytes() }.toString(Charsets.UTF_8))
    }

    private fun base64url(data: ByteArray): String = Base64.getUrlEncoder().withoutPadding().encodeToString(data)
}

/** Says that the lab's Google returned no verdict. */
class PlayFailure(val code: Int) : Exception("Play Integrity failed with code $code")
